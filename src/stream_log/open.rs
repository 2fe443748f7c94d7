//! An open stream in this process: its entries, how it ended, and who waits for what.
//!
//! What the backends share. The memory log keeps all its streams so; a log that keeps its streams
//! elsewhere has one for each that is written or read here. It never waits for anything: adding to
//! it wakes those that do.

mod segments;
mod waiting;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use self::segments::Segments;
use self::waiting::Followers;
pub(super) use self::waiting::Waiting;
use super::{Attendance, Control, LogError, Place, Presence, Status};
use crate::stream::{Batch, Failure, FailureCode, Terminal, Usage};

/// One open stream. Its lock is held for the time of copying a batch, never across an await.
///
/// What each token touches lies together, here and in [`State`]: a line of memory that is not in the
/// processor's cache costs more than all that is done with it.
#[repr(C)]
pub(super) struct Open<B> {
    /// Whether there may be something that the writer has not been told, so that it looks without
    /// the lock.
    news: AtomicBool,
    /// The sequence number of the next entry, so that followers look without the lock.
    published: AtomicU64,
    /// What the backend needs for each token.
    pub(super) backend: B,
    state: Mutex<State>,
}

/// What changes; in this order.
#[repr(C)]
pub(super) struct State {
    /// Why what is missing here will not come.
    pub(super) lost: Option<LogError>,
    cancelled: bool,
    told_cancelled: bool,
    /// Whether somebody reads the stream who is not among the followers.
    elsewhere: bool,
    pub(super) terminal: Option<Box<Terminal>>,
    /// What the stream takes in memory.
    pub(super) bytes: usize,
    followers: Followers,
    pub(super) entries: Segments,
    followers_ever: u64,
    last_to_leave: Presence,
    /// What the writer was told last, and of a leaving, how many followers there had been.
    told_attendance: Option<(Control, u64)>,
    writer: Waiting,
}

impl<B> Open<B> {
    /// A stream with these first entries, which takes `overhead` bytes beside them.
    pub(super) fn new(backend: B, start: &Batch, overhead: usize) -> Self {
        let mut state = State {
            lost: None,
            cancelled: false,
            told_cancelled: false,
            elsewhere: false,
            terminal: None,
            bytes: overhead,
            followers: Followers::default(),
            entries: Segments::default(),
            followers_ever: 0,
            last_to_leave: Presence::Connected,
            told_attendance: None,
            writer: Waiting::default(),
        };
        state.bytes += state.entries.add(start);
        Self {
            news: AtomicBool::new(true),
            published: AtomicU64::new(state.entries.next_seq()),
            backend,
            state: Mutex::new(state),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the stream takes, when nobody else can hold it.
    pub(super) fn bytes_mut(&mut self) -> &mut usize {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        &mut state.bytes
    }

    /// There is something to tell the writer.
    pub(super) fn wake_writer(&self, state: &mut State) {
        self.news.store(true, Ordering::Release);
        state.writer.wake();
    }

    /// The writer is gone. The kept waker would keep its task.
    pub(super) fn forget_writer(&self) {
        self.state().writer = Waiting::default();
    }

    /// The sequence number of the next entry.
    pub(super) fn next_seq(&self) -> u64 {
        self.state().entries.next_seq()
    }

    pub(super) fn status(&self) -> Status {
        match self.state().terminal.as_deref() {
            None => Status::Running,
            Some(Terminal::Done { .. }) => Status::Done,
            Some(Terminal::Error { .. }) => Status::Error,
        }
    }

    /// A place for one more follower.
    pub(super) fn join(&self) -> usize {
        let mut state = self.state();
        state.followers_ever += 1;
        if !state.is_attended() {
            self.wake_writer(&mut state);
        }
        state.followers.insert()
    }

    /// A follower is gone. Answers whether it was the last one here.
    pub(super) fn leave(&self, place: &Place) -> bool {
        let mut state = self.state();
        state.followers.remove(place.slot);
        let last = state.followers.is_empty();
        if last {
            state.last_to_leave = place.presence;
            self.wake_writer(&mut state);
        }
        last
    }

    pub(super) fn cancel(&self) {
        let mut state = self.state();
        if state.terminal.is_none() && !state.cancelled {
            state.cancelled = true;
            self.wake_writer(&mut state);
        }
    }

    /// Adds the entries of the batch from `from` on, the last of which may be the terminal one.
    pub(super) fn add(
        &self,
        state: &mut State,
        batch: &Batch,
        from: u64,
        terminal: Option<&Terminal>,
    ) {
        state.bytes += state.entries.add_from(batch, from);
        self.published
            .store(state.entries.next_seq(), Ordering::Release);
        if let Some(terminal) = terminal {
            state.terminal = Some(Box::new(terminal.clone()));
            state.entries.shrink_to_fit();
        }
        state.followers.wake();
    }

    /// Nothing more can be read than whoever has read all has read; the caller says why.
    pub(super) fn lose(&self, state: &mut State, error: LogError) {
        state.lost = Some(error);
        // No follower's place: each looks again, with the lock.
        self.published.store(u64::MAX, Ordering::Release);
        state.followers.wake();
    }

    /// How many readers have followed the stream so far.
    pub(super) fn readers(&self) -> u64 {
        self.state().followers_ever
    }

    /// Who follows the stream now.
    pub(super) fn attendance(&self) -> Attendance {
        let state = self.state();
        Attendance {
            here: state.followers.len(),
            elsewhere: state.elsewhere,
        }
    }

    /// The next thing that the writer must know.
    pub(super) fn poll_control(&self, context: &mut Context<'_>) -> Poll<Control> {
        if !self.news.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let mut state = self.state();
        if state.cancelled && !state.told_cancelled {
            state.told_cancelled = true;
            return Poll::Ready(Control::Cancel);
        }
        // Nobody has left a stream that nobody has read yet. Whoever has come and gone since the last
        // look has left it again, so a leaving is told with how many had come by then.
        let attendance = match (state.followers_ever, state.is_attended()) {
            (0, _) => None,
            (_, true) => Some((Control::Attended, 0)),
            (ever, false) => Some((Control::Deserted(state.last_to_leave), ever)),
        };
        if let Some((control, _)) = attendance
            && attendance != state.told_attendance
        {
            state.told_attendance = attendance;
            return Poll::Ready(control);
        }
        state.writer.wait(context);
        self.news.store(false, Ordering::Release);
        Poll::Pending
    }

    /// What comes after a follower's place.
    pub(super) fn poll_read(
        &self,
        place: &mut Place,
        context: &mut Context<'_>,
        batch: &mut Batch,
        max_bytes: usize,
    ) -> Poll<Result<bool, LogError>> {
        let waits = |waker: &Waker| waker.will_wake(context.waker());
        let published = self.published.load(Ordering::Acquire);
        if published == place.next && place.waits.as_ref().is_some_and(waits) {
            return Poll::Pending;
        }
        let mut state = self.state();
        let is_behind = place.next < state.entries.next_seq();
        // Nothing more will come of a lost stream: only whoever has read all needs nothing more.
        if let Some(lost) = &state.lost
            && (is_behind || state.terminal.is_none())
        {
            return Poll::Ready(Err(lost.clone()));
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
}

impl State {
    fn is_attended(&self) -> bool {
        self.elsewhere || !self.followers.is_empty()
    }

    /// Whether somebody reads the stream elsewhere.
    pub(super) const fn is_read_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// Whether somebody follows the stream here.
    pub(super) fn is_followed(&self) -> bool {
        !self.followers.is_empty()
    }

    /// How many have followed the stream here, and how the last one to leave was there.
    pub(super) fn visits(&self) -> (u64, Presence) {
        (self.followers_ever, self.last_to_leave)
    }

    /// What is known of readers elsewhere: how many came since the last time, whether one is there,
    /// and how the last one to leave was.
    pub(super) fn attend_elsewhere(&mut self, came: u64, attended: bool, left: Presence) {
        self.followers_ever += came;
        if !attended && (self.elsewhere || came > 0) {
            self.last_to_leave = left;
        }
        self.elsewhere = attended;
    }
}

/// The end of a stream whose writer went away without closing it.
pub(super) fn producer_lost() -> Terminal {
    Terminal::Error {
        error: Failure::new(
            FailureCode::ProducerLost,
            "the process that produced this stream is gone",
        ),
        usage: Usage::default(),
    }
}

fn wait(place: &mut Place, state: &mut State, context: &Context<'_>) {
    if let Some(slot) = state.followers.get_mut(place.slot) {
        slot.wait(context);
    }
    // Whoever is ahead of what is here is woken before there is anything for it, and must say again
    // that it waits.
    if place.next > state.entries.next_seq() {
        place.waits = None;
        return;
    }
    match &mut place.waits {
        Some(waker) => waker.clone_from(context.waker()),
        none => *none = Some(context.waker().clone()),
    }
}
