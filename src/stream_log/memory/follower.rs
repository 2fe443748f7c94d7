//! A follower of a stream in memory: what each of its readers holds.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::cell::{Cell, Waiting};
use crate::stream::Batch;
use crate::stream_log::{Follower, LogError, Presence};

/// A reader's place in a stream in memory: the cell and a number.
pub(super) struct MemoryFollower {
    cell: Arc<Cell>,
    next: u64,
    slot: usize,
    presence: Presence,
}

impl MemoryFollower {
    pub(super) fn new(cell: Arc<Cell>, after: Option<u64>, presence: Presence) -> Self {
        let slot = {
            let mut state = cell.state();
            state.followers_ever += 1;
            if state.followers.is_empty() {
                state.wake_writer();
            }
            state.followers.insert(Waiting::default())
        };
        Self {
            cell,
            next: after.map_or(0, |seq| seq + 1),
            slot,
            presence,
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
        let mut state = self.cell.state();
        if self.next < state.next_seq && state.evicted {
            return Poll::Ready(Err(LogError::Expired));
        }
        if self.next < state.next_seq {
            state.copy(self.next, batch, max_bytes);
            self.next = batch.next_seq();
            return Poll::Ready(Ok(true));
        }
        if state.terminal.is_some() {
            return Poll::Ready(Ok(false));
        }
        if let Some(slot) = state.followers.get_mut(self.slot) {
            slot.wait(context);
        }
        Poll::Pending
    }
}

impl Drop for MemoryFollower {
    fn drop(&mut self) {
        let mut state = self.cell.state();
        state.followers.try_remove(self.slot);
        if state.followers.is_empty() {
            state.last_to_leave = self.presence;
            state.followers.shrink_to_fit();
            state.wake_writer();
        }
    }
}
