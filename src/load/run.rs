//! Runs a load: starts streams when they are due, looks at the clock, and ends it.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::{JoinSet, LocalSet};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::findings::Findings;
use super::plan::{Arrivals, Plan};
use super::recorder::Recorder;
use super::refusal::{NoStream, Refused};
use super::schedule::Schedule;
use super::session;
use super::target::Target;
use super::tidying::Left;
use super::watch::Watch;

/// How often somebody looks at the clock.
const TICK: Duration = Duration::from_millis(50);

/// A load under way, as its streams see it.
pub(super) struct Load {
    pub(super) plan: Plan,
    pub(super) target: Target,
    pub(super) recorder: RefCell<Recorder>,
    /// How many streams were begun.
    number: Cell<u64>,
    /// Whether any stream was begun by the server.
    has_reached: Cell<bool>,
    /// The latest refusal, which may say why.
    refused: RefCell<Option<Refused>>,
    hopeless: RefCell<Option<Stopped>>,
    /// What is said of it if there is nobody, and nobody else has been there since.
    unreachable: RefCell<Option<String>>,
    /// No more streams are started.
    enough: CancellationToken,
    pub(super) left: Left,
}

/// A load of which nothing came.
#[derive(Debug)]
pub struct GivenUp {
    /// Why.
    pub why: Stopped,
    /// What is said of generations that may go on all the same.
    pub left: Option<String>,
}

/// Why a load was given up before anything came of it.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The server refuses what is asked.
    #[error("{0}")]
    Refused(Refused),
    /// There is no server that streams.
    #[error("{0}")]
    Unreachable(String),
    /// This machine cannot.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Streams are started.
    Loading,
    /// Nothing is started any more.
    Draining,
    /// It is over, and so many generations that may go on at the server are cancelled.
    Tidying(usize),
}

/// How it goes, for whoever watches.
#[derive(Debug, Clone, Copy)]
pub struct Live {
    /// Since its beginning.
    pub elapsed: Duration,
    /// What it is about.
    pub phase: Phase,
    /// How many streams are open.
    pub open: u64,
    /// How many have come to their ends.
    pub finished: u64,
    /// How many have failed.
    pub failed: u64,
    /// How many tokens have arrived.
    pub tokens: u64,
}

impl Load {
    /// The server has begun a stream: from now on what fails does not stop the load.
    pub(super) fn reached(&self) {
        self.has_reached.set(true);
    }

    /// A stream could not be started.
    pub(super) fn failed(&self, error: NoStream) {
        let said = error.to_string();
        self.explain(&error.code(), &error);
        if error.is_unreachable() {
            *self.unreachable.borrow_mut() = Some(said.clone());
        }
        if !self.has_reached.get() && error.is_final() && !self.enough.is_cancelled() {
            *self.hopeless.borrow_mut() = Some(match error {
                NoStream::Refused(refused) => Stopped::Refused(refused),
                _ => Stopped::Unreachable(said),
            });
            self.enough.cancel();
        } else if let NoStream::Refused(refused) = error {
            *self.refused.borrow_mut() = Some(refused);
        }
    }

    /// What is said of what is counted by this code.
    pub(super) fn explain(&self, code: &str, error: &NoStream) {
        let mut recorder = self.recorder.borrow_mut();
        recorder.explain(code, &error.to_string());
    }

    /// Why nothing came of it, if that is so.
    fn given_up(&self, interrupted: bool) -> Option<Stopped> {
        let hopeless = self.hopeless.borrow_mut().take();
        let are_all_unreachable = || self.recorder.borrow().failures.keys().eq(["connect"]);
        if hopeless.is_some() || interrupted || self.has_reached.get() || !are_all_unreachable() {
            return hopeless;
        }
        let why = self.unreachable.borrow_mut().take();
        Some(Stopped::Unreachable(why.unwrap_or_default()))
    }

    /// The number of the next stream.
    fn next(&self) -> u64 {
        self.number.replace(self.number.get() + 1)
    }
}

impl From<io::Error> for GivenUp {
    fn from(error: io::Error) -> Self {
        Self {
            why: error.into(),
            left: None,
        }
    }
}

/// Runs a load to its end, or until `stop`, which is asked again while generations that it leaves are cancelled:
/// then nobody waits for that. `pids` are the processes that are watched, `live` is told how it goes.
///
/// # Errors
/// Nothing came of it.
pub async fn run(
    plan: Plan,
    target: Target,
    pids: &[u32],
    stop: impl AsyncFnMut(),
    live: impl FnMut(Live),
) -> Result<Findings, GivenUp> {
    let load = Rc::new(Load {
        plan,
        target,
        recorder: RefCell::new(Recorder::new()),
        number: Cell::new(0),
        has_reached: Cell::new(false),
        refused: RefCell::default(),
        hopeless: RefCell::default(),
        unreachable: RefCell::default(),
        enough: CancellationToken::new(),
        left: Left::default(),
    });
    let watch = Watch::start(pids);
    LocalSet::new()
        .run_until(drive(load, watch, stop, live))
        .await
}

async fn drive(
    load: Rc<Load>,
    mut watch: Watch,
    mut stop: impl AsyncFnMut(),
    mut live: impl FnMut(Live),
) -> Result<Findings, GivenUp> {
    let clock = Clock::new()?;
    let mut streams = JoinSet::new();
    let began = Instant::now();
    watch.tick(&load, Duration::ZERO);
    let schedule = Schedule::new(load.plan.arrivals, load.plan.ramp);
    let due = |start: u64| schedule.start(start).map(|start| began + start);
    let mut starts = 0;
    let mut next = due(starts);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut interrupted = false;
    let mut drained_at = None;
    let length = load.plan.length();
    loop {
        tokio::select! {
            biased;
            () = stop() => {
                interrupted = true;
                break;
            }
            tick = ticks.tick() => {
                let now = Instant::now();
                watch.lag(now.saturating_duration_since(tick.into_std()));
                let elapsed = now - began;
                watch.tick(&load, elapsed);
                if elapsed >= length {
                    load.enough.cancel();
                }
                if load.enough.is_cancelled() {
                    let since = *drained_at.get_or_insert(now);
                    if streams.is_empty() || now >= since + load.plan.drain {
                        break;
                    }
                }
                let phase = if load.enough.is_cancelled() { Phase::Draining } else { Phase::Loading };
                live(look(&load, elapsed, phase));
            }
            rang = wait(&clock, next), if next.is_some() && !load.enough.is_cancelled() => {
                match rang {
                    Ok(()) => start(&load, &mut streams, next.unwrap_or_else(Instant::now)),
                    Err(error) => *load.hopeless.borrow_mut() = Some(error.into()),
                }
                starts += 1;
                next = due(starts);
            }
            Some(_) = streams.join_next(), if !streams.is_empty() => {}
        }
        if load.hopeless.borrow().is_some() {
            break;
        }
    }
    let ended = began.elapsed();
    load.enough.cancel();
    streams.shutdown().await;
    let found = if let Some(why) = load.given_up(interrupted) {
        Err(why)
    } else {
        let refused = load.refused.borrow_mut().take();
        Ok(watch.stop(&load, ended, interrupted, refused))
    };
    let left = load.left.count();
    if left > 0 {
        live(look(&load, began.elapsed(), Phase::Tidying(left)));
    }
    let left = load.left.tidy(&load.target, stop()).await;
    match found {
        Ok(mut findings) => {
            findings.warnings.extend(left);
            Ok(findings)
        }
        Err(why) => Err(GivenUp { why, left }),
    }
}

/// Starts a stream, or the first one of those that follow each other.
fn start(load: &Rc<Load>, streams: &mut JoinSet<()>, intended: Instant) {
    let number = load.next();
    let load = Rc::clone(load);
    match load.plan.arrivals {
        Arrivals::Streams(_) => streams.spawn_local(slot(load, number, intended)),
        Arrivals::Rate(_) => streams.spawn_local(async move {
            session::generate(&load, number, intended).await;
        }),
    };
}

/// One of a number of streams: the next one starts when it has ended.
async fn slot(load: Rc<Load>, mut number: u64, mut intended: Instant) {
    loop {
        let pause = session::generate(&load, number, intended).await;
        if let Some(pause) = pause {
            let _enough = timeout(pause, load.enough.cancelled()).await;
        }
        if load.enough.is_cancelled() {
            return;
        }
        number = load.next();
        intended = Instant::now();
    }
}

async fn wait(clock: &Clock, due: Option<Instant>) -> io::Result<()> {
    match due {
        Some(due) => clock.until(due).await,
        None => std::future::pending().await,
    }
}

fn look(load: &Load, elapsed: Duration, phase: Phase) -> Live {
    let recorder = load.recorder.borrow();
    Live {
        elapsed,
        phase,
        open: recorder.open,
        finished: recorder.finished + recorder.cancelled,
        failed: recorder.all_failed(),
        tokens: recorder.tokens,
    }
}
