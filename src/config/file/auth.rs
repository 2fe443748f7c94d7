//! The shapes of `[auth]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::auth::Algorithm;

/// Which tokens are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthSection {
    pub issuers: Vec<String>,
    pub audiences: Vec<String>,
    #[serde(with = "humantime_serde")]
    pub leeway: Duration,
    pub required_claims: Vec<String>,
    pub cookie: Option<String>,
    #[serde(with = "humantime_serde")]
    pub ticket_lifetime: Duration,
    pub ticket_secret_file: Option<PathBuf>,
    pub scopes: ScopeSection,
    pub jwks: JwksSection,
    pub keys: Vec<KeyEntry>,
}

impl Default for AuthSection {
    fn default() -> Self {
        Self {
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway: Duration::from_secs(30),
            required_claims: Vec::new(),
            cookie: None,
            ticket_lifetime: Duration::from_secs(3600),
            ticket_secret_file: None,
            scopes: ScopeSection::default(),
            jwks: JwksSection::default(),
            keys: Vec::new(),
        }
    }
}

/// The names of the scopes; an empty one is not demanded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScopeSection {
    pub write: String,
    pub read: String,
    pub admin: String,
}

impl Default for ScopeSection {
    fn default() -> Self {
        Self {
            write: "streams:write".to_owned(),
            read: "streams:read".to_owned(),
            admin: "tailrace:admin".to_owned(),
        }
    }
}

/// How providers are asked for the keys that they publish.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JwksSection {
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub cool_down: Duration,
    #[serde(with = "humantime_serde")]
    pub refresh_min: Duration,
    #[serde(with = "humantime_serde")]
    pub refresh_max: Duration,
    #[serde(with = "humantime_serde")]
    pub keep: Duration,
}

impl Default for JwksSection {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            cool_down: Duration::from_secs(10),
            refresh_min: Duration::from_secs(60),
            refresh_max: Duration::from_secs(900),
            keep: Duration::from_secs(24 * 3600),
        }
    }
}

/// One key that tokens are verified with.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    pub id: Option<String>,
    pub algorithm: Option<Algorithm>,
    #[serde(default)]
    pub issuer: OneOrMany,
    pub secret: Option<String>,
    pub secret_env: Option<String>,
    pub secret_file: Option<PathBuf>,
    pub public_key_file: Option<PathBuf>,
    pub jwks_file: Option<PathBuf>,
    pub jwks_url: Option<String>,
    pub jwks_ca: Option<PathBuf>,
    pub private_key_file: Option<PathBuf>,
}

/// One text, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "an issuer, or a list of them")]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl OneOrMany {
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl KeyEntry {
    /// For people: its name, what it is for and where it is from. Never the key. Nothing of keys that somebody
    /// publishes.
    #[must_use]
    pub fn describe(&self) -> Option<String> {
        if self.jwks_url.is_some() {
            return None;
        }
        let name = self.id.as_deref().unwrap_or("without an id");
        let algorithm = self.algorithm.map(|it| format!("{it}, "));
        let files = [&self.secret_file, &self.public_key_file, &self.jwks_file];
        let from = match (files.into_iter().flatten().next(), &self.secret_env) {
            (Some(file), _) => format!("from the file {}", file.display()),
            (None, Some(variable)) => format!("from the variable {variable}"),
            (None, None) => "in the configuration".to_owned(),
        };
        Some(format!("{name}: {}{from}", algorithm.unwrap_or_default()))
    }
}

impl std::fmt::Debug for KeyEntry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("KeyEntry")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
