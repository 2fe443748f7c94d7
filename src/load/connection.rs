//! One connection of a stream: reads what comes, and looks at the clock when nothing does.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use futures_util::future::poll_fn;
use tokio::time::sleep_until;

use super::dialect::{Dialect, End, Failed};
use super::plan::Behaviour;
use super::reader::{Body, Pace, Piece};
use super::refusal::NoStream;
use super::stream::Stream;
use super::target::Api;
use crate::http_client::{Answer, HttpError};

/// How long an answer may take to its end after it has said that it is over.
const LINGER: Duration = Duration::from_secs(5);

/// How much the system holds for a slow reader: what it does not take must wait at the server.
const SLOW_BUFFER: usize = 16 * 1024;

/// How a connection came to its end.
pub(super) enum Over {
    /// With the stream.
    Ended(End),
    /// We have cut it.
    Cut,
    /// Somebody else has.
    Broken,
    /// We do not want the rest.
    Left,
    /// It has said nothing for too long.
    Silent,
    /// The server would not cancel.
    Refused(NoStream),
}

impl Stream<'_> {
    /// Reads one connection.
    pub(super) async fn connection(&mut self, answer: &mut Answer) -> Over {
        let is_slow = self.behaviour == Behaviour::Slow;
        if is_slow {
            let _as_it_is = answer.limit_receive_buffer(SLOW_BUFFER);
        }
        let mut body = Body::new(&self.load.plan);
        let mut alarm = pin!(sleep_until(self.next_alarm(&body).into()));
        self.last_event = Instant::now();
        loop {
            let woken = poll_fn(|context| {
                let mut recorder = self.load.recorder.borrow_mut();
                let take = |piece: &[u8]| body.push(piece, &mut self.dialect, &mut recorder);
                if let Poll::Ready(read) = answer.poll_read(context, take) {
                    return Poll::Ready(Some(read));
                }
                ready!(alarm.as_mut().poll(context));
                Poll::Ready(None)
            });
            match woken.await {
                Some(Ok(more)) => {
                    if !more {
                        body.finish(&mut self.dialect);
                    }
                    let piece = body.take();
                    self.arrived(piece);
                    if !more {
                        let end = body.end().cloned();
                        return Over::Ended(end.unwrap_or_else(|| self.end_of_body()));
                    }
                    if is_slow {
                        let pause = piece.bytes as f64 / self.load.plan.slow_rate as f64;
                        tokio::time::sleep(Duration::from_secs_f64(pause)).await;
                    }
                }
                Some(Err(error)) => return Self::broken(&body, error),
                None => {
                    if let Some(over) = self.alarm(&body).await {
                        return over;
                    }
                    alarm.as_mut().reset(self.next_alarm(&body).into());
                }
            }
        }
    }

    /// What it means that the body is over and no event has said that the stream is.
    fn end_of_body(&self) -> End {
        // Whoever cancelled it may have been earlier than the first event.
        if matches!(self.dialect, Dialect::Sse) && self.events == 0 && !self.cancelled.get() {
            return End::Failed("no_events".into());
        }
        self.dialect.end_of_body()
    }

    fn broken(body: &Body, error: HttpError) -> Over {
        match (body.end(), error) {
            // What came after the last event matters to nobody.
            (Some(end), _) => Over::Ended(end.clone()),
            (None, HttpError::Malformed(why)) => Over::Ended(End::Failed(Failed {
                code: "not_http".to_owned(),
                text: Some(why.to_string()),
            })),
            (None, _) => Over::Broken,
        }
    }

    /// When somebody must look at the clock.
    fn next_alarm(&self, body: &Body) -> Instant {
        if body.end().is_some() {
            return self.last_event + LINGER;
        }
        let silent = self.last_event + self.load.plan.timeout;
        let others = [self.cut_at, self.cancel_at];
        others.into_iter().flatten().fold(silent, Instant::min)
    }

    /// Looks at the clock.
    async fn alarm(&mut self, body: &Body) -> Option<Over> {
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if let Some(end) = body.end() {
            return (now >= self.last_event + LINGER).then(|| Over::Ended(end.clone()));
        }
        if is_due(self.cancel_at) {
            self.cancel_at = None;
            if self.cancelled.replace(true) {
                // Another reader of it was earlier.
                return None;
            }
            let Some(id) = self
                .id
                .clone()
                .filter(|_| self.load.plan.api == Api::Native)
            else {
                return Some(Over::Left);
            };
            let cancelled = self.load.target.cancel(&id).await;
            return cancelled.err().map(Over::Refused);
        }
        if is_due(self.cut_at) {
            return Some(Over::Cut);
        }
        (now >= self.last_event + self.load.plan.timeout).then_some(Over::Silent)
    }

    /// Something has come.
    fn arrived(&mut self, piece: Piece) {
        let now = Instant::now();
        let mut recorder = self.load.recorder.borrow_mut();
        recorder.arrived(piece);
        if piece.events == 0 {
            return;
        }
        self.last_event = now;
        self.events += piece.events;
        let resumed = self.asked_again.take();
        if let Some(asked) = resumed {
            recorder.resumed(now - asked);
        }
        if piece.tokens == 0 {
            return;
        }
        drop(recorder);
        self.first_token(now);
        let mut recorder = self.load.recorder.borrow_mut();
        // A slow reader makes gaps itself, and what was missed comes all at once.
        if self.behaviour != Behaviour::Slow && resumed.is_none() {
            let gap = self.last_token.map(|last| now - last);
            recorder.gap(gap, piece.tokens);
        }
        self.last_token = Some(now);
        if let (Some(pace), Behaviour::Steady) = (self.load.plan.pace, self.behaviour) {
            let pace = self.pace.get_or_insert_with(|| Pace::new(pace, now));
            pace.tokens(piece.tokens, now, |late| recorder.late(late));
        }
    }
}
