//! The times within which an upstream must answer, and the one timer that watches them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::generator::GeneratorError;
use crate::generator::Timeouts;
use crate::stream::FailureCode;

/// When an upstream is too late.
///
/// A token only notes the time: when the timer fires, it is set to what is due by then. Without any
/// time-out this is an empty pointer.
pub(super) struct Deadlines(Option<Box<Watch>>);

struct Watch {
    timeouts: Timeouts,
    started: Instant,
    /// When the last delta came.
    last: Option<Instant>,
    /// Set when something is waited for the first time.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadlines {
    /// Everything counts from now.
    pub(super) fn new(timeouts: Timeouts) -> Self {
        Self((timeouts != Timeouts::default()).then(|| Box::new(Watch::new(timeouts))))
    }

    /// Notes that the upstream has said something.
    pub(super) fn delta_came(&mut self) {
        if let Some(watch) = &mut self.0 {
            watch.last = Some(Instant::now());
        }
    }

    /// Waits until it is too late.
    pub(super) fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<GeneratorError> {
        match &mut self.0 {
            None => Poll::Pending,
            Some(watch) => watch.poll_late(context),
        }
    }
}

impl Watch {
    fn new(timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            started: Instant::now(),
            last: None,
            timer: None,
        }
    }

    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<GeneratorError> {
        loop {
            let Some((at, due)) = self.next() else {
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            // A sooner deadline must move the timer at once; a later one can wait until it fires.
            if at < timer.deadline() {
                timer.as_mut().reset(at);
            }
            ready!(timer.poll_unpin(context));
            if at <= timer.deadline() {
                return Poll::Ready(due.error(self.timeouts));
            }
            timer.as_mut().reset(at);
        }
    }

    /// The next deadline, and what it means when it passes.
    fn next(&self) -> Option<(Instant, Due)> {
        let Timeouts {
            first_token,
            idle,
            total,
        } = self.timeouts;
        let silence = match self.last {
            None => first_token.map(|time| (self.started + time, Due::FirstToken)),
            Some(last) => idle.map(|time| (last + time, Due::Idle)),
        };
        let total = total.map(|time| (self.started + time, Due::Total));
        silence.into_iter().chain(total).min_by_key(|(at, _)| *at)
    }
}

/// What a deadline is for.
#[derive(Clone, Copy)]
enum Due {
    FirstToken,
    Idle,
    Total,
}

impl Due {
    fn error(self, timeouts: Timeouts) -> GeneratorError {
        let (code, what, limit) = match self {
            Self::FirstToken => (
                FailureCode::FirstTokenTimeout,
                "the upstream sent no token within",
                timeouts.first_token,
            ),
            Self::Idle => (
                FailureCode::IdleTimeout,
                "the upstream sent no further token within",
                timeouts.idle,
            ),
            Self::Total => (
                FailureCode::TotalTimeout,
                "the upstream's answer took longer than",
                timeouts.total,
            ),
        };
        let seconds = limit.unwrap_or(Duration::ZERO).as_secs_f64();
        GeneratorError::new(code, format!("{what} {seconds} s"))
    }
}
