//! The claims of a token, read strictly: a claim that stands twice or has the wrong type is no
//! claim. Pure: `now` is an argument.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::{AuthError, JwtConfig, Principal};
use crate::stream::Owner;

/// The longest life that a token may have left. A token for ever is a mistake of its issuer.
const MAX_LIFETIME: u64 = 10 * 366 * 24 * 3600;

/// What we read of a token. Other claims are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: OneOrMany,
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
    jti: Option<String>,
    /// RFC 8693: names with spaces between them.
    scope: OneOrMany,
    /// The same as several issuers write it.
    scp: OneOrMany,
    plan: Option<String>,
}

/// Seconds since the Unix epoch (RFC 7519 allows fractions; they are cut off).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NumericDate(u64);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        if let Some(seconds) = number.as_u64() {
            return Ok(Self(seconds));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range is checked, and fractions are meant to be cut off"
        )]
        match number.as_f64() {
            Some(seconds) if (0.0..1e15).contains(&seconds) => Ok(Self(seconds as u64)),
            _ => Err(de::Error::custom("not a date")),
        }
    }
}

/// A string or an array of strings.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl Claims {
    /// Checks the claims at `now` (seconds since the Unix epoch) and makes a principal of them.
    pub(super) fn check(self, config: &JwtConfig, now: u64) -> Result<Principal, AuthError> {
        self.check_times(config.leeway, now)?;
        self.check_required(config)?;
        match &self.iss {
            Some(issuer) if !config.issuers.is_empty() && !config.issuers.contains(issuer) => {
                return Err(AuthError::ClaimRefused("iss"));
            }
            None if !config.issuers.is_empty() => return Err(AuthError::Claim("iss")),
            _ => {}
        }
        let audience = self.aud.as_slice();
        if !config.audiences.is_empty() {
            if audience.is_empty() {
                return Err(AuthError::Claim("aud"));
            }
            if !audience.iter().any(|name| config.audiences.contains(name)) {
                return Err(AuthError::ClaimRefused("aud"));
            }
        }
        let subject = self.sub.filter(|subject| !subject.is_empty());
        let subject = subject.ok_or(AuthError::Claim("sub"))?;
        if subject.len() > 512 || subject.chars().any(char::is_control) {
            return Err(AuthError::ClaimRefused("sub"));
        }
        let scopes = [&self.scope, &self.scp]
            .into_iter()
            .flat_map(OneOrMany::as_slice)
            .flat_map(|scopes| scopes.split_ascii_whitespace())
            .map(str::to_owned)
            .collect();
        Ok(Principal {
            owner: Owner {
                issuer: self.iss.unwrap_or_default().into(),
                subject: subject.into(),
            },
            scopes,
            plan: self.plan,
        })
    }

    fn check_times(&self, leeway: Duration, now: u64) -> Result<(), AuthError> {
        let leeway = leeway.as_secs();
        let Some(NumericDate(expires)) = self.exp else {
            return Err(AuthError::Claim("exp"));
        };
        if now >= expires.saturating_add(leeway) {
            return Err(AuthError::Expired);
        }
        if expires - now.min(expires) > MAX_LIFETIME {
            return Err(AuthError::ClaimRefused("exp"));
        }
        let later = |date: Option<NumericDate>| {
            date.is_some_and(|NumericDate(from)| from > now.saturating_add(leeway))
        };
        if later(self.nbf) || later(self.iat) {
            return Err(AuthError::NotYet);
        }
        Ok(())
    }

    fn check_required(&self, config: &JwtConfig) -> Result<(), AuthError> {
        for claim in &config.required_claims {
            let (name, present) = match claim.as_str() {
                "iss" => ("iss", self.iss.is_some()),
                "sub" => ("sub", self.sub.is_some()),
                "aud" => ("aud", !self.aud.as_slice().is_empty()),
                "exp" => ("exp", self.exp.is_some()),
                "nbf" => ("nbf", self.nbf.is_some()),
                "iat" => ("iat", self.iat.is_some()),
                "jti" => ("jti", self.jti.is_some()),
                "plan" => ("plan", self.plan.is_some()),
                // The configuration accepts no other name.
                _ => continue,
            };
            if !present {
                return Err(AuthError::Claim(name));
            }
        }
        Ok(())
    }
}

/// The claims that `auth.required_claims` may name.
pub(super) const REQUIRABLE: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "plan"];
