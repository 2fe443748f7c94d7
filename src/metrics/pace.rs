//! How fast the generations of one model and plan are, for who watches them as they run: finer than the
//! page of metrics has it, by plan too, and counted when it happens and not at the end.
//!
//! Nothing here is done for each token but what [`GapMeter`] does. How many tokens have come of a
//! generation that runs is its own to say.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::gaps::{Counted, GapMeter, Gaps};

/// Four buckets for each doubling, from a millisecond to two minutes: a first token is found to a fifth.
const FIRST_BUCKETS: u32 = 4 * 17;

/// What was counted of one model and one plan.
#[derive(Debug)]
pub struct Pace {
    /// The model, as labels have it.
    pub model: String,
    /// The plan, as labels have it.
    pub plan: String,
    gaps: Gaps,
    first: [AtomicU64; FIRST_BUCKETS as usize + 1],
    started: AtomicU64,
    /// Tokens of generations that are over.
    tokens: AtomicU64,
}

/// What was counted until a moment.
#[derive(Debug, Clone, Default)]
pub struct Paced {
    /// Generations that have begun.
    pub started: u64,
    /// Tokens of generations that are over.
    pub tokens: u64,
    /// How long first tokens took.
    pub first_token: Spread,
    /// How long passed between tokens.
    pub gap: Spread,
}

/// How often something took how long: the upper bounds of buckets in seconds, and how often each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spread(Vec<(f64, u64)>);

impl Pace {
    fn new(model: &str, plan: &str, threads: usize) -> Self {
        Self {
            model: model.to_owned(),
            plan: plan.to_owned(),
            gaps: Gaps::new(threads),
            first: [const { AtomicU64::new(0) }; FIRST_BUCKETS as usize + 1],
            started: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
        }
    }

    /// Measures the time between a stream's tokens, on this thread.
    #[must_use]
    pub fn meter(&self) -> GapMeter {
        self.gaps.meter()
    }

    /// A generation has begun.
    pub fn started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    /// The first token of a generation took so long.
    pub fn first_token(&self, took: Duration) {
        let at = first_bounds().position(|bound| took.as_secs_f64() <= bound);
        let bucket = &self.first[at.unwrap_or(FIRST_BUCKETS as usize)];
        bucket.fetch_add(1, Ordering::Relaxed);
    }

    /// A generation is over, which had so many tokens here.
    pub fn ended(&self, tokens: u64) {
        self.tokens.fetch_add(tokens, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn read(&self) -> Paced {
        let counts = self.first.iter().map(|it| it.load(Ordering::Relaxed));
        Paced {
            started: self.started.load(Ordering::Relaxed),
            tokens: self.tokens.load(Ordering::Relaxed),
            first_token: Spread(first_bounds().chain([f64::INFINITY]).zip(counts).collect()),
            gap: Spread(self.gaps.counted().buckets),
        }
    }

    pub(super) fn gaps(&self) -> Counted {
        self.gaps.counted()
    }
}

fn first_bounds() -> impl Iterator<Item = f64> {
    (0..FIRST_BUCKETS).map(|at| 0.001 * (f64::from(at) / 4.0).exp2())
}

impl Spread {
    /// What has come since an earlier moment.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |at: usize| earlier.0.get(at).map_or(0, |(_, count)| *count);
        let counts = self.0.iter().enumerate();
        Self(
            counts
                .map(|(at, (bound, count))| (*bound, count.saturating_sub(before(at))))
                .collect(),
        )
    }

    /// Adds what was counted of others, in the same buckets.
    pub fn add(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        for ((_, count), (_, more)) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }

    /// How often it was counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// In seconds, what that share of them did not exceed: within its bucket, as if they lay there evenly. It is as
    /// exact as the buckets are; of the last, which has no end, it is where that begins.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a minute are far from what a double can hold"
    )]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let all = self.count();
        if all == 0 {
            return None;
        }
        let rank = share * all as f64;
        let (mut below, mut from) = (0.0, 0.0);
        for (bound, count) in &self.0 {
            let count = *count as f64;
            if count > 0.0 && below + count >= rank {
                let within = ((rank - below) / count).clamp(0.0, 1.0);
                return Some(if bound.is_finite() {
                    from + (bound - from) * within
                } else {
                    from
                });
            }
            below += count;
            if bound.is_finite() {
                from = *bound;
            }
        }
        Some(from)
    }
}

/// One for each model and plan that had a generation: names of the configuration, so they are few.
#[derive(Debug, Default)]
pub(super) struct Paces(Mutex<BTreeMap<(String, String), Arc<Pace>>>);

impl Paces {
    pub(super) fn of(&self, model: &str, plan: &str, threads: usize) -> Arc<Pace> {
        let key = (model.to_owned(), plan.to_owned());
        let mut table = self.table();
        let pace = table.entry(key);
        let pace = pace.or_insert_with(|| Arc::new(Pace::new(model, plan, threads)));
        Arc::clone(pace)
    }

    /// Ordered by model.
    pub(super) fn all(&self) -> Vec<Arc<Pace>> {
        self.table().values().cloned().collect()
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<(String, String), Arc<Pace>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_read_from_the_buckets() {
        let spread = Spread(vec![(1.0, 50), (2.0, 0), (4.0, 48), (f64::INFINITY, 2)]);
        let close = |share: f64, expected: f64| {
            let found = spread.quantile(share).unwrap();
            assert!((found - expected).abs() < 1e-9, "{share}: {found}");
        };
        close(0.5, 1.0);
        close(0.25, 0.5);
        close(0.74, 3.0);
        close(0.98, 4.0);
        close(0.99, 4.0);
        assert_eq!(Spread::default().quantile(0.5), None);
        assert_eq!(spread.since(&spread).quantile(0.99), None);
    }

    #[test]
    fn a_first_token_is_found_to_a_fifth() {
        for millis in [1, 3, 47, 800, 1700, 12_000, 90_000] {
            let pace = Pace::new("m", "p", 1);
            pace.first_token(Duration::from_millis(millis));
            let found = pace.read().first_token.quantile(0.5).unwrap() * 1000.0;
            let expected = f64::from(u32::try_from(millis).unwrap());
            assert!(
                (found / expected - 1.0).abs() < 0.2 || millis == 1,
                "{millis}: {found}"
            );
        }
    }

    #[test]
    fn what_came_since_is_the_difference() {
        let pace = Pace::new("m", "p", 1);
        pace.first_token(Duration::from_millis(5));
        let before = pace.read();
        pace.first_token(Duration::from_secs(3));
        pace.meter().record(Duration::from_millis(30));
        let since = pace.read().first_token.since(&before.first_token);
        assert_eq!(since.count(), 1);
        assert!(since.quantile(0.5).unwrap() > 2.0);
        let mut both = before.first_token.clone();
        both.add(&since);
        assert_eq!(both, pace.read().first_token);
        assert_eq!(pace.read().gap.since(&before.gap).count(), 1);
    }
}
