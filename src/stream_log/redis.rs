//! The log of several nodes: every stream in Redis 7 or newer, any of them served by any node.
//!
//! A stream that is written or read on a node has one mirror there (`mirror.rs`), which readers read.
//! What is written goes to Redis first, together with what other streams have to say (`appending.rs`) or
//! checked by itself (`writing.rs`), and is then in the mirror. What others write comes with a message
//! (`hub.rs`) or is fetched (`following.rs`), at least each second. `scripts.rs` has what Redis does in one
//! step, `keys.rs` what is where; `reaper.rs` ends what nobody writes any more, unless a node goes on with
//! it (`orphans.rs`).

mod appending;
mod encoding;
mod exchange;
mod following;
mod hub;
mod index;
mod keys;
mod mirror;
mod orphans;
mod outbox;
mod reading;
mod reaper;
mod record;
mod scripts;
mod writing;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use redis::FromRedisValue;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::appending::Appending;
use self::keys::Keys;
use self::mirror::Mirror;
use self::record::Record;
use self::scripts::Scripts;
use super::{
    Access, Created, Description, Follower, IdempotencyKey, LogError, NewStream, Orphan, Presence,
    Status, StreamLog,
};
use crate::metrics::Timing;
use crate::redis::{Ask, Redis, Refusal, Script, ScriptInvocation};
use crate::stream::{Batch, Owner, StreamId};

/// How long a request may wait for Redis; what has been generated waits for longer.
const REQUEST_PATIENCE: Duration = Duration::from_secs(2);

/// How long a request waits for what Redis has lost, and its writer is about to write again: writers look
/// every three tenths of a lease.
const HEALING: Duration = Duration::from_secs(4);

/// A stream that was created so short a time ago may be among what a failover has lost.
const YOUNG: Duration = Duration::from_secs(30);

/// For how much longer than its entries an ended stream is remembered, so that its owner hears that it
/// has expired.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The sizes and times of a [`RedisLog`].
#[derive(Clone)]
pub struct RedisLogConfig {
    /// What the names of all keys begin with.
    pub prefix: String,
    /// How long a stream is kept after its terminal entry.
    pub retention: Duration,
    /// Bytes that one stream may take.
    pub max_stream_bytes: usize,
    /// How long a writer that says nothing is believed to live.
    pub lease: Duration,
    /// How long what was generated waits for a Redis that is away.
    pub patience: Duration,
    /// How long a stream can be live.
    pub most_life: Duration,
}

impl RedisLogConfig {
    fn remembered(&self) -> Duration {
        self.retention + REMEMBERED
    }
}

impl From<Refusal> for LogError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Away => Self::Unavailable,
            Refusal::Full => Self::Full,
        }
    }
}

/// The backend of [`StreamLog`] for several nodes.
pub struct RedisLog {
    inner: Arc<Inner>,
    /// Ends what this node has under way.
    _stop: DropGuard,
}

struct Inner {
    config: RedisLogConfig,
    keys: Keys,
    /// Names this node, in this run.
    node: String,
    scripts: Scripts,
    redis: Arc<Redis>,
    hub: mpsc::Sender<hub::Request>,
    appending: Arc<Appending>,
    /// How long Redis took to append.
    appends: Timing,
    mirrors: Mutex<HashMap<StreamId, Weak<Mirror>>>,
    tasks: TaskTracker,
    stopped: CancellationToken,
}

impl RedisLog {
    /// A log on this Redis, which need not be there yet.
    #[must_use]
    pub fn new(redis: Arc<Redis>, config: RedisLogConfig) -> Self {
        let (hub, requests) = mpsc::channel(hub::QUEUE);
        let stopped = CancellationToken::new();
        let inner = Arc::new(Inner {
            keys: Keys::new(config.prefix.clone()),
            config,
            node: uuid::Uuid::new_v4().simple().to_string(),
            scripts: Scripts::new(),
            appending: Arc::new(Appending::new(redis.is_cluster())),
            appends: Timing::default(),
            redis,
            hub,
            mirrors: Mutex::default(),
            tasks: TaskTracker::new(),
            stopped: stopped.clone(),
        });
        inner.spawn(hub::run(Arc::downgrade(&inner), requests));
        inner.spawn(reaper::run(Arc::downgrade(&inner)));
        inner.appending.start(&inner);
        Self {
            inner,
            _stop: stopped.drop_guard(),
        }
    }
}

impl RedisLog {
    /// What this node holds now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mirrors: Vec<_> = self.inner.mirrors().values().cloned().collect();
        let (mut streams, mut bytes) = (0, 0);
        for mirror in mirrors.iter().filter_map(Weak::upgrade) {
            streams += 1;
            bytes += mirror.open.state().bytes as u64;
        }
        Figures {
            streams,
            bytes,
            appends: self.inner.appends.clone(),
        }
    }
}

/// What a node holds of streams that are in Redis, for metrics.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Streams that are read or written here.
    pub streams: u64,
    /// Bytes that they take here.
    pub bytes: u64,
    /// How long appending took.
    pub appends: Timing,
}

impl Inner {
    /// Runs a task on the thread of Redis, at most until the log is dropped.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stopped = self.stopped.clone();
        let task = async move { _ = stopped.run_until_cancelled(task).await };
        self.tasks.spawn_on(task, self.redis.runtime());
    }

    fn mirrors(&self) -> MutexGuard<'_, HashMap<StreamId, Weak<Mirror>>> {
        self.mirrors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mirror(&self, id: StreamId) -> Option<Arc<Mirror>> {
        self.mirrors().get(&id)?.upgrade()
    }

    /// A mirror for who succeeds the writer of another node. What was written here before is another's:
    /// its writer may still be there.
    fn mirror_to_write(self: &Arc<Self>, id: StreamId) -> Arc<Mirror> {
        let mirror = self.mirror_or_new(id);
        if !mirror.was_written() {
            return mirror;
        }
        let fresh = Mirror::read(id, self);
        self.mirrors().insert(id, Arc::downgrade(&fresh));
        fresh
    }

    /// The stream's mirror here, which may be new and know nothing.
    fn mirror_or_new(self: &Arc<Self>, id: StreamId) -> Arc<Mirror> {
        let fresh = Mirror::read(id, self);
        // Nothing is dropped while the table is locked: dropping a mirror locks it.
        let mut mirrors = self.mirrors();
        if let Some(mirror) = mirrors.get(&id).and_then(Weak::upgrade) {
            if mirror.open.state().lost.is_none() {
                drop(mirrors);
                return mirror;
            }
            mirrors.insert(id, Arc::downgrade(&fresh));
            drop(mirrors);
            return fresh;
        }
        mirrors.insert(id, Arc::downgrade(&fresh));
        fresh
    }

    /// Forgets a mirror that is gone, unless another has taken its place.
    fn forget(&self, id: StreamId, gone: &Weak<Mirror>) {
        let mut mirrors = self.mirrors();
        if mirrors.get(&id).is_some_and(|held| held.ptr_eq(gone)) {
            mirrors.remove(&id);
        }
    }

    /// Messages may have been lost.
    fn wake_all(&self) {
        let mirrors: Vec<_> = self.mirrors().values().filter_map(Weak::upgrade).collect();
        for mirror in mirrors {
            mirror.look();
        }
    }

    /// A script with the keys of a stream, and its id as the first argument.
    fn on_stream<'a>(&self, script: &'a Script, id: StreamId) -> ScriptInvocation<'a> {
        let mut script = script.prepare_invoke();
        script
            .key(self.keys.meta(id))
            .key(self.keys.entries(id))
            .key(self.keys.leases(keys::partition(id)))
            .key(self.keys.readers(id))
            .key(self.keys.left(keys::partition(id)))
            .arg(id.to_string());
        script
    }

    async fn ask<T: FromRedisValue>(
        &self,
        patience: Duration,
        ask: Ask<'_>,
    ) -> Result<T, LogError> {
        Ok(self.redis.ask(patience, ask).await?)
    }

    /// What Redis knows of a stream, whoever asks.
    async fn record(&self, id: StreamId) -> Result<Record, LogError> {
        let mut script = self.scripts.describe.prepare_invoke();
        script.key(self.keys.meta(id)).key(self.keys.entries(id));
        for field in record::FIELDS {
            script.arg(field);
        }
        self.ask(REQUEST_PATIENCE, Ask::Script(&script)).await
    }

    /// What Redis knows of a stream that the caller may touch.
    async fn find_record(&self, access: Access<'_>, id: StreamId) -> Result<Record, LogError> {
        let started = Instant::now();
        loop {
            let record = self.record(id).await?;
            // A failover may have lost it; then its writer makes it again.
            let failed_over = || self.redis.up_for().is_none_or(|up| up < YOUNG);
            let waits = record.is_unknown() && id.is_younger_than(YOUNG) && failed_over();
            if waits && started.elapsed() < HEALING {
                sleep(HEALING / 40).await;
                continue;
            }
            record.check(access)?;
            return Ok(record);
        }
    }
}

impl StreamLog for RedisLog {
    fn create(&self, new: NewStream) -> BoxFuture<'_, Result<Created, LogError>> {
        self.inner.create(new).boxed()
    }

    fn follow<'a>(
        &'a self,
        access: Access<'a>,
        id: StreamId,
        after: Option<u64>,
        presence: Presence,
    ) -> BoxFuture<'a, Result<Follower, LogError>> {
        self.inner.follow(access, id, after, presence).boxed()
    }

    fn read<'a>(
        &'a self,
        access: Access<'a>,
        id: StreamId,
        after: Option<u64>,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Batch, LogError>> {
        self.inner.read(access, id, after, max_bytes).boxed()
    }

    fn describe<'a>(
        &'a self,
        access: Access<'a>,
        id: StreamId,
    ) -> BoxFuture<'a, Result<Description, LogError>> {
        async move { Ok(self.inner.find_record(access, id).await?.describe(id)) }.boxed()
    }

    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        status: Option<Status>,
        after: Option<StreamId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Description>, LogError>> {
        self.inner.list(owner, status, after, limit).boxed()
    }

    fn find<'a>(
        &'a self,
        owner: &'a Owner,
        key: &'a IdempotencyKey,
    ) -> BoxFuture<'a, Result<Option<StreamId>, LogError>> {
        self.inner.find(owner, key).boxed()
    }

    fn cancel<'a>(
        &'a self,
        access: Access<'a>,
        id: StreamId,
    ) -> BoxFuture<'a, Result<(), LogError>> {
        self.inner.cancel(access, id).boxed()
    }

    fn remove<'a>(
        &'a self,
        access: Access<'a>,
        id: StreamId,
    ) -> BoxFuture<'a, Result<(), LogError>> {
        self.inner.remove(access, id).boxed()
    }

    fn find_orphans(&self, found: mpsc::Sender<Orphan>) -> BoxFuture<'_, ()> {
        self.inner.find_orphans(found).boxed()
    }

    fn is_ready(&self) -> bool {
        self.inner.redis.up_for().is_some()
    }
}

#[cfg(test)]
mod tests;
