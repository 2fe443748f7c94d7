//! From the settings as they stand in the file to a [`Config`]: reads the files that they name, and
//! checks what a type cannot.

mod keys;
mod model;
mod store;
mod traces;
mod upstream;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::store::MOST_ADMISSION;
use super::file::File;
use super::{Config, ConfigError, ModelConfig, Origin, Sources, development};
use crate::auth::{JwtConfig, KeyError};
use crate::generator::demo::DemoConfig;

/// The least that a time may be where none at all makes no sense, and the most.
const LEAST_TIME: Duration = Duration::from_millis(10);
const MOST_TIME: Duration = Duration::from_secs(366 * 24 * 3600);

/// The least that the head of a request may take: the framework bounds the first of a connection by a clock
/// that goes in steps of half a second, so that less could be over before it begins.
const LEAST_HEAD_TIME: Duration = Duration::from_secs(1);

/// The longest that the kernel can be told: it counts milliseconds in 31 bits (tcp(7), `TCP_USER_TIMEOUT`).
const MOST_PEER_TIMEOUT: Duration = Duration::from_secs(24 * 24 * 3600);

/// The most that an answer with keys may take.
const MOST_WAIT: Duration = Duration::from_secs(60);

/// Reads the files that the configuration names, and checks what a type cannot.
pub(super) struct Loader {
    /// Where the configuration is, and so what to blame in errors.
    origin: Origin,
    /// What relative paths are relative to.
    directory: PathBuf,
    /// The files that were read.
    sources: RefCell<Sources>,
}

impl Loader {
    pub(super) fn new(origin: &Origin) -> Self {
        Self {
            origin: origin.clone(),
            directory: origin
                .path
                .as_deref()
                .and_then(Path::parent)
                .map(Path::to_path_buf)
                .unwrap_or_default(),
            sources: RefCell::default(),
        }
    }

    /// Notes the configuration file itself, which somebody else reads. What is written into it in
    /// between makes it another than the noted one, and is read later.
    pub(super) fn note(&self, path: &Path) {
        let content = std::fs::read(path).ok();
        self.sources.borrow_mut().note(path, content.as_deref());
    }

    /// What was read.
    pub(super) fn sources(&self) -> Sources {
        self.sources.borrow().clone()
    }

    fn wrong(&self, key: impl Into<String>, expected: impl Into<String>) -> ConfigError {
        self.origin.wrong(key, expected)
    }

    fn read(&self, key: &str, path: &Path) -> Result<Vec<u8>, ConfigError> {
        let path = self.directory.join(path);
        let content = std::fs::read(&path);
        let noted = content.as_deref().ok();
        let mut sources = self.sources.borrow_mut();
        sources.note(&path, noted);
        sources.note_setting(key, &path);
        content.map_err(|error| ConfigError::Unreadable {
            origin: self.origin.of(key),
            key: key.to_owned(),
            path,
            error,
        })
    }

    fn read_text(&self, key: &str, path: &Path) -> Result<String, ConfigError> {
        String::from_utf8(self.read(key, path)?)
            .map_err(|_| self.wrong(key, format!("{} is not text", path.display())))
    }

    /// What the variable holds that the configuration names here.
    fn variable(&self, key: &str, name: &str) -> Result<String, ConfigError> {
        let first = name.bytes().next().unwrap_or_default();
        let is_name = (first.is_ascii_alphabetic() || first == b'_')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            // It is not repeated: this may be the secret itself.
            return Err(self.wrong(
                key,
                "expected the name of an environment variable, such as UPSTREAM_API_KEY; a secret \
                 itself does not stand here",
            ));
        }
        std::env::var(name).map_err(|error| {
            let what = match error {
                std::env::VarError::NotPresent => "is not set",
                std::env::VarError::NotUnicode(_) => "is not text",
            };
            self.wrong(key, format!("the variable {name} {what}"))
        })
    }

    pub(super) fn load(&self, file: File) -> Result<Config, ConfigError> {
        self.check(&file)?;
        let (keys, providers) = self.keys(&file.auth)?;
        let development = keys.is_empty() && providers.is_empty();
        let keys = if development {
            vec![self.development_key()?]
        } else {
            keys
        };
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
        let redis = self.redis(&file)?;
        let traces = self.traces(&file.traces)?;
        let mut models = BTreeMap::new();
        for (name, model) in &file.models {
            models.insert(name.clone(), self.model(name, model)?);
        }
        let upstream = match &file.upstream {
            None => None,
            Some(upstream) => Some(self.passed_through("upstream", upstream)?),
        };
        if models.is_empty() && upstream.is_none() {
            models.insert("demo".to_owned(), ModelConfig::Demo(DemoConfig::default()));
        }
        if let Some(default) = &file.default_model
            && !models.contains_key(default)
            && upstream.is_none()
        {
            return Err(self.wrong("default_model", format!("there is no model {default:?}")));
        }
        Ok(Config {
            origin: self.origin.clone(),
            sources: self.sources(),
            file,
            keys,
            providers,
            development,
            tls,
            ticket_secret,
            redis,
            traces,
            models,
            upstream,
        })
    }

    pub(super) fn check(&self, file: &File) -> Result<(), ConfigError> {
        self.check_times(file)?;
        let limits = &file.limits;
        if !limits.plans.contains_key(&limits.default_plan) {
            let names: Vec<&str> = limits.plans.keys().map(String::as_str).collect();
            return Err(self.wrong(
                "limits.default_plan",
                format!(
                    "limits.plans has {}, and none called {:?}; default_plan names the one of tokens without a \
                     plan of theirs",
                    names.join(", "),
                    limits.default_plan
                ),
            ));
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
        let allowed = file.allowed_origins.iter().enumerate();
        let allowed = allowed.map(|(at, origin)| (format!("allowed_origins[{at}]"), origin));
        let public = file.public_url.iter();
        let public = public.map(|origin| ("public_url".to_owned(), origin));
        for (key, origin) in allowed.chain(public) {
            if !is_origin(origin) {
                return Err(self.wrong(
                    key,
                    format!(
                        "expected an origin such as https://chat.example.com, found {origin:?}"
                    ),
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

    fn check_times(&self, file: &File) -> Result<(), ConfigError> {
        let moment = LEAST_TIME;
        for (key, time, least) in [
            ("drain_delay", file.drain_delay, Duration::ZERO),
            ("drain_timeout", file.drain_timeout, Duration::ZERO),
            // 0 is for no watching at all.
            (
                "watch_interval",
                file.watch_interval,
                if file.watch_interval.is_zero() {
                    Duration::ZERO
                } else {
                    moment
                },
            ),
            ("http.heartbeat", file.http.heartbeat, moment),
            ("http.body_timeout", file.http.body_timeout, moment),
            ("http.head_timeout", file.http.head_timeout, LEAST_HEAD_TIME),
            ("http.keep_alive", file.http.keep_alive, moment),
            ("http.peer_timeout", file.http.peer_timeout, moment),
            ("auth.leeway", file.auth.leeway, Duration::ZERO),
            ("auth.ticket_lifetime", file.auth.ticket_lifetime, moment),
            ("auth.jwks.timeout", file.auth.jwks.timeout, moment),
            ("auth.jwks.cool_down", file.auth.jwks.cool_down, moment),
            ("auth.jwks.refresh_min", file.auth.jwks.refresh_min, moment),
            (
                "auth.jwks.refresh_max",
                file.auth.jwks.refresh_max,
                file.auth.jwks.refresh_min,
            ),
            // Else keys would be too old before a provider is asked again.
            (
                "auth.jwks.keep",
                file.auth.jwks.keep,
                file.auth.jwks.refresh_max,
            ),
            (
                "generation.first_token_timeout",
                file.generation.first_token_timeout,
                moment,
            ),
            (
                "generation.idle_timeout",
                file.generation.idle_timeout,
                moment,
            ),
            (
                "generation.total_timeout",
                file.generation.total_timeout,
                moment,
            ),
            (
                "generation.abandon_after",
                file.generation.abandon_after,
                Duration::ZERO,
            ),
            ("memory.retention", file.memory.retention, Duration::ZERO),
            (
                "redis.admission_timeout",
                file.redis.admission_timeout,
                moment,
            ),
        ] {
            self.time(key, time, least)?;
        }
        if file.http.peer_timeout > MOST_PEER_TIMEOUT {
            return Err(self.wrong("http.peer_timeout", "expected at most 24 days"));
        }
        for (key, wait, most) in [
            // Requests whose key is unknown wait for it, and a reload.
            ("auth.jwks.timeout", file.auth.jwks.timeout, MOST_WAIT),
            (
                "redis.admission_timeout",
                file.redis.admission_timeout,
                MOST_ADMISSION,
            ),
        ] {
            if wait > most {
                let most = humantime::format_duration(most);
                return Err(self.wrong(key, format!("expected at most {most}")));
            }
        }
        Ok(())
    }

    pub(super) fn time(
        &self,
        key: &str,
        time: Duration,
        least: Duration,
    ) -> Result<(), ConfigError> {
        if time < least || time > MOST_TIME {
            let least = humantime::format_duration(least);
            return Err(self.wrong(key, format!("expected at least {least} and at most a year")));
        }
        Ok(())
    }
}

/// Whether a text is an origin (RFC 6454): scheme, host and perhaps port, nothing more.
pub(super) fn is_origin(text: &str) -> bool {
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
