//! What readers see: how old tokens are, and whether every event comes exactly once.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tailrace::load::{Quantiles, Stamps, microseconds};

use super::wire::Traffic;

/// What all readers of one measurement see together.
pub(super) struct Seen {
    pub(super) traffic: Rc<Traffic>,
    pub(super) requests: Cell<u64>,
    ages: RefCell<Quantiles>,
}

impl Seen {
    /// Nothing yet.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            traffic: Rc::default(),
            requests: Cell::new(0),
            ages: RefCell::new(Quantiles::fine()),
        })
    }

    /// Only what comes from now on counts.
    pub(super) fn begin(&self) {
        self.traffic.down.set(0);
        self.traffic.up.set(0);
        self.requests.set(0);
        self.ages.borrow_mut().clear();
    }

    /// One more token, with the time of its making in its text. Answers how old it is.
    pub(super) fn token(&self, text: &str) -> Option<Duration> {
        let mut age = None;
        Stamps::default().read(text.as_bytes(), microseconds(), |microseconds| {
            age = Some(Duration::from_micros(microseconds));
            self.ages.borrow_mut().add_microseconds(microseconds, 1);
        });
        age
    }

    /// One more request.
    pub(super) fn request(&self) {
        self.requests.set(self.requests.get() + 1);
    }

    /// How many tokens have come.
    pub(super) fn tokens(&self) -> u64 {
        self.ages.borrow().count()
    }

    /// The age that this part of them did not exceed, in milliseconds.
    pub(super) fn age_ms(&self, quantile: f64) -> f64 {
        self.ages.borrow().ms(quantile).unwrap_or(f64::NAN)
    }
}

/// What became of one stream in the eyes of its reader.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// How often each event has come, by its number.
    times: Vec<u32>,
    /// How often the connection was cut.
    pub(super) cuts: u64,
    /// For each cut, how long it took from asking again until the newest token was there.
    pub(super) catching_up: Vec<Duration>,
    /// Of all requests that went on after a cut, and of the heads of their answers, in bytes.
    pub(super) asked_again: u64,
    pub(super) answered_again: u64,
    /// Bytes that had come of what a cut left incomplete.
    pub(super) thrown_away: u64,
    /// Since when it tries to catch up.
    pub(super) behind_since: Option<Instant>,
}

impl Story {
    /// This event has come. Answers whether for the first time.
    pub(super) fn event(&mut self, seq: usize) -> bool {
        if self.times.len() <= seq {
            self.times.resize(seq + 1, 0);
        }
        self.times[seq] += 1;
        self.times[seq] == 1
    }

    /// It has the newest there is.
    pub(super) fn caught_up(&mut self) {
        let took = self.behind_since.take().map(|since| since.elapsed());
        self.catching_up.extend(took);
    }

    /// How many of so many events never came.
    pub(super) fn lost(&self, events: usize) -> usize {
        events - self.times.iter().filter(|times| **times > 0).count()
    }

    /// How many events came that had come before.
    pub(super) fn doubled(&self) -> u32 {
        self.times.iter().map(|times| times.saturating_sub(1)).sum()
    }
}
