//! The writer of a stream in memory: what its producer holds.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::cell::Cell;
use super::waiting::Waiting;
use crate::stream::{Batch, Failure, FailureCode, Terminal, Usage};
use crate::stream_log::{Control, LogError, Status, Writer};

/// The writer of a stream in memory.
pub(super) struct MemoryWriter {
    cell: Arc<Cell>,
    told_cancelled: bool,
    told_attendance: Option<Control>,
    /// The cell's signal when all was told and the writer began to wait.
    told_at: Option<u32>,
}

impl MemoryWriter {
    pub(super) fn new(cell: Arc<Cell>) -> Self {
        Self {
            cell,
            told_cancelled: false,
            told_attendance: None,
            told_at: None,
        }
    }
}

impl Writer for MemoryWriter {
    fn poll_flush(
        &mut self,
        _: &mut Context<'_>,
        pending: &mut Batch,
    ) -> Poll<Result<(), LogError>> {
        if pending.is_empty() {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(self.cell.append(pending))
    }

    fn poll_control(&mut self, context: &mut Context<'_>) -> Poll<Control> {
        let signal = self.cell.signal();
        if self.told_at == Some(signal) {
            return Poll::Pending;
        }
        let mut state = self.cell.state();
        if state.cancelled && !self.told_cancelled {
            self.told_cancelled = true;
            return Poll::Ready(Control::Cancel);
        }
        // Nobody has left a stream that nobody has read yet.
        let attendance = match (state.followers_ever, state.followers.is_empty()) {
            (0, _) => None,
            (_, false) => Some(Control::Attended),
            (_, true) => Some(Control::Deserted(state.last_to_leave)),
        };
        if let Some(control) = attendance
            && attendance != self.told_attendance
        {
            self.told_attendance = attendance;
            return Poll::Ready(control);
        }
        state.writer.wait(context);
        self.told_at = Some(signal);
        Poll::Pending
    }

    fn readers(&self) -> u64 {
        self.cell.state().followers_ever
    }
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        // The kept waker would keep the producer's task.
        self.cell.state().writer = Waiting::default();
        if self.cell.status() != Status::Running {
            return;
        }
        let mut last = Batch::default();
        last.push_terminal(&Terminal::Error {
            error: Failure::new(
                FailureCode::ProducerLost,
                "the process that produced this stream is gone",
            ),
            usage: Usage::default(),
        });
        if self.cell.append(&mut last).is_ok() {
            tracing::error!(stream.id = %self.cell.id(), "A stream's producer went away without closing it");
        }
    }
}
