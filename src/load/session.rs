//! One stream, from the moment at which it should have been asked for to its end, over as many
//! connections as it takes.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use futures_util::future::{join_all, poll_fn};
use tokio::time::sleep_until;

use super::dialect::{Dialect, End};
use super::plan::{Behaviour, spread};
use super::reader::{Body, Pace, Piece};
use super::recorder::Ending;
use super::refusal::NoStream;
use super::run::Load;
use super::target::{Api, stream_id};
use crate::http_client::{Answer, HttpError};

/// How long an answer may take to its end after it has said that it is over.
const LINGER: Duration = Duration::from_secs(5);

/// How much the system holds for a slow reader: what it does not take must wait at the server.
const SLOW_BUFFER: usize = 16 * 1024;

/// The longest wait between two attempts to go on with a stream.
const MOST_PATIENCE: Duration = Duration::from_secs(1);

/// How a connection came to its end.
enum Over {
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

/// Asks for a stream and reads it. Answers how long to wait before the next, if the server wants that.
pub(super) async fn generate(load: &Load, number: u64, intended: Instant) -> Option<Duration> {
    let behaviour = load.plan.shares.behaviour(number);
    if behaviour == Behaviour::Bad {
        return super::bad_request::send(load, number).await;
    }
    if let Some(fan) = load.plan.fan {
        return for_others(load, number, intended, fan.readers).await;
    }
    let stream = Stream::begin(load, number, intended);
    match load.target.start().await {
        Ok(answer) => {
            load.reached();
            stream.read(answer).await;
            None
        }
        Err(error) => Some(stream.never_began(error)),
    }
}

/// Has a stream made, which so many others read.
async fn for_others(load: &Load, number: u64, intended: Instant, readers: u32) -> Option<Duration> {
    let id = match load.target.start_for_others().await {
        Ok(id) => id,
        Err(error) => {
            let stream = Stream::begin(load, number, intended);
            return Some(stream.never_began(error));
        }
    };
    load.reached();
    let readers = (0..u64::from(readers)).map(async |reader| {
        let mut stream = Stream::begin(load, number.wrapping_add(reader), intended);
        stream.id = Some(id.clone());
        match load.target.follow(&id, None).await {
            Ok(answer) => stream.read(answer).await,
            Err(error) => drop(stream.never_began(error)),
        }
    });
    join_all(readers).await;
    None
}

/// A stream under way.
struct Stream<'a> {
    load: &'a Load,
    behaviour: Behaviour,
    dialect: Dialect,
    id: Option<String>,
    /// When it should have been asked for.
    intended: Instant,
    measured: bool,
    /// When its last event came, or it was asked for.
    last_event: Instant,
    last_token: Option<Instant>,
    has_token: bool,
    /// When we asked to go on, until something has come of it.
    asked_again: Option<Instant>,
    cut_at: Option<Instant>,
    cancel_at: Option<Instant>,
    cancelled: bool,
    pace: Option<Pace>,
    /// How it has ended.
    ending: Option<Ending>,
}

impl<'a> Stream<'a> {
    fn begin(load: &'a Load, number: u64, intended: Instant) -> Self {
        let behaviour = load.plan.shares.behaviour(number);
        let now = Instant::now();
        // Some time within two seconds, another one for each stream.
        let soon = Duration::from_secs_f64(2.0 * spread(number.wrapping_mul(7)));
        Self {
            load,
            behaviour,
            dialect: Dialect::new(load.plan.dialect()),
            id: None,
            intended,
            measured: load.recorder.borrow_mut().started(),
            last_event: now,
            last_token: None,
            has_token: false,
            asked_again: None,
            cut_at: (behaviour == Behaviour::Cut).then(|| now + load.plan.cut_every),
            cancel_at: (behaviour == Behaviour::Cancel).then(|| now + soon),
            cancelled: false,
            pace: None,
            ending: None,
        }
    }

    /// It could not be started. Answers how long to wait before the next.
    fn never_began(mut self, error: NoStream) -> Duration {
        let pause = error.pause();
        if matches!(error, NoStream::Silent) {
            self.waited_in_vain();
        }
        self.ending = Some(Ending::Failed(error.code()));
        self.load.failed(error);
        pause
    }

    /// Who never had a token has waited at least so long for it: leaving it out would flatter the server.
    fn waited_in_vain(&mut self) {
        if !self.has_token {
            self.has_token = true;
            let mut recorder = self.load.recorder.borrow_mut();
            recorder.first_token(self.intended.elapsed(), self.measured);
        }
    }

    /// Reads to the end, over other connections if this one does not hold.
    async fn read(mut self, mut answer: Answer) {
        if self.id.is_none() {
            self.id = stream_id(&answer);
        }
        loop {
            match self.connection(&mut answer).await {
                Over::Ended(end) => {
                    answer.leave();
                    return self.end(end);
                }
                Over::Left => return self.ending = Some(Ending::Cancelled),
                Over::Silent => {
                    let code = if self.has_token {
                        "silent"
                    } else {
                        "no_first_token"
                    };
                    self.waited_in_vain();
                    return self.ending = Some(Ending::Failed(code.to_owned()));
                }
                Over::Refused(error) => {
                    return self.ending = Some(Ending::Failed(error.code()));
                }
                Over::Cut => {
                    self.load.recorder.borrow_mut().cut();
                    if !self.load.plan.resumes() {
                        return self.ending = Some(Ending::Lost);
                    }
                }
                Over::Broken => {
                    self.load.recorder.borrow_mut().broken();
                    if !self.load.plan.resumes() {
                        let code = "connection_broken".to_owned();
                        return self.ending = Some(Ending::Failed(code));
                    }
                }
            }
            drop(answer);
            match self.resume().await {
                Some(next) => answer = next,
                None => return,
            }
        }
    }

    /// Asks for what has not come yet, again and again for as long as a stream may be silent.
    async fn resume(&mut self) -> Option<Answer> {
        self.last_token = None;
        let asked = Instant::now();
        self.asked_again = Some(asked);
        self.cut_at = self.cut_at.map(|_| asked + self.load.plan.cut_every);
        let Some(id) = self.id.clone() else {
            self.ending = Some(Ending::Failed("no_stream_id".to_owned()));
            return None;
        };
        let mut patience = Duration::from_millis(50);
        loop {
            let cursor = match &self.dialect {
                Dialect::Native(native) => native.cursor(),
                Dialect::OpenAi { .. } | Dialect::Sse => None,
            };
            let error = match self.load.target.follow(&id, cursor).await {
                Ok(answer) => return Some(answer),
                Err(error) => error,
            };
            let may_pass = match &error {
                NoStream::Http(_) | NoStream::Silent => true,
                NoStream::NotEvents => false,
                NoStream::Refused(refused) => {
                    matches!(refused.status, 408 | 425 | 429 | 500..=599)
                }
            };
            if !may_pass || asked.elapsed() > self.load.plan.timeout {
                let code = format!("resume_{}", error.code());
                self.ending = Some(Ending::Failed(code));
                return None;
            }
            tokio::time::sleep(patience.max(error.pause().min(MOST_PATIENCE))).await;
            patience = (2 * patience).min(MOST_PATIENCE);
        }
    }

    /// Reads one connection.
    async fn connection(&mut self, answer: &mut Answer) -> Over {
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
                        return Over::Ended(end.unwrap_or_else(|| self.dialect.end_of_body()));
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

    fn broken(body: &Body, error: HttpError) -> Over {
        match (body.end(), error) {
            // What came after the last event matters to nobody.
            (Some(end), _) => Over::Ended(end.clone()),
            (None, HttpError::Malformed(_)) => Over::Ended(End::Failed("not_http".to_owned())),
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
            self.cancelled = true;
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
        let resumed = self.asked_again.take();
        if let Some(asked) = resumed {
            recorder.resumed(now - asked);
        }
        if piece.tokens == 0 {
            return;
        }
        if !self.has_token {
            self.has_token = true;
            recorder.first_token(now - self.intended, self.measured);
        }
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

    /// The stream has said how it ended.
    fn end(&mut self, end: End) {
        self.ending = Some(match end {
            End::Finished => Ending::Finished,
            End::Cancelled if self.cancelled => Ending::Cancelled,
            // Nobody has read how it ended.
            End::Finished if self.cancelled && !self.load.plan.checked => Ending::Cancelled,
            End::Cancelled => Ending::Failed("cancelled_by_others".to_owned()),
            End::Failed(code) => Ending::Failed(code),
            End::Wrong(wrong) => Ending::Failed(wrong.code().to_owned()),
        });
    }
}

/// Whatever became of it is counted here, also when the load ends before it.
impl Drop for Stream<'_> {
    fn drop(&mut self) {
        let mut ending = self.ending.take().unwrap_or_else(|| {
            if self.has_token || self.intended.elapsed() < self.load.plan.drain {
                return Ending::Unfinished;
            }
            self.waited_in_vain();
            Ending::Failed("no_first_token".to_owned())
        });
        let mut recorder = self.load.recorder.borrow_mut();
        if let Dialect::Native(native) = &self.dialect {
            recorder.events_lost += native.lost();
            recorder.events_doubled += native.doubled();
            if native.lost() + native.doubled() > 0 && ending == Ending::Finished {
                let code = if native.lost() > 0 {
                    "lost_events"
                } else {
                    "doubled_events"
                };
                ending = Ending::Failed(code.to_owned());
            }
        }
        if ending == Ending::Unfinished {
            recorder.left.extend(self.id.take());
        }
        let took = self.measured.then(|| self.intended.elapsed());
        recorder.ended(ending, took);
    }
}
