//! JWK sets (RFC 7517): each key with the algorithm it says, or its curve leaves.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse,
};

use super::{Algorithm, Family, Key, KeyError, check_modulus, mismatch, secret_key};

/// Adds the keys of a set that are for signatures.
pub(super) fn load(
    name: &str,
    json: &str,
    default: Option<Algorithm>,
    keys: &mut Vec<Key>,
) -> Result<(), KeyError> {
    let set: JwkSet = serde_json::from_str(json)
        .map_err(|_| KeyError::Malformed(name.to_owned(), "not a JWK set (`{\"keys\": [..]}`)"))?;
    for (at, jwk) in set.keys.iter().enumerate() {
        let id = jwk.common.key_id.clone();
        let name = id.clone().unwrap_or_else(|| format!("{name}/{}", at + 1));
        let for_signatures = jwk
            .common
            .public_key_use
            .as_ref()
            .is_none_or(|purpose| *purpose == PublicKeyUse::Signature)
            && jwk
                .common
                .key_operations
                .as_ref()
                .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        if !for_signatures {
            continue;
        }
        let algorithm =
            algorithm_of(jwk, default).ok_or_else(|| KeyError::NoAlgorithm(name.clone()))?;
        let decoding = decoding_key(&name, algorithm, jwk)?;
        keys.push(Key {
            id,
            algorithm,
            decoding,
        });
    }
    Ok(())
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
        (Family::Rsa, AlgorithmParameters::RSA(key)) => check_modulus(name, &decode(&key.n)?)?,
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
