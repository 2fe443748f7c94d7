//! The arithmetic of what is allowed in a minute: a bucket that leaks, can be given back to, and can be
//! overdrawn. Pure: `now` is an argument.
//!
//! This is the generic cell rate algorithm in its form of a leaky bucket (ITU-T I.371, annex A).
//! Governor has the other form and cannot give back; a reservation that is settled must. What is owed
//! is counted in drops, of which a token is [`TOKEN`] and as many leak in a millisecond as the rate
//! has tokens in a minute: so nothing is ever rounded, and no number reaches 2^53, beyond which
//! Redis' scripts, which have the same arithmetic, could not count.

use std::time::Duration;

/// The drops of a token: the milliseconds of a minute.
pub const TOKEN: u64 = 60_000;

/// So many tokens a minute, and so many that can be saved up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_minute: u32,
    burst: u32,
}

impl Rate {
    /// So many tokens a minute, of which a minute's worth may be saved up.
    #[must_use]
    pub fn per_minute(tokens: u32) -> Self {
        Self::with_burst(tokens, tokens)
    }

    /// So many tokens a minute, and so many at once; at least one of each.
    #[must_use]
    pub fn with_burst(per_minute: u32, burst: u32) -> Self {
        Self {
            per_minute: per_minute.max(1),
            burst: burst.max(1),
        }
    }

    /// The most tokens that can ever be taken at once.
    #[must_use]
    pub const fn capacity(self) -> u64 {
        self.burst as u64
    }

    /// How much a full bucket gives, in drops.
    const fn brim(self) -> u64 {
        self.capacity() * TOKEN
    }

    /// How long so many drops take to leak.
    fn time(self, drops: u64) -> Duration {
        Duration::from_millis(drops.div_ceil(self.per_minute.into()))
    }
}

/// One principal's bucket. Times are milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// What has been taken and has not leaked yet, in drops.
    owed: u64,
    /// When that was so.
    at: u64,
}

impl Bucket {
    /// A bucket of which so many drops are owed now, at the time 0.
    #[must_use]
    pub const fn owing(owed: u64) -> Self {
        Self { owed, at: 0 }
    }

    /// What has been taken and has not leaked by now, in drops.
    pub(super) const fn owed(&self, rate: Rate, now: u64) -> u64 {
        let leaked = now
            .saturating_sub(self.at)
            .saturating_mul(rate.per_minute as u64);
        self.owed.saturating_sub(leaked)
    }

    /// Takes tokens, if they are there.
    ///
    /// # Errors
    /// How long until they will be; `None` if they never can be.
    pub fn take(&mut self, rate: Rate, now: u64, tokens: u64) -> Result<(), Option<Duration>> {
        if tokens > rate.capacity() {
            return Err(None);
        }
        let owed = self.owed(rate, now) + tokens * TOKEN;
        if owed > rate.brim() {
            return Err(Some(rate.time(owed - rate.brim())));
        }
        *self = Self { owed, at: now };
        Ok(())
    }

    /// Takes as many tokens as there are, at most so many.
    pub fn take_some(&mut self, rate: Rate, now: u64, most: u64) -> u64 {
        let taken = most.min(self.remaining(rate, now));
        let owed = self.owed(rate, now) + taken * TOKEN;
        *self = Self { owed, at: now };
        taken
    }

    /// Gives back what was reserved and not used, or takes what was used beyond, whether it is there or
    /// not: what was generated was generated. A debt of more than two buckets is forgiven, so that one
    /// absurd count does not lock anybody out for ever.
    pub fn settle(&mut self, rate: Rate, now: u64, reserved: u64, used: u64) {
        let owed = self
            .owed(rate, now)
            .saturating_add(used.saturating_mul(TOKEN))
            .saturating_sub(reserved.saturating_mul(TOKEN));
        let owed = owed.min(2 * rate.brim());
        *self = Self { owed, at: now };
    }

    /// How many tokens could be taken now.
    #[must_use]
    pub fn remaining(&self, rate: Rate, now: u64) -> u64 {
        rate.brim().saturating_sub(self.owed(rate, now)) / TOKEN
    }

    /// How long until the bucket is full.
    #[must_use]
    pub fn reset(&self, rate: Rate, now: u64) -> Duration {
        rate.time(self.owed(rate, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: u64 = 60_000;

    #[test]
    fn a_minutes_worth_at_once_and_then_the_rate() {
        let rate = Rate::per_minute(600);
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(rate, 0, 601), Err(None));
        assert_eq!(bucket.take(rate, 0, 600), Ok(()));
        assert_eq!(bucket.remaining(rate, 0), 0);
        assert_eq!(bucket.take(rate, 0, 10), Err(Some(Duration::from_secs(1))));
        assert_eq!(
            bucket.take(rate, 999, 10),
            Err(Some(Duration::from_millis(1)))
        );
        assert_eq!(bucket.take(rate, 1000, 10), Ok(()));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let rate = Rate::per_minute(600);
        let mut bucket = Bucket::default();
        bucket.take(rate, 0, 600).unwrap();
        bucket.settle(rate, 0, 600, 100);
        assert_eq!(bucket.remaining(rate, 0), 500);
        assert_eq!(bucket.take_some(rate, 0, 400), 400);
        assert_eq!(bucket.take_some(rate, 0, 400), 100);
    }

    #[test]
    fn debt_is_waited_off() {
        let rate = Rate::per_minute(600);
        let mut bucket = Bucket::default();
        bucket.settle(rate, 0, 0, 1200);
        assert_eq!(bucket.remaining(rate, MINUTE), 0);
        assert_eq!(bucket.remaining(rate, 2 * MINUTE), 600);
        bucket.settle(rate, 2 * MINUTE, 7, u64::MAX);
        assert_eq!(
            bucket.remaining(rate, 4 * MINUTE),
            600,
            "an absurd count is forgiven"
        );
    }

    #[test]
    fn no_number_of_any_plan_is_beyond_what_a_script_can_count() {
        let rate = Rate::per_minute(u32::MAX);
        let mut bucket = Bucket::default();
        bucket.settle(rate, 0, 0, u64::MAX);
        let most = bucket.owed + rate.brim();
        assert!(most < 1 << 53, "{most}");
    }

    proptest! {
        /// Over any history, what was admitted never exceeds the burst and the rate times time, also when
        /// some of it is given back.
        #[test]
        fn admitted_never_exceeds_the_rate(
            per_minute in 1_u32..1_000_000,
            burst in 1_u32..1_000_000,
            steps in prop::collection::vec((0_u64..20_000, 1_u64..200_000, 0_u64..200_000), 1..200),
        ) {
            let rate = Rate::with_burst(per_minute, burst);
            let mut bucket = Bucket::default();
            let (mut now, mut used) = (0, 0_u64);
            for (wait, tokens, left) in steps {
                now += wait;
                if bucket.take(rate, now, tokens).is_ok() {
                    let unused = left.min(tokens);
                    bucket.settle(rate, now, tokens, tokens - unused);
                    used += tokens - unused;
                }
                let bound = u64::from(burst) * TOKEN + u64::from(per_minute) * now;
                prop_assert!(used * TOKEN <= bound, "{used} of {bound} drops");
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
                let wait = u64::try_from(wait.unwrap().as_millis()).unwrap();
                prop_assert_eq!(bucket.take(rate, 5 + wait, second.into()), Ok(()));
                prop_assert!(wait > 0);
            }
        }
    }
}
