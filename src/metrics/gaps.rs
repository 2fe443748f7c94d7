//! The time between tokens, counted on the path of every token: two additions to memory that no other
//! thread writes.
//!
//! Each thread has counters of its own, on cache lines of their own, and a scrape adds them up. A stream
//! is told once which are its thread's, so that a token looks nothing up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in nanoseconds; after the last comes one for all the rest.
const BOUNDS: [u64; 15] = [
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    150_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
    30_000_000_000,
];

/// The gaps of one model and plan, of all threads.
#[derive(Debug)]
pub(super) struct Gaps(Vec<GapMeter>);

/// Counts the gaps of one model and plan on one thread.
#[derive(Debug, Clone, Default)]
pub struct GapMeter(Arc<Counters>);

/// Two cache lines, so that no other thread's counters lie on them; processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counters {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// What was counted so far.
pub(super) struct Counted {
    pub(super) seconds: f64,
    pub(super) count: u64,
    /// The upper bound of each bucket in seconds, and how many are in it and in no lower one.
    pub(super) buckets: Vec<(f64, u64)>,
}

impl Counted {
    pub(super) fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.count += other.count;
        for ((_, count), (_, more)) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
    }
}

impl GapMeter {
    /// So much time has passed between two arrivals of tokens.
    pub fn record(&self, gap: Duration) {
        let nanos = gap.as_secs() * 1_000_000_000 + u64::from(gap.subsec_nanos());
        let bucket = BOUNDS.partition_point(|bound| *bound < nanos);
        self.0.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Gaps {
    /// Counters for about so many threads; more share them.
    pub(super) fn new(threads: usize) -> Self {
        Self((0..threads.max(1)).map(|_| GapMeter::default()).collect())
    }

    /// Those of this thread.
    pub(super) fn meter(&self) -> GapMeter {
        self.0[thread_number() % self.0.len()].clone()
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a sum of times needs no more digits than a double has"
    )]
    pub(super) fn counted(&self) -> Counted {
        let mut counts = [0_u64; BOUNDS.len() + 1];
        let mut nanos = 0_u64;
        for GapMeter(counters) in &self.0 {
            for (sum, bucket) in counts.iter_mut().zip(&counters.buckets) {
                *sum += bucket.load(Ordering::Relaxed);
            }
            nanos = nanos.wrapping_add(counters.nanos.load(Ordering::Relaxed));
        }
        let bounds = BOUNDS.iter().map(|nanos| *nanos as f64 / 1e9);
        let bounds = bounds.chain([f64::INFINITY]);
        Counted {
            seconds: nanos as f64 / 1e9,
            count: counts.iter().sum(),
            buckets: bounds.zip(counts).collect(),
        }
    }
}

/// Numbers the threads that ask, from 0.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_of_all_threads_are_added_up_in_their_buckets() {
        let gaps = Gaps::new(2);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let meter = gaps.meter();
                    meter.record(Duration::from_micros(1));
                    // A bound belongs to its bucket.
                    meter.record(Duration::from_millis(1));
                    meter.record(Duration::from_millis(30));
                    meter.record(Duration::from_secs(3600));
                });
            }
        });
        let counted = gaps.counted();
        assert_eq!(counted.count, 16);
        assert!((counted.seconds - 4.0 * 3_600.031_001).abs() < 1e-6);
        let filled: Vec<_> = counted.buckets.iter().filter(|it| it.1 > 0).collect();
        assert_eq!(
            filled,
            [&(0.001, 8), &(0.05, 4), &(f64::INFINITY, 4)],
            "{filled:?}"
        );
    }

    #[test]
    fn a_threads_counters_share_no_cache_line_with_anothers() {
        assert_eq!(align_of::<Counters>(), 128);
        assert_eq!(size_of::<Counters>() % 128, 0);
        assert_eq!(size_of::<Option<GapMeter>>(), size_of::<usize>());
    }
}
