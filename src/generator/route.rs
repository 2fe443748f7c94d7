//! Several upstreams behind one model, in order of preference: when one fails before its first
//! token, the next is asked.
//!
//! After the first token nothing is repeated: a reader has seen it. What was tried or passed over is
//! told to the producer, for the log.

mod breaker;
mod upstream;

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_stream::stream;
use futures_util::stream::LocalBoxStream;
use futures_util::{Stream, StreamExt as _};
use rand::RngExt as _;
use tokio_util::sync::CancellationToken;

pub use self::breaker::BreakerConfig;
use self::upstream::{Question, Rest, Upstream};
use super::{Attempt, Delta, Deltas, Generator, GeneratorError, InvalidPrompt, Outcome, Prompt};
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

    fn continues(&self) -> bool {
        let mut upstreams = self.upstreams.iter();
        upstreams.any(|upstream| upstream.generator.continues())
    }

    /// That of the preferred one. Spans of those that are asked say who they are.
    fn provider(&self) -> &'static str {
        let preferred = self.upstreams.first();
        preferred.map_or("tailrace", |upstream| upstream.generator.provider())
    }

    fn rests(&self) -> Vec<(Arc<str>, bool)> {
        let now = Instant::now();
        let upstreams = self.upstreams.iter();
        let rests = upstreams.map(|it| (Arc::clone(&it.name), !it.breaker().rest(now).is_zero()));
        rests.collect()
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
        let mut failures = Failures::default();
        for round in 0..config.rounds {
            if round > 0 {
                tokio::time::sleep(wait(round)).await;
            }
            let mut all_rest = true;
            for (number, upstream) in upstreams.iter().enumerate() {
                if let Err(field) = upstream.is_able(&prompt) {
                    if round == 0 {
                        yield upstream.tried(Outcome::Unable(field));
                    }
                    continue;
                }
                let asked = Instant::now();
                if let Some(rest) = upstream.rests(config, asked) {
                    failures.skip(rest);
                    if round == 0 {
                        yield upstream.tried(Outcome::Rests(rest.time));
                    }
                    continue;
                }
                all_rest = false;
                let _question = Question { upstream, asked };
                let mut deltas = upstream.generator.generate(Arc::clone(&prompt), cancel.clone());
                let first = first_of(&mut deltas).await;
                let after = asked.elapsed();
                match first {
                    Ok(first) => {
                        let forgotten = upstream.answered(asked);
                        yield upstream.tried(Outcome::Answered(after));
                        let upstreams = Arc::clone(&upstreams);
                        let choice = Choice { upstreams, number, deltas, forgotten };
                        yield Step::Chosen(choice, first);
                        return;
                    }
                    Err(error) => {
                        let is_over = !may_go_better_elsewhere(error.code);
                        if is_over {
                            // Who refuses a request is there.
                            upstream.answered(asked);
                        } else {
                            upstream.failed(config, &error, 0);
                        }
                        yield upstream.tried(Outcome::Failed(Box::new(error.clone()), after));
                        if is_over {
                            yield Step::Failed(error);
                            return;
                        }
                        failures.add(error);
                    }
                }
            }
            if all_rest {
                break;
            }
        }
        yield Step::Failed(failures.into_error());
    }
}

/// Why nobody answers, as far as it is known.
#[derive(Default)]
struct Failures {
    /// The last failure that is no rate limit.
    last: Option<GeneratorError>,
    last_limit: Option<GeneratorError>,
    /// Whether somebody rests for another reason than a rate limit.
    is_other: bool,
    /// The shortest rest of those that were passed over.
    rest: Option<Duration>,
}

impl Failures {
    fn add(&mut self, error: GeneratorError) {
        let is_limit = error.code == FailureCode::UpstreamRateLimited;
        let last = if is_limit {
            &mut self.last_limit
        } else {
            &mut self.last
        };
        *last = Some(error);
    }

    fn skip(&mut self, rest: Rest) {
        self.is_other |= !rest.is_limit;
        self.rest = self.rest.into_iter().chain([rest.time]).min();
    }

    /// A rate limit if there is nothing else; whoever waits for it to end is answered then.
    fn into_error(self) -> GeneratorError {
        let all_rest = |code, message| GeneratorError {
            retry_after: self.rest,
            ..GeneratorError::new(code, message)
        };
        match (self.last, self.last_limit) {
            (Some(error), _) => error,
            (None, Some(error)) if !self.is_other => error,
            (None, None) if self.rest.is_some() && !self.is_other => all_rest(
                FailureCode::UpstreamRateLimited,
                "every upstream of this model turns requests away for now",
            ),
            (None, _) => all_rest(
                FailureCode::UpstreamUnavailable,
                "every upstream of this model has failed lately, and is left alone for a moment",
            ),
        }
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
