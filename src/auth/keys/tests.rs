//! Keys that are refused at the start.

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
