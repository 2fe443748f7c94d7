//! What readers, the workload and the faults share: the clock, the entrances, the counts.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::checker::{Fault, Kind, Millis};
use crate::faults::HEALING;
use crate::token::token;

/// Between how many principals the streams are divided.
pub const SUBJECTS: usize = 8;

pub struct World {
    started: Instant,
    seed: u64,
    /// Where the nodes listen.
    pub entrances: Vec<SocketAddr>,
    /// Where the edge before them listens.
    edge: Option<SocketAddr>,
    credentials: Vec<String>,
    pub faults: RefCell<Vec<Fault>>,
    /// No stream is begun after this.
    pub closing: Cell<bool>,
    /// Readers that have no end yet by then give up.
    pub gives_up: Cell<Option<Instant>>,
    pub counts: Counts,
}

/// What happened how often.
#[derive(Default)]
pub struct Counts {
    pub streams: Cell<u64>,
    pub live: Cell<u64>,
    pub most_live: Cell<u64>,
    pub readers: Cell<u64>,
    pub connections: Cell<u64>,
    pub cuts: Cell<u64>,
    pub hops: Cell<u64>,
    pub broken: Cell<u64>,
    pub silent: Cell<u64>,
    pub events: Cell<u64>,
    pub repeated_posts: Cell<u64>,
    pub intrusions: Cell<u64>,
    /// How often no node at all took a new stream.
    pub turned_away: Cell<u64>,
}

/// One more.
pub fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

impl World {
    pub fn new(seed: u64, entrances: Vec<SocketAddr>, edge: Option<SocketAddr>) -> Self {
        Self {
            started: Instant::now(),
            seed,
            entrances,
            edge,
            credentials: (0..SUBJECTS)
                .map(|subject| format!("Bearer {}", token(&format!("subject-{subject}"))))
                .collect(),
            faults: RefCell::default(),
            closing: Cell::new(false),
            gives_up: Cell::new(None),
            counts: Counts::default(),
        }
    }

    pub fn now(&self) -> Millis {
        u64::try_from(self.started.elapsed().as_millis()).unwrap()
    }

    /// Chance for one purpose, the same in every run with this seed.
    pub fn chance(&self, purpose: u64, number: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed ^ (purpose << 48) ^ (number << 8))
    }

    pub fn credentials(&self, subject: usize) -> &str {
        &self.credentials[subject % SUBJECTS]
    }

    /// Any node.
    pub fn any(&self, chance: &mut StdRng) -> usize {
        chance.random_range(0..self.entrances.len())
    }

    /// Any way in: a node, or the edge, which has the number after theirs.
    pub fn any_way(&self, chance: &mut StdRng) -> usize {
        chance.random_range(0..self.entrances.len() + usize::from(self.edge.is_some()))
    }

    /// Where such a way begins.
    pub fn way(&self, number: usize) -> SocketAddr {
        let node = self.entrances.get(number).copied();
        node.or(self.edge).expect("there is such a way in")
    }

    pub fn has_given_up(&self) -> bool {
        self.gives_up.get().is_some_and(|at| Instant::now() > at)
    }

    /// Notes what is done from now on.
    pub fn begin(&self, kind: Kind, node: Option<usize>) -> usize {
        let mut faults = self.faults.borrow_mut();
        let from = self.now();
        // Until it is over, it is taken to last.
        let to = Millis::MAX;
        faults.push(Fault {
            kind,
            node,
            from,
            to,
        });
        faults.len() - 1
    }

    pub fn end(&self, fault: usize) {
        self.faults.borrow_mut()[fault].to = self.now();
    }

    /// Whether Redis has lost writes since then, or just before.
    pub fn has_lost_writes_since(&self, at: Millis) -> bool {
        let faults = self.faults.borrow();
        let mut faults = faults.iter();
        faults.any(|fault| fault.kind == Kind::Failover && fault.to >= at)
    }

    /// Whether Redis may now be without writes that it had acknowledged: until their writers have
    /// looked.
    pub fn may_miss_writes(&self) -> bool {
        let healing = u64::try_from(HEALING.as_millis()).unwrap();
        self.has_lost_writes_since(self.now().saturating_sub(healing))
    }
}

/// A time of so many milliseconds.
pub fn between(chance: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(chance.random_range(least..=most))
}
