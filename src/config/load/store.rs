//! What the store of streams needs, if it is Redis.

use std::path::PathBuf;
use std::time::Duration;

use super::Loader;
use crate::config::Config;
use crate::config::ConfigError;
use crate::config::file::{File, RedisSection, RedisTlsSection, Store, Takeover};
use crate::limit::redis::RedisLimitConfig;
use crate::redis::{
    Address, Login, PORT, Place, RedisConfig, RedisSetupError, SENTINEL_PORT, SentinelConfig,
    TlsConfig,
};
use crate::stream_log::redis::RedisLogConfig;

/// Where Redis listens unless it was told otherwise.
const DEFAULT_URL: &str = "redis://127.0.0.1:6379/";

/// How long a writer that says nothing is believed to live. Readers on other nodes hear of a lost
/// producer within half as much again.
const LEASE: Duration = Duration::from_secs(10);

/// How long a permit that its node does not renew holds a place: not for as long as a stream's writer
/// is believed in, so that whoever takes the stream over is not turned away for the lost one.
const PERMIT_LEASE: Duration = Duration::from_secs(6);

/// The most that a request may wait for Redis to admit it. Renewals wait for so long, too, and one that
/// was in vain must leave time for the next.
pub(super) const MOST_ADMISSION: Duration = Duration::from_secs(3);

/// How long generated tokens wait for a Redis that restarts or fails over, before their streams end.
const PATIENCE: Duration = Duration::from_secs(15);

/// How much longer than its generation may take a live stream is kept.
const MARGIN: Duration = Duration::from_secs(3600);

impl Loader {
    pub(super) fn redis(&self, file: &File) -> Result<Option<RedisConfig>, ConfigError> {
        if file.store == Store::Memory {
            if file.generation.takeover == Takeover::Continue {
                return Err(self.wrong(
                    "generation.takeover",
                    "expected \"off\" unless store is \"redis\": there is no other node",
                ));
            }
            return Ok(None);
        }
        let section = &file.redis;
        let (key, place) = self.place(section)?;
        let is_cluster = matches!(place, Place::Cluster(_));
        if is_cluster && section.database.is_some_and(|number| number != 0) {
            return Err(self.wrong(
                "redis.database",
                "expected none: a cluster has only database 0",
            ));
        }
        let login = self.login(
            "redis",
            section.username.as_ref(),
            section.password_env.as_ref(),
            section.password_file.as_ref(),
        )?;
        let redis = RedisConfig {
            place,
            login,
            database: section.database.map(i64::from),
            tls: section.tls.as_ref().map(|tls| self.tls(tls)).transpose()?,
        };
        redis.check().map_err(|error| {
            let key = match error {
                RedisSetupError::Authority => "redis.tls.ca",
                RedisSetupError::Certificate => "redis.tls.certificate",
                _ => key,
            };
            self.wrong(key, error.to_string())
        })?;
        Ok(Some(redis))
    }

    /// Where Redis is, and the key that says so.
    fn place(&self, section: &RedisSection) -> Result<(&'static str, Place), ConfigError> {
        let url = |url: &str| Place::Url(url.to_owned());
        match (
            &section.url,
            &section.url_env,
            &section.sentinel,
            &section.cluster,
        ) {
            (None, None, None, None) => Ok(("redis.url", url(DEFAULT_URL))),
            (Some(text), None, None, None) => Ok(("redis.url", url(text))),
            (None, Some(name), None, None) => {
                let key = "redis.url_env";
                Ok((key, url(self.variable(key, name)?.trim())))
            }
            (None, None, Some(sentinel), None) => {
                if sentinel.master.is_empty() {
                    return Err(self.wrong(
                        "redis.sentinel.master",
                        "expected the name that the sentinels have for the master",
                    ));
                }
                let key = "redis.sentinel.addresses";
                let sentinel = SentinelConfig {
                    master: sentinel.master.clone(),
                    addresses: self.addresses(key, &sentinel.addresses, SENTINEL_PORT)?,
                    login: self.login(
                        "redis.sentinel",
                        sentinel.username.as_ref(),
                        sentinel.password_env.as_ref(),
                        sentinel.password_file.as_ref(),
                    )?,
                    tls: sentinel.tls.unwrap_or(section.tls.is_some()),
                };
                Ok((key, Place::Sentinel(sentinel)))
            }
            (None, None, None, Some(cluster)) => {
                let key = "redis.cluster.addresses";
                let addresses = self.addresses(key, &cluster.addresses, PORT)?;
                Ok((key, Place::Cluster(addresses)))
            }
            _ => Err(self.wrong(
                "redis",
                "expected only one of url, url_env, sentinel and cluster, from the file and the \
                 variables TAILRACE_REDIS__* together",
            )),
        }
    }

    fn addresses(
        &self,
        key: &str,
        texts: &[String],
        default_port: u16,
    ) -> Result<Vec<Address>, ConfigError> {
        if texts.is_empty() {
            return Err(self.wrong(key, "expected at least one host:port"));
        }
        let parse = |text: &String| {
            let address = Address::parse(text, default_port);
            // It is not repeated: it may be a URL with a password.
            address
                .filter(|address| !address.host.is_empty())
                .ok_or_else(|| self.wrong(key, "expected host:port, such as 10.0.0.1:6379"))
        };
        texts.iter().map(parse).collect()
    }

    /// User and password of a section.
    fn login(
        &self,
        section: &str,
        username: Option<&String>,
        password_env: Option<&String>,
        password_file: Option<&PathBuf>,
    ) -> Result<Login, ConfigError> {
        let (key, password) = match (password_env, password_file) {
            (None, None) => (String::new(), None),
            (Some(name), None) => {
                let key = format!("{section}.password_env");
                let password = self.variable(&key, name)?;
                (key, Some(password))
            }
            (None, Some(file)) => {
                let key = format!("{section}.password_file");
                let password = self.read_text(&key, file)?;
                (key, Some(password))
            }
            (Some(_), Some(_)) => {
                return Err(self.wrong(
                    section,
                    "expected at most one of password_env and password_file",
                ));
            }
        };
        // A file ends with the end of its line.
        let password = password.map(|it| it.trim_end_matches(['\r', '\n']).to_owned());
        if password.as_ref().is_some_and(String::is_empty) {
            return Err(self.wrong(key, "there is no password in it"));
        }
        if username.is_some() && password.is_none() {
            return Err(self.wrong(
                format!("{section}.username"),
                "expected password_env or password_file beside it",
            ));
        }
        Ok(Login {
            username: username.cloned(),
            password,
        })
    }

    fn tls(&self, section: &RedisTlsSection) -> Result<TlsConfig, ConfigError> {
        let authority = section.ca.as_ref();
        let certificate = match (&section.certificate, &section.private_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((
                self.read("redis.tls.certificate", certificate)?,
                self.read("redis.tls.private_key", key)?,
            )),
            _ => {
                return Err(self.wrong(
                    "redis.tls",
                    "expected both certificate and private_key, or neither",
                ));
            }
        };
        Ok(TlsConfig {
            authority: authority
                .map(|path| self.read("redis.tls.ca", path))
                .transpose()?,
            certificate,
        })
    }
}

impl Config {
    /// What the limiter in Redis needs beside Redis and the limits.
    #[must_use]
    pub fn redis_limits(&self) -> RedisLimitConfig {
        RedisLimitConfig {
            prefix: self.file.redis.prefix.clone(),
            lease: PERMIT_LEASE,
            patience: self.file.redis.admission_timeout,
        }
    }

    /// What the log in Redis needs beside Redis.
    #[must_use]
    pub fn redis_log(&self) -> RedisLogConfig {
        let file = &self.file;
        RedisLogConfig {
            prefix: file.redis.prefix.clone(),
            retention: file.memory.retention,
            max_stream_bytes: usize::try_from(file.memory.max_stream_bytes.as_u64())
                .unwrap_or(usize::MAX),
            lease: LEASE,
            patience: PATIENCE,
            most_life: file.generation.total_timeout + MARGIN,
        }
    }
}
