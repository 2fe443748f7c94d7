//! Where streams are kept and limits are counted: in this process, or in Redis.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, interval};

use crate::config::Config;
use crate::limit::RateLimiter;
use crate::limit::failures::AuthFailures;
use crate::limit::local::LocalLimiter;
use crate::limit::redis::RedisLimiter;
use crate::redis::Redis;
use crate::stream_log::StreamLog;
use crate::stream_log::memory::MemoryLog;
use crate::stream_log::redis::RedisLog;

/// How long Redis may take at the end to be told what was used.
const SETTLE: Duration = Duration::from_secs(2);

/// Both, for what is to be done beside the requests.
#[derive(Clone)]
pub(super) enum Store {
    /// In this process, to be swept.
    Embedded(MemoryLog, Arc<LocalLimiter>),
    /// In Redis, which is told at the end what was used.
    Shared(Arc<Redis>, Arc<RedisLog>, Arc<RedisLimiter>),
}

impl Store {
    pub(super) fn open(config: &Config) -> anyhow::Result<Self> {
        let Some(redis) = &config.redis else {
            let limiter = Arc::new(LocalLimiter::new(config.limits()));
            return Ok(Self::Embedded(MemoryLog::new(config.memory()), limiter));
        };
        let redis = Redis::new(redis)?;
        let limits = config.redis_limits();
        let limiter = RedisLimiter::new(Arc::clone(&redis), config.limits(), limits);
        let log = RedisLog::new(Arc::clone(&redis), config.redis_log());
        Ok(Self::Shared(redis, Arc::new(log), Arc::new(limiter)))
    }

    pub(super) fn log(&self) -> Arc<dyn StreamLog> {
        match self {
            Self::Embedded(log, _) => Arc::new(log.clone()),
            Self::Shared(_, log, _) => Arc::clone(log) as Arc<dyn StreamLog>,
        }
    }

    pub(super) fn limiter(&self) -> Arc<dyn RateLimiter> {
        match self {
            Self::Embedded(_, limiter) => Arc::clone(limiter) as Arc<dyn RateLimiter>,
            Self::Shared(.., limiter) => Arc::clone(limiter) as Arc<dyn RateLimiter>,
        }
    }

    /// Forgets what need not be remembered, for ever.
    pub(super) async fn sweep(&self, failures: &AuthFailures) {
        let mut second = interval(Duration::from_secs(1));
        let mut seconds = 0_u64;
        loop {
            second.tick().await;
            seconds += 1;
            let is_minute = seconds.is_multiple_of(60);
            if let Self::Embedded(log, limiter) = self {
                log.sweep(Instant::now());
                if is_minute {
                    limiter.sweep();
                }
            }
            if is_minute {
                failures.sweep();
            }
        }
    }

    /// Tells whoever is to know what was used, at the end.
    pub(super) async fn finish(&self) {
        if let Self::Shared(.., limiter) = self {
            limiter.finish(SETTLE).await;
        }
    }
}
