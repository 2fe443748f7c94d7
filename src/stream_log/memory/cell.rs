//! One stream in memory: its entries, and who waits for what.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use slab::Slab;
use tokio::time::Instant;

use super::Shared;
use crate::stream::{Batch, Entry, Owner, Start, StreamId, Terminal};
use crate::stream_log::{Description, LogError, NewStream, Presence, Status};

/// Entries lie in segments of about this many bytes, so that a growing stream is never copied.
const SEGMENT_BYTES: usize = 4096;

/// What a stream takes beside its entries: the cell, its places in the index, its owner's name.
const OVERHEAD_BYTES: usize = 1024;

/// One stream. Its lock is held for the time of copying a batch, never across an await.
pub(super) struct Cell {
    new: NewStream,
    shared: Arc<Shared>,
    state: Mutex<State>,
}

pub(super) struct State {
    segments: Vec<Batch>,
    bytes: usize,
    pub(super) next_seq: u64,
    pub(super) terminal: Option<Terminal>,
    pub(super) evicted: bool,
    pub(super) cancelled: bool,
    /// A slot for each follower.
    pub(super) followers: Slab<Waiting>,
    pub(super) followers_ever: u64,
    pub(super) last_to_leave: Presence,
    pub(super) writer: Waiting,
}

impl State {
    pub(super) fn wake_writer(&mut self) {
        self.writer.wake();
    }

    fn wake_followers(&mut self) {
        for (_, follower) in &mut self.followers {
            follower.wake();
        }
    }

    /// Adds entries to the last segment, or to a new one.
    fn add(&mut self, batch: &Batch) {
        let mut from = 0;
        while from < batch.next_seq() {
            if self
                .segments
                .last()
                .is_none_or(|last| last.bytes() >= SEGMENT_BYTES)
            {
                if let Some(full) = self.segments.last_mut() {
                    full.shrink_to_fit();
                }
                self.segments.push(Batch::starting_at(self.next_seq));
            }
            let Some(last) = self.segments.last_mut() else {
                break;
            };
            let segment_before = last.bytes();
            let taken = last.extend_from(batch, from, SEGMENT_BYTES) as u64;
            self.bytes += last.bytes() - segment_before;
            if taken == 0 {
                // The next entry does not fit beside what is there; it gets a segment of its own.
                last.shrink_to_fit();
                self.segments.push(Batch::starting_at(self.next_seq));
                continue;
            }
            from += taken;
            self.next_seq += taken;
        }
    }

    pub(super) fn copy(&self, from: u64, into: &mut Batch, max_bytes: usize) {
        into.reset(from);
        let at = self
            .segments
            .partition_point(|segment| segment.next_seq() <= from);
        for segment in &self.segments[at..] {
            let next = into.next_seq();
            into.extend_from(segment, next, max_bytes);
            if into.next_seq() < segment.next_seq() {
                return;
            }
        }
    }
}

impl Cell {
    pub(super) fn new(new: NewStream, shared: Arc<Shared>) -> Self {
        let metadata: usize = new.metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
        let mut state = State {
            segments: Vec::new(),
            bytes: OVERHEAD_BYTES + metadata,
            next_seq: 0,
            terminal: None,
            evicted: false,
            cancelled: false,
            followers: Slab::new(),
            followers_ever: 0,
            last_to_leave: Presence::Connected,
            writer: Waiting::default(),
        };
        let mut start = Batch::default();
        start.push_start(&Start {
            stream: new.id,
            model: new.model.clone(),
            created: new.created,
        });
        state.add(&start);
        // Only counted: the caller holds the index and has just made room.
        shared
            .bytes
            .fetch_add(state.bytes, std::sync::atomic::Ordering::Relaxed);
        Self {
            new,
            shared,
            state: Mutex::new(state),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn owner(&self) -> &Owner {
        &self.new.owner
    }

    pub(super) fn idempotency_key(&self) -> Option<&str> {
        Some(&self.new.idempotency.as_ref()?.key)
    }

    pub(super) fn status(&self) -> Status {
        match self.state().terminal {
            None => Status::Running,
            Some(Terminal::Done { .. }) => Status::Done,
            Some(Terminal::Error { .. }) => Status::Error,
        }
    }

    pub(super) fn describe(&self) -> Description {
        let state = self.state();
        Description {
            id: self.new.id,
            model: self.new.model.clone(),
            created: self.new.created,
            metadata: self.new.metadata.clone(),
            last_seq: state.next_seq - 1,
            terminal: state.terminal.clone(),
        }
    }

    pub(super) fn check_cursor(&self, after: Option<u64>) -> Result<(), LogError> {
        match after {
            Some(seq) if seq >= self.state().next_seq => Err(LogError::BeyondEnd),
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
        state.copy(from, into, max_bytes);
        Ok(())
    }

    pub(super) fn cancel(&self) {
        let mut state = self.state();
        if state.terminal.is_none() {
            state.cancelled = true;
            state.wake_writer();
        }
    }

    /// Gives back the memory of a stream that is no longer in the log, whoever still reads it.
    pub(super) fn evict(&self) {
        let mut state = self.state();
        state.segments = Vec::new();
        state.evicted = true;
        state.wake_followers();
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
            self.shared.ended(self.new.id, Instant::now());
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
        state.add(batch);
        if let Some(terminal) = terminal {
            state.terminal = Some(terminal.clone());
            if let Some(last) = state.segments.last_mut() {
                last.shrink_to_fit();
            }
        }
        state.wake_followers();
        Ok(())
    }

    pub(super) fn id(&self) -> StreamId {
        self.new.id
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.shared.shrink(state.bytes);
    }
}

/// Somebody who may wait. The waker is kept when it is used: the same task waits again and again.
#[derive(Default)]
pub(super) struct Waiting {
    waker: Option<Waker>,
    waits: bool,
}

impl Waiting {
    /// The task of this context waits.
    pub(super) fn wait(&mut self, context: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => self.waker = Some(context.waker().clone()),
        }
        self.waits = true;
    }

    /// Wakes whoever waits.
    pub(super) fn wake(&mut self) {
        if std::mem::take(&mut self.waits)
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }
}
