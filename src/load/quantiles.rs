//! Times of which quantiles are wanted.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// An hour, in microseconds: what takes longer counts as that.
const LONGEST: u64 = 3_600_000_000;

/// Times, each within a thousandth or, for a second's quantiles, a hundredth.
#[derive(Debug)]
pub struct Quantiles(Option<Histogram<u64>>);

impl Quantiles {
    /// For a whole run.
    #[must_use]
    pub fn fine() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, 3).ok())
    }

    /// For one second of it.
    #[must_use]
    pub fn coarse() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, 2).ok())
    }

    /// One more.
    pub fn add(&mut self, time: Duration) {
        self.add_microseconds(u64::try_from(time.as_micros()).unwrap_or(LONGEST), 1);
    }

    /// So many more that are alike.
    pub fn add_microseconds(&mut self, time: u64, times: u64) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record_n(time, times);
        }
    }

    /// None is there any more.
    pub fn clear(&mut self) {
        if let Some(histogram) = &mut self.0 {
            histogram.reset();
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// The time that this part of them did not exceed, in milliseconds.
    #[must_use]
    pub fn ms(&self, quantile: f64) -> Option<f64> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        // The highest of what cannot be told apart may be above all that there were.
        let found = histogram.value_at_quantile(quantile);
        Some(found.min(histogram.max()) as f64 / 1e3)
    }

    /// Nothing if there are none.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        let ms = |quantile| self.ms(quantile).unwrap_or_default();
        Some(Summary {
            count: histogram.len(),
            mean: histogram.mean() / 1e3,
            p50: ms(0.5),
            p90: ms(0.9),
            p99: ms(0.99),
            p999: ms(0.999),
            max: ms(1.0),
        })
    }
}

/// Quantiles, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// How many there were.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// What half of them did not exceed.
    pub p50: f64,
    /// What nine of ten did not exceed.
    pub p90: f64,
    /// What 99 of a hundred did not exceed.
    pub p99: f64,
    /// What 999 of a thousand did not exceed.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_thousand() {
        let mut times = Quantiles::fine();
        assert_eq!(times.summary(), None);
        for milliseconds in 1..=1000 {
            times.add(Duration::from_millis(milliseconds));
        }
        let found = times.summary().unwrap();
        assert_eq!(found.count, 1000);
        for (found, expected) in [
            (found.p50, 500.0),
            (found.p90, 900.0),
            (found.p99, 990.0),
            (found.p999, 999.0),
            (found.max, 1000.0),
            (found.mean, 500.5),
        ] {
            assert!((found - expected).abs() <= expected / 1000.0, "{found}");
        }
        times.clear();
        assert_eq!(times.ms(0.5), None);
    }

    #[test]
    fn nothing_is_too_short_or_too_long() {
        let mut times = Quantiles::coarse();
        times.add_microseconds(0, 3);
        times.add(Duration::from_secs(100_000));
        let found = times.summary().unwrap();
        assert_eq!((found.count, found.p50), (4, 0.0));
        assert!((3_600_000.0..3_640_000.0).contains(&found.max));
    }
}
