//! A stream of Redis that is written or read on this node: its entries as far as they are known
//! here, and what is on its way.
//!
//! Readers read the mirror, so that a token costs each of them no more than in the memory log, and
//! Redis nothing. What is written here is in the mirror once Redis has it; what is written elsewhere,
//! once it was fetched. One task of the log's own thread does either, for as long as it is needed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use tokio::sync::{Notify, oneshot};

use super::index::Origin;
use super::outbox::{HandOver, Outbox};
use super::{Inner, following, writing};
use crate::stream::{Batch, Entry, StreamId};
use crate::stream_log::open::{Open, Waiting, producer_lost};
use crate::stream_log::{Attendance, Control, LogError, OpenStream, Place, Status, Writer};

/// What a stream takes beside its entries.
const OVERHEAD_BYTES: usize = 2048;

/// How much a writer may have on its way, in bytes, before it waits.
const MOST_UNACKNOWLEDGED: usize = 64 * 1024;

/// One stream on this node.
pub(super) struct Mirror {
    pub(super) open: Open<()>,
    pub(super) id: StreamId,
    pub(super) log: Weak<Inner>,
    /// What it was made from, if it is written here.
    pub(super) origin: Option<Origin>,
    /// Wakes the stream's task.
    pub(super) wake: Notify,
    /// Set when Redis may have news, as opposed to us.
    looks: AtomicBool,
    outbox: Mutex<Outbox>,
    this: Weak<Mirror>,
}

/// A stream that another node wrote is to be written here, once all of it is here.
pub(super) struct Succession {
    pub(super) fence: u64,
    /// The last sequence number that the stream has.
    pub(super) last: u64,
    pub(super) done: oneshot::Sender<Writer>,
}

/// How a batch stands to what is in a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merged {
    /// All of it is in the mirror.
    Agrees,
    /// What comes before it is not here.
    Gap,
    /// Under the same numbers there is something else here, which a failover has lost before another
    /// writer went on.
    Contradicts,
}

impl Mirror {
    /// A stream that is read here, of which nothing is known yet.
    pub(super) fn read(id: StreamId, log: &Arc<Inner>) -> Arc<Self> {
        Self::new(id, &Batch::default(), None, log)
    }

    /// A stream that is written here, after its start entry was.
    pub(super) fn written(origin: Origin, log: &Arc<Inner>) -> Arc<Self> {
        Self::new(origin.id(), &origin.start(), Some(origin), log)
    }

    fn new(id: StreamId, start: &Batch, origin: Option<Origin>, log: &Arc<Inner>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            open: Open::new((), start, OVERHEAD_BYTES),
            id,
            log: Arc::downgrade(log),
            origin,
            wake: Notify::new(),
            looks: AtomicBool::new(false),
            outbox: Mutex::default(),
            this: Weak::clone(this),
        })
    }

    pub(super) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Redis may have news.
    pub(super) fn look(&self) {
        self.looks.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Itself, unless it is about to be dropped.
    pub(super) fn itself(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    /// Redis may have news, which the next append will show anyhow.
    pub(super) fn look_later(&self) {
        self.looks.store(true, Ordering::Release);
    }

    /// Whether there is something to look at.
    pub(super) fn has_news(&self) -> bool {
        self.looks.load(Ordering::Acquire)
    }

    /// Whether there is something to look at, which the caller then does.
    pub(super) fn must_look(&self) -> bool {
        self.looks.swap(false, Ordering::AcqRel)
    }

    /// Sees that a task writes the stream.
    pub(super) fn write(self: &Arc<Self>, log: &Arc<Inner>, fence: u64) {
        let mut outbox = self.outbox();
        outbox.fence = fence;
        // The start.
        outbox.appends = Some(1);
        outbox.is_tended = true;
        drop(outbox);
        log.spawn(writing::run(Arc::clone(self)));
    }

    /// Whether the stream is written here, or was.
    pub(super) fn was_written(&self) -> bool {
        self.outbox().fence > 0
    }

    /// Whether nothing of the stream is to be taken over here: it is written here, or all of it is here,
    /// though Redis does not know that.
    pub(super) fn is_settled(&self) -> bool {
        let outbox = self.outbox();
        let is_written = outbox.fence > 0 && outbox.failed.is_none();
        is_written || self.open.status() != Status::Running
    }

    /// Writes the stream from now on, after the one who wrote it elsewhere until `last`.
    pub(super) async fn succeed(
        self: &Arc<Self>,
        log: &Arc<Inner>,
        fence: u64,
        last: u64,
    ) -> Result<Writer, LogError> {
        let (done, succeeded) = oneshot::channel();
        self.outbox().succession = Some(Succession { fence, last, done });
        self.fetch(log);
        if self.open.status() != Status::Running {
            // Nobody will see to it.
            self.outbox().succession = None;
        }
        self.wake.notify_one();
        succeeded.await.map_err(|_| LogError::Unavailable)
    }

    /// Sees that a task fetches the stream, unless one looks after it or all is here.
    pub(super) fn fetch(self: &Arc<Self>, log: &Arc<Inner>) {
        let complete = self.open.status() != Status::Running;
        let mut outbox = self.outbox();
        if !complete && !outbox.is_tended {
            outbox.is_tended = true;
            log.spawn(following::run(Arc::clone(self)));
        }
    }

    /// Leaves the stream untended if nobody wants it here and Redis knows: whoever comes after this finds
    /// it so, and sees to it.
    pub(super) fn is_deserted(&self) -> bool {
        let mut outbox = self.outbox();
        let state = self.open.state();
        let deserted = !state.is_followed()
            && state.visits().0 == outbox.reported
            && outbox.succession.is_none();
        outbox.is_tended = !deserted;
        deserted
    }

    /// Leaves the stream untended for good. Whoever wants to write it cannot.
    pub(super) fn leave_untended(&self) {
        let mut outbox = self.outbox();
        outbox.is_tended = false;
        outbox.succession = None;
    }

    /// Adds what is not here yet of a batch with its real numbers, if it agrees with what is here.
    pub(super) fn merge(&self, batch: &Batch) -> Merged {
        let mut state = self.open.state();
        let (first, next) = (batch.first_seq(), state.entries.next_seq());
        if state.terminal.is_some() {
            return Merged::Agrees;
        }
        if first > next {
            return Merged::Gap;
        }
        if first < next {
            let mut here = Batch::default();
            // If they are the same they take as much.
            state.entries.copy(first, &mut here, batch.bytes());
            let common = usize::try_from(next - first)
                .unwrap_or(usize::MAX)
                .min(batch.len());
            if !here.entries().take(common).eq(batch.entries().take(common)) {
                return Merged::Contradicts;
            }
        }
        if batch.next_seq() > next {
            let terminal = batch
                .entries()
                .next_back()
                .and_then(|last| Entry::terminal(&last));
            self.open.add(&mut state, batch, next, terminal.as_ref());
        }
        Merged::Agrees
    }

    /// What is not here will not come.
    pub(super) fn lose(&self, error: LogError) {
        let mut state = self.open.state();
        if state.terminal.is_none() {
            self.open.lose(&mut state, error);
        }
    }
}

impl OpenStream for Mirror {
    fn poll_flush(
        &self,
        context: &mut Context<'_>,
        pending: &mut Batch,
    ) -> Poll<Result<(), LogError>> {
        let mut outbox = self.outbox();
        let is_end = pending
            .entries()
            .next_back()
            .is_some_and(|last| last.kind.is_terminal());
        match &outbox.failed {
            // There is always room for the end.
            Some(LogError::Full) if is_end || outbox.closing => {}
            Some(failed) => return Poll::Ready(Err(failed.clone())),
            None => {}
        }
        if pending.is_empty() {
            if outbox.closing && !outbox.closed {
                outbox.waits.wait(context);
                return Poll::Pending;
            }
            return Poll::Ready(Ok(()));
        }
        if outbox.closing {
            return Poll::Ready(Err(LogError::Closed));
        }
        let unacknowledged = outbox.queue.bytes() + outbox.sending;
        if !is_end {
            let limit = self
                .log
                .upgrade()
                .map_or(0, |log| log.config.max_stream_bytes);
            if self.open.state().bytes + unacknowledged + pending.bytes() > limit {
                return Poll::Ready(Err(LogError::TooLarge));
            }
            if unacknowledged > MOST_UNACKNOWLEDGED {
                outbox.waits.wait(context);
                return Poll::Pending;
            }
        }
        if outbox.queue.is_empty() {
            std::mem::swap(&mut outbox.queue, pending);
        } else {
            outbox
                .queue
                .extend_from(pending, pending.first_seq(), usize::MAX);
        }
        pending.reset(0);
        outbox.closing = is_end;
        if is_end {
            outbox.waits.wait(context);
        }
        self.send_on(outbox);
        if is_end {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_hand_over(
        &self,
        context: &mut Context<'_>,
        pending: &mut Batch,
    ) -> Poll<Result<(), LogError>> {
        if !pending.is_empty() {
            ready!(self.poll_flush(context, pending))?;
        }
        let mut outbox = self.outbox();
        if let Some(failed) = &outbox.failed {
            return Poll::Ready(Err(failed.clone()));
        }
        match outbox.handing_over {
            HandOver::No if outbox.closing => Poll::Ready(Err(LogError::Closed)),
            HandOver::No => {
                outbox.handing_over = HandOver::Asked;
                outbox.waits.wait(context);
                self.wake.notify_one();
                Poll::Pending
            }
            HandOver::Asked => {
                outbox.waits.wait(context);
                Poll::Pending
            }
            HandOver::Refused => Poll::Ready(Err(LogError::Unavailable)),
            HandOver::Done => Poll::Ready(Ok(())),
        }
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
        let mut outbox = self.outbox();
        outbox.waits = Waiting::default();
        let is_fatal = |error: &LogError| *error != LogError::Full;
        let is_left = outbox.handing_over == HandOver::Done;
        if outbox.closing || is_left || outbox.failed.as_ref().is_some_and(is_fatal) {
            return;
        }
        outbox.closing = true;
        outbox.queue.push_terminal(&producer_lost());
        self.wake.notify_one();
        tracing::error!(stream.id = %self.id, "A stream's producer went away without closing it");
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
        if self.open.leave(place) {
            self.wake.notify_one();
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        if let Some(log) = self.log.upgrade() {
            log.forget(self.id, &self.this);
        }
    }
}
