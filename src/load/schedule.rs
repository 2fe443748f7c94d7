//! When each stream should start, whatever the ones before it do: latency counts from there.

use std::time::Duration;

use super::plan::Arrivals;

/// The moments at which streams start, from the beginning of the load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    arrivals: Arrivals,
    ramp: f64,
}

impl Schedule {
    pub(super) const fn new(arrivals: Arrivals, ramp: Duration) -> Self {
        Self {
            arrivals,
            ramp: ramp.as_secs_f64(),
        }
    }

    /// When the stream of this number starts; with a number of streams, only the first ones are scheduled.
    pub(super) fn start(&self, number: u64) -> Option<Duration> {
        let seconds = match self.arrivals {
            Arrivals::Streams(streams) => {
                if number >= u64::from(streams) {
                    return None;
                }
                self.ramp * number as f64 / f64::from(streams)
            }
            // The rate grows evenly to what it shall be, so that the number of starts is an integral: first
            // rate * t^2 / (2 * ramp), then a line.
            Arrivals::Rate(rate) => {
                let in_ramp = rate * self.ramp / 2.0;
                let number = number as f64;
                if number < in_ramp {
                    (2.0 * number * self.ramp / rate).sqrt()
                } else {
                    self.ramp + (number - in_ramp) / rate
                }
            }
        };
        Some(Duration::from_secs_f64(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(arrivals: Arrivals, ramp: u64, numbers: std::ops::Range<u64>) -> Vec<f64> {
        let schedule = Schedule::new(arrivals, Duration::from_secs(ramp));
        let starts = numbers.map_while(|number| schedule.start(number));
        starts.map(|start| start.as_secs_f64()).collect()
    }

    #[test]
    fn a_number_of_streams_starts_evenly() {
        let found = starts(Arrivals::Streams(4), 2, 0..9);
        assert_eq!(found, [0.0, 0.5, 1.0, 1.5]);
        assert_eq!(starts(Arrivals::Streams(3), 0, 0..9), [0.0; 3]);
    }

    #[test]
    fn a_rate_is_kept_from_the_first_moment_or_after_a_ramp() {
        assert_eq!(starts(Arrivals::Rate(10.0), 0, 0..4), [0.0, 0.1, 0.2, 0.3]);
        let found = starts(Arrivals::Rate(10.0), 4, 0..1_000);
        assert!(found.is_sorted());
        let before = |end: f64| found.iter().filter(|start| **start < end).count();
        // Half of the rate on average while it grows, and in the middle of that half of the rate.
        assert_eq!((before(4.0), before(5.0), before(6.0)), (20, 30, 40));
        assert_eq!(before(2.5) - before(1.5), 5);
    }
}
