//! The shapes of `[redis]`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Which Redis, if any.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisSection {
    pub url: Option<String>,
    pub url_env: Option<String>,
    pub username: Option<String>,
    pub password_env: Option<String>,
    pub password_file: Option<PathBuf>,
    pub database: Option<u16>,
    pub prefix: String,
    pub sentinel: Option<SentinelSection>,
    pub cluster: Option<ClusterSection>,
    pub tls: Option<RedisTlsSection>,
    #[serde(with = "humantime_serde")]
    pub admission_timeout: Duration,
}

impl Default for RedisSection {
    fn default() -> Self {
        Self {
            url: None,
            url_env: None,
            username: None,
            password_env: None,
            password_file: None,
            database: None,
            prefix: "tailrace:".to_owned(),
            sentinel: None,
            cluster: None,
            tls: None,
            admission_timeout: Duration::from_millis(250),
        }
    }
}

impl RedisSection {
    /// Whether anything stands there.
    pub(in crate::config) fn is_said(&self) -> bool {
        *self != Self::default()
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for RedisSection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisSection")
            .field("prefix", &self.prefix)
            .field("sentinel", &self.sentinel)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

/// Who knows the master.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentinelSection {
    pub master: String,
    pub addresses: Vec<String>,
    pub username: Option<String>,
    pub password_env: Option<String>,
    pub password_file: Option<PathBuf>,
    pub tls: Option<bool>,
}

/// Some nodes of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSection {
    pub addresses: Vec<String>,
}

/// How TLS is spoken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisTlsSection {
    pub ca: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub private_key: Option<PathBuf>,
}
