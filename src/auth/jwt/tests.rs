//! Right tokens of every algorithm, and everything that the library would let pass and we must not.

mod claims;
mod keys;

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
        (
            "claims in their order",
            forge(
                &plain_header(),
                &json!([
                    "https://issuer",
                    "ann",
                    "tailrace",
                    NOW + 60,
                    null,
                    NOW,
                    null
                ])
                .to_string(),
            ),
        ),
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
fn a_long_token_is_refused_before_any_work() {
    let token = signed(&with("padding", json!("x".repeat(8192))));
    assert_eq!(hs256().verify_at(&token, NOW), Err(AuthError::TooLong));
    let huge = "e".repeat(8 * 1024 * 1024);
    assert_eq!(hs256().verify_at(&huge, NOW), Err(AuthError::TooLong));
}
