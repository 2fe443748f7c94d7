//! The one reader of configuration files, environment variables and the files they name.
//!
//! A TOML file, and `TAILRACE_*` variables over it (`TAILRACE_AUTH__LEEWAY` is `auth.leeway`).
//! [`File`] has the shapes of the file; what the modules get are their own `*Config` types.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the only reader of the environment"
)]

#[cfg(any(test, fuzzing))]
pub mod any_text;
mod changes;
mod development;
mod file;
mod load;
mod model;
mod shape;
mod sources;
mod warnings;

pub use development::state_directory;
pub use file::{File, LogFormat, LogSection};
pub use model::{
    AnthropicConfig, KeySource, ModelConfig, NamedModel, OpenAiConfig, RouteModelConfig,
};
pub use sources::{Origin, Sources};
pub use warnings::Warning;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use serde::Serialize;

use self::file::{AuthSection, Takeover};
use self::load::Loader;
use crate::api::{ApiConfig, BodyConfig, ScopeConfig};
use crate::auth::{JwtConfig, KeyConfig, Minter, ProviderConfig, TokenRequest};
use crate::generation::GenerationConfig;
use crate::limit::{LimitConfig, Plan};
use crate::redis::RedisConfig;
use crate::stream_log::memory::MemoryConfig;
use crate::traces::TracesConfig;

/// Variables with our prefix that are not settings of the file.
const NOT_SETTINGS: [&str; 3] = ["config", "token", "url"];

/// The plan of the development token, wide enough for load tests.
pub const DEVELOPMENT_PLAN: &str = "development";

/// A configuration that cannot be used: names the file or variable, the key, and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file or a variable could not be read as settings.
    #[error("{0}")]
    Shape(String),
    /// A value is of the right type and still wrong.
    #[error("{origin}: `{key}`: {expected}")]
    Value {
        /// The file, or the variable or option over it.
        origin: String,
        /// The path of the key.
        key: String,
        /// What was expected.
        expected: String,
    },
    /// A file that the configuration names.
    #[error("{origin}: `{key}`: cannot read {path}: {error}")]
    Unreadable {
        /// What names it, as for [`Self::Value`].
        origin: String,
        /// The path of the key.
        key: String,
        /// The file that cannot be read.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The configuration file itself.
    #[error("{0}: cannot read the configuration file: {1}")]
    Missing(PathBuf, std::io::Error),
}

/// What a command line may say of the configuration.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Overrides {
    /// The server whose models are all ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamOverride>,
}

/// Where that server is.
#[derive(Debug, Clone, Serialize)]
pub struct UpstreamOverride {
    /// Its base URL.
    pub base_url: String,
    /// The variable that holds its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
}

/// Everything the server is told, checked.
pub struct Config {
    /// Where it is.
    pub origin: Origin,
    /// The files that it was read from.
    pub sources: Sources,
    /// The settings as they stand in the file.
    pub file: File,
    /// The keys; in development mode, one that we made.
    pub keys: Vec<KeyConfig>,
    /// Those who publish other keys.
    pub providers: Vec<ProviderConfig>,
    /// Whether there is no configured key, so that anybody who can read our state directory can
    /// make tokens.
    pub development: bool,
    /// The certificate chain and the private key, in PEM.
    pub tls: Option<(Vec<u8>, Vec<u8>)>,
    /// Signs tickets.
    pub ticket_secret: Vec<u8>,
    /// The store of streams, if it is Redis.
    pub redis: Option<RedisConfig>,
    /// Where spans go, if anywhere.
    pub traces: Option<TracesConfig>,
    /// The models, with what their generators need.
    pub models: BTreeMap<String, ModelConfig>,
    /// The server whose models are all ours.
    pub upstream: Option<OpenAiConfig>,
}

impl Config {
    /// Reads the configuration: the file if there is one, and the environment over it.
    ///
    /// # Errors
    /// Something is missing or wrong.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        Self::load_with(path, Overrides::default())
    }

    /// Reads the configuration, with what the command line says over it.
    ///
    /// # Errors
    /// Something is missing or wrong.
    pub fn load_with(path: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigError> {
        let path = path.map(Path::to_path_buf);
        Self::load_from(&Origin { path, overrides }).0
    }

    /// Reads a configuration from where it is; and what was read, also if that is wrong.
    pub fn load_from(origin: &Origin) -> (Result<Self, ConfigError>, Sources) {
        let loader = Loader::new(origin);
        let config = Self::load_by(&loader, origin);
        let sources = loader.sources();
        (config, sources)
    }

    fn load_by(loader: &Loader, origin: &Origin) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(path) = &origin.path {
            loader.note(path);
            std::fs::metadata(path).map_err(|error| ConfigError::Missing(path.into(), error))?;
            figment = figment.merge(Toml::file_exact(path));
        }
        let file: File = figment
            .merge(environment())
            .merge(Serialized::defaults(&origin.overrides))
            .extract()
            .map_err(|error| ConfigError::Shape(shape::describe(&error)))?;
        loader.load(file)
    }

    /// What keeps the streams, as metrics and the log call it.
    #[must_use]
    pub const fn store_name(&self) -> &'static str {
        if self.redis.is_some() {
            "redis"
        } else {
            "memory"
        }
    }

    /// The log's sizes and times.
    #[must_use]
    pub fn memory(&self) -> MemoryConfig {
        let section = &self.file.memory;
        let bytes = |size: bytesize::ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        MemoryConfig {
            retention: section.retention,
            max_bytes: bytes(section.max_bytes),
            max_stream_bytes: bytes(section.max_stream_bytes),
        }
    }

    /// The generations' times.
    #[must_use]
    pub const fn generation(&self) -> GenerationConfig {
        let section = &self.file.generation;
        GenerationConfig {
            first_token_timeout: section.first_token_timeout,
            idle_timeout: section.idle_timeout,
            total_timeout: section.total_timeout,
            abandon_after: section.abandon_after,
            takes_over: matches!(section.takeover, Takeover::Continue),
        }
    }

    /// The limits and plans.
    #[must_use]
    pub fn limits(&self) -> LimitConfig {
        let section = &self.file.limits;
        let mut plans = section.plans.clone();
        if self.development {
            plans.entry(DEVELOPMENT_PLAN.to_owned()).or_insert(Plan {
                requests_per_minute: 1_000_000,
                burst: 100_000,
                streams: 20_000,
                tokens_per_minute: 2_000_000_000,
            });
        }
        LimitConfig {
            max_streams: section.max_streams,
            max_principals: section.max_principals,
            default_reservation: section.default_reservation,
            default_plan: section.default_plan.clone(),
            plans,
        }
    }

    /// Which tokens are accepted.
    #[must_use]
    pub fn jwt(&self) -> JwtConfig {
        let section = &self.file.auth;
        JwtConfig {
            issuers: section.issuers.clone(),
            audiences: section.audiences.clone(),
            leeway: section.leeway,
            required_claims: section.required_claims.clone(),
        }
    }

    /// The transport's settings.
    #[must_use]
    pub fn api(&self) -> ApiConfig {
        let file = &self.file;
        let named = |scope: &String| Some(scope.clone()).filter(|scope| !scope.is_empty());
        ApiConfig {
            heartbeat: file.http.heartbeat,
            peer_timeout: file.http.peer_timeout,
            body: BodyConfig {
                limit: usize::try_from(file.http.body_limit.as_u64()).unwrap_or(usize::MAX),
                timeout: file.http.body_timeout,
            },
            scopes: ScopeConfig {
                write: named(&file.auth.scopes.write),
                read: named(&file.auth.scopes.read),
                admin: named(&file.auth.scopes.admin),
            },
            cookie: file.auth.cookie.clone(),
            allowed_origins: file.allowed_origins.clone(),
            public_url: file.public_url.clone(),
            trusted_proxies: file.trusted_proxies.clone(),
        }
    }

    /// What makes the tokens of the development mode, which have these scopes and are good for
    /// `lifetime`. There are none in any other mode.
    #[must_use]
    pub fn development_tokens(&self, scopes: &[&str], lifetime: Duration) -> Option<Minter> {
        let key = self.keys.first().filter(|_| self.development)?;
        let AuthSection {
            issuers, audiences, ..
        } = &self.file.auth;
        let request = TokenRequest {
            subject: "developer".to_owned(),
            issuer: issuers.first().cloned(),
            audience: audiences.first().cloned(),
            scope: scopes.join(" "),
            plan: Some(DEVELOPMENT_PLAN.to_owned()),
            lifetime,
        };
        Some(Minter::new(key.clone(), request))
    }

    /// The model of a request that names none.
    #[must_use]
    pub fn default_model(&self) -> Option<&str> {
        let named = self.file.default_model.as_deref();
        named.or_else(|| self.models.keys().next().map(String::as_str))
    }
}

/// The token that a client was given, which is no setting of the server.
#[must_use]
pub fn token_variable() -> Option<String> {
    let token = std::env::var("TAILRACE_TOKEN").ok()?;
    Some(token.trim().to_owned()).filter(|token| !token.is_empty())
}

/// Our variables, without what Kubernetes sets for a service that is called `tailrace`.
fn environment() -> Env {
    Env::prefixed("TAILRACE_")
        .filter(|key| {
            let key = key.as_str().to_ascii_lowercase();
            let kubernetes =
                key.starts_with("service_") || key == "port" || key.starts_with("port_");
            !kubernetes && !NOT_SETTINGS.contains(&key.as_str())
        })
        .split("__")
}

#[cfg(test)]
mod tests;
