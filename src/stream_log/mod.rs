//! The log that every token passes through before anybody sees it.
//!
//! A log gives entries their sequence numbers, keeps them for replay and wakes whoever follows.
//! It knows nothing of generators, credentials or HTTP. Its backends stand beside this file, and
//! `conformance` is the suite that each of them must pass.
//!
//! What every backend keeps:
//! - sequence numbers are contiguous from 0, which is the start entry;
//! - a stream has exactly one terminal entry and it is the last;
//! - nobody, not even a local reader, sees an entry before the log has taken it;
//! - a [`Writer`] that is dropped before it closed its stream closes it as `producer_lost`;
//! - a live stream is never evicted.

#[cfg(test)]
mod conformance;
mod handles;
pub mod memory;
mod open;
pub mod redis;

pub use handles::{Attendance, Audience, Follower, OpenStream, Place, Writer};

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use futures_util::future::{self, BoxFuture};
use tokio::sync::mpsc;

use crate::stream::{Batch, Owner, StreamId, Terminal};

/// A place where streams are kept: the product's heart, behind the one trait.
pub trait StreamLog: Send + Sync {
    /// Creates a stream with its start entry, or finds the one that the same owner created with
    /// the same idempotency key. A stream that [is void](Description::is_void) has given up its key.
    ///
    /// # Errors
    /// [`LogError::Full`] when there is no room for another stream, [`LogError::KeyReused`] when
    /// the key was used for another request.
    fn create(&self, new: NewStream) -> BoxFuture<'_, Result<Created, LogError>>;

    /// Follows a stream from the entry after `after`, or from the start. The follower counts as a
    /// reader of the stream until it is dropped; `presence` says what its absence means.
    ///
    /// # Errors
    /// The stream is not to be had for this caller, or `after` is beyond its last entry.
    fn follow<'a>(
        &'a self,
        access: Access<'a>,
        id: StreamId,
        after: Option<u64>,
        presence: Presence,
    ) -> BoxFuture<'a, Result<Follower, LogError>>;

    /// Reads up to `max_bytes` of entries after `after` without waiting and without becoming a
    /// reader. An empty batch means that there are none yet.
    ///
    /// # Errors
    /// As [`StreamLog::follow`].
    fn read<'a>(
        &'a self,
        access: Access<'a>,
        id: StreamId,
        after: Option<u64>,
        max_bytes: usize,
    ) -> BoxFuture<'a, Result<Batch, LogError>>;

    /// Describes a stream without its entries.
    ///
    /// # Errors
    /// The stream is not to be had for this caller.
    fn describe<'a>(
        &'a self,
        access: Access<'a>,
        id: StreamId,
    ) -> BoxFuture<'a, Result<Description, LogError>>;

    /// The owner's streams, newest first: at most `limit`, only those older than `after`.
    fn list<'a>(
        &'a self,
        owner: &'a Owner,
        status: Option<Status>,
        after: Option<StreamId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Description>, LogError>>;

    /// Finds the stream that the owner created with this idempotency key, unless it
    /// [is void](Description::is_void).
    ///
    /// # Errors
    /// [`LogError::KeyReused`] when the key was used for another request.
    fn find<'a>(
        &'a self,
        owner: &'a Owner,
        key: &'a IdempotencyKey,
    ) -> BoxFuture<'a, Result<Option<StreamId>, LogError>>;

    /// Asks the stream's producer to stop. Does nothing to a stream that has ended.
    ///
    /// # Errors
    /// The stream is not to be had for this caller.
    fn cancel<'a>(
        &'a self,
        access: Access<'a>,
        id: StreamId,
    ) -> BoxFuture<'a, Result<(), LogError>>;

    /// Forgets the stream at once and cancels it if it is live. Its present followers are still
    /// told how it ended.
    ///
    /// # Errors
    /// The stream is not to be had for this caller.
    fn remove<'a>(
        &'a self,
        access: Access<'a>,
        id: StreamId,
    ) -> BoxFuture<'a, Result<(), LogError>>;

    /// Looks, until it is dropped, for streams that were created with a [job](NewStream::job) and whose
    /// writers are gone with their process, or have left them. Whoever is given them writes them from
    /// then on. Where a process takes its streams with it, there are none.
    fn find_orphans(&self, _found: mpsc::Sender<Orphan>) -> BoxFuture<'_, ()> {
        future::ready(()).boxed()
    }

    /// Whether streams can be created just now, as far as is known.
    fn is_ready(&self) -> bool {
        true
    }
}

/// What a producer is told while it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Somebody cancelled the stream.
    Cancel,
    /// The last reader has left; this is how it was there. Told for each visit, however short: a
    /// reader that has come and gone between two looks of the producer has left again.
    Deserted(Presence),
    /// A reader has come (back).
    Attended,
}

/// How a reader is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It holds a connection and leaves with it.
    Connected,
    /// It asks again and again, and is away in between.
    Polling,
}

/// On whose behalf a stream is touched.
#[derive(Debug, Clone, Copy)]
pub enum Access<'a> {
    /// For this owner, who may touch only what is theirs.
    Owner(&'a Owner),
    /// For an operator, who may touch any.
    Operator,
}

/// What is needed to create a stream.
#[derive(Debug, Clone)]
pub struct NewStream {
    /// The stream's id.
    pub id: StreamId,
    /// Whose it is.
    pub owner: Owner,
    /// The public name of the model.
    pub model: String,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// The creator's own notes.
    pub metadata: BTreeMap<String, String>,
    /// With which key a repeated request finds this stream.
    pub idempotency: Option<IdempotencyKey>,
    /// What another process must know to go on when this one is gone, in the creator's own words. It is
    /// kept until the stream ends. Absent, the stream ends with its process.
    pub job: Option<String>,
}

/// A stream that another process began.
pub struct Orphan {
    /// The stream.
    pub id: StreamId,
    /// What it was created with.
    pub job: String,
    /// What it has so far.
    pub entries: Batch,
    /// Goes on after that.
    pub writer: Writer,
}

/// A client's key for a request, and a digest of the request it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The client's text.
    pub key: String,
    /// SHA-256 of the request.
    pub fingerprint: [u8; 32],
}

/// The outcome of [`StreamLog::create`].
pub enum Created {
    /// The stream is new, and this is its writer.
    New(Writer),
    /// The idempotency key names this stream.
    Existing(StreamId),
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It may still grow.
    Running,
    /// It ended well.
    Done,
    /// It failed.
    Error,
}

/// A stream without its entries.
#[derive(Debug, Clone)]
pub struct Description {
    /// The stream.
    pub id: StreamId,
    /// The public name of the model.
    pub model: String,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// The creator's own notes.
    pub metadata: BTreeMap<String, String>,
    /// The sequence number of the last entry.
    pub last_seq: u64,
    /// How it ended, if it has.
    pub terminal: Option<Terminal>,
}

impl Description {
    /// Where the stream stands.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self.terminal {
            None => Status::Running,
            Some(Terminal::Done { .. }) => Status::Done,
            Some(Terminal::Error { .. }) => Status::Error,
        }
    }

    /// Whether the stream failed before anybody had any of its answer, in a way that may pass. It
    /// gives its idempotency key up: who sends the request again is to get another answer, not the
    /// same failure for as long as the stream is kept.
    #[must_use]
    pub const fn is_void(&self) -> bool {
        is_void(self.last_seq, self.terminal.as_ref())
    }
}

/// [`Description::is_void`] of a stream with this last entry. An end that is entry 1 has only the
/// start before it.
pub(crate) const fn is_void(last_seq: u64, terminal: Option<&Terminal>) -> bool {
    match terminal {
        Some(Terminal::Error { error, .. }) => last_seq == 1 && error.retryable,
        Some(Terminal::Done { .. }) | None => false,
    }
}

/// Why the log did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// No such stream, or it was deleted.
    #[error("the stream does not exist")]
    Missing,
    /// The stream is somebody else's.
    #[error("the stream belongs to another principal")]
    Foreign,
    /// The stream ended long ago and is no longer kept.
    #[error("the stream's retention has passed")]
    Expired,
    /// It was there, and what it took was needed for others.
    #[error(
        "the stream was forgotten before its retention has passed: the log's memory was needed for newer ones"
    )]
    Evicted,
    /// The cursor is beyond the last entry.
    #[error("the cursor is beyond the end of the stream")]
    BeyondEnd,
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// There is no room for another stream, or for more of this one.
    #[error("the log is full of live streams")]
    Full,
    /// The stream has reached its own ceiling.
    #[error("the stream has reached its size limit")]
    TooLarge,
    /// The stream has ended; nothing can be added.
    #[error("the stream has ended")]
    Closed,
    /// What keeps the streams cannot be reached.
    #[error("the log cannot be reached")]
    Unavailable,
}
