//! Right tokens of every algorithm, and everything that the library would let pass and we must not.

mod claims;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::*;
use crate::auth::test_keys as pem;
use crate::auth::test_keys::{SECRET, key, public, secret};
use crate::auth::{Algorithm, KeyConfig, KeyError, KeyMaterial, KeySet};

const NOW: u64 = 1_800_000_000;

fn config() -> JwtConfig {
    JwtConfig {
        issuers: vec!["https://issuer".into()],
        audiences: vec!["tailrace".into(), "other".into()],
        leeway: Duration::from_secs(30),
        required_claims: Vec::new(),
    }
}

fn verifier(keys: &[KeyConfig]) -> JwtVerifier {
    JwtVerifier::new(config(), KeySet::load(keys).unwrap())
}

fn hs256() -> JwtVerifier {
    verifier(&[key(Some("k"), Algorithm::HS256, secret())])
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer", "sub": "ann", "aud": "tailrace",
        "exp": NOW + 60, "iat": NOW, "scope": "streams:read streams:write", "plan": "pro",
    })
}

/// Signs any header and any claims text with the secret, as an issuer gone wrong might.
fn forge(header: &Value, claims: &str) -> String {
    let mut token = BASE64.encode(header.to_string());
    let _ = write!(token, ".{}", BASE64.encode(claims));
    let key = EncodingKey::from_secret(SECRET);
    let signature =
        jsonwebtoken::crypto::sign(token.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
    format!("{token}.{signature}")
}

fn plain_header() -> Value {
    json!({"alg": "HS256", "typ": "JWT", "kid": "k"})
}

fn signed(claims: &Value) -> String {
    forge(&plain_header(), &claims.to_string())
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

#[test]
fn a_right_token_makes_a_principal() {
    let principal = hs256().verify_at(&signed(&claims()), NOW).unwrap();
    assert_eq!(principal.owner().to_string(), "https://issuer|ann");
    assert!(principal.has_scope("streams:read") && principal.has_scope("streams:write"));
    assert!(!principal.has_scope("streams"));
    assert_eq!(principal.plan.as_deref(), Some("pro"));
}

#[test]
fn scopes_are_read_as_issuers_write_them() {
    for (name, value) in [
        ("scope", json!("a b")),
        ("scope", json!(["a", "b"])),
        ("scp", json!("a b")),
        ("scp", json!(["a", "b"])),
    ] {
        let mut claims = without("scope");
        claims[name] = value;
        let principal = hs256().verify_at(&signed(&claims), NOW).unwrap();
        assert!(
            principal.has_scope("a") && principal.has_scope("b"),
            "{claims}"
        );
    }
}

#[test]
fn every_algorithm_verifies_its_own_key() {
    use jsonwebtoken::Algorithm as Library;
    let rsa = EncodingKey::from_rsa_pem(pem::RSA_PRIVATE.as_bytes()).unwrap();
    let p256 = EncodingKey::from_ec_pem(pem::P256_PRIVATE.as_bytes()).unwrap();
    let p384 = EncodingKey::from_ec_pem(pem::P384_PRIVATE.as_bytes()).unwrap();
    let ed25519 = EncodingKey::from_ed_pem(pem::ED25519_PRIVATE.as_bytes()).unwrap();
    let hmac = EncodingKey::from_secret(SECRET);
    let cases = [
        (Algorithm::HS256, Library::HS256, secret(), &hmac),
        (Algorithm::HS384, Library::HS384, secret(), &hmac),
        (Algorithm::HS512, Library::HS512, secret(), &hmac),
        (
            Algorithm::RS256,
            Library::RS256,
            public(pem::RSA_PUBLIC),
            &rsa,
        ),
        (
            Algorithm::RS384,
            Library::RS384,
            public(pem::RSA_PUBLIC),
            &rsa,
        ),
        (
            Algorithm::RS512,
            Library::RS512,
            public(pem::RSA_PUBLIC),
            &rsa,
        ),
        (
            Algorithm::PS256,
            Library::PS256,
            public(pem::RSA_PUBLIC),
            &rsa,
        ),
        (
            Algorithm::ES256,
            Library::ES256,
            public(pem::P256_PUBLIC),
            &p256,
        ),
        (
            Algorithm::ES384,
            Library::ES384,
            public(pem::P384_PUBLIC),
            &p384,
        ),
        (
            Algorithm::EdDSA,
            Library::EdDSA,
            public(pem::ED25519_PUBLIC),
            &ed25519,
        ),
    ];
    // All keys at once: the header's `kid` chooses, and the key's algorithm decides.
    let configs: Vec<KeyConfig> = cases
        .iter()
        .map(|(ours, _, material, _)| key(Some(&ours.to_string()), *ours, material.clone()))
        .collect();
    let verifier = verifier(&configs);
    for (ours, library, _, encoding) in &cases {
        let mut header = Header::new(*library);
        header.kid = Some(ours.to_string());
        let token = jsonwebtoken::encode(&header, &claims(), encoding).unwrap();
        assert!(verifier.verify_at(&token, NOW).is_ok(), "{ours}");
        // The same token under the name of any other key is refused.
        for (other, ..) in cases.iter().filter(|(other, ..)| other != ours) {
            let mut header = header.clone();
            header.kid = Some(other.to_string());
            let token = jsonwebtoken::encode(&header, &claims(), encoding).unwrap();
            assert_eq!(
                verifier.verify_at(&token, NOW),
                Err(AuthError::Invalid),
                "{ours} as {other}"
            );
        }
    }
}

#[test]
fn the_public_key_is_not_an_hmac_secret() {
    let verifier = verifier(&[key(Some("k"), Algorithm::RS256, public(pem::RSA_PUBLIC))]);
    for secret in [
        pem::RSA_PUBLIC.as_bytes(),
        pem::RSA_PUBLIC.trim().as_bytes(),
    ] {
        let header = Header {
            kid: Some("k".into()),
            ..Header::new(jsonwebtoken::Algorithm::HS256)
        };
        let token =
            jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap();
        assert_eq!(verifier.verify_at(&token, NOW), Err(AuthError::Invalid));
    }
}

#[test]
fn a_key_without_an_id_is_tried_and_an_unknown_id_is_not() {
    let named = hs256();
    let unnamed = verifier(&[key(None, Algorithm::HS256, secret())]);
    let token = |kid: Value| forge(&json!({"alg": "HS256", "kid": kid}), &claims().to_string());
    assert!(unnamed.verify_at(&token(json!("anything")), NOW).is_ok());
    assert!(
        named
            .verify_at(&forge(&json!({"alg": "HS256"}), &claims().to_string()), NOW)
            .is_ok()
    );
    assert_eq!(
        named.verify_at(&token(json!("other")), NOW),
        Err(AuthError::Invalid)
    );
}

#[test]
fn forged_and_broken_tokens_are_refused() {
    let good = signed(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let none = |alg: &str| {
        format!(
            "{}.{}.",
            BASE64.encode(json!({"alg": alg}).to_string()),
            parts[1]
        )
    };
    let other_claims = BASE64.encode(with("sub", json!("root")).to_string());
    for (what, token) in [
        ("empty", String::new()),
        ("garbage", "garbage".into()),
        ("dots", "..".into()),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{good}.x")),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("none", none("none")),
        ("None", none("None")),
        ("NONE", none("NONE")),
        (
            "changed claims",
            format!("{}.{other_claims}.{}", parts[0], parts[2]),
        ),
        (
            "another's signature",
            format!("{}.{}.{}", parts[0], parts[1], BASE64.encode([0; 32])),
        ),
        ("cut signature", good[..good.len() - 2].into()),
        ("padded", format!("{good}=")),
        ("spaces", format!(" {good}")),
        ("not base64", format!("{}.{}.{}", parts[0], "!!!", parts[2])),
        (
            "header is not JSON",
            format!("{}.{}.{}", BASE64.encode("x"), parts[1], parts[2]),
        ),
        (
            "header without alg",
            forge(&json!({"kid": "k"}), &claims().to_string()),
        ),
        (
            "wrong algorithm",
            forge(&json!({"alg": "HS512", "kid": "k"}), &claims().to_string()),
        ),
        ("claims are not JSON", forge(&plain_header(), "{")),
        ("claims are an array", forge(&plain_header(), "[]")),
        ("empty claims text", forge(&plain_header(), "")),
    ] {
        assert_eq!(
            hs256().verify_at(&token, NOW),
            Err(AuthError::Invalid),
            "{what}"
        );
    }
}

#[test]
fn headers_that_ask_for_more_are_refused() {
    for (header, name) in [
        (json!({"alg": "HS256", "kid": "k", "crit": ["exp"]}), "crit"),
        (
            json!({"alg": "HS256", "kid": "k", "crit": ["b64"], "b64": false}),
            "crit",
        ),
        (json!({"alg": "HS256", "kid": "k", "b64": false}), "b64"),
        (json!({"alg": "HS256", "kid": "k", "typ": "JWE"}), "typ"),
        (
            json!({"alg": "HS256", "kid": "k", "typ": "tailrace-ticket+jwt"}),
            "typ",
        ),
        (json!({"alg": "HS256", "kid": "k", "enc": "A128GCM"}), "enc"),
        (json!({"alg": "HS256", "kid": "k", "zip": "DEF"}), "enc"),
    ] {
        let result = hs256().verify_at(&forge(&header, &claims().to_string()), NOW);
        assert_eq!(result, Err(AuthError::UnsupportedHeader(name)), "{header}");
    }
    for kind in ["JWT", "jwt", "at+jwt", "application/at+JWT"] {
        let header = json!({"alg": "HS256", "kid": "k", "typ": kind});
        assert!(
            hs256()
                .verify_at(&forge(&header, &claims().to_string()), NOW)
                .is_ok(),
            "{kind}"
        );
    }
}

#[test]
fn a_token_does_not_bring_its_own_key() {
    let jwk = json!({"kty": "oct", "k": BASE64.encode("attacker's secret of thirty-two bytes")});
    let header = json!({"alg": "HS256", "kid": "k", "jwk": jwk, "jku": "https://evil", "x5u": "https://evil"});
    let text = format!(
        "{}.{}",
        BASE64.encode(header.to_string()),
        BASE64.encode(claims().to_string())
    );
    let attacker = EncodingKey::from_secret(b"attacker's secret of thirty-two bytes");
    let signature =
        jsonwebtoken::crypto::sign(text.as_bytes(), &attacker, jsonwebtoken::Algorithm::HS256)
            .unwrap();
    assert_eq!(
        hs256().verify_at(&format!("{text}.{signature}"), NOW),
        Err(AuthError::Invalid)
    );
}

#[test]
fn a_long_token_is_refused_before_any_work() {
    let token = signed(&with("padding", json!("x".repeat(8192))));
    assert_eq!(hs256().verify_at(&token, NOW), Err(AuthError::TooLong));
    let huge = "e".repeat(8 * 1024 * 1024);
    assert_eq!(hs256().verify_at(&huge, NOW), Err(AuthError::TooLong));
}

#[test]
fn jwk_sets_are_read() {
    let encode = |private: &[u8], algorithm, id: &str| {
        let key = match algorithm {
            jsonwebtoken::Algorithm::ES256 => EncodingKey::from_ec_pem(private).unwrap(),
            jsonwebtoken::Algorithm::EdDSA => EncodingKey::from_ed_pem(private).unwrap(),
            _ => EncodingKey::from_rsa_pem(private).unwrap(),
        };
        let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&key, algorithm).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        let header = Header {
            kid: Some(id.to_owned()),
            ..Header::new(algorithm)
        };
        (jwk, jsonwebtoken::encode(&header, &claims(), &key).unwrap())
    };
    let (rsa, rsa_token) = encode(
        pem::RSA_PRIVATE.as_bytes(),
        jsonwebtoken::Algorithm::RS256,
        "r",
    );
    let (ec, ec_token) = encode(
        pem::P256_PRIVATE.as_bytes(),
        jsonwebtoken::Algorithm::ES256,
        "e",
    );
    let set = json!({"keys": [rsa, ec, {"kty": "oct", "k": BASE64.encode(SECRET), "alg": "HS256", "kid": "o"},
        {"kty": "oct", "k": "c2hvcnQ", "use": "enc", "kid": "not for signatures"}]});
    let load = |set: &Value| {
        let material = KeyMaterial::Jwks(set.to_string());
        KeySet::load(&[KeyConfig {
            id: None,
            algorithm: None,
            material,
            signing_pem: None,
        }])
    };
    let verifier = JwtVerifier::new(config(), load(&set).unwrap());
    for token in [rsa_token, ec_token] {
        assert!(verifier.verify_at(&token, NOW).is_ok());
    }
    assert!(
        verifier
            .verify_at(
                &forge(&json!({"alg": "HS256", "kid": "o"}), &claims().to_string()),
                NOW
            )
            .is_ok()
    );

    for (wrong, error) in [
        (json!({"keys": []}), KeyError::None),
        (
            json!({"keys": [{"kty": "oct", "k": "c2hvcnQ", "alg": "HS256", "kid": "s"}]}),
            KeyError::ShortSecret("s".into()),
        ),
        (
            json!({"keys": [{"kty": "RSA", "n": BASE64.encode([255; 128]), "e": "AQAB", "alg": "RS256", "kid": "w"}]}),
            KeyError::ShortRsa {
                key: "w".into(),
                bits: 1024,
            },
        ),
        (
            json!({"keys": [{"kty": "oct", "k": BASE64.encode(SECRET), "kid": "n"}]}),
            KeyError::NoAlgorithm("n".into()),
        ),
    ] {
        assert_eq!(load(&wrong).err(), Some(error), "{wrong}");
    }
    assert!(matches!(
        load(&json!({"no": 1})).err(),
        Some(KeyError::Malformed(..))
    ));
}
