//! Several upstreams behind one model, in order of preference: when one fails before its first
//! token, the next is asked.
//!
//! After the first token nothing is repeated: a reader has seen it. What was tried is told to the
//! producer, for its log line.

mod breaker;

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_stream::stream;
use futures_util::stream::LocalBoxStream;
use futures_util::{Stream, StreamExt as _};
use rand::RngExt as _;
use tokio_util::sync::CancellationToken;

use self::breaker::Breaker;
pub use self::breaker::BreakerConfig;
use super::{Attempt, Delta, Deltas, Generator, GeneratorError, InvalidPrompt, Prompt};
use crate::stream::FailureCode;

/// How long to wait before all are asked once more: this, twice this, and so on, up to the longest,
/// and each time only some of it, so that those who failed together do not return together.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How a route behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteConfig {
    /// How often each upstream is asked at most, for one generation.
    pub rounds: u32,
    /// When an upstream is left alone.
    pub breaker: BreakerConfig,
}

/// The `route` backend of [`Generator`].
pub struct RouteGenerator {
    upstreams: Arc<[Upstream]>,
    config: RouteConfig,
}

struct Upstream {
    /// How it is called in the log.
    name: Arc<str>,
    generator: Arc<dyn Generator>,
    breaker: Mutex<Breaker>,
}

impl RouteGenerator {
    /// A route over these upstreams, the preferred one first, each with its name for the log.
    pub fn new(
        upstreams: impl IntoIterator<Item = (String, Arc<dyn Generator>)>,
        config: RouteConfig,
    ) -> Self {
        let upstreams = upstreams.into_iter().map(|(name, generator)| Upstream {
            name: name.into(),
            generator,
            breaker: Mutex::default(),
        });
        Self {
            upstreams: upstreams.collect(),
            config,
        }
    }
}

impl Generator for RouteGenerator {
    /// One of them must be able to; the others are then not asked.
    fn check(&self, prompt: &Prompt) -> Result<(), InvalidPrompt> {
        let mut outcome = Ok(());
        for upstream in self.upstreams.iter().rev() {
            outcome = upstream.generator.check(prompt);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    fn limits_itself(&self) -> bool {
        let mut upstreams = self.upstreams.iter();
        upstreams.all(|upstream| upstream.generator.limits_itself())
    }

    fn generate(&self, prompt: Arc<Prompt>, cancel: CancellationToken) -> Deltas {
        let choosing = choose(Arc::clone(&self.upstreams), self.config, prompt, cancel);
        Box::pin(Routed {
            place: Place::Choosing(choosing.boxed_local()),
            config: self.config,
        })
    }
}

/// What comes of choosing.
enum Step {
    Tried(Attempt),
    /// The first delta of whoever answers, and the rest.
    Chosen(Choice, Delta),
    Failed(GeneratorError),
}

/// Who answers.
struct Choice {
    upstreams: Arc<[Upstream]>,
    number: usize,
    deltas: Deltas,
    /// The failures that were forgotten when it began to answer.
    forgotten: u32,
}

/// Asks one after the other until one answers.
fn choose(
    upstreams: Arc<[Upstream]>,
    config: RouteConfig,
    prompt: Arc<Prompt>,
    cancel: CancellationToken,
) -> impl Stream<Item = Step> {
    stream! {
        let able: Vec<usize> = (0..upstreams.len())
            .filter(|&number| upstreams[number].generator.check(&prompt).is_ok())
            .collect();
        let mut last = None;
        for round in 0..config.rounds {
            if round > 0 {
                tokio::time::sleep(wait(round)).await;
            }
            let mut all_rest = true;
            for &number in &able {
                let upstream = &upstreams[number];
                let asked = Instant::now();
                if !upstream.breaker().may_be_asked(config.breaker, asked) {
                    continue;
                }
                all_rest = false;
                let mut deltas = upstream.generator.generate(Arc::clone(&prompt), cancel.clone());
                let first = first_of(&mut deltas).await;
                yield Step::Tried(Attempt {
                    upstream: Arc::clone(&upstream.name),
                    failure: first.as_ref().err().map(|error| error.code),
                    after: asked.elapsed(),
                });
                match first {
                    Ok(first) => {
                        let forgotten = upstream.breaker().answered(asked);
                        let upstreams = Arc::clone(&upstreams);
                        let choice = Choice { upstreams, number, deltas, forgotten };
                        yield Step::Chosen(choice, first);
                        return;
                    }
                    Err(error) if may_go_better_elsewhere(error.code) => {
                        upstream.failed(config, &error, 0);
                        last = Some(error);
                    }
                    Err(error) => {
                        // Who refuses a request is there.
                        upstream.breaker().answered(asked);
                        yield Step::Failed(error);
                        return;
                    }
                }
            }
            if all_rest {
                break;
            }
        }
        yield Step::Failed(last.unwrap_or_else(|| resting(&upstreams, &able)));
    }
}

/// The first delta that says something, after which nothing is repeated.
async fn first_of(deltas: &mut Deltas) -> Result<Delta, GeneratorError> {
    loop {
        match deltas.next().await {
            Some(Ok(delta)) if delta.says_nothing() => {}
            Some(first) => return first,
            None => return Err(incomplete()),
        }
    }
}

/// How long to wait before this round.
fn wait(round: u32) -> Duration {
    let longest = FIRST_WAIT * 2_u32.saturating_pow(round - 1).min(1_000);
    rand::rng().random_range(Duration::ZERO..=longest.min(LONGEST_WAIT))
}

/// Whether another upstream may do better, while nothing has been said. What a request is refused
/// for, it is refused for everywhere.
const fn may_go_better_elsewhere(code: FailureCode) -> bool {
    // An answer that is too long is nobody's fault, but one that has not begun by then is.
    is_upstreams_fault(code) || matches!(code, FailureCode::TotalTimeout)
}

/// Whether the failure says something of the upstream, and not of the request.
const fn is_upstreams_fault(code: FailureCode) -> bool {
    matches!(
        code,
        FailureCode::UpstreamUnavailable
            | FailureCode::UpstreamRateLimited
            | FailureCode::UpstreamError
            | FailureCode::UpstreamInvalid
            | FailureCode::UpstreamIncomplete
            | FailureCode::GeneratorError
            | FailureCode::FirstTokenTimeout
            | FailureCode::IdleTimeout
    )
}

fn incomplete() -> GeneratorError {
    GeneratorError::new(
        FailureCode::UpstreamIncomplete,
        "the upstream ended without a finish reason",
    )
}

/// Nobody was asked, since all that can serve the prompt have failed just now.
fn resting(upstreams: &[Upstream], able: &[usize]) -> GeneratorError {
    let now = Instant::now();
    let rests = able
        .iter()
        .map(|&number| upstreams[number].breaker().rest(now));
    GeneratorError {
        retry_after: rests.min(),
        ..GeneratorError::new(
            FailureCode::UpstreamUnavailable,
            "every upstream of this model has failed lately, and is left alone for a moment",
        )
    }
}

impl Upstream {
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has failed, and when it began to answer, so many earlier failures were forgotten.
    fn failed(&self, config: RouteConfig, error: &GeneratorError, forgotten: u32) {
        // Only who turns requests away knows when it wants them; others say it of themselves.
        let asked = error
            .retry_after
            .filter(|_| error.code == FailureCode::UpstreamRateLimited);
        let opened = {
            let mut breaker = self.breaker();
            breaker.remember(forgotten);
            breaker.failed(config.breaker, Instant::now(), asked)
        };
        if opened {
            tracing::warn!(
                upstream.name = %self.name,
                upstream.failure = error.code.as_str(),
                "An upstream is left alone for a while"
            );
        }
    }
}

/// A generation on its way to an upstream, or from it.
struct Routed {
    place: Place,
    config: RouteConfig,
}

enum Place {
    Choosing(LocalBoxStream<'static, Step>),
    Chosen(Choice),
    Over,
}

impl Stream for Routed {
    type Item = Result<Delta, GeneratorError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        match &mut this.place {
            Place::Chosen(choice) => {
                let delta = ready!(choice.deltas.poll_next_unpin(context));
                if let Some(Err(error)) = &delta
                    && is_upstreams_fault(error.code)
                {
                    let upstream = &choice.upstreams[choice.number];
                    upstream.failed(this.config, error, choice.forgotten);
                }
                Poll::Ready(delta)
            }
            Place::Choosing(choosing) => {
                let step = ready!(choosing.poll_next_unpin(context));
                Poll::Ready(Some(match step {
                    Some(Step::Tried(attempt)) => Ok(Delta::Tried(attempt)),
                    Some(Step::Chosen(choice, first)) => {
                        this.place = Place::Chosen(choice);
                        Ok(first)
                    }
                    Some(Step::Failed(error)) => {
                        this.place = Place::Over;
                        Err(error)
                    }
                    None => return Poll::Ready(None),
                }))
            }
            Place::Over => Poll::Ready(None),
        }
    }
}
