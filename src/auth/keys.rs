//! The keys that tokens are verified with: each has one algorithm, chosen by us, and is checked
//! for strength before the server starts.

mod jwk;

pub(super) use jwk::{Unusable, published};

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use spki::der::{Decode as _, Document, asn1::ObjectIdentifier};

/// The shortest RSA modulus, in bits (RFC 7518, section 3.3).
const MIN_RSA_BITS: usize = 2048;

/// The algorithms that a key can be for. There is no `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[expect(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    ES256,
    ES384,
    EdDSA,
}

impl Algorithm {
    /// The one that a token's header names, if a key pair signs with it.
    pub(super) fn asymmetric(named: jsonwebtoken::Algorithm) -> Option<Self> {
        const ALL: [Algorithm; 7] = [
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::ES256,
            Algorithm::ES384,
            Algorithm::EdDSA,
        ];
        ALL.into_iter().find(|one| one.library() == named)
    }

    /// Whether one secret signs and verifies.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self.family(), Family::Secret)
    }

    pub(super) const fn library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::HS256 => jsonwebtoken::Algorithm::HS256,
            Self::HS384 => jsonwebtoken::Algorithm::HS384,
            Self::HS512 => jsonwebtoken::Algorithm::HS512,
            Self::RS256 => jsonwebtoken::Algorithm::RS256,
            Self::RS384 => jsonwebtoken::Algorithm::RS384,
            Self::RS512 => jsonwebtoken::Algorithm::RS512,
            Self::PS256 => jsonwebtoken::Algorithm::PS256,
            Self::ES256 => jsonwebtoken::Algorithm::ES256,
            Self::ES384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        }
    }

    /// The shortest secret, in bytes: as long as the hash (RFC 7518, section 3.2).
    const fn secret_bytes(self) -> usize {
        match self {
            Self::HS512 => 64,
            Self::HS384 => 48,
            _ => 32,
        }
    }

    const fn family(self) -> Family {
        match self {
            Self::HS256 | Self::HS384 | Self::HS512 => Family::Secret,
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 => Family::Rsa,
            Self::ES256 => Family::P256,
            Self::ES384 => Family::P384,
            Self::EdDSA => Family::Ed25519,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

impl FromStr for Algorithm {
    type Err = serde::de::value::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::deserialize(serde::de::value::StrDeserializer::new(name))
    }
}

/// What kind of key an algorithm needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Secret,
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// One entry of `auth.keys`, with what its files held.
#[derive(Clone)]
pub struct KeyConfig {
    /// The `kid` of the tokens that it verifies; absent, it is tried for tokens with any.
    pub id: Option<String>,
    /// What it is for; only a JWK set may leave it to its keys.
    pub algorithm: Option<Algorithm>,
    /// The key itself.
    pub material: KeyMaterial,
    /// The issuers that it signs for; if there are none, all that are accepted.
    pub issuers: Vec<String>,
    /// The private key in PEM, only for `tailrace token`.
    pub signing_pem: Option<String>,
}

/// The bytes of a key.
#[derive(Clone)]
pub enum KeyMaterial {
    /// An HMAC secret.
    Secret(Vec<u8>),
    /// A public key in PEM (`BEGIN PUBLIC KEY`).
    Pem(String),
    /// A JWK set (RFC 7517) as JSON.
    Jwks(String),
}

/// A key that cannot be used. Never holds key bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No keys at all.
    #[error("there is no key; tokens could not be verified")]
    None,
    /// The key needs an algorithm.
    #[error("key {0}: `algorithm` is missing (HS256, RS256, PS256, ES256, EdDSA, ...)")]
    NoAlgorithm(String),
    /// The key and its algorithm do not belong together.
    #[error("key {key}: {algorithm} needs {expected}")]
    Mismatch {
        /// Which key.
        key: String,
        /// Its algorithm.
        algorithm: Algorithm,
        /// What the algorithm needs.
        expected: &'static str,
    },
    /// The secret can be guessed.
    #[error("key {key}: a secret for {algorithm} has at least {} bytes", algorithm.secret_bytes())]
    ShortSecret {
        /// Which key.
        key: String,
        /// Its algorithm.
        algorithm: Algorithm,
    },
    /// The modulus can be factored.
    #[error("key {key}: an RSA key has at least 2048 bits, this one has {bits}")]
    ShortRsa {
        /// Which key.
        key: String,
        /// Bits of its modulus.
        bits: usize,
    },
    /// The bytes are not a key.
    #[error("key {0}: {1}")]
    Malformed(String, &'static str),
    /// Two keys answer to one name.
    #[error("two keys have the id {0}")]
    DuplicateId(String),
    /// A required claim that we do not read.
    #[error("required claim {0:?} is not one of iss, sub, aud, exp, nbf, iat, jti, plan")]
    Claim(String),
}

/// A key and the one algorithm it verifies.
pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
    issuers: Arc<[String]>,
    /// Of a key that is published, its thumbprint (RFC 7638): another may come under its name.
    thumbprint: Option<String>,
}

impl Key {
    /// Whether this is a signature of the text, in base64url, under this key and its one algorithm.
    pub(super) fn has_signed(&self, text: &[u8], signature: &str) -> bool {
        let algorithm = self.algorithm.library();
        jsonwebtoken::crypto::verify(signature, text, &self.decoding, algorithm).unwrap_or(false)
    }
}

impl Key {
    /// Its name and its algorithm.
    pub(super) fn name(&self) -> (Option<&str>, Algorithm) {
        (self.id.as_deref(), self.algorithm)
    }

    /// Whether it is that key under that name, for that algorithm, as far as both are published.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.name() == other.name() && self.thumbprint == other.thumbprint
    }

    /// By what a key that is published is known, if it has no name.
    pub(super) fn thumbprint(&self) -> Option<&str> {
        self.thumbprint.as_deref()
    }

    /// The issuers that it signs for; none if nothing says so.
    pub(super) fn issuers(&self) -> &[String] {
        &self.issuers
    }

    /// Whether a token that names this key means it.
    pub(super) fn is_named(&self, id: &str) -> bool {
        self.id.as_deref() == Some(id)
    }

    /// Whether it verifies what this algorithm has signed.
    pub(super) fn is_for(&self, algorithm: jsonwebtoken::Algorithm) -> bool {
        self.algorithm.library() == algorithm
    }
}

/// The keys among these that a token with this header may have been signed with.
pub(super) fn candidates<'a>(
    keys: &'a [Key],
    id: Option<&'a str>,
    algorithm: jsonwebtoken::Algorithm,
) -> impl Iterator<Item = &'a Key> {
    keys.iter().filter(move |key| {
        let named = match (&key.id, id) {
            (Some(own), Some(wanted)) => own == wanted,
            (None, _) | (_, None) => true,
        };
        named && key.is_for(algorithm)
    })
}

/// The keys that tokens are verified with, as far as the configuration has them; by default none.
#[derive(Default)]
pub struct KeySet {
    pub(super) keys: Vec<Key>,
}

impl KeySet {
    /// Reads and checks the keys.
    ///
    /// # Errors
    /// Says which key is wrong, and how.
    pub fn load(configs: &[KeyConfig]) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        for (at, config) in configs.iter().enumerate() {
            let name = config.id.clone().unwrap_or_else(|| format!("#{}", at + 1));
            let issuers = config.issuers.as_slice().into();
            let algorithm = || {
                let said = config.algorithm;
                said.ok_or_else(|| KeyError::NoAlgorithm(name.clone()))
            };
            let (algorithm, decoding) = match &config.material {
                KeyMaterial::Jwks(json) => {
                    jwk::load(&name, json, config.algorithm, &issuers, &mut keys)?;
                    continue;
                }
                KeyMaterial::Secret(secret) => {
                    let algorithm = algorithm()?;
                    (algorithm, secret_key(&name, algorithm, secret)?)
                }
                KeyMaterial::Pem(pem) => {
                    let algorithm = algorithm()?;
                    (algorithm, public_key(&name, algorithm, pem)?)
                }
            };
            keys.push(Key {
                id: config.id.clone(),
                algorithm,
                decoding,
                issuers,
                thumbprint: None,
            });
        }
        if keys.is_empty() {
            return Err(KeyError::None);
        }
        let mut seen = HashSet::new();
        for key in &keys {
            if let Some(id) = &key.id
                && !seen.insert(id)
            {
                return Err(KeyError::DuplicateId(id.clone()));
            }
        }
        Ok(Self { keys })
    }
}

fn mismatch(key: &str, algorithm: Algorithm) -> KeyError {
    KeyError::Mismatch {
        key: key.to_owned(),
        algorithm,
        expected: match algorithm.family() {
            Family::Secret => "a secret",
            Family::Rsa => "an RSA public key",
            Family::P256 => "a public key on the curve P-256",
            Family::P384 => "a public key on the curve P-384",
            Family::Ed25519 => "an Ed25519 public key",
        },
    }
}

fn secret_key(name: &str, algorithm: Algorithm, secret: &[u8]) -> Result<DecodingKey, KeyError> {
    if algorithm.family() != Family::Secret {
        return Err(mismatch(name, algorithm));
    }
    if secret.len() < algorithm.secret_bytes() {
        return Err(KeyError::ShortSecret {
            key: name.to_owned(),
            algorithm,
        });
    }
    Ok(DecodingKey::from_secret(secret))
}

/// A public key in PEM: a `SubjectPublicKeyInfo` (RFC 5280) whose algorithm says what it is.
fn public_key(name: &str, algorithm: Algorithm, pem: &str) -> Result<DecodingKey, KeyError> {
    const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
    const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
    const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
    const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
    const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

    let malformed = |what| KeyError::Malformed(name.to_owned(), what);
    let (label, document) = Document::from_pem(pem.trim())
        .map_err(|_| malformed("not a PEM file with one `BEGIN PUBLIC KEY`"))?;
    if label != "PUBLIC KEY" {
        return Err(malformed(
            "expected `BEGIN PUBLIC KEY`, found another kind of PEM",
        ));
    }
    let info = spki::SubjectPublicKeyInfoRef::from_der(document.as_bytes())
        .map_err(|_| malformed("not a public key"))?;
    let bytes = info
        .subject_public_key
        .as_bytes()
        .ok_or_else(|| malformed("not a public key"))?;
    let curve = info.algorithm.parameters_oid().ok();
    match (algorithm.family(), info.algorithm.oid) {
        (Family::Rsa, RSA) => {
            let key = pkcs1::RsaPublicKeyRef::from_der(bytes)
                .map_err(|_| malformed("not an RSA public key"))?;
            check_modulus(name, key.modulus.as_bytes())?;
            Ok(DecodingKey::from_rsa_der(bytes))
        }
        (Family::P256, EC) if curve == Some(P256) => Ok(DecodingKey::from_ec_der(bytes)),
        (Family::P384, EC) if curve == Some(P384) => Ok(DecodingKey::from_ec_der(bytes)),
        (Family::Ed25519, ED25519) => Ok(DecodingKey::from_ed_der(bytes)),
        _ => Err(mismatch(name, algorithm)),
    }
}

fn check_modulus(name: &str, modulus: &[u8]) -> Result<(), KeyError> {
    let significant: Vec<u8> = modulus
        .iter()
        .copied()
        .skip_while(|byte| *byte == 0)
        .collect();
    let unused = significant
        .first()
        .map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = significant.len() * 8 - unused;
    if bits < MIN_RSA_BITS {
        return Err(KeyError::ShortRsa {
            key: name.to_owned(),
            bits,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
