//! What the writer of a stream has given us and Redis has not: who appends it, and how that goes.

use std::sync::MutexGuard;

use super::mirror::{Mirror, Succession};
use crate::stream::{Batch, Entry, Failure, FailureCode, Terminal, Usage};
use crate::stream_log::LogError;
use crate::stream_log::open::Waiting;

/// What the writer has given us, and how that goes.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent of each other"
)]
pub(super) struct Outbox {
    /// What goes with the next append.
    pub(super) queue: Batch,
    /// What went with an append of which nobody knows what became.
    pub(super) again: Option<Batch>,
    /// Bytes of the append under way.
    pub(super) sending: usize,
    /// Whether an append is under way.
    pub(super) in_flight: bool,
    /// The epoch of the server's in which an append was checked, so that the next need not be; 0 if
    /// there is none.
    pub(super) checked: u64,
    /// Whether the stream waits among those that are appended to together.
    pub(super) is_waiting: bool,
    /// How many appends Redis has, if that is known.
    pub(super) appends: Option<u64>,
    /// The terminal entry was given.
    pub(super) closing: bool,
    /// The terminal entry is in Redis.
    pub(super) closed: bool,
    /// The writer leaves the stream to another node.
    pub(super) handing_over: HandOver,
    /// Nothing more will be taken.
    pub(super) failed: Option<LogError>,
    /// The writer, if it waits for room or for the end.
    pub(super) waits: Waiting,
    /// What a writer must know; 0 if the stream was never written here.
    pub(super) fence: u64,
    /// Whoever wants to write the stream from now on.
    pub(super) succession: Option<Succession>,
    /// Whether a task looks after the stream.
    pub(super) is_tended: bool,
    /// The fence of the last entry that was read from Redis.
    pub(super) seen: u64,
    /// How many readers that came here Redis knows of.
    pub(super) reported: u64,
}

/// Whether a writer leaves its stream to another node.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum HandOver {
    #[default]
    No,
    Asked,
    Refused,
    Done,
}

impl Outbox {
    fn take(&mut self) -> Option<Batch> {
        if self.in_flight {
            return None;
        }
        let batch = match self.again.take() {
            Some(again) => again,
            None => std::mem::take(&mut self.queue),
        };
        if batch.is_empty() {
            return None;
        }
        self.in_flight = true;
        self.sending = batch.bytes();
        Some(batch)
    }
}

impl Mirror {
    /// What is to be appended now, unless an append is under way. It is the caller's to see to it.
    pub(super) fn take(&self) -> Option<Batch> {
        self.outbox().take()
    }

    /// As [`Mirror::take`], for an append together with others, while that epoch of the server lasts. If
    /// there is more to do than that, it is left to the stream's task.
    pub(super) fn take_together(&self, epoch: u64) -> Option<Batch> {
        let mut outbox = self.outbox();
        outbox.is_waiting = false;
        if outbox.checked != epoch || outbox.again.is_some() || outbox.closing {
            outbox.checked = 0;
            drop(outbox);
            self.wake.notify_one();
            return None;
        }
        outbox.take()
    }

    /// What waited to be appended together with others is appended by the stream's task.
    pub(super) fn send_alone(&self) {
        let mut outbox = self.outbox();
        outbox.is_waiting = false;
        outbox.checked = 0;
        drop(outbox);
        self.wake.notify_one();
    }

    /// Nobody knows what became of what was taken: the stream's task finds it out.
    pub(super) fn take_back(&self, batch: Batch) {
        let mut outbox = self.outbox();
        outbox.again = Some(batch);
        outbox.in_flight = false;
        outbox.checked = 0;
        drop(outbox);
        self.wake.notify_one();
    }

    /// Goes on after an append together with others.
    pub(super) fn go_on(&self) {
        let outbox = self.outbox();
        if !outbox.queue.is_empty() {
            self.send_on(outbox);
        } else if outbox.handing_over == HandOver::Asked || self.has_news() {
            drop(outbox);
            self.wake.notify_one();
        }
    }

    /// What was taken is in Redis, from the entry `first` on.
    pub(super) fn appended(&self, batch: &Batch, first: u64) {
        let terminal = batch
            .entries()
            .next_back()
            .and_then(|last| Entry::terminal(&last));
        let mut state = self.open.state();
        // It may have been read from there meanwhile, if another node writes the stream by now.
        if state.entries.next_seq() == first && state.terminal.is_none() {
            let from = batch.first_seq();
            self.open.add(&mut state, batch, from, terminal.as_ref());
        }
        drop(state);
        let mut outbox = self.outbox();
        outbox.sending = 0;
        outbox.in_flight = false;
        outbox.appends = outbox.appends.map(|appends| appends + 1);
        outbox.closed |= terminal.is_some();
        outbox.waits.wake();
    }

    /// Sees to it that what is queued is appended: with that of others, if the last append was checked
    /// and nothing else is to be done; or by the stream's task.
    pub(super) fn send_on(&self, mut outbox: MutexGuard<'_, Outbox>) {
        if outbox.in_flight || outbox.is_waiting {
            return;
        }
        let is_plain = outbox.checked > 0 && outbox.again.is_none() && !outbox.closing;
        let together = is_plain.then(|| (self.log.upgrade(), self.itself()));
        if let Some((Some(log), Some(this))) = together {
            outbox.is_waiting = true;
            drop(outbox);
            log.appending.push(this);
        } else {
            drop(outbox);
            self.wake.notify_one();
        }
    }

    /// There is no room for what was to be sent. The writer hears it and closes the stream; if it
    /// already has, after entries that are now missing, it is closed otherwise.
    pub(super) fn refuse(&self) {
        let mut outbox = self.outbox();
        outbox.sending = 0;
        outbox.in_flight = false;
        outbox.checked = 0;
        outbox.queue.reset(0);
        if outbox.closing {
            outbox.queue.push_terminal(&Terminal::Error {
                error: Failure::new(FailureCode::Overloaded, "the store of streams is full"),
                usage: Usage::default(),
            });
        } else {
            outbox.failed.get_or_insert(LogError::Full);
        }
        outbox.waits.wake();
        drop(outbox);
        self.open.wake_writer(&mut self.open.state());
    }

    /// The writer must hear that nothing more is taken.
    pub(super) fn fail_writer(&self, error: LogError) {
        let mut outbox = self.outbox();
        outbox.failed = Some(error);
        outbox.again = None;
        outbox.in_flight = false;
        outbox.checked = 0;
        outbox.queue.reset(0);
        outbox.waits.wake();
        drop(outbox);
        self.open.wake_writer(&mut self.open.state());
    }
}
