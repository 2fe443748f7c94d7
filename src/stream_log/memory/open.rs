//! A stream in memory as its writer and its followers see it.

use std::task::{Context, Poll, Waker};

use super::cell::{Cell, State};
use super::waiting::Waiting;
use crate::stream::{Batch, Failure, FailureCode, Terminal, Usage};
use crate::stream_log::{Control, LogError, OpenStream, Place, Status};

impl OpenStream for Cell {
    fn poll_flush(&self, _: &mut Context<'_>, pending: &mut Batch) -> Poll<Result<(), LogError>> {
        if pending.is_empty() {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(self.append(pending))
    }

    fn poll_control(&self, context: &mut Context<'_>) -> Poll<Control> {
        if !self.has_news() {
            return Poll::Pending;
        }
        let mut state = self.state();
        if state.cancelled && !state.told_cancelled {
            state.told_cancelled = true;
            return Poll::Ready(Control::Cancel);
        }
        // Nobody has left a stream that nobody has read yet. Whoever has come and gone since the last
        // look has left it again, so a leaving is told with how many had come by then.
        let attendance = match (state.followers_ever, state.followers.is_empty()) {
            (0, _) => None,
            (_, false) => Some((Control::Attended, 0)),
            (ever, true) => Some((Control::Deserted(state.last_to_leave), ever)),
        };
        if let Some((control, _)) = attendance
            && attendance != state.told_attendance
        {
            state.told_attendance = attendance;
            return Poll::Ready(control);
        }
        state.writer.wait(context);
        self.all_is_told(&state);
        Poll::Pending
    }

    fn readers(&self) -> u64 {
        self.state().followers_ever
    }

    fn lose_writer(&self) {
        // The kept waker would keep the producer's task.
        self.state().writer = Waiting::default();
        if self.status() != Status::Running {
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
        if self.append(&mut last).is_ok() {
            tracing::error!(stream.id = %self.id(), "A stream's producer went away without closing it");
        }
    }

    fn poll_read(
        &self,
        place: &mut Place,
        context: &mut Context<'_>,
        batch: &mut Batch,
        max_bytes: usize,
    ) -> Poll<Result<bool, LogError>> {
        let waits = |waker: &Waker| waker.will_wake(context.waker());
        if self.published() == place.next && place.waits.as_ref().is_some_and(waits) {
            return Poll::Pending;
        }
        let mut state = self.state();
        let is_behind = place.next < state.entries.next_seq();
        // Nothing more will come of an evicted stream: only whoever has read all needs nothing more.
        if state.evicted && (is_behind || state.terminal.is_none()) {
            return Poll::Ready(Err(LogError::Expired));
        }
        if is_behind {
            state.entries.copy(place.next, batch, max_bytes);
            place.next = batch.next_seq();
            // Whoever has read all will come back at once to wait: that needs no second look.
            if place.next == state.entries.next_seq() && state.terminal.is_none() {
                wait(place, &mut state, context);
            } else {
                place.waits = None;
            }
            return Poll::Ready(Ok(true));
        }
        if state.terminal.is_some() {
            return Poll::Ready(Ok(false));
        }
        wait(place, &mut state, context);
        Poll::Pending
    }

    fn leave(&self, place: &Place) {
        let mut state = self.state();
        state.followers.remove(place.slot);
        if state.followers.is_empty() {
            state.last_to_leave = place.presence;
            self.wake_writer(&mut state);
        }
    }
}

fn wait(place: &mut Place, state: &mut State, context: &Context<'_>) {
    if let Some(slot) = state.followers.get_mut(place.slot) {
        slot.wait(context);
    }
    match &mut place.waits {
        Some(waker) => waker.clone_from(context.waker()),
        none => *none = Some(context.waker().clone()),
    }
}
