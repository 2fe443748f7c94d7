//! The one reader of configuration files, environment variables and the files they name.
//!
//! A TOML file, and `TAILRACE_*` variables over it (`TAILRACE_AUTH__LEEWAY` is `auth.leeway`).
//! [`File`] has the shapes of the file; what the modules get are their own `*Config` types.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the only reader of the environment"
)]

mod development;
mod file;

pub use file::{File, LogFormat, LogSection};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format as _, Toml};

use self::file::{KeyEntry, Model};
use crate::api::{ApiConfig, BodyConfig, ScopeConfig};
use crate::auth::{JwtConfig, KeyConfig, KeyError, KeyMaterial, KeySet};
use crate::generation::GenerationConfig;
use crate::generator::command::CommandConfig;
use crate::generator::demo::DemoConfig;
use crate::limit::Plan;
use crate::limit::local::LimitConfig;
use crate::stream_log::memory::MemoryConfig;

/// Variables with our prefix that are not settings of the file.
const NOT_SETTINGS: [&str; 1] = ["config"];

/// The plan of the development token, wide enough for load tests.
pub const DEVELOPMENT_PLAN: &str = "development";

/// A configuration that cannot be used: names the file or variable, the key, and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file or a variable could not be read as settings.
    #[error("{0}")]
    Shape(Box<figment::Error>),
    /// A value is of the right type and still wrong.
    #[error("{origin}: `{key}`: {expected}")]
    Value {
        /// The file, or "configuration".
        origin: String,
        /// The path of the key.
        key: String,
        /// What was expected.
        expected: String,
    },
    /// A file that the configuration names.
    #[error("{origin}: `{key}`: cannot read {path}: {error}")]
    Unreadable {
        /// The file that names it, or "configuration".
        origin: String,
        /// The path of the key.
        key: String,
        /// The file that cannot be read.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The configuration file itself.
    #[error("cannot read the configuration file {0}: {1}")]
    Missing(PathBuf, std::io::Error),
}

/// Everything the server is told, checked.
pub struct Config {
    /// The settings as they stand in the file.
    pub file: File,
    /// The keys; in development mode, one that we made.
    pub keys: Vec<KeyConfig>,
    /// Whether there is no configured key, so that anybody who can read our state directory can
    /// make tokens.
    pub development: bool,
    /// The certificate chain and the private key, in PEM.
    pub tls: Option<(Vec<u8>, Vec<u8>)>,
    /// Signs tickets.
    pub ticket_secret: Vec<u8>,
    /// The models, with what their generators need.
    pub models: BTreeMap<String, ModelConfig>,
}

/// What runs behind a public model name.
#[derive(Debug, Clone)]
pub enum ModelConfig {
    /// The demo generator.
    Demo(DemoConfig),
    /// A program.
    Command(CommandConfig),
}

impl Config {
    /// Reads the configuration: the file if there is one, and the environment over it.
    ///
    /// # Errors
    /// Something is missing or wrong.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(path) = path {
            std::fs::metadata(path).map_err(|error| ConfigError::Missing(path.into(), error))?;
            figment = figment.merge(Toml::file_exact(path));
        }
        let file: File = figment
            .merge(environment())
            .extract()
            .map_err(|error| ConfigError::Shape(Box::new(error)))?;
        Loader::new(path).load(file)
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

    /// The model of a request that names none.
    #[must_use]
    pub fn default_model(&self) -> &str {
        let named = self.file.default_model.as_deref();
        named
            .or_else(|| self.models.keys().next().map(String::as_str))
            .unwrap_or_default()
    }
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

/// Reads the files that the configuration names, and checks what a type cannot.
struct Loader {
    /// What to blame in errors.
    origin: String,
    /// What relative paths are relative to.
    directory: PathBuf,
}

impl Loader {
    fn new(path: Option<&Path>) -> Self {
        Self {
            origin: path.map_or_else(
                || "configuration".to_owned(),
                |path| path.display().to_string(),
            ),
            directory: path
                .and_then(Path::parent)
                .map(Path::to_path_buf)
                .unwrap_or_default(),
        }
    }

    fn wrong(&self, key: impl Into<String>, expected: impl Into<String>) -> ConfigError {
        ConfigError::Value {
            origin: self.origin.clone(),
            key: key.into(),
            expected: expected.into(),
        }
    }

    fn read(&self, key: &str, path: &Path) -> Result<Vec<u8>, ConfigError> {
        let path = self.directory.join(path);
        std::fs::read(&path).map_err(|error| ConfigError::Unreadable {
            origin: self.origin.clone(),
            key: key.to_owned(),
            path,
            error,
        })
    }

    fn read_text(&self, key: &str, path: &Path) -> Result<String, ConfigError> {
        String::from_utf8(self.read(key, path)?)
            .map_err(|_| self.wrong(key, format!("{} is not text", path.display())))
    }

    fn load(&self, file: File) -> Result<Config, ConfigError> {
        self.check(&file)?;
        let mut keys = Vec::new();
        for (at, entry) in file.auth.keys.iter().enumerate() {
            keys.push(self.key(&format!("auth.keys[{at}]"), entry)?);
        }
        let development = keys.is_empty();
        if development {
            let key = development::key().map_err(|error| {
                self.wrong(
                    "auth.keys",
                    format!("no key is configured, and none could be made: {error}"),
                )
            })?;
            keys.push(key);
        }
        KeySet::load(&keys).map_err(|error| self.wrong("auth.keys", error.to_string()))?;
        let tls = match &file.tls {
            None => None,
            Some(tls) => Some((
                self.read("tls.certificate", &tls.certificate)?,
                self.read("tls.private_key", &tls.private_key)?,
            )),
        };
        let ticket_secret = match &file.auth.ticket_secret_file {
            None => development::random_secret(),
            Some(path) => {
                let secret = self.read("auth.ticket_secret_file", path)?;
                let secret = secret.trim_ascii_end().to_vec();
                if secret.len() < 32 {
                    return Err(self.wrong("auth.ticket_secret_file", "expected at least 32 bytes"));
                }
                secret
            }
        };
        let mut models = BTreeMap::new();
        for (name, model) in &file.models {
            models.insert(name.clone(), self.model(name, model)?);
        }
        if models.is_empty() {
            models.insert("demo".to_owned(), ModelConfig::Demo(DemoConfig::default()));
        }
        if let Some(default) = &file.default_model
            && !models.contains_key(default)
        {
            return Err(self.wrong("default_model", format!("there is no model {default:?}")));
        }
        Ok(Config {
            file,
            keys,
            development,
            tls,
            ticket_secret,
            models,
        })
    }

    fn check(&self, file: &File) -> Result<(), ConfigError> {
        for (key, time) in [
            ("http.heartbeat", file.http.heartbeat),
            ("http.body_timeout", file.http.body_timeout),
            ("http.peer_timeout", file.http.peer_timeout),
            (
                "generation.first_token_timeout",
                file.generation.first_token_timeout,
            ),
            ("generation.idle_timeout", file.generation.idle_timeout),
            ("generation.total_timeout", file.generation.total_timeout),
        ] {
            if time < Duration::from_millis(10) {
                return Err(self.wrong(key, "expected at least 10ms"));
            }
        }
        let limits = &file.limits;
        if !limits.plans.contains_key(&limits.default_plan) {
            return Err(self.wrong(
                "limits.default_plan",
                format!("there is no plan {:?} in limits.plans", limits.default_plan),
            ));
        }
        for (name, plan) in &limits.plans {
            let zero = [
                plan.requests_per_minute,
                plan.burst,
                plan.streams,
                plan.tokens_per_minute,
            ]
            .contains(&0);
            if zero {
                return Err(self.wrong(
                    format!("limits.plans.{name}"),
                    "expected numbers of at least 1",
                ));
            }
        }
        for (key, number) in [
            ("limits.max_streams", u64::from(limits.max_streams)),
            ("limits.max_principals", limits.max_principals as u64),
            (
                "limits.default_reservation",
                limits.default_reservation.into(),
            ),
            (
                "limits.failed_authentications_per_minute",
                limits.failed_authentications_per_minute.into(),
            ),
            ("memory.max_bytes", file.memory.max_bytes.as_u64()),
            (
                "memory.max_stream_bytes",
                file.memory.max_stream_bytes.as_u64(),
            ),
            ("http.body_limit", file.http.body_limit.as_u64()),
        ] {
            if number == 0 {
                return Err(self.wrong(key, "expected at least 1"));
            }
        }
        for origin in file.allowed_origins.iter().chain(&file.public_url) {
            if !is_origin(origin) {
                return Err(self.wrong(
                    "allowed_origins / public_url",
                    format!("expected origins such as https://chat.example.com, found {origin:?}"),
                ));
            }
        }
        let jwt = JwtConfig {
            required_claims: file.auth.required_claims.clone(),
            ..JwtConfig::default()
        };
        jwt.validate()
            .map_err(|error: KeyError| self.wrong("auth.required_claims", error.to_string()))
    }

    fn key(&self, path: &str, entry: &KeyEntry) -> Result<KeyConfig, ConfigError> {
        let trimmed = |bytes: &[u8]| bytes.trim_ascii_end().to_vec();
        let mut found = Vec::new();
        if let Some(secret) = &entry.secret {
            found.push(KeyMaterial::Secret(secret.as_bytes().to_vec()));
        }
        if let Some(name) = &entry.secret_env {
            let secret = std::env::var(name).map_err(|_| {
                self.wrong(
                    format!("{path}.secret_env"),
                    format!("the variable {name} is not set"),
                )
            })?;
            found.push(KeyMaterial::Secret(secret.into_bytes()));
        }
        if let Some(file) = &entry.secret_file {
            let secret = self.read(&format!("{path}.secret_file"), file)?;
            found.push(KeyMaterial::Secret(trimmed(&secret)));
        }
        if let Some(file) = &entry.public_key_file {
            found.push(KeyMaterial::Pem(
                self.read_text(&format!("{path}.public_key_file"), file)?,
            ));
        }
        if let Some(file) = &entry.jwks_file {
            found.push(KeyMaterial::Jwks(
                self.read_text(&format!("{path}.jwks_file"), file)?,
            ));
        }
        let signing_pem = match &entry.private_key_file {
            None => None,
            Some(file) => Some(self.read_text(&format!("{path}.private_key_file"), file)?),
        };
        match (found.pop(), found.is_empty()) {
            (Some(material), true) => Ok(KeyConfig {
                id: entry.id.clone(),
                algorithm: entry.algorithm,
                material,
                signing_pem,
            }),
            _ => Err(self.wrong(
                path,
                "expected exactly one of secret, secret_env, secret_file, public_key_file and jwks_file",
            )),
        }
    }

    fn model(&self, name: &str, model: &Model) -> Result<ModelConfig, ConfigError> {
        if name.is_empty() || name.len() > 128 || !name.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(self.wrong(
                "models",
                format!("expected names of 1 to 128 visible ASCII characters, found {name:?}"),
            ));
        }
        match model {
            Model::Demo(demo) => Ok(ModelConfig::Demo(demo.clone())),
            Model::Command(command) => {
                if command.program.is_empty() {
                    return Err(self.wrong(format!("models.{name}.program"), "expected a program"));
                }
                let mut env = BTreeMap::new();
                for variable in ["PATH".to_owned()].iter().chain(&command.inherit_env) {
                    if let Ok(value) = std::env::var(variable) {
                        env.insert(variable.clone(), value);
                    }
                }
                env.extend(command.env.clone());
                Ok(ModelConfig::Command(CommandConfig {
                    program: command.program.clone(),
                    args: command.args.clone(),
                    env,
                    working_dir: command
                        .working_dir
                        .as_ref()
                        .map(|path| self.directory.join(path)),
                    output: command.output,
                }))
            }
        }
    }
}

/// Whether a text is an origin (RFC 6454): scheme, host and perhaps port, nothing more.
fn is_origin(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
    })
}

#[cfg(test)]
mod tests;
