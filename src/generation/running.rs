//! The generations that run in this process, for operators: whose they are, how old, how far.
//!
//! What they say is not here, and not to be had from here. A token costs one store of a number; everything
//! else is looked at by who asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::producer::Job;
use crate::metrics::{Pace, Paced};
use crate::stream::{Owner, StreamId};
use crate::stream_log::{Attendance, Audience};

/// All of them. Ids are ordered by time, so the oldest comes first.
#[derive(Default)]
pub struct Running(Mutex<BTreeMap<StreamId, Arc<Live>>>);

/// One that runs.
pub struct Live {
    /// Its stream.
    pub id: StreamId,
    /// Whose it is.
    pub owner: Owner,
    /// The public name of its model, as it was asked for.
    pub model: String,
    /// What counts it, with the names of its model and its plan as labels have them.
    pub pace: Arc<Pace>,
    began: Instant,
    has_begun: AtomicBool,
    /// How many deltas its stream has, and how many of them are of other processes.
    count: AtomicU64,
    before: u64,
    audience: Audience,
}

/// A generation's own place among those that run, for as long as it does.
pub(super) struct Enrolled {
    live: Arc<Live>,
    running: Arc<Running>,
}

/// What there was of a model and plan at a moment: what has ended and what runs together.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The model, as labels have it.
    pub model: String,
    /// The plan, as labels have it.
    pub plan: String,
    /// How many run.
    pub running: u64,
    /// What was counted; its tokens are all that there were.
    pub paced: Paced,
}

impl Running {
    /// A generation runs from now on, after so many tokens of other processes.
    pub(super) fn enrol(job: &Job, before: u64, pace: Arc<Pace>, audience: Audience) -> Enrolled {
        pace.started();
        let now = Instant::now();
        let live = Arc::new(Live {
            id: job.id,
            owner: job.owner.clone(),
            model: job.model.clone(),
            pace,
            began: now.checked_sub(job.earlier).unwrap_or(now),
            has_begun: AtomicBool::new(before > 0),
            count: AtomicU64::new(before),
            before,
            audience,
        });
        let running = Arc::clone(&job.running);
        running.table().insert(job.id, Arc::clone(&live));
        Enrolled { live, running }
    }

    /// Up to `each` of the oldest and as many of the newest, oldest first; how many there are; and what there
    /// is of each model and plan, now.
    #[must_use]
    pub fn look(&self, paces: &[Arc<Pace>], each: usize) -> (Vec<Arc<Live>>, usize, Vec<Seen>) {
        // What ends is counted as ended while the table is locked: nothing is counted twice, or missing.
        let table = self.table();
        let mut seen: Vec<Seen> = paces.iter().map(|pace| Seen::ended(pace)).collect();
        let count = table.len();
        let mut shown = Vec::with_capacity(count.min(2 * each));
        for (at, live) in table.values().enumerate() {
            let of = paces.iter().position(|pace| Arc::ptr_eq(pace, &live.pace));
            if let Some(seen) = of.and_then(|of| seen.get_mut(of)) {
                seen.running += 1;
                seen.paced.tokens += live.tokens_here();
            }
            if at < each || at + each >= count {
                shown.push(Arc::clone(live));
            }
        }
        (shown, count, seen)
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<StreamId, Arc<Live>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn ended(pace: &Pace) -> Self {
        Self {
            model: pace.model.clone(),
            plan: pace.plan.clone(),
            running: 0,
            paced: pace.read(),
        }
    }
}

impl Live {
    /// How long it has run, in all processes together.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether a token has come of it.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    /// How many tokens its stream has.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Who follows it now.
    #[must_use]
    pub fn attendance(&self) -> Attendance {
        self.audience.now()
    }

    fn tokens_here(&self) -> u64 {
        self.tokens().saturating_sub(self.before)
    }
}

impl Enrolled {
    /// Its stream has so many tokens now. With the first comes how long that took.
    pub(super) fn reached(&self, tokens: u64, first: Option<Duration>) {
        self.live.count.store(tokens, Ordering::Relaxed);
        if let Some(took) = first {
            self.live.has_begun.store(true, Ordering::Relaxed);
            self.live.pace.first_token(took);
        }
    }
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        let Self { live, running } = self;
        let mut table = running.table();
        // A stream that has come back to this process has another one there.
        if table
            .get(&live.id)
            .is_some_and(|held| Arc::ptr_eq(held, live))
        {
            table.remove(&live.id);
        }
        live.pace.ended(live.tokens_here());
    }
}
