//! The embedded limiter conforms, and forgets those who are quiet.

use super::*;
use crate::limit::conformance::{self, PLAN, limit_of};

#[tokio::test]
async fn it_conforms() {
    conformance::all(|limits| {
        let limiter = Arc::new(LocalLimiter::new(limits));
        [limiter.clone(), limiter]
    })
    .await;
}

#[test]
fn quiet_principals_are_forgotten_and_their_number_is_capped() {
    let with = |requests_per_minute| {
        let plan = Plan {
            requests_per_minute,
            ..PLAN
        };
        LimitConfig {
            max_principals: 4,
            ..conformance::limits(plan)
        }
    };
    // A request counts for a minute: for so long nobody who made one is forgotten.
    let limiter = LocalLimiter::new(with(1));
    let admit = |subject| limiter.try_admit(&Principal::for_tests(subject), Some(100), 0);
    for subject in ["a", "b", "c", "d"] {
        admit(subject).unwrap();
    }
    assert_eq!(limit_of(admit("e")), Limit::Server);
    assert_eq!(limiter.active(), 0);
    limiter.sweep();
    assert_eq!(limiter.principals(), 4);
    // With another plan it is made good in a millisecond.
    limiter.replace(with(1_000_000));
    for subject in ["a", "b", "c", "d"] {
        admit(subject).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while limiter.principals() > 0 {
        assert!(Instant::now() < deadline, "they are never forgotten");
        limiter.sweep();
    }
    assert!(admit("e").is_ok());
}
