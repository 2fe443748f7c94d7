//! Whether a series of samples grows.
//!
//! The slope is that of Theil and Sen: the median of the slopes of all pairs of samples. Samples that stick out,
//! up to three in ten, do not move it, and a saw's teeth have none. What begins late does not move it either: so
//! the median of the last tenth is compared with those of the first half.

/// More samples than this are taken together, by their medians.
const MOST: usize = 600;

/// A tenth has at least so many samples, as long as there are twice as many: the median of a few is chance.
const TENTH: usize = 10;

/// What a series may grow by in the time that is judged, as whatever noise looks like growth.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// As a part of its level.
    pub share: f64,
    /// At least so much, in its own unit.
    pub least: f64,
}

/// What was found of a series.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Growth {
    /// The median.
    pub level: f64,
    /// By how much it grew in the time that is judged, by its slope.
    pub by: f64,
    /// How much more the last tenth has than any tenth of the first half, by their medians.
    pub late: f64,
    /// By how much it might.
    pub allowed: f64,
    pub seconds: f64,
    pub grows: bool,
}

/// Judges values and their times, in seconds.
pub fn judge(samples: &[(f64, f64)], bound: Bound) -> Growth {
    let samples = together(samples);
    let level = median(samples.iter().map(|(_, value)| *value).collect());
    let slopes = samples.iter().enumerate().flat_map(|(at, (from, before))| {
        let later = samples[at + 1..].iter();
        later.map(move |(until, after)| (after - before) / (until - from))
    });
    let slope = median(slopes.collect());
    let seconds = match (samples.first(), samples.last()) {
        (Some((first, _)), Some((last, _))) => last - first,
        _ => 0.0,
    };
    let by = slope * seconds;
    let late = last_over_first(&samples);
    let allowed = bound.least.max(bound.share * level);
    Growth {
        level,
        by,
        late,
        allowed,
        seconds,
        grows: by > allowed || late > allowed,
    }
}

/// The first half counts with its highest, so that a saw whose teeth are as long as a tenth has none here either.
fn last_over_first(samples: &[(f64, f64)]) -> f64 {
    let (first, last) = samples.split_at(samples.len() / 2);
    let tenth = (samples.len() / 10).max(TENTH).min(first.len());
    if tenth == 0 {
        return 0.0;
    }
    let of = |some: &[(f64, f64)]| median(some.iter().map(|(_, value)| *value).collect());
    let before = first.windows(tenth).map(of).fold(f64::MIN, f64::max);
    of(&last[last.len() - tenth..]) - before
}

fn together(samples: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let chunks = samples.chunks(samples.len().div_ceil(MOST).max(1));
    chunks
        .map(|some| {
            let of = |what: fn(&(f64, f64)) -> f64| median(some.iter().map(what).collect());
            (of(|sample| sample.0), of(|sample| sample.1))
        })
        .collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: Bound = Bound {
        share: 0.1,
        least: 4.0,
    };

    /// Noise that is the same each time, from -1 to 1.
    fn noise(number: u32) -> f64 {
        let mixed = number.wrapping_mul(2_654_435_761).rotate_left(15) ^ 0x9e37_79b9;
        f64::from(mixed.wrapping_mul(2_246_822_519) >> 8) / f64::from(1 << 23) - 1.0
    }

    fn series(seconds: u32, value: impl Fn(u32) -> f64) -> Vec<(f64, f64)> {
        (0..seconds).map(|at| (f64::from(at), value(at))).collect()
    }

    fn grows(seconds: u32, value: impl Fn(u32) -> f64) -> bool {
        judge(&series(seconds, value), MEMORY).grows
    }

    #[test]
    fn what_stays_does_not_grow() {
        assert!(!grows(420, |_| 50.0));
        assert!(!grows(420, |at| 50.0 + 10.0 * noise(at)));
        // A store that fills and is swept.
        assert!(!grows(420, |at| 40.0 + f64::from(at % 30)));
        // What comes and goes, also if it ends high.
        assert!(!grows(420, |at| 50.0 + 20.0 * (f64::from(at) / 37.0).sin()));
        assert!(!grows(420, |at| 60.0 - f64::from(at) / 20.0));
        assert!(!grows(420, |_| 0.0));
        assert!(!judge(&[], MEMORY).grows && !judge(&[(1.0, 5.0)], MEMORY).grows);
    }

    #[test]
    fn what_sticks_out_does_not_count() {
        let peaks = |at: u32| if at.is_multiple_of(4) { 500.0 } else { 50.0 };
        assert!(!grows(420, |at| peaks(at) + noise(at)));
        assert!(!grows(420, |at| if at > 400 {
            500.0
        } else {
            50.0 + noise(at)
        }));
    }

    #[test]
    fn what_leaks_grows_however_noisy_it_is() {
        // 6 in seven minutes, where 5 are allowed.
        let leak = |at: u32| f64::from(at) * 6.5 / 420.0;
        assert!(grows(420, |at| 50.0 + leak(at)));
        assert!(grows(420, |at| 50.0 + leak(at) + 3.0 * noise(at)));
        assert!(grows(420, |at| 50.0 + leak(at) + f64::from(at % 30)));
        let peaks = |at: u32| if at.is_multiple_of(5) { 500.0 } else { 0.0 };
        assert!(grows(420, |at| 50.0 + leak(at) + peaks(at)));
        // Memory is taken from the system in steps.
        assert!(grows(420, |at| 50.0 + f64::from(at / 60) * 1.5));
        assert!(!grows(420, |at| 50.0 + leak(at) / 3.0 + 3.0 * noise(at)));
    }

    #[test]
    fn a_leak_of_descriptors_is_found_where_their_number_swings() {
        let bound = Bound {
            share: 0.1,
            least: 8.0,
        };
        let open = |at: u32| 200.0 + (25.0 * noise(at)).round();
        assert!(!judge(&series(420, open), bound).grows);
        // One in ten seconds.
        let leaky = |at: u32| open(at) + f64::from(at / 10);
        assert!(judge(&series(420, leaky), bound).grows);
    }

    #[test]
    fn a_leak_that_starts_late_is_found() {
        let late = |at: u32, from: u32| f64::from(at.saturating_sub(from));
        // 20 MiB a second for the last quarter: fewer than three in ten samples say so.
        assert!(grows(400, |at| 30.0 + noise(at) + 20.0 * late(at, 300)));
        let descriptors = Bound {
            share: 0.1,
            least: 10.0,
        };
        let open = |at: u32| 139.0 + (5.0 * noise(at)).round() + late(at, 300);
        assert!(judge(&series(400, open), descriptors).grows);
        // A thread more in four of ten samples: more than half of the pairs know nothing of it.
        let threads = Bound {
            share: 0.0,
            least: 0.5,
        };
        let more = |at: u32| if at >= 240 { 8.0 } else { 7.0 };
        assert!(judge(&series(400, more), threads).grows);
        assert!(!judge(&series(400, |_| 7.0), threads).grows);
    }

    #[test]
    fn a_long_run_is_judged_as_well() {
        let leak = |at: u32| 50.0 + f64::from(at) / 600.0 + 5.0 * noise(at);
        let found = judge(&series(36_000, leak), MEMORY);
        assert!(found.grows && (found.by - 60.0).abs() < 1.0, "{found:?}");
        assert!((found.level - 80.0).abs() < 2.0, "{found:?}");
    }
}
