//! The limiter of several nodes: exact over all of them, since Redis counts, in one step and by its own
//! clock (`scripts.rs`).
//!
//! A permit is held by its node for a lease at a time (`keeper.rs`), so that a node that dies frees its
//! places. What a permit used is settled by the keeper too, again and again until Redis has answered:
//! nobody waits for it, and nothing is counted twice. When Redis does not answer at once, each node
//! has its part of every limit (`LocalLimiter`) until it does; what was admitted meanwhile is then
//! counted there.

mod admission;
mod grant;
mod held;
mod keeper;
mod nodes;
mod scripts;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use redis::FromRedisValue;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::held::Permits;
use self::scripts::Scripts;
use super::local::LocalLimiter;
use super::{About, LimitConfig, Node, Permit, RateLimiter, Rejection};
use crate::auth::Principal;
use crate::redis::{Ask, Redis, Refusal, ScriptInvocation};

/// For how long what Redis has of a principal is kept at least, half of it after the last request; and
/// half of it is how long a permit is remembered that its node does not renew.
const KEPT: Duration = Duration::from_secs(1200);

/// What a [`RedisLimiter`] needs beside the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisLimitConfig {
    /// What the names of all keys begin with.
    pub prefix: String,
    /// How long a node that says nothing is believed to live.
    pub lease: Duration,
    /// How long a request waits for Redis, before this node decides by itself.
    pub patience: Duration,
}

/// The backend of [`RateLimiter`] for several nodes.
pub struct RedisLimiter {
    inner: Arc<Inner>,
    /// Ends the keeper.
    _stop: DropGuard,
}

struct Inner {
    limits: ArcSwap<LimitConfig>,
    config: RedisLimitConfig,
    /// Names this node, in this run.
    node: String,
    scripts: Scripts,
    redis: Arc<Redis>,
    permits: Permits,
    /// How many nodes there are, as far as Redis has said; 0 if it has said nothing yet.
    nodes: AtomicU32,
    /// What this node says of itself.
    about: OnceLock<About>,
    /// Decides while Redis is away.
    local: Mutex<Option<Arc<LocalLimiter>>>,
    tasks: TaskTracker,
}

impl RedisLimiter {
    /// A limiter on this Redis, which need not be there yet.
    #[must_use]
    pub fn new(redis: Arc<Redis>, limits: LimitConfig, config: RedisLimitConfig) -> Self {
        Self::with_scripts(redis, limits, config, Scripts::new())
    }

    fn with_scripts(
        redis: Arc<Redis>,
        limits: LimitConfig,
        config: RedisLimitConfig,
        scripts: Scripts,
    ) -> Self {
        let inner = Arc::new(Inner {
            permits: Permits::new(limits.max_streams),
            limits: ArcSwap::from_pointee(limits),
            config,
            node: uuid::Uuid::new_v4().simple().to_string(),
            scripts,
            redis,
            nodes: AtomicU32::new(0),
            about: OnceLock::new(),
            local: Mutex::default(),
            tasks: TaskTracker::new(),
        });
        let stop = CancellationToken::new();
        let (stopped, keeping) = (stop.clone(), keeper::run(Arc::clone(&inner)));
        let keeping = async move { _ = stopped.run_until_cancelled(keeping).await };
        inner.tasks.spawn_on(keeping, inner.redis.runtime());
        Self {
            inner,
            _stop: stop.drop_guard(),
        }
    }

    /// How many generations hold a place on this node now.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.inner.permits.taken()
    }

    /// Waits until what has ended is settled, and takes this node from the list; at most for so long.
    pub async fn finish(&self, most: Duration) {
        let deadline = Instant::now() + most;
        let settled = self.inner.permits.settled();
        if timeout_at(deadline, settled).await.is_err() {
            let unsettled = self.inner.permits.unsettled();
            tracing::warn!(unsettled, "Redis was not told what all permits have used");
        }
        // Its lease ends soon in any case.
        let _late = timeout_at(deadline, self.inner.leave()).await;
    }
}

impl RateLimiter for RedisLimiter {
    fn admit<'a>(
        &'a self,
        principal: &'a Principal,
        tokens: Option<u32>,
    ) -> BoxFuture<'a, Result<Permit, Rejection>> {
        self.inner.admit(principal, tokens).boxed()
    }

    fn admit_again<'a>(
        &'a self,
        principal: &'a Principal,
        tokens: Option<u32>,
    ) -> BoxFuture<'a, Result<Permit, Rejection>> {
        self.inner.admit_again(principal, tokens).boxed()
    }

    fn replace(&self, limits: LimitConfig) {
        let inner = &*self.inner;
        // Under the lock, so that no other part of the old limits is made meanwhile.
        let local = inner.local();
        let limits = limits.with_ceilings_of(&inner.limits.load());
        if let Some(local) = &*local {
            let nodes = inner.nodes.load(Ordering::Relaxed).max(1);
            local.replace(limits.part_of(nodes));
        }
        inner.limits.store(Arc::new(limits));
    }

    fn introduce(&self, about: About) {
        // Said once, at the start.
        let _before = self.inner.about.set(about);
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<Node>, Rejection>> {
        let asked = self.inner.all_nodes();
        asked
            .map(|found| found.map_err(|_| Rejection::server()))
            .boxed()
    }
}

impl Inner {
    /// Asks, and again within the patience of a request if the connection breaks.
    async fn ask<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Refusal> {
        // Cut by the time-out, it says nothing of each failure: that Redis is away is said once.
        let patience = self.config.patience;
        let asked = self.redis.ask(patience * 2, Ask::Script(script));
        timeout(patience, asked).await.unwrap_or(Err(Refusal::Away))
    }

    fn local(&self) -> MutexGuard<'_, Option<Arc<LocalLimiter>>> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What decides in place of Redis, if something does.
    fn stand_in(&self) -> Option<Arc<LocalLimiter>> {
        self.local().clone()
    }

    /// Lets this node decide by itself until Redis answers.
    fn stand_alone(&self) -> Arc<LocalLimiter> {
        let mut local = self.local();
        if let Some(local) = &*local {
            return Arc::clone(local);
        }
        let nodes = self.nodes.load(Ordering::Relaxed).max(1);
        let limiter = Arc::new(LocalLimiter::new(self.limits.load().part_of(nodes)));
        *local = Some(Arc::clone(&limiter));
        drop(local);
        tracing::warn!(
            nodes,
            "Limits are this node's own part of them, until Redis answers"
        );
        self.permits.wake();
        limiter
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
