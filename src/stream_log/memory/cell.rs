//! One stream in memory: its entries, how it ended, and who waits for what.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::time::Instant;

use super::Shared;
use super::segments::Segments;
use super::waiting::{Followers, Waiting};
use crate::stream::{Batch, Entry, Owner, Start, StreamId, Terminal};
use crate::stream_log::{Control, Description, LogError, NewStream, Presence, Status, is_void};

/// What a stream takes beside its entries: the cell, its places in the index, its owner's name.
const OVERHEAD_BYTES: usize = 1024;

/// One stream. Its lock is held for the time of copying a batch, never across an await.
///
/// What each token touches lies together, here and in [`State`]: a line of memory that is not in the
/// processor's cache costs more than all that is done with it.
#[repr(C)]
pub(super) struct Cell {
    /// Whether there may be something that the writer has not been told, so that it looks without
    /// the lock.
    news: AtomicBool,
    /// The sequence number of the next entry, so that followers look without the lock.
    published: AtomicU64,
    shared: Arc<Shared>,
    state: Mutex<State>,
    about: Box<NewStream>,
    /// This cell, for a log that need not keep it.
    this: Weak<Cell>,
}

/// What changes; in this order.
#[repr(C)]
pub(super) struct State {
    pub(super) evicted: bool,
    pub(super) cancelled: bool,
    pub(super) told_cancelled: bool,
    pub(super) terminal: Option<Box<Terminal>>,
    /// What the stream takes in memory.
    bytes: usize,
    pub(super) followers: Followers,
    pub(super) entries: Segments,
    pub(super) followers_ever: u64,
    pub(super) last_to_leave: Presence,
    /// What the writer was told last, and of a leaving, how many followers there had been.
    pub(super) told_attendance: Option<(Control, u64)>,
    pub(super) writer: Waiting,
}

impl Cell {
    /// Whether there may be something to tell the writer.
    pub(super) fn has_news(&self) -> bool {
        self.news.load(Ordering::Acquire)
    }

    /// The writer has been told all that the locked state has, and will be woken for more.
    pub(super) fn all_is_told(&self, _locked: &State) {
        self.news.store(false, Ordering::Release);
    }

    /// There is something to tell the writer.
    pub(super) fn wake_writer(&self, state: &mut State) {
        self.news.store(true, Ordering::Release);
        state.writer.wake();
    }

    /// The sequence number of the next entry.
    pub(super) fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// A place for one more follower.
    pub(super) fn join(&self) -> usize {
        let mut state = self.state();
        state.followers_ever += 1;
        if state.followers.is_empty() {
            self.wake_writer(&mut state);
        }
        state.followers.insert()
    }

    pub(super) fn new(new: NewStream, shared: Arc<Shared>) -> Arc<Self> {
        let metadata: usize = new.metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
        let mut state = State {
            evicted: false,
            cancelled: false,
            told_cancelled: false,
            terminal: None,
            bytes: OVERHEAD_BYTES + metadata,
            followers: Followers::default(),
            entries: Segments::default(),
            followers_ever: 0,
            last_to_leave: Presence::Connected,
            told_attendance: None,
            writer: Waiting::default(),
        };
        let mut start = Batch::default();
        start.push_start(&Start {
            stream: new.id,
            model: new.model.clone(),
            created: new.created,
        });
        state.bytes += state.entries.add(&start);
        // Only counted: the caller holds the index and has just made room.
        shared.bytes.fetch_add(state.bytes, Ordering::Relaxed);
        Arc::new_cyclic(|this| Self {
            news: AtomicBool::new(true),
            published: AtomicU64::new(state.entries.next_seq()),
            shared,
            this: Weak::clone(this),
            state: Mutex::new(state),
            about: Box::new(new),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn owner(&self) -> &Owner {
        &self.about.owner
    }

    pub(super) fn idempotency_key(&self) -> Option<&str> {
        Some(&self.about.idempotency.as_ref()?.key)
    }

    pub(super) fn status(&self) -> Status {
        match self.state().terminal.as_deref() {
            None => Status::Running,
            Some(Terminal::Done { .. }) => Status::Done,
            Some(Terminal::Error { .. }) => Status::Error,
        }
    }

    /// Whether the stream has given up its key.
    pub(super) fn is_void(&self) -> bool {
        let state = self.state();
        is_void(state.entries.next_seq() - 1, state.terminal.as_deref())
    }

    pub(super) fn describe(&self) -> Description {
        let state = self.state();
        Description {
            id: self.about.id,
            model: self.about.model.clone(),
            created: self.about.created,
            metadata: self.about.metadata.clone(),
            last_seq: state.entries.next_seq() - 1,
            terminal: state.terminal.as_deref().cloned(),
        }
    }

    pub(super) fn check_cursor(&self, after: Option<u64>) -> Result<(), LogError> {
        match after {
            Some(seq) if seq >= self.state().entries.next_seq() => Err(LogError::BeyondEnd),
            _ => Ok(()),
        }
    }

    pub(super) fn copy(
        &self,
        from: u64,
        into: &mut Batch,
        max_bytes: usize,
    ) -> Result<(), LogError> {
        let state = self.state();
        if state.evicted {
            return Err(LogError::Expired);
        }
        state.entries.copy(from, into, max_bytes);
        Ok(())
    }

    pub(super) fn cancel(&self) {
        let mut state = self.state();
        if state.terminal.is_none() {
            state.cancelled = true;
            self.wake_writer(&mut state);
        }
    }

    /// Gives back the memory of a stream that has ended and is no longer in the log, whoever still
    /// reads it.
    pub(super) fn evict(&self) {
        let mut state = self.state();
        state.entries.clear();
        state.evicted = true;
        // No follower's place: each looks again, with the lock.
        self.published.store(u64::MAX, Ordering::Release);
        state.followers.wake();
        self.shared.shrink(std::mem::take(&mut state.bytes));
    }

    /// Adds entries to a live stream; all of them or none.
    pub(super) fn append(&self, batch: &mut Batch) -> Result<(), LogError> {
        let terminal = batch
            .entries()
            .next_back()
            .and_then(|last| Entry::terminal(&last));
        let bytes = batch.bytes();
        // Outside of the stream's lock, since it may evict other streams. An end always has room.
        if !self.shared.reserve(bytes) && terminal.is_none() {
            self.shared.shrink(bytes);
            return Err(LogError::Full);
        }
        let added = self.add(batch, terminal.as_ref());
        if added.is_err() {
            self.shared.shrink(bytes);
        }
        added?;
        batch.reset(0);
        if terminal.is_some() {
            self.shared.ended(self.about.id, &self.this, Instant::now());
        }
        Ok(())
    }

    fn add(&self, batch: &Batch, terminal: Option<&Terminal>) -> Result<(), LogError> {
        let mut state = self.state();
        if state.terminal.is_some() || state.evicted {
            return Err(LogError::Closed);
        }
        let limit = self.shared.config.max_stream_bytes;
        if terminal.is_none() && state.bytes + batch.bytes() > limit {
            return Err(LogError::TooLarge);
        }
        state.bytes += state.entries.add(batch);
        self.published
            .store(state.entries.next_seq(), Ordering::Release);
        if let Some(terminal) = terminal {
            state.terminal = Some(Box::new(terminal.clone()));
            state.entries.shrink_to_fit();
        }
        state.followers.wake();
        Ok(())
    }

    pub(super) fn id(&self) -> StreamId {
        self.about.id
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.shared.shrink(state.bytes);
    }
}
