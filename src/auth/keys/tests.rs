//! Keys that are refused at the start.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::auth::test_keys::{self as pem, key, public, secret};

#[test]
fn weak_and_mismatched_keys_do_not_load() {
    let load = |config| KeySet::load(&[config]).err().expect("an error");
    let short = KeyMaterial::Secret(b"too short".to_vec());
    assert_eq!(
        load(key(None, Algorithm::HS256, short)),
        KeyError::ShortSecret {
            key: "#1".into(),
            algorithm: Algorithm::HS256
        }
    );
    let empty = KeyMaterial::Secret(Vec::new());
    assert_eq!(
        load(key(Some("e"), Algorithm::HS256, empty)),
        KeyError::ShortSecret {
            key: "e".into(),
            algorithm: Algorithm::HS256
        }
    );
    // A secret is as long as the hash (RFC 7518, section 3.2).
    for (algorithm, least) in [
        (Algorithm::HS256, 32),
        (Algorithm::HS384, 48),
        (Algorithm::HS512, 64),
    ] {
        let of = |bytes| key(Some("s"), algorithm, KeyMaterial::Secret(vec![7; bytes]));
        assert!(KeySet::load(&[of(least)]).is_ok());
        let short = KeyError::ShortSecret {
            key: "s".into(),
            algorithm,
        };
        assert_eq!(load(of(least - 1)), short);
    }
    let weak = key(None, Algorithm::RS256, public(pem::RSA_1024_PUBLIC));
    assert_eq!(
        load(weak),
        KeyError::ShortRsa {
            key: "#1".into(),
            bits: 1024
        }
    );
    for (algorithm, pem) in [
        (Algorithm::RS256, pem::P256_PUBLIC),
        (Algorithm::ES256, pem::RSA_PUBLIC),
        (Algorithm::ES256, pem::P384_PUBLIC),
        (Algorithm::ES384, pem::P256_PUBLIC),
        (Algorithm::EdDSA, pem::P256_PUBLIC),
        (Algorithm::HS256, pem::RSA_PUBLIC),
    ] {
        assert!(
            matches!(
                load(key(None, algorithm, public(pem))),
                KeyError::Mismatch { .. }
            ),
            "{algorithm}"
        );
    }
    assert!(matches!(
        load(key(None, Algorithm::RS256, secret())),
        KeyError::Mismatch { .. }
    ));
    for not_a_key in ["", "nonsense", pem::RSA_PRIVATE] {
        assert!(matches!(
            load(key(None, Algorithm::RS256, public(not_a_key))),
            KeyError::Malformed(..)
        ));
    }
    let twice = [
        key(Some("k"), Algorithm::HS256, secret()),
        key(Some("k"), Algorithm::HS384, secret()),
    ];
    assert_eq!(
        KeySet::load(&twice).err(),
        Some(KeyError::DuplicateId("k".into()))
    );
    assert_eq!(KeySet::load(&[]).err(), Some(KeyError::None));
    let nameless = KeyConfig {
        algorithm: None,
        ..key(None, Algorithm::HS256, secret())
    };
    assert_eq!(load(nameless), KeyError::NoAlgorithm("#1".into()));
}

/// Of what a provider publishes, what verifies tokens is taken, whatever stands beside it.
#[test]
fn of_a_published_set_only_what_verifies_is_taken() {
    use serde_json::{Value, json};
    const X: &str = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    const Y: &str = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";
    let ec = |more: Value| {
        let mut key = json!({"kty": "EC", "crv": "P-256", "kid": "k", "x": X, "y": Y});
        let more = more.as_object().unwrap().clone();
        key.as_object_mut().unwrap().extend(more);
        key
    };
    let rsa = |bits: usize, alg: Option<&str>| {
        let n = URL_SAFE_NO_PAD.encode(vec![0xff; bits / 8]);
        json!({"kty": "RSA", "kid": "r", "n": n, "e": "AQAB", "alg": alg})
    };
    let good = [
        (ec(json!({})), Algorithm::ES256),
        (ec(json!({"use": "sig", "alg": "ES256"})), Algorithm::ES256),
        (ec(json!({"key_ops": ["verify"]})), Algorithm::ES256),
        (
            ec(json!({"x5c": ["?"], "unheard-of": {"a": []}})),
            Algorithm::ES256,
        ),
        (rsa(2048, None), Algorithm::RS256),
        (rsa(4096, Some("PS256")), Algorithm::PS256),
        (
            json!({"kty": "OKP", "crv": "Ed25519", "x": X}),
            Algorithm::EdDSA,
        ),
    ];
    let wrong = [
        json!(null),
        json!({}),
        json!({"kty": "oct", "alg": "HS256", "k": X}),
        json!({"kty": "oct", "alg": "RS256", "k": X}),
        json!({"kty": "unheard-of"}),
        ec(json!({"use": "enc"})),
        ec(json!({"key_ops": ["encrypt"]})),
        ec(json!({"alg": "HS256"})),
        ec(json!({"alg": "ECDH-ES"})),
        ec(json!({"alg": "none"})),
        ec(json!({"d": X})),
        ec(json!({"crv": "secp256k1"})),
        ec(json!({"x": "?"})),
        ec(json!({"x": "AAAA"})),
        rsa(1024, Some("RS256")),
        rsa(2048, Some("RSA-OAEP")),
        rsa(2048, Some("HS256")),
        rsa(2048, Some("ES256")),
    ];
    let set = |keys: &[Value]| json!({ "keys": keys }).to_string();
    let load = |keys: &[Value]| published(set(keys).as_bytes(), Algorithm::RS256);
    for (key, algorithm) in &good {
        for keys in [
            vec![key.clone()],
            [&wrong[..], &[key.clone(), key.clone()]].concat(),
        ] {
            let (found, others) = load(&keys).unwrap_or_else(|error| panic!("{key}: {error}"));
            assert_eq!(found.len(), 1, "{key}");
            assert_eq!(found[0].algorithm, *algorithm, "{key}");
            assert_eq!(others, keys.len().saturating_sub(2), "{key}");
        }
    }
    for key in wrong {
        let (found, others) = load(std::slice::from_ref(&key)).unwrap();
        assert_eq!((found.len(), others), (0, 1), "{key}");
    }
    // Two keys of one name are both tried.
    let (found, _) = load(&[ec(json!({})), ec(json!({"x": Y, "y": X}))]).unwrap();
    let named = candidates(&found, Some("k"), jsonwebtoken::Algorithm::ES256);
    assert_eq!(named.count(), 2);
    assert_eq!(
        candidates(&found, Some("k"), jsonwebtoken::Algorithm::HS256).count(),
        0
    );
}
