//! The arithmetic of tokens per minute: a bucket that refills, can be given back to, and can be
//! overdrawn. Pure: `now` is an argument.
//!
//! This is the generic cell rate algorithm (ITU-T I.371) kept as one number, the time at which the
//! bucket will be full again. Governor has the same algorithm but cannot give back, and a
//! reservation that is settled must.

use std::time::Duration;

/// A rate, and the most that can be saved up: a minute's worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_minute: u32,
}

impl Rate {
    /// So many tokens a minute.
    #[must_use]
    pub const fn per_minute(tokens: u32) -> Self {
        Self { per_minute: tokens }
    }

    /// The most tokens that can ever be taken at once.
    #[must_use]
    pub const fn capacity(self) -> u64 {
        self.per_minute as u64
    }

    /// How long so many tokens take to come back, in nanoseconds, rounded up.
    fn nanos(self, tokens: u64) -> u64 {
        let nanos = u128::from(tokens) * 60_000_000_000;
        let nanos = nanos.div_ceil(u128::from(self.per_minute.max(1)));
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    /// How many tokens come back in so many nanoseconds, rounded down.
    fn tokens(self, nanos: u64) -> u64 {
        let tokens = u128::from(nanos) * u128::from(self.per_minute) / 60_000_000_000;
        u64::try_from(tokens).unwrap_or(u64::MAX)
    }
}

/// One principal's bucket. Times are nanoseconds on any clock that does not go back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    full_at: u64,
}

const MINUTE: u64 = 60_000_000_000;

impl Bucket {
    /// Takes tokens, if they are there.
    ///
    /// # Errors
    /// How long until they will be; `None` if they never can be.
    pub fn take(&mut self, rate: Rate, now: u64, tokens: u64) -> Result<(), Option<Duration>> {
        if tokens > rate.capacity() {
            return Err(None);
        }
        let full_at = self.full_at.max(now).saturating_add(rate.nanos(tokens));
        // Rounding up may put a full bucket's worth a nanosecond beyond the minute.
        match full_at.saturating_sub(now).checked_sub(MINUTE + 1) {
            None | Some(0) => {
                self.full_at = full_at;
                Ok(())
            }
            Some(early) => Err(Some(Duration::from_nanos(early))),
        }
    }

    /// Gives back tokens that were taken and not used.
    pub fn give_back(&mut self, rate: Rate, tokens: u64) {
        self.full_at = self.full_at.saturating_sub(rate.nanos(tokens));
    }

    /// Takes tokens whether they are there or not: what was generated was generated. A debt of more
    /// than a bucket is forgiven, so that one absurd count does not lock anybody out for ever.
    pub fn overdraw(&mut self, rate: Rate, now: u64, tokens: u64) {
        let owed = self.full_at.max(now).saturating_add(rate.nanos(tokens));
        self.full_at = owed.min(now.saturating_add(2 * MINUTE));
    }

    /// How many tokens could be taken now.
    #[must_use]
    pub fn remaining(&self, rate: Rate, now: u64) -> u64 {
        rate.tokens(MINUTE.saturating_sub(self.full_at.saturating_sub(now)))
    }

    /// How long until the bucket is full.
    #[must_use]
    pub const fn reset(&self, now: u64) -> Duration {
        Duration::from_nanos(self.full_at.saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_minutes_worth_at_once_and_then_the_rate() {
        let rate = Rate::per_minute(600);
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(rate, 0, 601), Err(None));
        assert_eq!(bucket.take(rate, 0, 600), Ok(()));
        assert_eq!(bucket.remaining(rate, 0), 0);
        assert_eq!(
            bucket.take(rate, 0, 10),
            Err(Some(Duration::from_nanos(999_999_999)))
        );
        assert_eq!(bucket.take(rate, 1_000_000_000, 10), Ok(()));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let rate = Rate::per_minute(600);
        let mut bucket = Bucket::default();
        bucket.take(rate, 0, 600).unwrap();
        bucket.give_back(rate, 500);
        assert_eq!(bucket.remaining(rate, 0), 500);
    }

    #[test]
    fn debt_is_waited_off() {
        let rate = Rate::per_minute(600);
        let mut bucket = Bucket::default();
        bucket.overdraw(rate, 0, 1200);
        assert_eq!(bucket.remaining(rate, MINUTE), 0);
        assert_eq!(bucket.remaining(rate, 2 * MINUTE), 600);
        bucket.overdraw(rate, 2 * MINUTE, u64::MAX);
        assert_eq!(
            bucket.remaining(rate, 4 * MINUTE),
            600,
            "an absurd count is forgiven"
        );
    }

    proptest! {
        /// Over any history, what was admitted never exceeds the burst and the rate times time.
        #[test]
        fn admitted_never_exceeds_the_rate(
            per_minute in 1_u32..1_000_000,
            steps in prop::collection::vec((0_u64..20_000_000_000, 1_u64..200_000), 1..200),
        ) {
            let rate = Rate::per_minute(per_minute);
            let mut bucket = Bucket::default();
            let (mut now, mut admitted) = (0, 0_u128);
            for (wait, tokens) in steps {
                now += wait;
                if bucket.take(rate, now, tokens).is_ok() {
                    admitted += u128::from(tokens);
                }
                let bound = u128::from(per_minute) * (u128::from(now) + u128::from(MINUTE) + 2) / u128::from(MINUTE);
                prop_assert!(admitted <= bound + 1, "{admitted} > {bound}");
            }
        }

        /// Whoever waits as long as they were told is admitted.
        #[test]
        fn the_wait_that_is_told_is_enough(per_minute in 1_u32..1_000_000, first: u32, second: u32) {
            let rate = Rate::per_minute(per_minute);
            let mut bucket = Bucket::default();
            let (first, second) = (first % (per_minute + 1), second % (per_minute + 1));
            bucket.take(rate, 5, first.into()).unwrap();
            if let Err(wait) = bucket.take(rate, 5, second.into()) {
                let wait = u64::try_from(wait.unwrap().as_nanos()).unwrap();
                prop_assert_eq!(bucket.take(rate, 5 + wait, second.into()), Ok(()));
            }
        }
    }
}
