//! Tokens that the tests' servers accept.

use std::time::Duration;

use tailrace::auth::{Algorithm, KeyConfig, KeyMaterial, TokenRequest, mint};

pub const SECRET: &str = "a secret of at least thirty-two bytes, for tests";

/// A token for this subject with all ordinary scopes.
pub fn token(subject: &str) -> String {
    token_with(subject, "streams:write streams:read", None)
}

pub fn token_with(subject: &str, scope: &str, plan: Option<&str>) -> String {
    let key = KeyConfig {
        id: Some("test".into()),
        algorithm: Some(Algorithm::HS256),
        material: KeyMaterial::Secret(SECRET.as_bytes().to_vec()),
        issuers: Vec::new(),
        signing_pem: None,
    };
    let request = TokenRequest {
        subject: subject.into(),
        issuer: None,
        audience: None,
        scope: scope.into(),
        plan: plan.map(str::to_owned),
        lifetime: Duration::from_secs(600),
    };
    mint(&key, &request).unwrap()
}
