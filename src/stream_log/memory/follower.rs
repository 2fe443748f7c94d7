//! A follower of a stream in memory: what each of its readers holds.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::cell::{Cell, State};
use crate::stream::Batch;
use crate::stream_log::{Follower, LogError, Presence};

/// A reader's place in a stream in memory: the cell and a number.
pub(super) struct MemoryFollower {
    cell: Arc<Cell>,
    next: u64,
    slot: usize,
    presence: Presence,
    /// Who is woken by the next entry, if the last read has asked for that.
    waits: Option<Waker>,
}

impl MemoryFollower {
    pub(super) fn new(cell: Arc<Cell>, after: Option<u64>, presence: Presence) -> Self {
        let slot = {
            let mut state = cell.state();
            state.followers_ever += 1;
            if state.followers.is_empty() {
                cell.wake_writer(&mut state);
            }
            state.followers.insert()
        };
        Self {
            cell,
            next: after.map_or(0, |seq| seq + 1),
            slot,
            presence,
            waits: None,
        }
    }
}

impl MemoryFollower {
    fn wait(waits: &mut Option<Waker>, slot: usize, state: &mut State, context: &Context<'_>) {
        if let Some(slot) = state.followers.get_mut(slot) {
            slot.wait(context);
        }
        match waits {
            Some(waker) => waker.clone_from(context.waker()),
            None => *waits = Some(context.waker().clone()),
        }
    }
}

impl Follower for MemoryFollower {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        batch: &mut Batch,
        max_bytes: usize,
    ) -> Poll<Result<bool, LogError>> {
        let waits = |waker: &Waker| waker.will_wake(context.waker());
        if self.waits.as_ref().is_some_and(waits) && self.cell.published() == self.next {
            return Poll::Pending;
        }
        let mut state = self.cell.state();
        if self.next < state.entries.next_seq() && state.evicted {
            return Poll::Ready(Err(LogError::Expired));
        }
        if self.next < state.entries.next_seq() {
            state.entries.copy(self.next, batch, max_bytes);
            self.next = batch.next_seq();
            // Whoever has read all will come back at once to wait: that needs no second look.
            if self.next == state.entries.next_seq() && state.terminal.is_none() {
                Self::wait(&mut self.waits, self.slot, &mut state, context);
            } else {
                self.waits = None;
            }
            return Poll::Ready(Ok(true));
        }
        if state.terminal.is_some() {
            return Poll::Ready(Ok(false));
        }
        Self::wait(&mut self.waits, self.slot, &mut state, context);
        Poll::Pending
    }
}

impl Drop for MemoryFollower {
    fn drop(&mut self) {
        let mut state = self.cell.state();
        state.followers.remove(self.slot);
        if state.followers.is_empty() {
            state.last_to_leave = self.presence;
            self.cell.wake_writer(&mut state);
        }
    }
}
