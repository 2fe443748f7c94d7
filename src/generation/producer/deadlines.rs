//! The times within which a generation must go on, and the one timer that watches them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, Sleep, sleep_until};

use super::end::Due;
use crate::generation::GenerationConfig;

/// When a generation is too late.
///
/// The timer is not moved with each delta, nor even looked at: when it fires, it is set to what is
/// due by then. Whatever brings a deadline nearer disarms it.
pub(super) struct Deadlines {
    /// When the timer will wake us, once it knows whom.
    armed: Option<Instant>,
    /// When the last delta came, or the generation started.
    last: Instant,
    has_begun: bool,
    /// What tokens do not touch.
    seldom: Box<Seldom>,
}

struct Seldom {
    config: GenerationConfig,
    timer: Pin<Box<Sleep>>,
    started: Instant,
    first_delta: Option<Instant>,
    /// When the stream counts as abandoned.
    abandoned: Option<Instant>,
}

impl Deadlines {
    /// Everything counts from now.
    pub(super) fn new(config: GenerationConfig) -> Self {
        let started = Instant::now();
        Self {
            armed: None,
            last: started,
            has_begun: false,
            seldom: Box::new(Seldom {
                config,
                timer: Box::pin(sleep_until(started + config.first_token_timeout)),
                started,
                first_delta: None,
                abandoned: None,
            }),
        }
    }

    /// How long the first delta took, if there was one.
    pub(super) fn first_token(&self) -> Option<Duration> {
        Some(self.seldom.first_delta? - self.seldom.started)
    }

    /// How long the generation has taken so far.
    pub(super) fn elapsed(&self) -> Duration {
        self.seldom.started.elapsed()
    }

    /// Answers how long it took since those before it, if it is not the first.
    pub(super) fn delta_came(&mut self, now: Instant) -> Option<Duration> {
        let before = std::mem::replace(&mut self.last, now);
        if self.has_begun {
            return Some(now - before);
        }
        self.has_begun = true;
        self.seldom.first_delta = Some(now);
        self.armed = None;
        None
    }

    /// The stream will count as abandoned by then, or not at all.
    pub(super) fn abandon_at(&mut self, at: Option<Instant>) {
        self.seldom.abandoned = at;
        self.armed = None;
    }

    /// Waits for what is due first. `now` may be some moments old.
    pub(super) fn poll_due(&mut self, context: &mut Context<'_>, mut now: Instant) -> Poll<Due> {
        if self.armed.is_some_and(|armed| now < armed) {
            return Poll::Pending;
        }
        loop {
            let (at, due) = self.next();
            if now >= at {
                return Poll::Ready(due);
            }
            let timer = &mut self.seldom.timer;
            // A sooner deadline must move the timer at once; a later one can wait until it fires.
            if at < timer.deadline() {
                timer.as_mut().reset(at);
            }
            self.armed = Some(timer.deadline());
            ready!(timer.poll_unpin(context));
            self.armed = None;
            timer.as_mut().reset(at);
            now = Instant::now();
        }
    }

    /// The next deadline, and what it means when it passes.
    fn next(&self) -> (Instant, Due) {
        let Seldom {
            config,
            started,
            abandoned,
            ..
        } = &*self.seldom;
        let silence = if self.has_begun {
            (self.last + config.idle_timeout, Due::Idle)
        } else {
            (*started + config.first_token_timeout, Due::FirstToken)
        };
        let total = (*started + config.total_timeout, Due::Total);
        let next = if total.0 < silence.0 { total } else { silence };
        match *abandoned {
            Some(abandoned) if abandoned <= next.0 => (abandoned, Due::Abandoned),
            _ => next,
        }
    }
}
