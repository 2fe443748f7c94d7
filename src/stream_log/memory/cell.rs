//! One stream in memory: an open stream that counts its bytes and knows its log.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::Shared;
use crate::stream::{Batch, Entry, Owner, Start, Terminal};
use crate::stream_log::open::{Open, producer_lost};
use crate::stream_log::{
    Attendance, Control, Description, LogError, NewStream, OpenStream, Place, Status, is_void,
};

/// What a stream takes beside its entries: the cell, its places in the index, its owner's name.
const OVERHEAD_BYTES: usize = 1024;

/// One stream. What each token touches comes first.
#[repr(C)]
pub(super) struct Cell {
    open: Open<Arc<Shared>>,
    about: Box<NewStream>,
    /// This cell, for a log that need not keep it.
    this: Weak<Cell>,
}

impl Cell {
    pub(super) fn new(new: NewStream, shared: Arc<Shared>) -> Arc<Self> {
        let metadata: usize = new.metadata.iter().map(|(k, v)| k.len() + v.len()).sum();
        let mut start = Batch::default();
        start.push_start(&Start {
            stream: new.id,
            model: new.model.clone(),
            created: new.created,
        });
        Arc::new_cyclic(|this| {
            let open = Open::new(shared, &start, OVERHEAD_BYTES + metadata);
            // Only counted: the caller holds the index and has just made room.
            let bytes = open.state().bytes;
            open.backend.bytes.fetch_add(bytes, Ordering::Relaxed);
            Self {
                open,
                about: Box::new(new),
                this: Weak::clone(this),
            }
        })
    }

    pub(super) fn owner(&self) -> &Owner {
        &self.about.owner
    }

    pub(super) fn idempotency_key(&self) -> Option<&str> {
        Some(&self.about.idempotency.as_ref()?.key)
    }

    pub(super) fn status(&self) -> Status {
        self.open.status()
    }

    /// Whether the stream has given up its key.
    pub(super) fn is_void(&self) -> bool {
        let state = self.open.state();
        is_void(state.entries.next_seq() - 1, state.terminal.as_deref())
    }

    pub(super) fn describe(&self) -> Description {
        let state = self.open.state();
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
            Some(seq) if seq >= self.open.next_seq() => Err(LogError::BeyondEnd),
            _ => Ok(()),
        }
    }

    /// How many entries there are from this one on.
    pub(super) fn backlog(&self, next: u64) -> u64 {
        self.open.next_seq().saturating_sub(next)
    }

    /// A place for one more follower.
    pub(super) fn join(&self) -> usize {
        self.open.join()
    }

    pub(super) fn copy(
        &self,
        from: u64,
        into: &mut Batch,
        max_bytes: usize,
    ) -> Result<(), LogError> {
        let state = self.open.state();
        if let Some(lost) = &state.lost {
            return Err(lost.clone());
        }
        state.entries.copy(from, into, max_bytes);
        Ok(())
    }

    pub(super) fn cancel(&self) {
        self.open.cancel();
    }

    /// Gives back the memory of a stream that has ended and is no longer in the log, whoever still
    /// reads it.
    pub(super) fn evict(&self) {
        let mut state = self.open.state();
        state.entries.clear();
        self.open.lose(&mut state, LogError::Evicted);
        self.open.backend.shrink(std::mem::take(&mut state.bytes));
    }

    /// Adds entries to a live stream; all of them or none.
    fn append(&self, batch: &mut Batch) -> Result<(), LogError> {
        let terminal = batch
            .entries()
            .next_back()
            .and_then(|last| Entry::terminal(&last));
        // Of all that is appended, the end alone is measured: looking at a clock costs as much as a token.
        let began = terminal.is_some().then(Instant::now);
        let bytes = batch.bytes();
        let shared = &self.open.backend;
        // Outside of the stream's lock, since it may evict other streams. An end always has room.
        if !shared.reserve(bytes) && terminal.is_none() {
            shared.shrink(bytes);
            return Err(LogError::Full);
        }
        let added = self.add(batch, terminal.as_ref());
        if added.is_err() {
            shared.shrink(bytes);
        }
        added?;
        batch.reset(0);
        if let Some(began) = began {
            shared.ended(self.about.id, &self.this, Instant::now());
            shared.appends.record(began.elapsed());
        }
        Ok(())
    }

    fn add(&self, batch: &Batch, terminal: Option<&Terminal>) -> Result<(), LogError> {
        let mut state = self.open.state();
        if state.terminal.is_some() || state.lost.is_some() {
            return Err(LogError::Closed);
        }
        let limit = self.open.backend.config.max_stream_bytes;
        if terminal.is_none() && state.bytes + batch.bytes() > limit {
            return Err(LogError::TooLarge);
        }
        self.open
            .add(&mut state, batch, batch.first_seq(), terminal);
        Ok(())
    }
}

impl OpenStream for Cell {
    fn poll_flush(&self, _: &mut Context<'_>, pending: &mut Batch) -> Poll<Result<(), LogError>> {
        if pending.is_empty() {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(self.append(pending))
    }

    fn poll_control(&self, context: &mut Context<'_>) -> Poll<Control> {
        self.open.poll_control(context)
    }

    fn readers(&self) -> u64 {
        self.open.readers()
    }

    fn attendance(&self) -> Attendance {
        self.open.attendance()
    }

    fn lose_writer(&self) {
        self.open.forget_writer();
        if self.status() != Status::Running {
            return;
        }
        let mut last = Batch::default();
        last.push_terminal(&producer_lost());
        if self.append(&mut last).is_ok() {
            tracing::error!(stream.id = %self.about.id, "A stream's producer went away without closing it");
        }
    }

    fn poll_read(
        &self,
        place: &mut Place,
        context: &mut Context<'_>,
        batch: &mut Batch,
        max_bytes: usize,
    ) -> Poll<Result<bool, LogError>> {
        self.open.poll_read(place, context, batch, max_bytes)
    }

    fn leave(&self, place: &Place) {
        self.open.leave(place);
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let bytes = *self.open.bytes_mut();
        self.open.backend.shrink(bytes);
    }
}
