//! JWK sets (RFC 7517): each key with the algorithm it says, or its curve leaves.
//!
//! A set that the operator has written must be right to the last key. Of one that a provider publishes
//! we take what we understand, as RFC 7517 (section 5) has it, and no secrets.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse,
    ThumbprintHash,
};

use super::{Algorithm, Family, Key, KeyError, check_modulus, mismatch, secret_key};

/// Adds the keys of a set that are for signatures.
pub(super) fn load(
    name: &str,
    json: &str,
    default: Option<Algorithm>,
    issuers: &Arc<[String]>,
    keys: &mut Vec<Key>,
) -> Result<(), KeyError> {
    let set: JwkSet = serde_json::from_str(json)
        .map_err(|_| KeyError::Malformed(name.to_owned(), "not a JWK set (`{\"keys\": [..]}`)"))?;
    for (at, jwk) in set.keys.iter().enumerate() {
        let id = jwk.common.key_id.clone();
        let name = id.clone().unwrap_or_else(|| format!("{name}/{}", at + 1));
        if !is_for_signatures(jwk) {
            continue;
        }
        let algorithm =
            algorithm_of(jwk, default).ok_or_else(|| KeyError::NoAlgorithm(name.clone()))?;
        let decoding = decoding_key(&name, algorithm, jwk)?;
        keys.push(Key {
            id,
            algorithm,
            decoding,
            issuers: Arc::clone(issuers),
            thumbprint: None,
        });
    }
    Ok(())
}

/// The most keys that a published set may have: a token without `kid` is tried with all of them.
const MOST: usize = 100;

/// Why a published set is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::auth) enum Unusable {
    /// Not JSON, or not of that shape.
    #[error("the answer is not a JWK set")]
    Shape,
    /// It would be slow.
    #[error("there are more than 100 keys in it")]
    TooMany,
}

/// The keys of a published set that verify signatures, and how many others there are: secrets, private
/// keys (whoever has read them can sign), keys that are for something else, weak and unknown ones. A set
/// may have none that does: then its provider has withdrawn those that it had.
/// `default` is the algorithm of RSA keys that do not say.
pub(in crate::auth) fn published(
    json: &[u8],
    default: Algorithm,
) -> Result<(Vec<Key>, usize), Unusable> {
    #[derive(serde::Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let mut set: Set = serde_json::from_slice(json).map_err(|_| Unusable::Shape)?;
    if set.keys.len() > MOST {
        return Err(Unusable::TooMany);
    }
    let mut seen = Vec::new();
    set.keys.retain(|key| {
        let is_new = !seen.contains(key);
        if is_new {
            seen.push(key.clone());
        }
        is_new
    });
    let distinct = set.keys.len();
    let keys: Vec<Key> = set
        .keys
        .into_iter()
        .filter_map(|key| published_key(key, default))
        .collect();
    let others = distinct - keys.len();
    Ok((keys, others))
}

fn published_key(key: serde_json::Value, default: Algorithm) -> Option<Key> {
    if key.get("d").is_some() {
        return None;
    }
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    let algorithm = algorithm_of(&jwk, Some(default))?;
    if !is_for_signatures(&jwk) || algorithm.is_symmetric() {
        return None;
    }
    let decoding = decoding_key("", algorithm, &jwk).ok()?;
    Some(Key {
        thumbprint: jwk.thumbprint(ThumbprintHash::SHA256).ok(),
        id: jwk.common.key_id,
        algorithm,
        decoding,
        // Those of its provider hold.
        issuers: Arc::default(),
    })
}

fn is_for_signatures(jwk: &Jwk) -> bool {
    let purpose = jwk.common.public_key_use.as_ref();
    let operations = jwk.common.key_operations.as_ref();
    purpose.is_none_or(|purpose| *purpose == PublicKeyUse::Signature)
        && operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify))
}

/// What the JWK says it is for, or what its curve leaves, or the entry's default.
fn algorithm_of(jwk: &Jwk, default: Option<Algorithm>) -> Option<Algorithm> {
    match jwk.common.key_algorithm {
        Some(KeyAlgorithm::HS256) => Some(Algorithm::HS256),
        Some(KeyAlgorithm::HS384) => Some(Algorithm::HS384),
        Some(KeyAlgorithm::HS512) => Some(Algorithm::HS512),
        Some(KeyAlgorithm::RS256) => Some(Algorithm::RS256),
        Some(KeyAlgorithm::RS384) => Some(Algorithm::RS384),
        Some(KeyAlgorithm::RS512) => Some(Algorithm::RS512),
        Some(KeyAlgorithm::PS256) => Some(Algorithm::PS256),
        Some(KeyAlgorithm::ES256) => Some(Algorithm::ES256),
        Some(KeyAlgorithm::ES384) => Some(Algorithm::ES384),
        Some(KeyAlgorithm::EdDSA) => Some(Algorithm::EdDSA),
        Some(_) => None,
        None => match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
                Some(Algorithm::ES256)
            }
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => {
                Some(Algorithm::ES384)
            }
            AlgorithmParameters::OctetKeyPair(_) => Some(Algorithm::EdDSA),
            _ => default,
        },
    }
}

fn decoding_key(name: &str, algorithm: Algorithm, jwk: &Jwk) -> Result<DecodingKey, KeyError> {
    let decode = |text: &str| {
        URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| KeyError::Malformed(name.to_owned(), "not base64url"))
    };
    match (algorithm.family(), &jwk.algorithm) {
        (Family::Secret, AlgorithmParameters::OctetKey(key)) => {
            return secret_key(name, algorithm, &decode(&key.value)?);
        }
        (Family::Rsa, AlgorithmParameters::RSA(key)) => {
            let (modulus, exponent) = (decode(&key.n)?, decode(&key.e)?);
            check_modulus(name, &modulus)?;
            let (modulus, exponent) = (significant(&modulus), significant(&exponent));
            return Ok(DecodingKey::from_rsa_raw_components(modulus, exponent));
        }
        (Family::P256, AlgorithmParameters::EllipticCurve(key))
            if key.curve == EllipticCurve::P256
                && decode(&key.x)?.len() == 32
                && decode(&key.y)?.len() == 32 => {}
        (Family::P384, AlgorithmParameters::EllipticCurve(key))
            if key.curve == EllipticCurve::P384
                && decode(&key.x)?.len() == 48
                && decode(&key.y)?.len() == 48 => {}
        (Family::Ed25519, AlgorithmParameters::OctetKeyPair(key))
            if key.curve == EllipticCurve::Ed25519 && decode(&key.x)?.len() == 32 => {}
        _ => return Err(mismatch(name, algorithm)),
    }
    DecodingKey::from_jwk(jwk).map_err(|_| KeyError::Malformed(name.to_owned(), "not a usable JWK"))
}

/// A number without the zeros that some libraries put before it, as DER has them, though a JWK must not
/// (RFC 7518, section 6.3.1.1). With them every signature would be wrong.
fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
