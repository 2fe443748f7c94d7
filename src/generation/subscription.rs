//! A reader of one stream: what was logged after its cursor, then what comes.

use std::task::{Context, Poll};

use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::stream::{Batch, StreamId};
use crate::stream_log::{Follower, LogError};

/// One reader's place in one stream. While it lives, the stream is not abandoned.
pub struct Subscription {
    stream: StreamId,
    follower: Follower,
    tail: u64,
    _alive: TaskTrackerToken,
}

impl Subscription {
    pub(super) fn new(stream: StreamId, follower: Follower, alive: TaskTrackerToken) -> Self {
        Self {
            stream,
            tail: follower.tail(),
            follower,
            _alive: alive,
        }
    }

    /// Which stream it reads.
    #[must_use]
    pub const fn stream(&self) -> StreamId {
        self.stream
    }

    /// The sequence number of the last entry that was in the log when this reader came, as far as this
    /// node knew: what comes up to it was generated before.
    #[must_use]
    pub const fn tail(&self) -> u64 {
        self.tail
    }

    /// Waits for entries and replaces what is in `batch` with up to `max_bytes` of them; `false`
    /// after the terminal entry.
    ///
    /// # Errors
    /// The rest cannot be read any more: the connection should be broken, not ended.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        batch: &mut Batch,
        max_bytes: usize,
    ) -> Poll<Result<bool, LogError>> {
        self.follower.poll_read(context, batch, max_bytes)
    }
}
