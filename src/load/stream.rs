//! One stream, over as many connections as it takes.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::connection::Over;
use super::dialect::{Dialect, End, Failed};
use super::plan::{Behaviour, spread};
use super::reader::Pace;
use super::recorder::Ending;
use super::refusal::NoStream;
use super::run::Load;
use super::target::stream_id;
use crate::http_client::Answer;

/// The longest wait between two attempts to go on with a stream.
const MOST_PATIENCE: Duration = Duration::from_secs(1);

/// A stream under way.
pub(super) struct Stream<'a> {
    pub(super) load: &'a Load,
    pub(super) behaviour: Behaviour,
    pub(super) dialect: Dialect,
    pub(super) id: Option<String>,
    /// When it should have been asked for.
    pub(super) intended: Instant,
    pub(super) measured: bool,
    /// When its last event came, or it was asked for.
    pub(super) last_event: Instant,
    pub(super) last_token: Option<Instant>,
    /// How many events have come.
    pub(super) events: u64,
    pub(super) has_token: bool,
    /// When we asked to go on, until something has come of it.
    pub(super) asked_again: Option<Instant>,
    /// Why it has no connection, where that is not by us: how it has failed if the load is over before it is back.
    away: Option<Failed>,
    pub(super) cut_at: Option<Instant>,
    pub(super) cancel_at: Option<Instant>,
    /// Whether we have cancelled the generation, whichever of its readers it was.
    pub(super) cancelled: Rc<Cell<bool>>,
    pub(super) pace: Option<Pace>,
    /// How it has ended.
    ending: Option<Ending>,
    /// Whether the server has said that it has ended.
    is_over: bool,
}

impl<'a> Stream<'a> {
    pub(super) fn begin(load: &'a Load, number: u64, intended: Instant) -> Self {
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
            events: 0,
            has_token: false,
            asked_again: None,
            away: None,
            cut_at: (behaviour == Behaviour::Cut).then(|| now + load.plan.cut_every),
            cancel_at: (behaviour == Behaviour::Cancel).then(|| now + soon),
            cancelled: Rc::default(),
            pace: None,
            ending: None,
            is_over: false,
        }
    }

    /// It could not be started. Answers how long to wait before the next.
    pub(super) fn never_began(mut self, error: NoStream) -> Duration {
        let pause = error.pause();
        if error.is_wait() {
            self.waited_in_vain();
        }
        self.ending = Some(Ending::Failed(error.code()));
        self.load.failed(error);
        pause
    }

    /// Who never had a token has waited at least so long for it: leaving it out would flatter the server.
    fn waited_in_vain(&mut self) {
        self.first_token(Instant::now());
    }

    /// It has its first token now, or was waited for until now in vain. Slow readers are not those whose times tell
    /// anything of the server.
    pub(super) fn first_token(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.has_token, true) && self.behaviour != Behaviour::Slow {
            let mut recorder = self.load.recorder.borrow_mut();
            recorder.first_token(now - self.intended, self.measured);
        }
    }

    /// Reads to the end, over other connections if this one does not hold.
    pub(super) async fn read(mut self, mut answer: Answer) {
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
                    self.load.explain(&error.code(), &error);
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
                    let broken = Failed::from("connection_broken");
                    if !self.load.plan.resumes() {
                        return self.ending = Some(Ending::Failed(broken.code));
                    }
                    self.away = Some(broken);
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
                Ok(answer) => {
                    self.away = None;
                    return Some(answer);
                }
                Err(error) => error,
            };
            // If that is the last attempt for which there is time, it has failed with that.
            self.away = Some(Failed {
                code: format!("resume_{}", error.code()),
                text: Some(error.to_string()),
            });
            let may_pass = match &error {
                NoStream::Http(_) | NoStream::TooManyFiles | NoStream::Silent => true,
                NoStream::NotEvents => false,
                NoStream::Refused(refused) => {
                    matches!(refused.status, 408 | 425 | 429 | 500..=599)
                }
            };
            if !may_pass || asked.elapsed() > self.load.plan.timeout {
                return None;
            }
            tokio::time::sleep(patience.max(error.pause().min(MOST_PATIENCE))).await;
            patience = (2 * patience).min(MOST_PATIENCE);
        }
    }

    /// It has failed with this.
    fn failed(&mut self, Failed { code, text }: Failed) {
        if let Some(text) = text {
            self.load.recorder.borrow_mut().explain(&code, &text);
        }
        self.ending = Some(Ending::Failed(code));
    }

    /// The stream has said how it ended.
    fn end(&mut self, end: End) {
        self.is_over = !matches!(end, End::Wrong(_));
        self.ending = Some(match end {
            // Nobody has read how it ended.
            End::Finished if self.cancelled.get() && !self.load.plan.checked => Ending::Cancelled,
            End::Finished => Ending::Finished,
            End::Cancelled if self.cancelled.get() => Ending::Cancelled,
            End::Cancelled => Ending::Failed("cancelled_by_others".to_owned()),
            End::Failed(failed) => return self.failed(failed),
            End::Wrong(wrong) => Ending::Failed(wrong.code().to_owned()),
        });
    }
}

/// Whatever became of it is counted here, also when the load ends before it.
impl Drop for Stream<'_> {
    fn drop(&mut self) {
        if let (None, Some(away)) = (&self.ending, self.away.take()) {
            self.failed(away);
        }
        let mut ending = self.ending.take().unwrap_or_else(|| {
            if self.has_token || self.intended.elapsed() < self.load.plan.timeout {
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
        if !self.is_over && self.load.target.call.goes_on {
            self.load.left.add(self.id.take());
        }
        let took = self.measured.then(|| self.intended.elapsed());
        recorder.ended(ending, took);
    }
}
