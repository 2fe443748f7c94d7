//! Verifies JSON Web Tokens (RFC 7519, RFC 8725): what the library leaves open is closed here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Header;

use super::claims::{Claims, REQUIRABLE};
use super::keys::KeySet;
use super::{AuthError, KeyError, Principal};

/// No token is longer, in bytes. Checked before anything is decoded.
const MAX_TOKEN_BYTES: usize = 8192;

/// Which tokens are accepted.
#[derive(Debug, Clone, Default)]
pub struct JwtConfig {
    /// Accepted issuers; empty means any, or none.
    pub issuers: Vec<String>,
    /// Accepted audiences, of which a token must name one; empty means any, or none.
    pub audiences: Vec<String>,
    /// How far the clocks of issuer and server may be apart.
    pub leeway: Duration,
    /// Claims that a token must have beside `exp` and `sub`.
    pub required_claims: Vec<String>,
}

impl JwtConfig {
    /// Checks that each required claim is one that can be demanded.
    ///
    /// # Errors
    /// Names the one that is not.
    pub fn validate(&self) -> Result<(), KeyError> {
        match self
            .required_claims
            .iter()
            .find(|claim| !REQUIRABLE.contains(&claim.as_str()))
        {
            None => Ok(()),
            Some(claim) => Err(KeyError::Claim(claim.clone())),
        }
    }
}

/// Verifies tokens against a set of keys.
pub struct JwtVerifier {
    config: JwtConfig,
    keys: KeySet,
}

impl JwtVerifier {
    /// A verifier with these keys.
    #[must_use]
    pub const fn new(config: JwtConfig, keys: KeySet) -> Self {
        Self { config, keys }
    }

    /// Verifies a token now.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn verify(&self, token: &str) -> Result<Principal, AuthError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.verify_at(token, now.unwrap_or_default().as_secs())
    }

    /// Verifies a token at `now`, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn verify_at(&self, token: &str, now: u64) -> Result<Principal, AuthError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthError::TooLong);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Invalid)?;
        check_header(&header)?;
        // The library verifies the signature, with the one algorithm that the key is for; the claims
        // are checked by [`Claims::check`], all of them and strictly.
        let (text, signature) = token.rsplit_once('.').ok_or(AuthError::Invalid)?;
        let mut keys = self.keys.candidates(header.kid.as_deref(), header.alg);
        if !keys.any(|key| key.has_signed(text.as_bytes(), signature)) {
            return Err(AuthError::Invalid);
        }
        let (_, claims) = text.rsplit_once('.').ok_or(AuthError::Invalid)?;
        let claims = URL_SAFE_NO_PAD.decode(claims);
        let claims = claims.map_err(|_| AuthError::Invalid)?;
        // To serde a list of claims in their order would be as good as an object.
        if !claims.trim_ascii_start().starts_with(b"{") {
            return Err(AuthError::Invalid);
        }
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| AuthError::Invalid)?;
        claims.check(&self.config, now)
    }
}

fn check_header(header: &Header) -> Result<(), AuthError> {
    if let Some(kind) = &header.typ {
        let kind = kind.to_ascii_lowercase();
        let kind = kind.strip_prefix("application/").unwrap_or(&kind);
        if !matches!(kind, "jwt" | "at+jwt") {
            return Err(AuthError::UnsupportedHeader("typ"));
        }
    }
    // RFC 7515, section 4.1.11: what is critical and not understood makes the token invalid.
    if header.crit.is_some() {
        return Err(AuthError::UnsupportedHeader("crit"));
    }
    if header.extras.inner().contains_key("b64") {
        return Err(AuthError::UnsupportedHeader("b64"));
    }
    if header.enc.is_some() || header.zip.is_some() {
        return Err(AuthError::UnsupportedHeader("enc"));
    }
    // `jwk`, `jku`, `x5u` and `x5c` are never looked at: a token does not bring its own key.
    Ok(())
}

#[cfg(test)]
mod tests;
