//! Each limit is told apart, and nothing that was held leaks.

use super::*;
use std::collections::BTreeMap;
use std::task::Waker;

fn limiter(plan: Plan) -> LocalLimiter {
    LocalLimiter::new(LimitConfig {
        max_streams: 3,
        max_principals: 4,
        default_reservation: 100,
        default_plan: "free".into(),
        plans: BTreeMap::from([("free".to_owned(), plan)]),
    })
}

const PLAN: Plan = Plan {
    requests_per_minute: 60,
    burst: 5,
    streams: 2,
    tokens_per_minute: 1000,
};

fn principal(subject: &str) -> Principal {
    Principal::for_tests(subject)
}

fn limit_of(result: Result<Permit, Rejection>) -> Limit {
    result.err().expect("a rejection").limit
}

#[test]
fn a_dropped_permit_frees_its_place_and_its_tokens() {
    let limiter = limiter(PLAN);
    let ann = principal("ann");
    let mut first = limiter.try_admit(&ann, Some(600), 0).unwrap();
    assert_eq!(limit_of(limiter.try_admit(&ann, Some(600), 0)), Limit::Tokens);
    first.spend(100);
    drop(first);
    assert_eq!(limiter.active(), 0);
    let second = limiter.try_admit(&ann, Some(600), 0).unwrap();
    assert_eq!(second.quota().tokens.remaining, 300);
}

#[test]
fn each_limit_is_told_apart() {
    let limiter = limiter(Plan { burst: 9, ..PLAN });
    let (ann, ben) = (principal("ann"), principal("ben"));
    assert_eq!(
        limit_of(limiter.try_admit(&ann, Some(1001), 0)),
        Limit::TokensEver
    );
    let held = [
        limiter.try_admit(&ann, None, 0).unwrap(),
        limiter.try_admit(&ann, None, 0).unwrap(),
    ];
    assert_eq!(limit_of(limiter.try_admit(&ann, None, 0)), Limit::Streams);
    let other = limiter.try_admit(&ben, None, 0).unwrap();
    assert_eq!(limit_of(limiter.try_admit(&ben, None, 0)), Limit::Server);
    drop((held, other));
    let mut admitted = 4;
    while let Ok(permit) = limiter.try_admit(&ann, Some(1), 0) {
        admitted += 1;
        drop(permit);
    }
    assert_eq!(admitted, 9, "the burst, in which refused attempts count");
    let rejection = limiter.try_admit(&ann, Some(1), 0).err().unwrap();
    assert_eq!(rejection.limit, Limit::Requests);
    assert!(
        rejection.retry_after > Duration::ZERO && rejection.retry_after <= Duration::from_secs(1)
    );
}

#[test]
fn a_generation_outgrows_its_reservation_until_the_quota_is_spent() {
    let limiter = limiter(PLAN);
    let mut permit = limiter.try_admit(&principal("ann"), None, 0).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut generated = 0;
    while permit.poll_spendable(&mut context) == Poll::Ready(true) {
        permit.spend(1);
        generated += 1;
    }
    assert!((1000..1010).contains(&generated), "{generated}");
}

#[test]
fn quiet_principals_are_forgotten_and_their_number_is_capped() {
    let limiter = limiter(PLAN);
    for subject in ["a", "b", "c", "d"] {
        limiter.try_admit(&principal(subject), Some(100), 0).unwrap();
    }
    assert_eq!(
        limit_of(limiter.try_admit(&principal("e"), None, 0)),
        Limit::Server
    );
    limiter.sweep();
    assert_eq!(limiter.principals(), 0);
    assert!(limiter.try_admit(&principal("e"), None, 0).is_ok());
}
