//! Keys of the unit tests, made with openssl; they protect nothing.

use super::{Algorithm, KeyConfig, KeyMaterial};

/// Long enough for every algorithm.
pub(super) const SECRET: &[u8] =
    b"a secret of at least sixty-four bytes, as HS512 wants it, for the unit tests";
pub(super) const RSA_PRIVATE: &str = include_str!("test_keys/rsa.pem");
pub(super) const RSA_PUBLIC: &str = include_str!("test_keys/rsa.pub.pem");
pub(super) const RSA_1024_PUBLIC: &str = include_str!("test_keys/rsa1024.pub.pem");
pub(super) const P256_PRIVATE: &str = include_str!("test_keys/p256.pem");
pub(super) const P256_PUBLIC: &str = include_str!("test_keys/p256.pub.pem");
pub(super) const P384_PRIVATE: &str = include_str!("test_keys/p384.pem");
pub(super) const P384_PUBLIC: &str = include_str!("test_keys/p384.pub.pem");
pub(super) const ED25519_PRIVATE: &str = include_str!("test_keys/ed25519.pem");
pub(super) const ED25519_PUBLIC: &str = include_str!("test_keys/ed25519.pub.pem");

pub(super) fn key(id: Option<&str>, algorithm: Algorithm, material: KeyMaterial) -> KeyConfig {
    KeyConfig {
        id: id.map(str::to_owned),
        algorithm: Some(algorithm),
        material,
        issuers: Vec::new(),
        signing_pem: None,
    }
}

pub(super) fn secret() -> KeyMaterial {
    KeyMaterial::Secret(SECRET.to_vec())
}

pub(super) fn public(pem: &str) -> KeyMaterial {
    KeyMaterial::Pem(pem.to_owned())
}
