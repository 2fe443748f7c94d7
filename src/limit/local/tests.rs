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
    let limiter = LocalLimiter::new(LimitConfig {
        max_principals: 4,
        ..conformance::limits(PLAN)
    });
    let admit = |subject| limiter.try_admit(&Principal::for_tests(subject), Some(100), 0);
    for subject in ["a", "b", "c", "d"] {
        admit(subject).unwrap();
    }
    assert_eq!(limit_of(admit("e")), Limit::Server);
    assert_eq!(limiter.active(), 0);
    limiter.sweep();
    assert_eq!(limiter.principals(), 0);
    assert!(admit("e").is_ok());
}
