//! The handles of an open stream: the writer that its producer holds, and its readers' followers.
//!
//! What every token touches decides what a token costs, so a handle is a pointer to the stream and
//! a place in it, to be kept by value, and what it must remember lies beside the stream's state.

use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use super::{Control, LogError, Presence};
use crate::stream::Batch;

/// A stream as its backend keeps it while somebody writes or reads it. Only the handles call it.
pub trait OpenStream: Send + Sync {
    /// See [`Writer::poll_flush`].
    ///
    /// # Errors
    /// The same.
    fn poll_flush(
        &self,
        context: &mut Context<'_>,
        pending: &mut Batch,
    ) -> Poll<Result<(), LogError>>;

    /// See [`Writer::poll_control`].
    fn poll_control(&self, context: &mut Context<'_>) -> Poll<Control>;

    /// See [`Writer::poll_hand_over`].
    ///
    /// # Errors
    /// The same.
    fn poll_hand_over(
        &self,
        _context: &mut Context<'_>,
        _pending: &mut Batch,
    ) -> Poll<Result<(), LogError>> {
        Poll::Ready(Err(LogError::Unavailable))
    }

    /// See [`Writer::readers`].
    fn readers(&self) -> u64;

    /// See [`Audience::now`].
    fn attendance(&self) -> Attendance;

    /// The writer is gone; if it has not closed the stream, nobody else will.
    fn lose_writer(&self);

    /// See [`Follower::poll_read`].
    ///
    /// # Errors
    /// The same.
    fn poll_read(
        &self,
        place: &mut Place,
        context: &mut Context<'_>,
        batch: &mut Batch,
        max_bytes: usize,
    ) -> Poll<Result<bool, LogError>>;

    /// A follower is gone.
    fn leave(&self, place: &Place);
}

/// The one handle that may write to a stream. Dropped before it closed the stream, it closes it as
/// `producer_lost`.
pub struct Writer {
    stream: Arc<dyn OpenStream>,
}

impl Writer {
    /// The writer of a new stream, which must have no other.
    #[must_use]
    pub fn new(stream: Arc<dyn OpenStream>) -> Self {
        Self { stream }
    }

    /// Commits all of `pending`, which is empty afterwards. A terminal entry closes the stream.
    ///
    /// # Errors
    /// [`LogError::TooLarge`] when the stream would outgrow its ceiling and [`LogError::Full`] when
    /// the log would (a terminal entry is always taken); [`LogError::Closed`] when it has ended.
    pub fn poll_flush(
        &mut self,
        context: &mut Context<'_>,
        pending: &mut Batch,
    ) -> Poll<Result<(), LogError>> {
        self.stream.poll_flush(context, pending)
    }

    /// Commits all of `pending` and leaves the stream to another process, which finds it as an
    /// [orphan](super::StreamLog::find_orphans). Its followers here are cut off, to go there too.
    ///
    /// # Errors
    /// There is no other process, or the log cannot be reached. The stream is still this writer's, to
    /// be closed.
    pub fn poll_hand_over(
        &mut self,
        context: &mut Context<'_>,
        pending: &mut Batch,
    ) -> Poll<Result<(), LogError>> {
        self.stream.poll_hand_over(context, pending)
    }

    /// The next thing the producer must know; each change is told once. To be polled by one task
    /// only: once that waits, no other is noticed.
    pub fn poll_control(&mut self, context: &mut Context<'_>) -> Poll<Control> {
        self.stream.poll_control(context)
    }

    /// How many readers have followed the stream so far.
    #[must_use]
    pub fn readers(&self) -> u64 {
        self.stream.readers()
    }

    /// Sees the stream's readers, for as long as there is the stream.
    #[must_use]
    pub fn audience(&self) -> Audience {
        Audience(Arc::downgrade(&self.stream))
    }
}

/// Who follows a stream, for somebody who neither writes nor reads it.
pub struct Audience(Weak<dyn OpenStream>);

/// Who follows a stream now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attendance {
    /// How many do in this process.
    pub here: usize,
    /// Whether somebody does in another one.
    pub elsewhere: bool,
}

impl Audience {
    /// Who follows now.
    #[must_use]
    pub fn now(&self) -> Attendance {
        let stream = self.0.upgrade();
        stream.map_or_else(Attendance::default, |stream| stream.attendance())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stream.lose_writer();
    }
}

/// A reader's place in a stream. While it lives, the stream has a reader.
pub struct Follower {
    stream: Arc<dyn OpenStream>,
    place: Place,
}

/// What a [`Follower`] remembers for its backend.
pub struct Place {
    /// The sequence number of the next entry to read.
    pub next: u64,
    /// Which of the stream's followers it is.
    pub slot: usize,
    /// What its absence will mean.
    pub presence: Presence,
    /// How many entries after its place were there when it came; no more are counted than fit.
    pub backlog: u32,
    /// The task that the stream will wake for the next entry.
    pub waits: Option<Waker>,
}

impl Follower {
    /// The follower in the stream's slot `slot`, before the entry `next`.
    #[must_use]
    pub fn new(stream: Arc<dyn OpenStream>, slot: usize, next: u64, presence: Presence) -> Self {
        Self {
            stream,
            place: Place {
                next,
                slot,
                presence,
                backlog: 0,
                waits: None,
            },
        }
    }

    /// The same, when so many entries after its place are there already.
    #[must_use]
    pub fn behind(mut self, entries: u64) -> Self {
        self.place.backlog = u32::try_from(entries).unwrap_or(u32::MAX);
        self
    }

    /// How many entries after its place were there when it came.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.place.backlog.into()
    }

    /// The sequence number of the last entry that was there when it came, if it has read nothing yet;
    /// of the last before its place, if there was none after it.
    #[must_use]
    pub fn tail(&self) -> u64 {
        (self.place.next + self.backlog()).saturating_sub(1)
    }

    /// Waits for entries and replaces what is in `batch` with up to `max_bytes` of them.
    /// `Ready(Ok(false))` means that the terminal entry has been read.
    ///
    /// # Errors
    /// The rest of the stream cannot be read any more.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        batch: &mut Batch,
        max_bytes: usize,
    ) -> Poll<Result<bool, LogError>> {
        self.stream
            .poll_read(&mut self.place, context, batch, max_bytes)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stream.leave(&self.place);
    }
}
