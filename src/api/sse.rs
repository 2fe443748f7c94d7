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
use crate::metrics::{Counting, Cut, Metrics, Reader};
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

    /// As metrics call its readers.
    pub(super) const fn reader(&self) -> Reader {
        match self {
            Self::Sse => Reader::Sse,
            Self::Ndjson => Reader::Ndjson,
            Self::Chunks(_) => Reader::OpenAi,
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
    /// Whether the connection has not come back yet for what comes after the last that it took.
    has_sent: bool,
    /// Whether there is nothing more to send.
    has_ended: bool,
    /// When the timer will wake us, once it knows whom.
    armed: Option<Instant>,
    heartbeat: Box<Heartbeat>,
}

/// What tokens do not touch.
struct Heartbeat {
    every: Duration,
    timer: Pin<Box<Sleep>>,
    watch: Watch,
}

/// Counts a reader for as long as its body lives, and sees why that ends.
pub(super) struct Watch {
    metrics: Metrics,
    _reading: Counting,
    /// For how long the kernel lets a connection take nothing.
    patience: Duration,
}

impl Watch {
    pub(super) fn new(metrics: &Metrics, reader: Reader, patience: Duration) -> Self {
        Self {
            _reading: metrics.reading(reader),
            metrics: metrics.clone(),
            patience,
        }
    }
}

impl EventBody {
    /// A body with a heartbeat after each such time of silence.
    #[must_use]
    pub(super) fn new(
        subscription: Subscription,
        format: Format,
        every: Duration,
        watch: Watch,
    ) -> Self {
        let now = Instant::now();
        Self {
            subscription,
            format,
            first: true,
            last_sent: now,
            has_sent: false,
            has_ended: false,
            armed: None,
            heartbeat: Box::new(Heartbeat {
                every,
                timer: Box::pin(sleep_until(now + every)),
                watch,
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

    /// Called when there is nothing else to send.
    ///
    /// The timer is not moved with each event, nor even looked at: when it fires, it is set to what
    /// is due by then. The task that polls a body is always the same, so it is told once.
    fn poll_heartbeat(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        // Silence begins when the connection asks for more, which is in the same turn, or once it has
        // written what it held: it may be long until then, and our timer may have fired meanwhile.
        let now = Instant::now();
        if std::mem::take(&mut self.has_sent) {
            self.last_sent = now;
        }
        if self.armed.is_some_and(|armed| now < armed) {
            return Poll::Pending;
        }
        let Heartbeat { every, timer, .. } = &mut *self.heartbeat;
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
                    // Nearly always it comes back once more, in vain, and the clock is read then.
                    if std::mem::replace(&mut this.has_sent, true) {
                        this.last_sent = Instant::now();
                    }
                    Poll::Ready(Some(Ok(this.encode(scratch))))
                }
                Poll::Ready(Ok(false)) => {
                    this.has_ended = true;
                    Poll::Ready(None)
                }
                Poll::Ready(Err(error)) => {
                    this.has_ended = true;
                    this.heartbeat.watch.metrics.cut(match error {
                        LogError::Expired | LogError::Evicted => Cut::Evicted,
                        _ => Cut::Unavailable,
                    });
                    Poll::Ready(Some(Err(error)))
                }
                Poll::Pending => this.poll_heartbeat(context).map(|beat| Some(Ok(beat))),
            }
        })
    }
}

impl Drop for EventBody {
    /// Nobody tells a body why its connection is gone. One that had taken nothing for half the time after
    /// which the kernel gives it up was not merely left. What the kernel still buffers is not seen from here.
    fn drop(&mut self) {
        let Watch {
            metrics, patience, ..
        } = &self.heartbeat.watch;
        if !self.has_ended && self.has_sent && self.last_sent.elapsed() >= *patience / 2 {
            metrics.cut(Cut::Stalled);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::future::poll_fn;
    use std::sync::Arc;

    use super::*;
    use crate::auth::Principal;
    use crate::generation::{GenerationConfig, GenerationService, Models};
    use crate::shutdown::Stopping;
    use crate::stream::StreamId;
    use crate::stream_log::memory::{MemoryConfig, MemoryLog};
    use crate::stream_log::{Created, NewStream, StreamLog, Writer};

    async fn stream(every: Duration) -> (Writer, EventBody) {
        let log = Arc::new(MemoryLog::new(MemoryConfig {
            retention: Duration::from_secs(600),
            max_bytes: 1 << 20,
            max_stream_bytes: 1 << 20,
        }));
        let ann = Principal::for_tests("ann");
        let id = StreamId::generate();
        let new = NewStream {
            id,
            owner: ann.owner().clone(),
            model: "m".into(),
            created: 1,
            metadata: BTreeMap::new(),
            idempotency: None,
            job: None,
        };
        let Ok(Created::New(writer)) = log.create(new).await else {
            panic!("expected a new stream");
        };
        let never = Duration::from_secs(600);
        let metrics = Metrics::default();
        let config = GenerationConfig {
            takes_over: false,
            first_token_timeout: never,
            idle_timeout: never,
            total_timeout: never,
            abandon_after: never,
        };
        let service = GenerationService::new(
            log,
            Models::default(),
            config,
            Stopping::default(),
            metrics.clone(),
        );
        let viewer = ann.viewer();
        let following = service.subscribe(&viewer, id, None, Reader::Sse);
        let subscription = following.await.unwrap();
        let watch = Watch::new(&metrics, Reader::Sse, never);
        let body = EventBody::new(subscription, Format::Sse, every, watch);
        (writer, body)
    }

    /// One poll, with the task's own waker.
    async fn poll_once(body: &mut EventBody) -> Option<Bytes> {
        poll_fn(|context| {
            Poll::Ready(match Pin::new(&mut *body).poll_next(context) {
                Poll::Ready(piece) => Some(piece.unwrap().unwrap()),
                Poll::Pending => None,
            })
        })
        .await
    }

    /// A body is not polled while its connection takes no more, also not when its timer fires.
    #[tokio::test]
    async fn the_heartbeat_outlives_a_reader_that_takes_nothing_for_a_while() {
        let every = Duration::from_millis(200);
        let (mut writer, mut body) = stream(every).await;
        assert!(poll_once(&mut body).await.is_some(), "the start");
        assert_eq!(poll_once(&mut body).await, None);
        tokio::time::sleep(every / 2).await;
        let mut batch = Batch::default();
        batch.push_text("the last that the connection takes");
        poll_fn(|context| writer.poll_flush(context, &mut batch))
            .await
            .unwrap();
        assert!(poll_once(&mut body).await.is_some(), "the token");
        // Meanwhile the timer fires.
        tokio::time::sleep(every).await;
        // From here on it is polled only when it has asked for it, but for the end of the time-out.
        let drained = Instant::now();
        let next = poll_fn(|context| Pin::new(&mut body).poll_next(context));
        let next = tokio::time::timeout(10 * every, next).await.unwrap();
        assert_eq!(next.unwrap().unwrap(), Bytes::from_static(b":\n"));
        assert!(drained.elapsed() < 5 * every);
    }
}
