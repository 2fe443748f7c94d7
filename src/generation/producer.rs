//! Runs one generator into the log and writes the stream's one terminal entry, whatever happens.
//!
//! The producer is one future on the thread that took the request. Each time it is polled it takes
//! all deltas that are ready and appends them together; it never waits to fill a batch.

mod close;
mod deadlines;
mod end;
mod publish;
mod report;
mod trace;

use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::deadlines::Deadlines;
use self::end::{End, generator_failed, log_failed};
use super::GenerationConfig;
use super::running::{Enrolled, Running};
use crate::generator::{Attempt, Delta, Deltas, FinishReason, Generator, GeneratorError, Prompt};
use crate::limit::Permit;
use crate::metrics::{Counting, GapMeter, Metrics};
use crate::panics::{Panicked, caught};
use crate::shutdown::{StopWatch, Stopping};
use crate::stream::{Batch, Failure, FailureCode, Owner, StreamId};
use crate::stream_log::{Control, Presence, Writer};
use crate::traces::Span;

/// How much is appended at once, in bytes. A generator that is always ready yields the thread to
/// other streams after each such batch.
const BATCH_BYTES: usize = 16 * 1024;

/// How many deltas are taken at once, since empty ones fill no batch.
const BATCH_DELTAS: usize = 1024;

/// The longest id or name of a tool call, in bytes. Everything else of an event can be split.
const MAX_NAME_BYTES: usize = 1024;

/// What a producer needs to know.
pub(super) struct Job {
    pub(super) id: StreamId,
    pub(super) owner: Owner,
    /// The request that started it.
    pub(super) request_id: String,
    /// The public name of the model.
    pub(super) model: String,
    /// The server behind the generator, if there is one.
    pub(super) upstream: Option<String>,
    /// Which upstreams were asked or passed over, and what came of it.
    pub(super) tried: Vec<Attempt>,
    /// The generation's own span.
    pub(super) span: Span,
    /// How the generator failed.
    pub(super) error: Option<GeneratorError>,
    /// Where it has panicked.
    pub(super) panicked: Option<Panicked>,
    pub(super) config: GenerationConfig,
    /// How long other processes have generated before this one.
    pub(super) earlier: Duration,
    /// How long to go on after the last reader has left; absent, to the end.
    pub(super) abandon_after: Option<Duration>,
    pub(super) stopping: Stopping,
    pub(super) metrics: Metrics,
    /// The plan that its owner's token names.
    pub(super) plan: Option<String>,
    /// Those that run in this process.
    pub(super) running: Arc<Running>,
}

thread_local! {
    /// What is generated in one poll, until the log has taken it. Nearly always that is at once, so
    /// that all producers of a thread share one that is hot in the cache.
    static PENDING: RefCell<Batch> = RefCell::default();
}

/// A generation under way. What every token touches lies here; the rest is behind boxes.
pub(super) struct Producer {
    job: Box<Job>,
    /// Counts it among those that run.
    _running: Counting,
    /// The most deltas that are taken of a generator that does not limit itself.
    most: u64,
    deltas: Option<Deltas>,
    /// Stops the generator's work when the producer ends or is dropped.
    cancel: DropGuard,
    writer: Writer,
    permit: Permit,
    /// What the log has not taken yet, if that takes longer than a poll.
    unlogged: Option<Box<Batch>>,
    /// A delta that waits until the limiter says whether there is quota for it.
    held: Option<Box<Delta>>,
    /// About how many tokens the prompt has.
    prompt_tokens: u64,
    /// How many deltas came before this process went on with the answer.
    before: u64,
    /// Whether another process could go on with the answer as it stands.
    movable: bool,
    /// How many deltas came.
    count: u64,
    /// The digest of the answer's text.
    text: Sha256,
    deadlines: Deadlines,
    /// Measures the time between arrivals, unless nobody wants to know.
    gaps: Option<GapMeter>,
    /// Its place among those that run, for the same.
    enrolled: Option<Enrolled>,
    stop: StopWatch,
}

impl Producer {
    /// The prompt is the generator's: a long conversation is not kept while it is answered.
    pub(super) fn new(
        mut job: Job,
        mut prompt: Prompt,
        generator: &dyn Generator,
        writer: Writer,
        permit: Permit,
    ) -> Self {
        job.upstream = generator.upstream().map(str::to_owned);
        job.span = trace::begin(&job, &prompt, generator.provider());
        prompt.trace = job.span.trace().clone();
        let prompt_tokens = prompt.approximate_tokens();
        let most = prompt.max_tokens.filter(|_| !generator.limits_itself());
        let mut text = Sha256::new();
        let mut before = 0;
        if let Some(answered) = &prompt.answered {
            text.update(&answered.text);
            before = answered.tokens.into();
        }
        let prompt = Arc::new(prompt);
        let cancel = CancellationToken::new();
        let deltas = match caught(|| generator.generate(prompt, cancel.clone())) {
            Ok(deltas) => deltas,
            Err(panicked) => stream::once(async { panicked.go_on() }).boxed_local(),
        };
        let pace = job.metrics.pace(&job.model, job.plan.as_deref());
        Self {
            _running: job.metrics.generating(&job.model),
            gaps: pace.as_ref().map(|pace| pace.meter()),
            enrolled: pace.map(|pace| Running::enrol(&job, before, pace, writer.audience())),
            prompt_tokens,
            before,
            movable: job.config.takes_over && generator.continues(),
            most: most.map_or(u64::MAX, u64::from),
            deltas: Some(deltas),
            cancel: cancel.drop_guard(),
            writer,
            permit,
            unlogged: None,
            held: None,
            count: before,
            text,
            deadlines: Deadlines::new(job.config),
            stop: job.stopping.watch(),
            job: Box::new(job),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        PENDING.with_borrow_mut(|pending| {
            match self.unlogged.take() {
                Some(unlogged) => *pending = *unlogged,
                // It is empty, unless another stream's producer has panicked.
                None => pending.reset(0),
            }
            let end = self.poll_end(context, pending);
            if !pending.is_empty() {
                self.unlogged = Some(Box::new(std::mem::take(pending)));
            }
            end
        })
    }

    fn poll_end(&mut self, context: &mut Context<'_>, pending: &mut Batch) -> Poll<End> {
        while let Poll::Ready(control) = self.writer.poll_control(context) {
            match control {
                Control::Cancel => return Poll::Ready(End::CANCELLED),
                Control::Attended => self.deadlines.abandon_at(None),
                Control::Deserted(last) => {
                    let grace = self.job.abandon_after.map(|after| match last {
                        Presence::Connected => after,
                        // Between two polls nobody is connected; that is not leaving.
                        Presence::Polling => after.max(self.job.config.abandon_after),
                    });
                    self.deadlines
                        .abandon_at(grace.map(|grace| Instant::now() + grace));
                }
            }
        }
        if self.stop.poll_fired(context) {
            return Poll::Ready(if self.is_movable() {
                End::Moved
            } else {
                End::Failed(end::server_stopping())
            });
        }
        let (before, mut more) = (self.count, false);
        let end = self.poll_deltas(context, pending, &mut more);
        let now = Instant::now();
        if self.count > before {
            let gap = self.deadlines.delta_came(now);
            if let (Some(gap), Some(meter)) = (gap, &self.gaps) {
                meter.record(gap);
            }
            if let Some(enrolled) = &self.enrolled {
                let first = gap.is_none().then(|| self.deadlines.first_token());
                enrolled.reached(self.count, first.flatten().filter(|_| self.before == 0));
            }
        }
        // What was generated before the end is logged before the end.
        match self.writer.poll_flush(context, pending) {
            // Other streams have a turn before the next batch.
            Poll::Ready(Ok(())) if more => context.waker().wake_by_ref(),
            Poll::Ready(Ok(())) | Poll::Pending => {}
            Poll::Ready(Err(error)) => {
                pending.reset(0);
                return Poll::Ready(log_failed(&error));
            }
        }
        if end.is_ready() {
            return end;
        }
        let due = ready!(self.deadlines.poll_due(context, now));
        Poll::Ready(due.end(&self.job.config))
    }

    /// Takes what the generator has ready, up to a full batch. Pending means that the generator, the
    /// limiter or the log must be waited for; or, with `more`, that only the batch is full.
    fn poll_deltas(
        &mut self,
        context: &mut Context<'_>,
        pending: &mut Batch,
        more: &mut bool,
    ) -> Poll<End> {
        for _ in 0..BATCH_DELTAS {
            if pending.bytes() >= BATCH_BYTES {
                break;
            }
            let delta = match self.held.take() {
                Some(delta) => *delta,
                None => match ready!(self.poll_generator(context)) {
                    Ok(delta) => delta,
                    Err(failure) => return Poll::Ready(End::Failed(failure)),
                },
            };
            match delta {
                Delta::Finish { reason, usage } => {
                    return Poll::Ready(End::Finished(reason, usage));
                }
                Delta::Tried(attempt) => {
                    self.job.tried(attempt);
                    continue;
                }
                Delta::Logprobs(logprobs) => {
                    self.movable = false;
                    pending.push_logprobs(&logprobs);
                    continue;
                }
                // Before any limit: some upstreams close an answer with an empty one.
                _ if delta.says_nothing() => continue,
                _ => {}
            }
            if self.count >= self.most {
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
                    self.held = Some(Box::new(delta));
                    return Poll::Pending;
                }
            }
            if let Err(failure) = self.take(&delta, pending) {
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
        let polled = match caught(|| deltas.as_mut().poll_next(context)) {
            Ok(polled) => polled,
            Err(panicked) => {
                self.job.panicked = Some(panicked);
                return Poll::Ready(Err(Failure::new(
                    FailureCode::InternalError,
                    "the generator failed unexpectedly",
                )));
            }
        };
        Poll::Ready(match ready!(polled) {
            Some(Ok(delta)) => Ok(delta),
            Some(Err(error)) => {
                let failure = generator_failed(&error);
                self.job.error = Some(error);
                Err(failure)
            }
            None => Err(Failure::new(
                FailureCode::UpstreamIncomplete,
                "the generator ended without a finish reason",
            )),
        })
    }

    /// Takes a delta to the log.
    fn take(&mut self, delta: &Delta, pending: &mut Batch) -> Result<(), Failure> {
        match delta {
            Delta::Text(text) => {
                self.text.update(text.as_bytes());
                pending.push_text(text);
            }
            Delta::Reasoning(text) => pending.push_reasoning(text),
            Delta::Refusal(text) => pending.push_refusal(text),
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
                pending.push_tool_call(call);
            }
            Delta::Logprobs(_) | Delta::Tried(_) | Delta::Finish { .. } => return Ok(()),
        }
        self.movable &= matches!(delta, Delta::Text(_));
        self.count += 1;
        self.permit.spend(1);
        Ok(())
    }

    /// Whether another process could go on.
    fn is_movable(&self) -> bool {
        self.movable || (self.job.config.takes_over && self.count == 0)
    }
}
