//! What the store of streams needs, if it is Redis.

use std::time::Duration;

use super::Loader;
use crate::config::Config;
use crate::config::ConfigError;
use crate::config::file::{File, Store, Takeover};
use crate::redis::RedisConfig;
use crate::stream_log::redis::RedisLogConfig;

/// Where Redis listens unless it was told otherwise.
const DEFAULT_URL: &str = "redis://127.0.0.1:6379/";

/// How long a writer that says nothing is believed to live. Readers on other nodes hear of a lost
/// producer within half as much again.
const LEASE: Duration = Duration::from_secs(10);

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
        let (key, url) = match (&section.url, &section.url_env) {
            (Some(_), Some(_)) => {
                return Err(self.wrong("redis", "expected one of url and url_env, found both"));
            }
            (Some(url), None) => ("redis.url", url.clone()),
            (None, None) => ("redis.url", DEFAULT_URL.to_owned()),
            (None, Some(name)) => {
                let url = std::env::var(name).map_err(|_| {
                    self.wrong("redis.url_env", format!("the variable {name} is not set"))
                })?;
                ("redis.url_env", url)
            }
        };
        let redis = RedisConfig { url };
        redis
            .check()
            .map_err(|error| self.wrong(key, error.to_string()))?;
        Ok(Some(redis))
    }
}

impl Config {
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
