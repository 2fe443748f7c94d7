//! How often one client address may fail to authenticate.
//!
//! Only failures count, so people behind one address do not lock each other out: a right
//! credential is always let through.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

/// How many addresses are told apart. Beyond them all share one allowance, until the next sweep.
const MAX_ADDRESSES: usize = 100_000;

/// Counts failed authentications by client address.
pub struct AuthFailures {
    limiter: DefaultKeyedRateLimiter<Option<IpAddr>>,
    /// Whose excess was told within the last minute.
    told: DefaultKeyedRateLimiter<Option<IpAddr>>,
    clock: DefaultClock,
}

impl AuthFailures {
    /// So many failures a minute from each address (a whole /64 of IPv6 is one address).
    #[must_use]
    pub fn per_minute(failures: NonZeroU32) -> Self {
        Self {
            limiter: DefaultKeyedRateLimiter::dashmap(Quota::per_minute(failures)),
            told: DefaultKeyedRateLimiter::dashmap(Quota::per_minute(NonZeroU32::MIN)),
            clock: DefaultClock::default(),
        }
    }

    /// Counts one failure.
    ///
    /// # Errors
    /// There were too many.
    pub fn record(&self, address: Option<IpAddr>) -> Result<(), TooMany> {
        let known = self.limiter.len() < MAX_ADDRESSES;
        let key = address.filter(|_| known).map(network);
        self.limiter.check_key(&key).map_err(|until| TooMany {
            wait: until.wait_time_from(self.clock.now()),
            // Both tables have the same keys, and so one bound.
            news: self.told.check_key(&key).is_ok().then(|| name(key)),
        })
    }

    /// Forgets addresses that have been quiet. To be called about once a minute.
    pub fn sweep(&self) {
        for table in [&self.limiter, &self.told] {
            table.retain_recent();
            table.shrink_to_fit();
        }
    }
}

/// More failures than an address may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooMany {
    /// How long until another is allowed.
    pub wait: Duration,
    /// Whose they are, in words; if that was said within the last minute, nothing.
    pub news: Option<String>,
}

/// What shares one allowance.
fn name(key: Option<IpAddr>) -> String {
    match key {
        Some(IpAddr::V6(network)) => format!("{network}/64"),
        Some(address) => address.to_string(),
        None => "more addresses than are told apart".to_owned(),
    }
}

/// The part of an address that one client holds.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_spend_anothers_failures() {
        let failures = AuthFailures::per_minute(NonZeroU32::new(3).unwrap());
        let one = Some(IpAddr::from([10, 0, 0, 1]));
        let two = Some(IpAddr::from([10, 0, 0, 2]));
        for _ in 0..3 {
            assert_eq!(failures.record(one), Ok(()));
        }
        let too_many = failures.record(one).unwrap_err();
        assert!(too_many.wait > Duration::from_secs(1));
        assert_eq!(too_many.news.as_deref(), Some("10.0.0.1"));
        assert_eq!(failures.record(one).unwrap_err().news, None);
        failures.sweep();
        assert_eq!(failures.record(one).unwrap_err().news, None);
        assert_eq!(failures.record(two), Ok(()));
    }

    #[test]
    fn a_client_has_one_allowance_for_its_whole_network() {
        let failures = AuthFailures::per_minute(NonZeroU32::MIN);
        let address = |last| {
            Some(IpAddr::V6(Ipv6Addr::new(
                0x2001, 0xdb8, 1, 2, 3, 4, 5, last,
            )))
        };
        assert_eq!(failures.record(address(1)), Ok(()));
        let too_many = failures.record(address(2)).unwrap_err();
        assert_eq!(too_many.news.as_deref(), Some("2001:db8:1:2::/64"));
        assert_eq!(failures.record(address(3)).unwrap_err().news, None);
    }
}
