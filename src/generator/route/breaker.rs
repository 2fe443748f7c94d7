//! Whether an upstream that failed lately should be asked: arithmetic, with the time as an argument.

use std::time::{Duration, Instant};

/// When an upstream is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// After how many failures in a row.
    pub failures: u32,
    /// Until it is asked again, by one request; the others follow if that goes well.
    pub rest: Duration,
}

/// The longest rest that an upstream may ask for itself.
const MAX_ASKED_REST: Duration = Duration::from_secs(60);

/// What is known of one upstream.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Failures since it last answered well.
    failures: u32,
    /// It is left alone until then.
    rests_until: Option<Instant>,
}

impl Breaker {
    /// Whether it may be asked now. Who is the first to ask after a rest asks for all: the rest
    /// begins anew, until that request ends it or fails.
    pub(super) fn may_be_asked(&mut self, config: BreakerConfig, now: Instant) -> bool {
        match self.rests_until {
            Some(until) if now < until => false,
            Some(_) => {
                self.rests_until = Some(now + config.rest);
                true
            }
            None => true,
        }
    }

    /// For how long it will be left alone.
    pub(super) fn rest(&self, now: Instant) -> Duration {
        self.rests_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// It has answered.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// It has failed, and may have said when it wants to be asked again. `true` if it is left alone
    /// from now on and was not before.
    pub(super) fn failed(
        &mut self,
        config: BreakerConfig,
        now: Instant,
        asked: Option<Duration>,
    ) -> bool {
        self.failures = self.failures.saturating_add(1);
        let rest = match asked {
            Some(asked) => Some(asked.min(MAX_ASKED_REST)),
            None => (self.failures >= config.failures).then_some(config.rest),
        };
        let rested = self.rests_until.is_some();
        if let Some(rest) = rest {
            self.rests_until = Some(now + rest);
        }
        rest.is_some() && !rested
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: BreakerConfig = BreakerConfig {
        failures: 3,
        rest: Duration::from_secs(10),
    };

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn failures_in_a_row_make_it_rest_and_one_asks_for_all() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for failure in 1..=3 {
            assert!(breaker.may_be_asked(CONFIG, now));
            assert_eq!(breaker.failed(CONFIG, now, None), failure == 3);
        }
        assert!(!breaker.may_be_asked(CONFIG, now + seconds(9)));
        assert_eq!(breaker.rest(now + seconds(9)), seconds(1));
        let after = now + seconds(10);
        assert!(breaker.may_be_asked(CONFIG, after), "one asks");
        assert!(
            !breaker.may_be_asked(CONFIG, after),
            "the others wait for it"
        );
        // It never said how that went: after another rest, somebody else asks.
        assert!(breaker.may_be_asked(CONFIG, after + seconds(10)));
        assert!(
            !breaker.failed(CONFIG, after + seconds(11), None),
            "not for the first time"
        );
        assert!(!breaker.may_be_asked(CONFIG, after + seconds(20)));
        assert!(breaker.may_be_asked(CONFIG, after + seconds(21)));
        breaker.succeeded();
        assert!(breaker.may_be_asked(CONFIG, after + seconds(21)));
        assert!(breaker.may_be_asked(CONFIG, after + seconds(21)));
    }

    #[test]
    fn a_success_between_failures_counts() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..10 {
            assert!(!breaker.failed(CONFIG, now, None));
            assert!(!breaker.failed(CONFIG, now, None));
            breaker.succeeded();
        }
        assert!(breaker.may_be_asked(CONFIG, now));
    }

    #[test]
    fn who_asks_for_a_rest_gets_it_within_bounds() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        assert!(breaker.failed(CONFIG, now, Some(seconds(5))));
        assert!(!breaker.may_be_asked(CONFIG, now + seconds(4)));
        assert!(breaker.may_be_asked(CONFIG, now + seconds(5)));
        breaker.failed(CONFIG, now, Some(seconds(3600)));
        assert!(breaker.may_be_asked(CONFIG, now + seconds(60)));
    }
}
