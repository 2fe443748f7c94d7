//! Makes forged tokens, for the table in `forgeries.rs`: any header and any claims, as text, under any
//! signature. What makes a token wrong stands in the table; here is only how one is put together.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::server::SECRET;

pub const RSA: &str = include_str!("../../src/auth/test_keys/rsa.pem");
pub const RSA_PUBLIC: &str = include_str!("../../src/auth/test_keys/rsa.pub.pem");
pub const EC: &str = include_str!("../../src/auth/test_keys/p256.pem");
pub const EC_PUBLIC: &str = include_str!("../../src/auth/test_keys/p256.pub.pem");
const EC_384: &str = include_str!("../../src/auth/test_keys/p384.pem");
pub const ED: &str = include_str!("../../src/auth/test_keys/ed25519.pem");
pub const ED_PUBLIC: &str = include_str!("../../src/auth/test_keys/ed25519.pub.pem");

/// What signs tickets, so that the table can make wrong ones under the right key.
pub const TICKET_SECRET: &str = "a ticket secret of at least thirty-two bytes";

pub const ISSUER: &str = "https://issuer.example";

/// Another one that is accepted, but not for every key.
pub const PARTNER: &str = "https://partner.example";

/// With what a token is signed.
#[derive(Clone, Copy)]
pub enum Signer<'a> {
    Hmac(Algorithm, &'a [u8]),
    Rsa(Algorithm),
    Ec,
    Ec384,
    Ed,
    /// A key of another issuer, of the kind ES256 (PKCS#8 in PEM).
    Foreign(&'a str),
}

/// The server's own secret, as it is meant to be used.
pub const GOOD: Signer<'static> = Signer::Hmac(Algorithm::HS256, SECRET.as_bytes());

pub fn encode(text: impl AsRef<[u8]>) -> String {
    BASE64.encode(text)
}

/// The signature of a text, in base64url.
pub fn signature(text: &str, signer: Signer<'_>) -> String {
    let ec = |pem: &str| EncodingKey::from_ec_pem(pem.as_bytes()).unwrap();
    let (key, algorithm) = match signer {
        Signer::Hmac(algorithm, secret) => (EncodingKey::from_secret(secret), algorithm),
        Signer::Rsa(algorithm) => (
            EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap(),
            algorithm,
        ),
        Signer::Ec => (ec(EC), Algorithm::ES256),
        Signer::Ec384 => (ec(EC_384), Algorithm::ES384),
        Signer::Foreign(pem) => (ec(pem), Algorithm::ES256),
        Signer::Ed => (
            EncodingKey::from_ed_pem(ED.as_bytes()).unwrap(),
            Algorithm::EdDSA,
        ),
    };
    jsonwebtoken::crypto::sign(text.as_bytes(), &key, algorithm).unwrap()
}

/// A token of this header and these claims, both as they are to stand there, be they JSON or not.
pub fn token(header: &str, claims: &str, signer: Signer<'_>) -> String {
    let text = format!("{}.{}", encode(header), encode(claims));
    let signature = signature(&text, signer);
    format!("{text}.{signature}")
}

pub fn header(algorithm: &str, kid: &str) -> Value {
    json!({"alg": algorithm, "typ": "JWT", "kid": kid})
}

pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// Claims that nothing is wrong with.
pub fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "tailrace", "sub": "ann", "iat": now(), "exp": now() + 600,
        "scope": "streams:read streams:write",
    })
}

/// Good claims but for this one.
pub fn with(name: &str, value: Value) -> String {
    let mut claims = claims();
    claims[name] = value;
    claims.to_string()
}

/// Good claims without this one.
pub fn without(name: &str) -> String {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims.to_string()
}

/// Good claims with this text at their beginning, such as a claim that then stands twice, or a number
/// that JSON values cannot hold.
pub fn beginning(text: &str, without: &str) -> String {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(without);
    claims.to_string().replacen('{', &format!("{{{text},"), 1)
}

/// A token with these claims under the server's own secret.
pub fn signed(claims: &str) -> String {
    token(&header("HS256", "hmac").to_string(), claims, GOOD)
}

/// A token with these claims under the key that signs for the partner only.
pub fn by_partner(claims: &str) -> String {
    let header = header("RS512", "partner").to_string();
    token(&header, claims, Signer::Rsa(Algorithm::RS512))
}

/// A token with this header under the server's own secret.
pub fn headed(header: &str) -> String {
    token(header, &claims().to_string(), GOOD)
}

/// A token under the right secret that has this character in its signature or its claims.
pub fn containing(character: char) -> String {
    let tokens = (0..1000).map(|number: u32| signed(&with("jti", json!(format!("~~{number}??")))));
    let mut found = tokens.filter(|token| token.contains(character));
    found.next().unwrap()
}

/// Every byte that is not plainly harmless, percent-encoded: for a query and for a cookie.
pub fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// The bytes of a PEM.
pub fn der(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let text: String = lines.collect();
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap()
}
