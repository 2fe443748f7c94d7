//! What every backend of [`RateLimiter`] must do: generic checks, run by each backend's own tests on two
//! limiters that share their limits: two nodes, or twice the same.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Limit, LimitConfig, Permit, Plan, Quota, RateLimiter, Rejection};
use crate::auth::Principal;

/// Two limiters that share their limits.
pub(super) type Pair = [Arc<dyn RateLimiter>; 2];

pub(super) const PLAN: Plan = Plan {
    requests_per_minute: 60,
    burst: 5,
    streams: 2,
    tokens_per_minute: 1000,
};

pub(super) fn limits(plan: Plan) -> LimitConfig {
    LimitConfig {
        max_streams: 10_000,
        max_principals: 100,
        default_reservation: 100,
        default_plan: "free".into(),
        plans: BTreeMap::from([("free".to_owned(), plan)]),
    }
}

pub(super) fn wide() -> Plan {
    Plan {
        requests_per_minute: 1_000_000,
        burst: 100_000,
        ..PLAN
    }
}

/// Runs every check on limiters with the limits that each asks for.
pub(super) async fn all(pair: impl Fn(LimitConfig) -> Pair) {
    the_burst_is_one(&pair(limits(PLAN))).await;
    each_attempt_counts(&pair(limits(PLAN))).await;
    each_limit_is_told_apart(&pair(limits(wide()))).await;
    an_end_frees_what_was_held(&pair(limits(wide()))).await;
    what_was_used_beyond_is_owed(&pair(limits(wide()))).await;
    a_reservation_is_outgrown(&pair(limits(wide()))).await;
    principals_are_told_apart(&pair(limits(PLAN))).await;
    what_was_admitted_before_is_counted_but_never_refused(&pair(limits(PLAN))).await;
    a_plan_that_changes_keeps_what_was_used(&pair(limits(PLAN))).await;
    let full = LimitConfig {
        max_streams: 1,
        ..limits(PLAN)
    };
    a_process_has_its_own_ceiling(&pair(full)).await;
}

pub(super) fn limit_of(result: Result<Permit, Rejection>) -> Limit {
    result.err().expect("a rejection").limit
}

/// Admits as soon as there is room.
pub(super) async fn admitted(
    limiter: &dyn RateLimiter,
    principal: &Principal,
    tokens: u32,
) -> Permit {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match limiter.admit(principal, Some(tokens)).await {
            Ok(permit) => return permit,
            Err(rejection) => assert!(Instant::now() < deadline, "{rejection:?}"),
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Generates until the quota is spent; answers how many tokens.
pub(super) async fn generate(permit: &mut Permit, most: u64) -> u64 {
    let mut generated = 0;
    while generated < most && poll_fn(|context| permit.poll_spendable(context)).await {
        permit.spend(1);
        generated += 1;
    }
    generated
}

async fn the_burst_is_one([a, b]: &Pair) {
    let ann = Principal::for_tests("burst");
    let mut last = None;
    for (left, limiter) in [(4, a), (3, b), (2, a), (1, b), (0, a)] {
        let permit = limiter.admit(&ann, Some(1)).await;
        // Each ends before the next starts, on whichever node.
        let quota = match permit {
            Ok(permit) => permit.quota().unwrap(),
            Err(rejection) => {
                assert_eq!(rejection.limit, Limit::Streams);
                rejection.quota.expect("a quota")
            }
        };
        assert_eq!((quota.requests.limit, quota.requests.remaining), (60, left));
        let reset = quota.requests.reset.as_secs_f64();
        let until_full = f64::from(5 - left);
        assert!((until_full - 0.5..=until_full).contains(&reset), "{reset}");
        last = Some(quota);
    }
    assert_eq!(last.map(|quota: Quota| quota.tokens.limit), Some(1000));
    for limiter in [a, b] {
        let rejection = limiter.admit(&ann, Some(1)).await.err().unwrap();
        assert_eq!(rejection.limit, Limit::Requests);
        let wait = rejection.retry_after;
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1));
        let quota = rejection.quota.unwrap();
        assert_eq!(quota.requests.remaining, 0);
        assert!(quota.requests.reset >= Duration::from_secs(4));
    }
    // What was refused has used nothing up: the wait that was told is enough.
    let wait = a.admit(&ann, Some(1)).await.err().unwrap().retry_after;
    sleep(wait).await;
    let later = b.admit(&ann, Some(1)).await;
    assert!(!matches!(
        later,
        Err(Rejection {
            limit: Limit::Requests,
            ..
        })
    ));
}

async fn each_attempt_counts([a, b]: &Pair) {
    let ann = Principal::for_tests("attempts");
    let held = [
        a.admit(&ann, Some(1)).await.unwrap(),
        b.admit(&ann, Some(1)).await.unwrap(),
    ];
    assert_eq!(limit_of(a.admit(&ann, Some(1)).await), Limit::Streams);
    assert_eq!(limit_of(b.admit(&ann, Some(1001)).await), Limit::Streams);
    assert_eq!(limit_of(b.admit(&ann, Some(1)).await), Limit::Streams);
    assert_eq!(limit_of(a.admit(&ann, Some(1)).await), Limit::Requests);
    drop(held);
}

async fn each_limit_is_told_apart([a, b]: &Pair) {
    let ann = Principal::for_tests("apart");
    let never = b.admit(&ann, Some(1001)).await.err().unwrap();
    assert_eq!(never.limit, Limit::TokensEver);
    let first = a.admit(&ann, Some(600)).await.unwrap();
    let short = b.admit(&ann, Some(600)).await.err().unwrap();
    assert_eq!(short.limit, Limit::Tokens);
    let wait = short.retry_after.as_secs_f64();
    assert!((11.0..=12.0).contains(&wait), "{wait}");
    let left = short.quota.unwrap().tokens;
    assert!((400..410).contains(&left.remaining), "{left:?}");
    let second = b.admit(&ann, None).await.unwrap();
    let left = second.quota().unwrap().tokens.remaining;
    assert!((300..310).contains(&left), "{left}");
    assert_eq!(limit_of(a.admit(&ann, Some(1)).await), Limit::Streams);
    drop((first, second));
}

async fn an_end_frees_what_was_held([a, b]: &Pair) {
    let ann = Principal::for_tests("end");
    let mut first = a.admit(&ann, Some(900)).await.unwrap();
    let second = a.admit(&ann, Some(1)).await.unwrap();
    assert_eq!(limit_of(b.admit(&ann, Some(1)).await), Limit::Streams);
    first.spend(100);
    drop((first, second));
    let third = admitted(b.as_ref(), &ann, 700).await;
    // The second may be settled a moment later.
    let left = third.quota().unwrap().tokens.remaining;
    assert!((199..210).contains(&left), "{left}");
}

async fn what_was_used_beyond_is_owed([a, b]: &Pair) {
    let ann = Principal::for_tests("owed");
    let mut permit = a.admit(&ann, Some(100)).await.unwrap();
    permit.settle_at(1500);
    drop(permit);
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let refused = b.admit(&ann, Some(1)).await.err();
        if let Some(rejection) = refused.filter(|it| it.limit == Limit::Tokens) {
            // Two attempts that were admitted before may not be settled yet.
            let wait = rejection.retry_after.as_secs_f64();
            assert!((27.0..=30.2).contains(&wait), "{wait}");
            return;
        }
        assert!(Instant::now() < deadline, "nothing is owed");
    }
}

async fn a_reservation_is_outgrown([a, _]: &Pair) {
    let ann = Principal::for_tests("outgrown");
    let mut permit = a.admit(&ann, None).await.unwrap();
    let generated = generate(&mut permit, u64::MAX).await;
    assert!((1000..1020).contains(&generated), "{generated}");
}

async fn principals_are_told_apart([a, b]: &Pair) {
    let (ann, ben) = (Principal::for_tests("ann"), Principal::for_tests("ben"));
    let _held = [
        a.admit(&ann, Some(500)).await.unwrap(),
        b.admit(&ann, Some(500)).await.unwrap(),
    ];
    assert_eq!(limit_of(b.admit(&ann, Some(1)).await), Limit::Streams);
    let theirs = b.admit(&ben, Some(1)).await.unwrap().quota().unwrap();
    assert_eq!(
        (theirs.requests.remaining, theirs.tokens.remaining),
        (4, 999)
    );
}

async fn what_was_admitted_before_is_counted_but_never_refused([a, b]: &Pair) {
    let ann = Principal::for_tests("again");
    let first = a.admit_again(&ann, Some(600)).await.unwrap();
    assert_eq!(first.quota(), None);
    // Its tokens are reserved; it is no request.
    let refused = b.admit(&ann, Some(600)).await.err().unwrap();
    let quota = refused.quota.unwrap();
    assert_eq!(
        (refused.limit, quota.requests.remaining),
        (Limit::Tokens, 4)
    );
    let left = quota.tokens.remaining;
    assert!((400..410).contains(&left), "{left}");
    // These tokens are not there, then there is no place, then no request, and this many never are.
    let second = b.admit_again(&ann, Some(600)).await.unwrap();
    let refused = a.admit(&ann, Some(1)).await.err().unwrap();
    let quota = refused.quota.unwrap();
    assert_eq!(
        (refused.limit, quota.requests.remaining),
        (Limit::Streams, 3)
    );
    assert_eq!(quota.tokens.remaining, 0);
    let third = a.admit_again(&ann, Some(1)).await.unwrap();
    while limit_of(a.admit(&ann, Some(1)).await) != Limit::Requests {}
    let mut fourth = b.admit_again(&ann, Some(1)).await.unwrap();
    let fifth = b.admit_again(&ann, Some(1001)).await.unwrap();
    // Its tokens may be generated though the quota is spent, and no more.
    assert_eq!(generate(&mut fourth, 2).await, 1);
    // As after any end, what was not used is given back.
    drop((first, second, third, fourth, fifth));
    drop(admitted(a.as_ref(), &ann, 900).await);
}

async fn a_process_has_its_own_ceiling([a, _]: &Pair) {
    let (ann, ben) = (Principal::for_tests("one"), Principal::for_tests("two"));
    let held = a.admit(&ann, Some(1)).await.unwrap();
    let rejection = a.admit(&ben, Some(1)).await.err().unwrap();
    assert_eq!((rejection.limit, rejection.quota), (Limit::Server, None));
    let again = a.admit_again(&ben, Some(1)).await;
    assert_eq!(limit_of(again), Limit::Server);
    drop(held);
    let permit = a.admit(&ben, Some(1)).await.unwrap();
    assert_eq!(
        permit.quota().unwrap().requests.remaining,
        4,
        "what the process turned away does not count"
    );
}

async fn a_plan_that_changes_keeps_what_was_used([a, b]: &Pair) {
    let ann = Principal::for_tests("change");
    let running = a.admit(&ann, Some(600)).await.unwrap();
    let replace = |plan: Plan| {
        for limiter in [a, b] {
            limiter.replace(limits(plan.clone()));
        }
    };
    // 1 of 5 requests and 600 of 1000 tokens are used; now there are 8 and 3000.
    replace(Plan {
        burst: 8,
        streams: 3,
        tokens_per_minute: 3000,
        ..PLAN
    });
    let second = b.admit(&ann, Some(100)).await.unwrap();
    let quota = second.quota().unwrap();
    assert!((6..=7).contains(&quota.requests.remaining), "{quota:?}");
    assert_eq!(quota.tokens.limit, 3000);
    let left = quota.tokens.remaining;
    assert!((2300..2400).contains(&left), "{quota:?}");
    // Less than is used: what runs goes on, and the next waits.
    replace(Plan {
        burst: 1,
        streams: 1,
        ..PLAN
    });
    assert_eq!(limit_of(a.admit(&ann, Some(1)).await), Limit::Requests);
    replace(Plan {
        streams: 1,
        ..wide()
    });
    assert_eq!(limit_of(a.admit(&ann, Some(1)).await), Limit::Streams);
    drop(running);
    drop(second);
    let _again = admitted(&**b, &ann, 1).await;
}
