//! The response body that follows a stream: entries as they come, heartbeats when none do.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use futures_util::FutureExt as _;
use tokio::time::{Instant, Sleep, sleep_until};

use super::chat_completions::ChunkEncoder;
use super::encode::{self, Encoder};
use crate::generation::Subscription;
use crate::stream::Batch;
use crate::stream_log::LogError;

/// How many bytes of entries are taken in one go. Encoded, that is about what one write holds.
const READ_BYTES: usize = 4 * 1024;

/// Room to read and encode in. One for each thread, since a stream that waits needs none, and one
/// that is hot in the cache costs less than a thousand that are not.
#[derive(Default)]
struct Scratch {
    batch: Batch,
    bytes: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// In which form a stream is followed.
#[derive(Debug)]
pub(super) enum Format {
    /// Server-Sent Events. The heartbeat is a comment with a single line end: a blank line after
    /// it would be an event without data, on which some clients fail.
    Sse,
    /// One JSON object a line. The heartbeat is a space, which JSON parsers skip before the next
    /// object and line splitters never see as a line.
    Ndjson,
    /// Chunks of a chat completion. The heartbeat is one that says nothing: OpenAI's clients fail on
    /// comments that end in a blank line, and pass over others without noticing that we live.
    Chunks(Box<ChunkEncoder>),
}

impl Format {
    fn heartbeat(&self) -> Bytes {
        match self {
            Self::Sse => Bytes::from_static(b":\n"),
            Self::Ndjson => Bytes::from_static(b" "),
            Self::Chunks(encoder) => encoder.heartbeat().into(),
        }
    }

    /// What the answer's header calls it.
    pub(super) const fn content_type(&self) -> &'static str {
        match self {
            Self::Sse | Self::Chunks(_) => "text/event-stream",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// Follows a subscription to its end. Each piece that it yields holds whole events.
pub(super) struct EventBody {
    subscription: Subscription,
    format: Format,
    first: bool,
    last_sent: Instant,
    /// Whether that was a moment ago, in the same turn of this task.
    just_sent: bool,
    /// When the timer will wake us, once it knows whom.
    armed: Option<Instant>,
    heartbeat: Box<Heartbeat>,
}

/// What tokens do not touch.
struct Heartbeat {
    every: Duration,
    timer: Pin<Box<Sleep>>,
}

impl EventBody {
    /// A body with a heartbeat after each such time of silence.
    #[must_use]
    pub(super) fn new(subscription: Subscription, format: Format, every: Duration) -> Self {
        let now = Instant::now();
        Self {
            subscription,
            format,
            first: true,
            last_sent: now,
            just_sent: false,
            armed: None,
            heartbeat: Box::new(Heartbeat {
                every,
                timer: Box::pin(sleep_until(now + every)),
            }),
        }
    }

    fn encode(&mut self, Scratch { batch, bytes }: &mut Scratch) -> Bytes {
        bytes.clear();
        let encoder = Encoder::new(self.subscription.stream());
        for entry in batch.entries() {
            match &self.format {
                Format::Chunks(encoder) => encoder.entry(&entry, bytes),
                Format::Sse => encoder.event(&entry, self.first, bytes),
                Format::Ndjson => {
                    encode::json(&entry, bytes);
                    bytes.push(b'\n');
                }
            }
            self.first = false;
        }
        Bytes::copy_from_slice(bytes)
    }

    /// The timer is not moved with each event, nor even looked at: when it fires, it is set to what
    /// is due by then. The task that polls a body is always the same, so it is told once.
    fn poll_heartbeat(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        // The clock need not be read twice in one turn: timers fire only between turns.
        let now = if std::mem::take(&mut self.just_sent) {
            self.last_sent
        } else {
            Instant::now()
        };
        if self.armed.is_some_and(|armed| now < armed) {
            return Poll::Pending;
        }
        let Heartbeat { every, timer } = &mut *self.heartbeat;
        loop {
            self.armed = Some(timer.deadline());
            ready!(timer.poll_unpin(context));
            self.armed = None;
            let now = Instant::now();
            let due = self.last_sent + *every;
            if now >= due {
                self.last_sent = now;
                timer.as_mut().reset(now + *every);
                return Poll::Ready(self.format.heartbeat());
            }
            timer.as_mut().reset(due);
        }
    }
}

impl MessageBody for EventBody {
    type Error = LogError;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    /// An error breaks the connection without ending the body, so that clients reconnect.
    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, LogError>>> {
        let this = self.get_mut();
        SCRATCH.with_borrow_mut(|scratch| {
            match this
                .subscription
                .poll_read(context, &mut scratch.batch, READ_BYTES)
            {
                Poll::Ready(Ok(true)) => {
                    this.last_sent = Instant::now();
                    this.just_sent = true;
                    Poll::Ready(Some(Ok(this.encode(scratch))))
                }
                Poll::Ready(Ok(false)) => Poll::Ready(None),
                Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
                Poll::Pending => this.poll_heartbeat(context).map(|beat| Some(Ok(beat))),
            }
        })
    }
}
