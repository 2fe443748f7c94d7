//! Makes tokens: for `tailrace token`, and in development mode for the first `curl` and the playground.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;

use super::keys::{Algorithm, KeyConfig, KeyMaterial};

/// What the token says.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// The `sub` claim.
    pub subject: String,
    /// The `iss` claim, if any.
    pub issuer: Option<String>,
    /// The `aud` claim, if any.
    pub audience: Option<String>,
    /// Scopes with spaces between them.
    pub scope: String,
    /// The `plan` claim, if any.
    pub plan: Option<String>,
    /// How long the token is valid from now.
    pub lifetime: Duration,
}

/// A token that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The key only verifies.
    #[error(
        "this key can only verify: give it `private_key_file`, or choose an HMAC key with --key"
    )]
    VerifyOnly,
    /// The key needs an algorithm.
    #[error("the key has no `algorithm`")]
    NoAlgorithm,
    /// The private key does not fit.
    #[error("the private key does not fit the algorithm {0}")]
    PrivateKey(Algorithm),
}

#[derive(Serialize)]
struct Claims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a str>,
}

/// Makes tokens that all say the same.
pub struct Minter {
    key: KeyConfig,
    request: TokenRequest,
}

impl Minter {
    /// Signs such tokens with this key.
    #[must_use]
    pub const fn new(key: KeyConfig, request: TokenRequest) -> Self {
        Self { key, request }
    }

    /// How long a token is valid.
    #[must_use]
    pub const fn lifetime(&self) -> Duration {
        self.request.lifetime
    }

    /// Signs one that is valid from now.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn mint(&self) -> Result<String, MintError> {
        mint(&self.key, &self.request)
    }
}

/// Signs a token.
///
/// # Errors
/// The key cannot sign.
pub fn mint(key: &KeyConfig, request: &TokenRequest) -> Result<String, MintError> {
    if key.signing_pem.is_none() && !matches!(key.material, KeyMaterial::Secret(_)) {
        return Err(MintError::VerifyOnly);
    }
    let algorithm = key.algorithm.ok_or(MintError::NoAlgorithm)?;
    let wrong = |_| MintError::PrivateKey(algorithm);
    let encoding = match (&key.material, &key.signing_pem) {
        (KeyMaterial::Secret(secret), _) => EncodingKey::from_secret(secret),
        (_, None) => return Err(MintError::VerifyOnly),
        (_, Some(pem)) => match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
            _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
        }
        .map_err(wrong)?,
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let claims = Claims {
        // The one that is asked for, if the key may sign for it.
        iss: match (&request.issuer, key.issuers.as_slice()) {
            (Some(issuer), []) => Some(issuer),
            (Some(issuer), own) if own.contains(issuer) => Some(issuer),
            (_, own) => own.first().map(String::as_str),
        },
        sub: &request.subject,
        aud: request.audience.as_deref(),
        iat: now,
        exp: now.saturating_add(request.lifetime.as_secs()),
        scope: &request.scope,
        plan: request.plan.as_deref(),
    };
    let header = Header {
        kid: key.id.clone(),
        ..Header::new(algorithm.library())
    };
    jsonwebtoken::encode(&header, &claims, &encoding).map_err(wrong)
}
