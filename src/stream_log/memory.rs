//! The embedded log: every stream in this process's memory, nothing on disk.
//!
//! The index of streams lies behind one lock, which is taken when a stream is created, found,
//! ended or removed, but never for a token: writers and followers hold their stream's own cell.
//!
//! A finished stream is kept for its retention, and for whoever still reads it then; or until the
//! byte ceiling needs its room (the oldest finished goes first, and its readers' connections break).
//! A live stream is never evicted.

mod cell;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{self, BoxFuture};
use tokio::time::Instant;

use self::cell::Cell;
use super::{
    Access, Created, Description, Follower, IdempotencyKey, LogError, NewStream, Presence, Status,
    StreamLog, Writer,
};
use crate::metrics::Timing;
use crate::stream::{Batch, Owner, StreamId};

/// How many expired streams are remembered, so that their owners get 410 and not 404.
const REMEMBERED_EXPIRED: usize = 65_536;

/// The sizes and times of a [`MemoryLog`].
#[derive(Debug, Clone, Copy)]
pub struct MemoryConfig {
    /// How long a stream is kept after its terminal entry.
    pub retention: Duration,
    /// Bytes that all streams may take together.
    pub max_bytes: usize,
    /// Bytes that one stream may take.
    pub max_stream_bytes: usize,
}

/// The embedded backend of [`StreamLog`]. Cloning it gives another handle on the same log.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

struct Shared {
    config: MemoryConfig,
    bytes: AtomicUsize,
    index: Mutex<Index>,
    /// Streams that were forgotten for want of memory.
    evicted: AtomicU64,
    /// How long it took to append the ends of streams.
    appends: Timing,
}

/// What a log holds now, for metrics.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Streams in it.
    pub streams: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Streams that were forgotten for want of memory, so far.
    pub evicted: u64,
    /// How long appending took.
    pub appends: Timing,
}

#[derive(Default)]
struct Index {
    streams: HashMap<StreamId, Arc<Cell>>,
    by_owner: HashMap<Owner, BTreeSet<StreamId>>,
    by_key: HashMap<(Owner, String), (StreamId, [u8; 32])>,
    /// Streams that have ended, oldest first. May name streams that were removed since.
    finished: VecDeque<(Instant, StreamId)>,
    /// Streams that have ended, are out of the tables, and may still be read by somebody: oldest first.
    detached: VecDeque<Weak<Cell>>,
    /// Whose the expired streams were, and why they are gone.
    expired: HashMap<StreamId, (Owner, LogError)>,
    expired_order: VecDeque<StreamId>,
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new(config: MemoryConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                bytes: AtomicUsize::new(0),
                index: Mutex::default(),
                evicted: AtomicU64::new(0),
                appends: Timing::default(),
            }),
        }
    }

    /// Bytes that the streams take now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// What it holds now.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            streams: self.shared.index().streams.len() as u64,
            bytes: self.bytes() as u64,
            evicted: self.shared.evicted.load(Ordering::Relaxed),
            appends: self.shared.appends.clone(),
        }
    }

    /// Drops the streams whose retention has passed at `now`. To be called about once a second.
    pub fn sweep(&self, now: Instant) {
        let mut index = self.shared.index();
        index.detached.retain(|cell| cell.strong_count() > 0);
        while let Some(&(ended, id)) = index.finished.front() {
            if now.saturating_duration_since(ended) < self.shared.config.retention {
                return;
            }
            index.finished.pop_front();
            if let Some(cell) = index.expire(id, LogError::Expired) {
                index.detach(&cell);
            }
        }
    }

    fn open(
        &self,
        access: Access<'_>,
        id: StreamId,
        after: Option<u64>,
        presence: Presence,
    ) -> Result<Follower, LogError> {
        let cell = self.shared.index().cell(access, id)?;
        cell.check_cursor(after)?;
        let slot = cell.join();
        let next = after.map_or(0, |seq| seq + 1);
        let backlog = cell.backlog(next);
        Ok(Follower::new(cell, slot, next, presence).behind(backlog))
    }
}

impl Shared {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called by a cell when its terminal entry has been written.
    fn ended(&self, id: StreamId, cell: &Weak<Cell>, now: Instant) {
        let mut index = self.index();
        if index.streams.contains_key(&id) {
            index.finished.push_back((now, id));
        } else {
            // It was deleted while it lived, and is the ceiling's to take only now.
            index.detached.push_back(Weak::clone(cell));
        }
    }

    /// Evicts, while the ceiling is exceeded, what the log has let go and readers still hold, then
    /// finished streams, oldest first. Answers whether there is room now.
    fn make_room(&self, index: &mut Index) -> bool {
        while self.bytes.load(Ordering::Relaxed) >= self.config.max_bytes {
            let next = match index.detached.pop_front() {
                Some(cell) => cell.upgrade(),
                None => match index.finished.pop_front() {
                    Some((_, id)) => index.expire(id, LogError::Evicted),
                    None => return false,
                },
            };
            if let Some(cell) = next {
                self.evicted.fetch_add(1, Ordering::Relaxed);
                cell.evict();
            }
        }
        true
    }

    /// Counts bytes that a stream is about to take; past the ceiling, others make room. Answers
    /// whether there is room; the bytes are counted in any case.
    fn reserve(&self, bytes: usize) -> bool {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        before + bytes < self.config.max_bytes || self.make_room(&mut self.index())
    }

    fn shrink(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Index {
    /// The stream's cell, if the caller may touch it.
    fn cell(&self, access: Access<'_>, id: StreamId) -> Result<Arc<Cell>, LogError> {
        let (found, owner) = match (self.streams.get(&id), self.expired.get(&id)) {
            (Some(cell), _) => (Ok(Arc::clone(cell)), cell.owner()),
            (None, Some((owner, why))) => (Err(why.clone()), owner),
            (None, None) => return Err(LogError::Missing),
        };
        match access {
            Access::Owner(caller) if caller != owner => Err(LogError::Foreign),
            Access::Owner(_) | Access::Operator => found,
        }
    }

    fn find(&self, owner: &Owner, key: &IdempotencyKey) -> Result<Option<StreamId>, LogError> {
        // A tuple of references cannot look up a tuple of values; this path is not hot.
        let Some((id, fingerprint)) = self.by_key.get(&(owner.clone(), key.key.clone())) else {
            return Ok(None);
        };
        // Its cell is asked, and not a table that its end would change: whoever has read the end
        // finds the key free.
        if self.streams.get(id).is_none_or(|cell| cell.is_void()) {
            return Ok(None);
        }
        if *fingerprint == key.fingerprint {
            Ok(Some(*id))
        } else {
            Err(LogError::KeyReused)
        }
    }

    /// Takes the stream out of every table.
    fn take(&mut self, id: StreamId) -> Option<Arc<Cell>> {
        let cell = self.streams.remove(&id)?;
        if let Some(ids) = self.by_owner.get_mut(cell.owner()) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_owner.remove(cell.owner());
            }
        }
        if let Some(key) = cell.idempotency_key() {
            let key = (cell.owner().clone(), key.to_owned());
            // Another stream has it since this one gave it up.
            if self
                .by_key
                .get(&key)
                .is_some_and(|(holder, _)| *holder == id)
            {
                self.by_key.remove(&key);
            }
        }
        Some(cell)
    }

    /// Remembers an ended stream that readers may still hold, so that the ceiling can take it from
    /// them.
    fn detach(&mut self, cell: &Arc<Cell>) {
        self.detached.push_back(Arc::downgrade(cell));
    }

    /// Forgets an ended stream, but remembers whose it was, and why.
    fn expire(&mut self, id: StreamId, why: LogError) -> Option<Arc<Cell>> {
        let cell = self.take(id)?;
        if self.expired_order.len() >= REMEMBERED_EXPIRED
            && let Some(oldest) = self.expired_order.pop_front()
        {
            self.expired.remove(&oldest);
        }
        self.expired.insert(id, (cell.owner().clone(), why));
        self.expired_order.push_back(id);
        Some(cell)
    }
}

impl StreamLog for MemoryLog {
    fn create(&self, new: NewStream) -> BoxFuture<'_, Result<Created, LogError>> {
        let created = (|| {
            let mut index = self.shared.index();
            if let Some(key) = &new.idempotency
                && let Some(existing) = index.find(&new.owner, key)?
            {
                return Ok(Created::Existing(existing));
            }
            if !self.shared.make_room(&mut index) {
                return Err(LogError::Full);
            }
            let (id, owner) = (new.id, new.owner.clone());
            if let Some(key) = &new.idempotency {
                index
                    .by_key
                    .insert((owner.clone(), key.key.clone()), (id, key.fingerprint));
            }
            let cell = Cell::new(new, Arc::clone(&self.shared));
            index.by_owner.entry(owner).or_default().insert(id);
            index.streams.insert(id, Arc::clone(&cell));
            Ok(Created::New(Writer::new(cell)))
        })();
        future::ready(created).boxed()
    }

    fn follow<'a>(
        &'a self,
        access: Access<'a>,
        id: StreamId,
        after: Option<u64>,
        presence: Presence,
    ) -> BoxFuture<'a, Result<Follower, LogError>> {
        future::ready(self.open(access, id, after, presence)).boxed()
    }

    fn read<'a>(
        &'a self,
        access: Access<'a>,
        id: StreamId,
        after: Option<u64>,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Batch, LogError>> {
        let cell = self.shared.index().cell(access, id);
        let batch = cell.and_then(|cell| {
            cell.check_cursor(after)?;
            let mut batch = Batch::default();
            cell.copy(after.map_or(0, |seq| seq + 1), &mut batch, max_bytes)?;
            Ok(batch)
        });
        future::ready(batch).boxed()
    }

    fn describe<'a>(
        &'a self,
        access: Access<'a>,
        id: StreamId,
    ) -> BoxFuture<'a, Result<Description, LogError>> {
        let cell = self.shared.index().cell(access, id);
        future::ready(cell.map(|cell| cell.describe())).boxed()
    }

    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        status: Option<Status>,
        after: Option<StreamId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Description>, LogError>> {
        let cells: Vec<Arc<Cell>> = {
            let index = self.shared.index();
            let older = (
                Bound::Unbounded,
                after.map_or(Bound::Unbounded, Bound::Excluded),
            );
            let ids = index.by_owner.get(owner);
            ids.into_iter()
                .flat_map(|ids| ids.range(older).rev())
                .filter_map(|id| index.streams.get(id).cloned())
                .filter(|cell| status.is_none_or(|wanted| cell.status() == wanted))
                .take(limit)
                .collect()
        };
        future::ready(Ok(cells.iter().map(|cell| cell.describe()).collect())).boxed()
    }

    fn find<'a>(
        &'a self,
        owner: &'a Owner,
        key: &'a IdempotencyKey,
    ) -> BoxFuture<'a, Result<Option<StreamId>, LogError>> {
        future::ready(self.shared.index().find(owner, key)).boxed()
    }

    fn cancel<'a>(
        &'a self,
        access: Access<'a>,
        id: StreamId,
    ) -> BoxFuture<'a, Result<(), LogError>> {
        let cell = self.shared.index().cell(access, id);
        future::ready(cell.map(|cell| cell.cancel())).boxed()
    }

    fn remove<'a>(
        &'a self,
        access: Access<'a>,
        id: StreamId,
    ) -> BoxFuture<'a, Result<(), LogError>> {
        let removed = {
            let mut index = self.shared.index();
            let cell = index.cell(access, id);
            if let Ok(cell) = &cell {
                index.take(id);
                // A live stream is never evicted, found or not: its end detaches it.
                if cell.status() != Status::Running {
                    index.detach(cell);
                }
            }
            cell
        };
        future::ready(removed.map(|cell| cell.cancel())).boxed()
    }
}

#[cfg(test)]
mod tests;
