//! How long to wait before the next try, and how long to go on trying.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(250);
const MOST: Duration = Duration::from_secs(10);

/// How long a server is waited for that has never answered, unless the person says how long.
const UNHEARD: Duration = Duration::from_secs(5);

/// And one that has: a node that is restarted drains first.
const HEARD: Duration = Duration::from_secs(60);

/// Counts the tries since something last came.
#[derive(Debug)]
pub(super) struct Backoff {
    tries: u32,
    since: Instant,
    given: Option<Duration>,
    pub(super) heard: bool,
}

impl Backoff {
    /// Goes on for `given`, if the person has said so.
    pub(super) fn new(given: Option<Duration>) -> Self {
        Self {
            tries: 0,
            since: Instant::now(),
            given,
            heard: false,
        }
    }

    /// The server is there, though it may not do what we want.
    pub(super) const fn heard(&mut self) {
        self.heard = true;
    }

    /// Something came that had not come before.
    pub(super) fn progress(&mut self) {
        self.tries = 0;
        self.since = Instant::now();
    }

    /// How long to wait now: twice as long each time, and at least as long as the server says. `None` if
    /// that is too long.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        let doubled = FIRST.saturating_mul(1 << self.tries.min(16)).min(MOST);
        self.tries = self.tries.saturating_add(1);
        // Many whose node has gone do not come back at once, nor before they are asked to.
        let ours = doubled.mul_f64(0.5 + rand::random::<f64>() / 2.0);
        let wait = asked.map_or(ours, |asked| {
            ours.max(asked.saturating_add(FIRST.mul_f64(rand::random())))
        });
        let patience = self
            .given
            .unwrap_or(if self.heard { HEARD } else { UNHEARD });
        (self.since.elapsed() + wait <= patience).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_start_anew() {
        let mut backoff = Backoff::new(Some(Duration::from_secs(3600)));
        for doubled in [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
            let wait = backoff.next(None).unwrap();
            let doubled = Duration::from_millis(doubled);
            assert!(wait >= doubled / 2 && wait <= doubled, "{wait:?}");
        }
        backoff.progress();
        assert!(backoff.next(None).unwrap() <= FIRST);
    }

    #[test]
    fn nobody_comes_back_before_being_asked_to() {
        let mut backoff = Backoff::new(None);
        backoff.heard();
        let asked = Duration::from_secs(7);
        let wait = backoff.next(Some(asked)).unwrap();
        assert!(wait >= asked && wait < asked + FIRST);
        assert_eq!(backoff.next(Some(HEARD * 2)), None);
    }

    #[test]
    fn a_server_that_asks_for_no_wait_is_not_flooded() {
        let mut backoff = Backoff::new(Some(Duration::from_secs(3600)));
        for doubled in [250, 500, 1000, 2000] {
            let wait = backoff.next(Some(Duration::ZERO)).unwrap();
            assert!(wait >= Duration::from_millis(doubled / 2), "{wait:?}");
        }
    }

    #[test]
    fn a_server_that_was_never_there_is_not_waited_for_long() {
        let mut backoff = Backoff::new(None);
        let waited: Duration = std::iter::from_fn(|| backoff.next(None)).take(100).sum();
        // Each of them fits, as no time passes here; the last does not.
        assert!(waited > Duration::ZERO);
        assert_eq!(backoff.next(None), None);
        backoff.heard();
        assert!(backoff.next(None).is_some());
    }
}
