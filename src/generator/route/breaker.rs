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
    /// Failures since it last answered.
    failures: u32,
    rest: Option<Rest>,
}

/// It is left alone.
#[derive(Debug, Clone, Copy)]
struct Rest {
    /// When it last failed. What was asked before says nothing about how it is now.
    since: Instant,
    until: Instant,
    /// When somebody asked for all, of whom nothing has come yet.
    trial: Option<Instant>,
    /// Whether it is a rate limit, and no other failure, that made it rest.
    is_limit: bool,
}

/// For how long it is left alone from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) rest: Duration,
    /// Failures in a row until now.
    pub(super) failures: u32,
}

/// What an answer changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answered {
    /// So many failures are forgotten for it.
    pub(super) forgotten: u32,
    /// It had been left alone, and is no longer.
    pub(super) is_back: bool,
}

impl Breaker {
    /// Whether it may be asked now. Who is the first to ask after a rest asks for all: the rest
    /// begins anew, until that request ends it or fails.
    pub(super) fn may_be_asked(&mut self, config: BreakerConfig, now: Instant) -> bool {
        match &mut self.rest {
            Some(rest) if now < rest.until => false,
            Some(rest) => {
                rest.until = now + config.rest;
                rest.trial = Some(now);
                true
            }
            None => true,
        }
    }

    /// Nothing will come of what was asked at that time. If it was asked for all, the next may.
    pub(super) fn left(&mut self, asked: Instant) {
        if let Some(rest) = &mut self.rest
            && rest.trial == Some(asked)
        {
            rest.until = asked;
            rest.trial = None;
        }
    }

    /// Whether it is left alone for its rate limit only.
    pub(super) fn is_limit(&self) -> bool {
        self.rest.is_some_and(|rest| rest.is_limit)
    }

    /// For how long it will be left alone.
    pub(super) fn rest(&self, now: Instant) -> Duration {
        self.rest.map_or(Duration::ZERO, |rest| {
            rest.until.saturating_duration_since(now)
        })
    }

    /// It answers what it was asked at that time.
    pub(super) fn answered(&mut self, asked: Instant) -> Answered {
        if self.rest.is_some_and(|rest| asked < rest.since) {
            return Answered {
                forgotten: 0,
                is_back: false,
            };
        }
        let before = std::mem::take(self);
        Answered {
            forgotten: before.failures,
            is_back: before.rest.is_some(),
        }
    }

    /// An answer for which so many failures were forgotten did not come to its end.
    pub(super) fn remember(&mut self, forgotten: u32) {
        self.failures = self.failures.max(forgotten);
    }

    /// It has failed, by a rate limit or otherwise, and may have said when it wants to be asked again.
    /// Says if it is left alone from now on and was not before.
    pub(super) fn failed(
        &mut self,
        config: BreakerConfig,
        now: Instant,
        is_limit: bool,
        asked: Option<Duration>,
    ) -> Option<Opened> {
        self.failures = self.failures.saturating_add(1);
        if let Some(rest) = &mut self.rest {
            rest.trial = None;
        }
        let time = match asked {
            Some(asked) => asked.min(MAX_ASKED_REST),
            None if self.failures >= config.failures => config.rest,
            None => return None,
        };
        let before = self.rest;
        // Of several requests at once, none shortens what another one was told.
        let until = before.map_or(now, |rest| rest.until).max(now + time);
        self.rest = Some(Rest {
            since: now,
            until,
            trial: None,
            is_limit,
        });
        before.is_none().then_some(Opened {
            rest: time,
            failures: self.failures,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            assert_eq!(
                breaker.failed(CONFIG, now, false, None).is_some(),
                failure == 3
            );
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
            breaker
                .failed(CONFIG, after + seconds(11), false, None)
                .is_none(),
            "not for the first time"
        );
        assert!(!breaker.may_be_asked(CONFIG, after + seconds(20)));
        assert!(breaker.may_be_asked(CONFIG, after + seconds(21)));
        assert_eq!(breaker.answered(after + seconds(21)).forgotten, 4);
        assert!(breaker.may_be_asked(CONFIG, after + seconds(21)));
        assert!(breaker.may_be_asked(CONFIG, after + seconds(21)));
    }

    #[test]
    fn an_answer_between_failures_counts() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..10 {
            assert!(breaker.failed(CONFIG, now, false, None).is_none());
            assert!(breaker.failed(CONFIG, now, false, None).is_none());
            assert_eq!(breaker.answered(now).forgotten, 2);
        }
        assert!(breaker.may_be_asked(CONFIG, now));
    }

    #[test]
    fn who_asks_for_a_rest_gets_it_within_bounds() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        assert!(
            breaker
                .failed(CONFIG, now, false, Some(seconds(5)))
                .is_some()
        );
        assert!(!breaker.may_be_asked(CONFIG, now + seconds(4)));
        assert!(breaker.may_be_asked(CONFIG, now + seconds(5)));
        breaker.failed(CONFIG, now, false, Some(seconds(3600)));
        assert!(breaker.may_be_asked(CONFIG, now + seconds(60)));
    }

    #[test]
    fn answers_that_are_all_cut_are_failures_in_a_row() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for cut in 1..=3 {
            assert!(breaker.may_be_asked(CONFIG, now));
            let forgotten = breaker.answered(now).forgotten;
            breaker.remember(forgotten);
            assert_eq!(breaker.failed(CONFIG, now, false, None).is_some(), cut == 3);
        }
        assert!(!breaker.may_be_asked(CONFIG, now + seconds(9)));
    }

    #[test]
    fn what_was_asked_before_a_rest_neither_ends_nor_shortens_it() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        assert!(
            breaker
                .failed(CONFIG, now + seconds(1), false, Some(seconds(30)))
                .is_some()
        );
        breaker.answered(now);
        for _ in 0..5 {
            breaker.failed(CONFIG, now + seconds(2), false, None);
        }
        breaker.failed(CONFIG, now + seconds(2), false, Some(seconds(1)));
        assert!(!breaker.may_be_asked(CONFIG, now + seconds(30)));
        assert!(breaker.may_be_asked(CONFIG, now + seconds(31)));
    }

    #[test]
    fn who_asks_for_all_and_leaves_lets_the_next_ask() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        assert!(
            breaker
                .failed(CONFIG, now, true, Some(seconds(5)))
                .is_some()
        );
        assert!(breaker.is_limit());
        breaker.left(now);
        assert!(!breaker.may_be_asked(CONFIG, now + seconds(4)));
        let trial = now + seconds(5);
        assert!(breaker.may_be_asked(CONFIG, trial));
        breaker.left(now);
        assert!(!breaker.may_be_asked(CONFIG, trial), "another has left");
        breaker.left(trial);
        let next = trial + seconds(1);
        assert!(breaker.may_be_asked(CONFIG, next));
        assert!(!breaker.may_be_asked(CONFIG, next), "one asks");
        // A failure is no leaving, even if it is not one too many.
        assert!(breaker.failed(CONFIG, next, false, None).is_none());
        breaker.left(next);
        assert!(!breaker.may_be_asked(CONFIG, next + seconds(9)));
        assert!(breaker.answered(next).is_back);
    }

    /// What may happen to a breaker: the time since what happened before, in seconds, and what.
    #[derive(Debug, Clone, Copy)]
    enum Happens {
        Asked,
        /// The oldest request that waits is answered, fails, or is forgotten.
        Answered,
        Failed(Option<u64>),
        Left,
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            4 => Just(Happens::Asked),
            2 => Just(Happens::Answered),
            2 => prop::option::of(0_u64..100).prop_map(Happens::Failed),
            1 => Just(Happens::Left),
        ]
    }

    proptest! {
        /// Whatever happens: it is never asked within a rest, by at most one request within the
        /// rest after it, and it is always asked again in the end.
        #[test]
        fn rests_are_kept_and_end(story in prop::collection::vec((0_u64..8, happens()), 0..100)) {
            let (mut breaker, mut now) = (Breaker::default(), Instant::now());
            let mut waiting = std::collections::VecDeque::new();
            // Until when nobody may ask, as every failure since it last answered has said.
            let mut told = None;
            for (after, what) in story {
                now += seconds(after);
                let rest = breaker.rest(now);
                prop_assert!(rest <= MAX_ASKED_REST);
                match what {
                    Happens::Asked => {
                        let may = breaker.may_be_asked(CONFIG, now);
                        prop_assert_eq!(may, rest.is_zero());
                        if may {
                            prop_assert!(told.is_none_or(|(_, until)| until <= now));
                            prop_assert!(told.is_none() || !breaker.may_be_asked(CONFIG, now));
                            waiting.push_back(now);
                        }
                    }
                    Happens::Answered => {
                        if let Some(asked) = waiting.pop_front() {
                            breaker.answered(asked);
                            told = told.filter(|(since, _)| asked < *since);
                        }
                    }
                    Happens::Failed(rest) if waiting.pop_front().is_some() => {
                        let opened = breaker.failed(CONFIG, now, false, rest.map(seconds)).is_some();
                        prop_assert!(!opened || told.is_none());
                        if opened || told.is_some() && (rest.is_some() || breaker.failures >= 3) {
                            let until = now + rest.map_or(CONFIG.rest, seconds).min(MAX_ASKED_REST);
                            let until = told.map_or(until, |(_, before)| until.max(before));
                            told = Some((now, until));
                        }
                    }
                    Happens::Left => {
                        if let Some(asked) = waiting.pop_front() {
                            breaker.left(asked);
                        }
                    }
                    Happens::Failed(_) => {}
                }
            }
            prop_assert!(breaker.may_be_asked(CONFIG, now + MAX_ASKED_REST));
        }
    }
}
