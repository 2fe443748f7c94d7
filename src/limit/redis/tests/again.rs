//! What another process has admitted before is never refused, whether Redis is there or not, and is no
//! request when Redis is told of it later.

use super::*;

#[tokio::test]
async fn a_redis_that_hangs_does_not_keep_back_what_was_admitted_before() {
    let server = Server::start();
    let plan = Plan {
        requests_per_minute: 6,
        burst: 6,
        streams: 4,
        tokens_per_minute: 6000,
    };
    let limiter = server.limiter(limits(plan));
    knows_nodes(&limiter, 1).await;
    let ann = Principal::for_tests("ann");
    server.pause();
    let first = Instant::now();
    let mut held = vec![limiter.admit_again(&ann, Some(1000)).await.unwrap()];
    assert!(first.elapsed() < PATIENCE * 2, "{:?}", first.elapsed());
    assert!(stands_alone(&limiter));
    let others = Instant::now();
    for _ in 0..4 {
        held.push(limiter.admit_again(&ann, Some(1000)).await.unwrap());
    }
    assert!(others.elapsed() < PATIENCE / 5, "{:?}", others.elapsed());
    // This node knows of their places meanwhile.
    assert_eq!(limit_of(limiter.admit(&ann, Some(1)).await), Limit::Streams);
    // One ends before Redis has heard of it.
    let mut ended = held.pop().unwrap();
    ended.spend(500);
    drop(ended);
    server.resume();
    until(async || !stands_alone(&limiter)).await;
    let refused = limiter.admit(&ann, Some(1)).await.err().unwrap();
    let quota = refused.quota.unwrap();
    assert_eq!(refused.limit, Limit::Streams);
    assert_eq!(quota.requests.remaining, 5, "only the last is a request");
    let left = quota.tokens.remaining;
    assert!((1500..2500).contains(&left), "{left}");
    drop(held);
    limiter.finish(Duration::from_secs(5)).await;
    assert_eq!(limiter.inner.permits.unsettled(), 0);
}

#[tokio::test]
async fn what_was_admitted_before_and_nobody_waits_for_holds_nothing() {
    let server = Server::start();
    let one = Plan {
        streams: 1,
        ..wide()
    };
    let limiter = server.limiter(limits(one));
    let ann = Principal::for_tests("ann");
    drop(limiter.admit(&ann, Some(1)).await.unwrap());
    for _ in 0..20 {
        // Sent, and dropped before it is answered.
        let dropped = limiter.admit_again(&ann, Some(900));
        drop(tokio::time::timeout(Duration::from_micros(100), dropped).await);
    }
    limiter.finish(Duration::from_secs(5)).await;
    drop(limiter.admit(&ann, Some(900)).await.unwrap());
}
