//! One upstream of a route: whether it may be asked, and what is learnt when it was.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::breaker::Breaker;
use super::{RouteConfig, Step};
use crate::generator::{Attempt, Generator, GeneratorError, Outcome, Prompt};
use crate::stream::FailureCode;

pub(super) struct Upstream {
    /// How it is called in the log.
    pub(super) name: Arc<str>,
    pub(super) generator: Arc<dyn Generator>,
    pub(super) breaker: Mutex<Breaker>,
}

/// Why an upstream is passed over.
#[derive(Clone, Copy)]
pub(super) struct Rest {
    pub(super) time: Duration,
    pub(super) is_limit: bool,
}

impl Upstream {
    pub(super) fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why it may not be asked now, if it may not.
    pub(super) fn rests(&self, config: RouteConfig, now: Instant) -> Option<Rest> {
        let mut breaker = self.breaker();
        let may = breaker.may_be_asked(config.breaker, now);
        (!may).then(|| Rest {
            time: breaker.rest(now),
            is_limit: breaker.is_limit(),
        })
    }

    /// Whether it can serve the prompt; else, what of it it cannot.
    pub(super) fn is_able(&self, prompt: &Prompt) -> Result<(), String> {
        if prompt.answered.is_some() && !self.generator.continues() {
            return Err("an answer that has begun".to_owned());
        }
        let checked = self.generator.check(prompt);
        checked.map_err(|unable| unable.field)
    }

    pub(super) fn tried(&self, outcome: Outcome) -> Step {
        Step::Tried(Attempt {
            upstream: Arc::clone(&self.name),
            outcome,
        })
    }

    /// It answers what it was asked at that time. Says how many failures are forgotten for it.
    pub(super) fn answered(&self, asked: Instant) -> u32 {
        let answered = self.breaker().answered(asked);
        if answered.is_back {
            tracing::info!(upstream.name = %self.name, "An upstream answers again");
        }
        answered.forgotten
    }

    /// It has failed, and when it began to answer, so many earlier failures were forgotten.
    pub(super) fn failed(&self, config: RouteConfig, error: &GeneratorError, forgotten: u32) {
        // Only who turns requests away knows when it wants them; others say it of themselves.
        let asked = error
            .retry_after
            .filter(|_| error.code == FailureCode::UpstreamRateLimited);
        let opened = {
            let mut breaker = self.breaker();
            breaker.remember(forgotten);
            let is_limit = error.code == FailureCode::UpstreamRateLimited;
            breaker.failed(config.breaker, Instant::now(), is_limit, asked)
        };
        if let Some(opened) = opened {
            tracing::warn!(
                upstream.name = %self.name,
                upstream.rest_s = opened.rest.as_secs_f64(),
                upstream.failures = opened.failures,
                upstream.retry_after_s = asked.map(|asked| asked.as_secs_f64()),
                failure.code = error.code.as_str(),
                failure.cause = error.reason(),
                "An upstream is left alone for a while"
            );
        }
    }
}

/// A request that an upstream has not answered yet. If it never will, since nobody waits any more,
/// the breaker is told so.
pub(super) struct Question<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) asked: Instant,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.upstream.breaker().left(self.asked);
    }
}
