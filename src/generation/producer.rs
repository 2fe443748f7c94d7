//! Runs one generator into the log and writes the stream's one terminal entry, whatever happens.
//!
//! The producer is one future on the thread that took the request. Each time it is polled it takes
//! all deltas that are ready and appends them together; it never waits to fill a batch.

mod end;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::poll_fn;
use futures_util::stream;
use futures_util::{FutureExt as _, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use self::end::{Due, End, generator_failed, log_failed};
use super::GenerationConfig;
use crate::generator::{Delta, Deltas, FinishReason, Generator, Prompt, Usage};
use crate::limit::Permit;
use crate::shutdown::Stopping;
use crate::stream::{Batch, Failure, FailureCode, Owner, StreamId, Terminal, Timing};
use crate::stream_log::{Control, Presence, Writer};

/// How much is appended at once, in bytes. A generator that is always ready yields the thread to
/// other streams after each such batch.
const BATCH_BYTES: usize = 16 * 1024;

/// How many deltas are taken at once, since empty ones fill no batch.
const BATCH_DELTAS: usize = 1024;

/// How long the log may take to accept the terminal entry.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest id or name of a tool call, in bytes. Everything else of an event can be split.
const MAX_NAME_BYTES: usize = 1024;

/// What a producer needs to know.
pub(super) struct Job {
    pub(super) id: StreamId,
    pub(super) owner: Owner,
    /// The request that started it.
    pub(super) request_id: String,
    pub(super) prompt: Arc<Prompt>,
    pub(super) config: GenerationConfig,
    /// How long to go on after the last reader has left; absent, to the end.
    pub(super) abandon_after: Option<Duration>,
    pub(super) stopping: Stopping,
}

/// A generation under way.
pub(super) struct Producer {
    job: Job,
    deltas: Option<Deltas>,
    /// Stops the generator's work when the producer ends or is dropped.
    cancel: DropGuard,
    writer: Box<dyn Writer>,
    permit: Permit,
    pending: Batch,
    /// A delta that waits until the limiter says whether there is quota for it.
    held: Option<Delta>,
    tally: Tally,
    /// When the stream counts as abandoned.
    abandoned_at: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    /// When the timer will wake us, once it knows whom.
    armed: Option<Instant>,
    /// Wakes us when the server stops; told once whom, and then only its flag is looked at.
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    waits_for_stop: bool,
}

/// What is counted along the way.
struct Tally {
    started: Instant,
    first_delta: Option<Instant>,
    last_delta: Instant,
    deltas: u64,
    text: Sha256,
}

impl Producer {
    pub(super) fn new(
        job: Job,
        generator: &dyn Generator,
        writer: Box<dyn Writer>,
        permit: Permit,
    ) -> Self {
        let started = Instant::now();
        let cancel = CancellationToken::new();
        let start = AssertUnwindSafe(|| -> Deltas {
            generator.generate(Arc::clone(&job.prompt), cancel.clone())
        });
        let deltas = match catch_unwind(start) {
            Ok(deltas) => deltas,
            Err(panic) => stream::once(async { resume_unwind(panic) }).boxed_local(),
        };
        let stopping = Box::pin(job.stopping.fired());
        Self {
            deltas: Some(deltas),
            cancel: cancel.drop_guard(),
            writer,
            permit,
            pending: Batch::default(),
            held: None,
            tally: Tally {
                started,
                first_delta: None,
                last_delta: started,
                deltas: 0,
                text: Sha256::new(),
            },
            abandoned_at: None,
            timer: Box::pin(sleep_until(started + job.config.first_token_timeout)),
            armed: None,
            stopping,
            waits_for_stop: false,
            job,
        }
    }

    /// Generates to the end, and closes the stream.
    pub(super) async fn run(mut self) {
        let end = poll_fn(|context| self.poll_end(context)).await;
        // The generator's work stops first: nothing that it does now can reach a reader.
        self.deltas = None;
        let terminal = self.terminal(end);
        self.permit.settle_at(terminal.usage().completion_tokens);
        self.pending.push_terminal(&terminal);
        let flush = poll_fn(|context| self.writer.poll_flush(context, &mut self.pending));
        let closed = tokio::time::timeout(CLOSE_TIMEOUT, flush).await;
        if !matches!(closed, Ok(Ok(()))) {
            tracing::error!(stream.id = %self.job.id, "The log did not take a stream's terminal entry");
        }
        self.report(&terminal);
        drop(self.cancel);
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<End> {
        while let Poll::Ready(control) = self.writer.poll_control(context) {
            match control {
                Control::Cancel => return Poll::Ready(End::CANCELLED),
                Control::Attended => self.abandoned_at = None,
                Control::Deserted(last) => {
                    let grace = self.job.abandon_after.map(|after| match last {
                        Presence::Connected => after,
                        // Between two polls nobody is connected; that is not leaving.
                        Presence::Polling => after.max(self.job.config.abandon_after),
                    });
                    self.abandoned_at = grace.map(|grace| Instant::now() + grace);
                    self.armed = None;
                }
            }
        }
        if self.is_stopping(context) {
            return Poll::Ready(End::failed(
                FailureCode::ServerStopping,
                "the server is stopping; send the request again",
            ));
        }
        let mut more = false;
        let end = self.poll_deltas(context, &mut more);
        // What was generated before the end is logged before the end.
        match self.writer.poll_flush(context, &mut self.pending) {
            // Other streams have a turn before the next batch.
            Poll::Ready(Ok(())) if more => context.waker().wake_by_ref(),
            Poll::Ready(Ok(())) | Poll::Pending => {}
            Poll::Ready(Err(error)) => {
                self.pending.reset(0);
                return Poll::Ready(log_failed(&error));
            }
        }
        if end.is_ready() {
            return end;
        }
        self.poll_deadline(context)
    }

    /// Takes what the generator has ready, up to a full batch. Pending means that the generator, the
    /// limiter or the log must be waited for; or, with `more`, that only the batch is full.
    fn poll_deltas(&mut self, context: &mut Context<'_>, more: &mut bool) -> Poll<End> {
        for _ in 0..BATCH_DELTAS {
            if self.pending.bytes() >= BATCH_BYTES {
                break;
            }
            let delta = match self.held.take() {
                Some(delta) => delta,
                None => match ready!(self.poll_generator(context)) {
                    Ok(delta) => delta,
                    Err(failure) => return Poll::Ready(End::Failed(failure)),
                },
            };
            if let Delta::Finish { reason, usage } = delta {
                return Poll::Ready(End::Finished(reason, usage));
            }
            let most = self.job.prompt.max_tokens.map_or(u64::MAX, u64::from);
            if self.tally.deltas >= most {
                return Poll::Ready(End::Finished(FinishReason::Length, None));
            }
            match self.permit.poll_spendable(context) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => {
                    return Poll::Ready(End::failed(
                        FailureCode::QuotaExceeded,
                        "the tokens per minute of your plan are spent",
                    ));
                }
                Poll::Pending => {
                    self.held = Some(delta);
                    return Poll::Pending;
                }
            }
            if let Err(failure) = self.take(&delta) {
                return Poll::Ready(End::Failed(failure));
            }
        }
        *more = true;
        Poll::Pending
    }

    /// The generator's next delta, or how it failed.
    fn poll_generator(&mut self, context: &mut Context<'_>) -> Poll<Result<Delta, Failure>> {
        let Some(deltas) = &mut self.deltas else {
            return Poll::Pending;
        };
        let poll = AssertUnwindSafe(|| deltas.as_mut().poll_next(context));
        let Ok(polled) = catch_unwind(poll) else {
            // The panic hook has logged where. What it said may hold the prompt.
            return Poll::Ready(Err(Failure::new(
                FailureCode::InternalError,
                "the generator failed unexpectedly",
            )));
        };
        Poll::Ready(match ready!(polled) {
            Some(Ok(delta)) => Ok(delta),
            Some(Err(error)) => Err(generator_failed(&error)),
            None => Err(Failure::new(
                FailureCode::UpstreamIncomplete,
                "the generator ended without a finish reason",
            )),
        })
    }

    /// Logs a delta. An empty one says nothing and is not one.
    fn take(&mut self, delta: &Delta) -> Result<(), Failure> {
        match delta {
            Delta::Text(text) | Delta::Reasoning(text) if text.is_empty() => return Ok(()),
            Delta::Text(text) => {
                self.tally.text.update(text.as_bytes());
                self.pending.push_text(text);
            }
            Delta::Reasoning(text) => self.pending.push_reasoning(text),
            Delta::ToolCall(call) => {
                let long =
                    |name: &Option<String>| name.as_ref().is_some_and(|n| n.len() > MAX_NAME_BYTES);
                if long(&call.id) || long(&call.name) {
                    return Err(Failure::new(
                        FailureCode::GeneratorError,
                        format!(
                            "the generator made a tool call with a name of more than {MAX_NAME_BYTES} bytes"
                        ),
                    ));
                }
                self.pending.push_tool_call(call);
            }
            Delta::Finish { .. } => return Ok(()),
        }
        let now = Instant::now();
        if self.tally.first_delta.is_none() {
            self.tally.first_delta = Some(now);
            self.armed = None;
        }
        self.tally.last_delta = now;
        self.tally.deltas += 1;
        self.permit.spend(1);
        Ok(())
    }

    /// Whether the server must stop.
    fn is_stopping(&mut self, context: &mut Context<'_>) -> bool {
        if self.job.stopping.has_fired() {
            return true;
        }
        if self.waits_for_stop {
            return false;
        }
        self.waits_for_stop = true;
        self.stopping.poll_unpin(context).is_ready()
    }

    /// The timer is not moved with each delta, nor even looked at: when it fires, it is set to what is
    /// due by then. Whatever brings a deadline nearer disarms it.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<End> {
        if self.armed.is_some_and(|armed| Instant::now() < armed) {
            return Poll::Pending;
        }
        loop {
            let (at, due) = self.deadline();
            if Instant::now() >= at {
                return Poll::Ready(due.end(&self.job.config));
            }
            // A sooner deadline must move the timer at once; a later one can wait until it fires.
            if at < self.timer.deadline() {
                self.timer.as_mut().reset(at);
            }
            self.armed = Some(self.timer.deadline());
            ready!(self.timer.poll_unpin(context));
            self.armed = None;
            self.timer.as_mut().reset(at);
        }
    }

    /// The next deadline, and what it means when it passes.
    fn deadline(&self) -> (Instant, Due) {
        let config = &self.job.config;
        let silence = match self.tally.first_delta {
            None => (
                self.tally.started + config.first_token_timeout,
                Due::FirstToken,
            ),
            Some(_) => (self.tally.last_delta + config.idle_timeout, Due::Idle),
        };
        let total = (self.tally.started + config.total_timeout, Due::Total);
        let next = if total.0 < silence.0 { total } else { silence };
        match self.abandoned_at {
            Some(abandoned) if abandoned <= next.0 => (abandoned, Due::Abandoned),
            _ => next,
        }
    }

    fn terminal(&self, end: End) -> Terminal {
        let tally = &self.tally;
        let counted = Usage::new(self.job.prompt.approximate_tokens(), tally.deltas);
        match end {
            End::Finished(finish_reason, usage) => Terminal::Done {
                finish_reason,
                usage: usage.unwrap_or(counted),
                timing: Timing {
                    first_token_ms: tally.first_delta.map(|at| millis(at - tally.started)),
                    total_ms: millis(tally.started.elapsed()),
                },
                text_sha256: hex(&tally.text.clone().finalize()),
            },
            End::Failed(error) => Terminal::Error {
                error,
                usage: counted,
            },
        }
    }

    /// One line for each stream, never its text.
    fn report(&self, terminal: &Terminal) {
        let tally = &self.tally;
        let usage = terminal.usage();
        tracing::info!(
            request.id = %self.job.request_id,
            stream.id = %self.job.id,
            stream.owner = %self.job.owner,
            stream.model = %self.job.prompt.model,
            stream.outcome = terminal.outcome(),
            stream.readers = self.writer.readers(),
            tokens.prompt = usage.prompt_tokens,
            tokens.completion = usage.completion_tokens,
            first_token_ms = tally.first_delta.map(|at| millis(at - tally.started)),
            total_ms = millis(tally.started.elapsed()),
            "A stream ended"
        );
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
