//! The shared limiter's own promises, on a real Redis: several nodes, and what may go wrong.

mod again;
mod replay;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::held::Account;
use super::*;
use crate::limit::conformance::{self, PLAN, admitted, limit_of, limits, wide};
use crate::limit::{Limit, Plan};
use crate::redis::RedisConfig;
use crate::redis::test_server::{Cluster, Server, at_seed};

/// Long enough for a busy machine, and for seeing who has not waited.
const PATIENCE: Duration = Duration::from_secs(2);

impl Server {
    fn limiter(&self, limits: LimitConfig) -> Arc<RedisLimiter> {
        self.limiter_with(limits, Duration::from_secs(10))
    }

    fn limiter_with(&self, limits: LimitConfig, lease: Duration) -> Arc<RedisLimiter> {
        limiter_on(&self.config(), limits, lease)
    }

    /// Redis' time in milliseconds.
    fn now(&self) -> u64 {
        let (seconds, micros): (u64, u64) = self.ask(&["TIME"]);
        seconds * 1000 + micros / 1000
    }

    /// How many scripts have been run.
    fn scripts(&self) -> u64 {
        let stats: String = self.ask(&["INFO", "commandstats"]);
        let line = stats
            .lines()
            .find(|line| line.starts_with("cmdstat_evalsha:"));
        let calls = line.and_then(|line| line.split(['=', ',']).nth(1));
        calls.map_or(0, |calls| calls.parse().unwrap())
    }
}

/// A node on this Redis.
fn limiter_on(redis: &RedisConfig, limits: LimitConfig, lease: Duration) -> Arc<RedisLimiter> {
    let config = RedisLimitConfig {
        prefix: "t:".to_owned(),
        lease,
        patience: PATIENCE,
    };
    let redis = Redis::new(redis).unwrap();
    Arc::new(RedisLimiter::new(redis, limits, config))
}

/// Waits until something is so.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "waited too long"
        );
        sleep(Duration::from_millis(10)).await;
    }
}

async fn knows_nodes(limiter: &RedisLimiter, nodes: u32) {
    until(async || limiter.inner.nodes.load(Ordering::Relaxed) == nodes).await;
}

fn stands_alone(limiter: &RedisLimiter) -> bool {
    limiter.inner.local().is_some()
}

#[tokio::test]
async fn it_conforms() {
    let server = Server::start();
    conformance::all(|limits| {
        let _: String = server.ask(&["FLUSHALL"]);
        let limiter = server.limiter(limits);
        [limiter.clone(), limiter]
    })
    .await;
}

#[tokio::test]
async fn two_nodes_conform() {
    let server = Server::start();
    conformance::all(|limits| {
        let _: String = server.ask(&["FLUSHALL"]);
        [server.limiter(limits.clone()), server.limiter(limits)]
    })
    .await;
}

#[tokio::test]
async fn two_nodes_on_a_cluster_conform() {
    let cluster = Cluster::start(false);
    conformance::all(|limits| {
        for master in &cluster.masters {
            let _: String = master.ask(&["FLUSHALL"]);
        }
        let seeds = [&cluster.masters[2], &cluster.masters[0]];
        seeds.map(|seed| -> Arc<dyn RateLimiter> {
            limiter_on(&at_seed(seed), limits.clone(), Duration::from_secs(10))
        })
    })
    .await;
}

#[tokio::test]
async fn all_nodes_at_once_admit_no_more_than_the_limit() {
    let server = Server::start();
    let plan = Plan {
        requests_per_minute: 6000,
        burst: 40,
        streams: 1000,
        tokens_per_minute: 6000,
    };
    let nodes = [(); 3].map(|()| server.limiter(limits(plan.clone())));
    let (ann, started) = (Principal::for_tests("ann"), server.now());
    let (mut permits, mut reserved) = (Vec::new(), 0);
    for round in 0..4 {
        let attempts = (0..300).map(|at| nodes[at % 3].admit(&ann, Some(50)));
        for attempt in join_all(attempts).await {
            match attempt {
                Ok(permit) => permits.push(permit),
                Err(rejection) => assert!(
                    matches!(rejection.limit, Limit::Requests | Limit::Tokens),
                    "{rejection:?}"
                ),
            }
        }
        let elapsed = server.now() - started;
        reserved = permits.len() as u64 * 50;
        assert!(permits.len() as u64 <= 40 + elapsed / 10, "round {round}");
        assert!(reserved <= 6000 + elapsed / 10, "round {round}");
        sleep(Duration::from_millis(100)).await;
    }
    assert!(permits.len() >= 40 && reserved >= 2000, "{}", permits.len());
}

#[tokio::test]
async fn a_permit_holds_its_place_for_longer_than_a_lease_and_a_dead_node_does_not() {
    let server = Server::start();
    let one = Plan {
        streams: 1,
        ..wide()
    };
    let lease = Duration::from_millis(600);
    let a = server.limiter_with(limits(one.clone()), lease);
    let b = server.limiter_with(limits(one), lease);
    let ann = Principal::for_tests("ann");
    let held = a.admit(&ann, Some(1)).await.unwrap();
    let started = Instant::now();
    while started.elapsed() < lease * 3 {
        assert_eq!(limit_of(b.admit(&ann, Some(1)).await), Limit::Streams);
        sleep(Duration::from_millis(20)).await;
    }
    knows_nodes(&b, 2).await;
    drop(a);
    let died = Instant::now();
    drop(admitted(b.as_ref(), &ann, 1).await);
    assert!(died.elapsed() <= lease * 2, "{:?}", died.elapsed());
    knows_nodes(&b, 1).await;
    drop(held);
}

#[tokio::test]
async fn nodes_know_each_other_and_what_each_says_of_itself() {
    let server = Server::start();
    let lease = Duration::from_millis(600);
    let [a, b, silent] = [(); 3].map(|()| server.limiter_with(limits(wide()), lease));
    for (node, name) in [(&a, "a"), (&b, "b")] {
        node.introduce(Box::new(move || format!("{{\"name\":\"{name}\"}}")));
    }
    let about = async |node: &RedisLimiter| -> Vec<(String, bool)> {
        let nodes = node.nodes().await.unwrap();
        assert!(nodes.iter().all(|node| node.heard <= lease), "{nodes:?}");
        let mut about: Vec<_> = nodes.into_iter().map(|it| (it.about, it.is_this)).collect();
        about.sort();
        about
    };
    let said = |name: &str, is_this| (format!("{{\"name\":\"{name}\"}}"), is_this);
    let all = vec![(String::new(), false), said("a", true), said("b", false)];
    until(async || about(&a).await == all).await;
    // One that stops leaves at once, one that is gone when its lease ends; what they said goes with them.
    b.finish(Duration::from_secs(1)).await;
    assert_eq!(about(&a).await.len(), 2);
    drop((b, silent));
    until(async || about(&a).await == [said("a", true)]).await;
    until(async || server.ask::<u64>(&["HLEN", "t:{t:nodes}:about"]) == 1).await;
}

#[tokio::test]
async fn what_redis_has_lost_it_is_told_again() {
    let server = Server::start();
    let limiter = server.limiter_with(limits(wide()), Duration::from_millis(600));
    let ann = Principal::for_tests("ann");
    let mut held = limiter.admit(&ann, Some(600)).await.unwrap();
    let _second = limiter.admit(&ann, Some(100)).await.unwrap();
    let _: String = server.ask(&["FLUSHALL"]);
    let _: String = server.ask(&["SCRIPT", "FLUSH"]);
    until(async || {
        let refused = limiter.admit(&ann, Some(1)).await;
        refused.is_err_and(|rejection| rejection.limit == Limit::Streams)
    })
    .await;
    held.spend(0);
    drop(held);
    let third = admitted(limiter.as_ref(), &ann, 800).await;
    let left = third.quota().unwrap().tokens.remaining;
    assert!((100..150).contains(&left), "{left}");
    assert!(!stands_alone(&limiter));
}

#[tokio::test]
async fn more_is_asked_for_ahead_and_once_for_each_step() {
    let server = Server::start();
    let limiter = server.limiter_with(limits(wide()), Duration::from_secs(600));
    knows_nodes(&limiter, 1).await;
    let ann = Principal::for_tests("ann");
    let mut permit = limiter.admit(&ann, None).await.unwrap();
    let before = server.scripts();
    for _ in 0..400 {
        assert_eq!(poll_once(&mut permit), Some(true), "nobody waits for it");
        permit.spend(1);
        // As models are slower than Redis, a request for more is answered within a few tokens.
        until(async || limiter.inner.tasks.len() == 1).await;
    }
    // 100 are reserved at first, and 25 more at a time; Redis did not know the script.
    let asked = server.scripts() - before;
    assert!((13..=14).contains(&asked), "{asked}");
}

/// Whether a token may be generated, if that is known.
fn poll_once(permit: &mut Permit) -> Option<bool> {
    let polled = std::future::poll_fn(|context| permit.poll_spendable(context));
    polled.now_or_never()
}

#[tokio::test]
async fn an_admission_that_nobody_waits_for_holds_nothing() {
    let server = Server::start();
    let one = Plan {
        streams: 1,
        ..wide()
    };
    let limiter = server.limiter(limits(one));
    let ann = Principal::for_tests("ann");
    drop(limiter.admit(&ann, Some(1)).await);
    for _ in 0..20 {
        // Sent, and dropped before it is answered.
        let _dropped =
            tokio::time::timeout(Duration::from_micros(100), limiter.admit(&ann, Some(900))).await;
    }
    let permit = admitted(limiter.as_ref(), &ann, 900).await;
    assert!(permit.quota().unwrap().tokens.remaining <= 110);
}

#[tokio::test]
async fn while_redis_is_away_each_node_has_its_part_and_tells_it_later() {
    let mut server = Server::start();
    let plan = Plan {
        requests_per_minute: 6,
        burst: 6,
        streams: 4,
        tokens_per_minute: 6000,
    };
    let nodes = [(); 2].map(|()| server.limiter_with(limits(plan.clone()), Duration::from_secs(2)));
    for node in &nodes {
        knows_nodes(node, 2).await;
    }
    let ann = Principal::for_tests("ann");
    let mut held = vec![nodes[0].admit(&ann, Some(1000)).await.unwrap()];
    server.stop();
    let mut refused = Vec::new();
    for node in &nodes {
        let asked = Instant::now();
        for _ in 0..4 {
            match node.admit(&ann, Some(500)).await {
                Ok(permit) => held.push(permit),
                Err(rejection) => refused.push(rejection.limit),
            }
        }
        assert!(asked.elapsed() < PATIENCE * 2, "{:?}", asked.elapsed());
        assert!(stands_alone(node));
    }
    // Half of everything: 3 requests and 2 streams; one of those ran on the first node already.
    let (requests, streams) = (Limit::Requests, Limit::Streams);
    assert_eq!(refused, [streams, streams, requests, streams, requests]);
    assert_eq!(held.len(), 4);
    // One ends while Redis is away, and has used more than it had reserved.
    let mut ended = held.pop().unwrap();
    ended.settle_at(1500);
    drop(ended);
    server.start_again();
    for node in &nodes {
        until(async || !stands_alone(node)).await;
    }
    // Four of six requests and 1000 + 2 x 500 + 1500 of 6000 tokens are counted.
    let fourth = nodes[0].admit(&ann, Some(100)).await.unwrap();
    let quota = fourth.quota().unwrap();
    assert_eq!(quota.requests.remaining, 1, "{quota:?}");
    assert!(quota.tokens.remaining < 3500, "{quota:?}");
    let full = nodes[1].admit(&ann, Some(100)).await;
    assert_eq!(limit_of(full), Limit::Streams);
    for node in &nodes {
        node.finish(Duration::from_secs(1)).await;
        assert_eq!(node.inner.permits.unsettled(), 0);
    }
}

#[tokio::test]
async fn a_redis_that_hangs_costs_one_request_a_moment_and_the_rest_nothing() {
    let server = Server::start();
    let limiter = server.limiter(limits(wide()));
    knows_nodes(&limiter, 1).await;
    let ann = Principal::for_tests("ann");
    drop(limiter.admit(&ann, Some(1)).await.unwrap());
    server.pause();
    let first = Instant::now();
    drop(limiter.admit(&ann, Some(1)).await.unwrap());
    assert!(first.elapsed() < PATIENCE * 2, "{:?}", first.elapsed());
    let second = Instant::now();
    drop(limiter.admit(&ann, Some(1)).await.unwrap());
    assert!(second.elapsed() < PATIENCE / 5, "{:?}", second.elapsed());
    server.resume();
    until(async || !stands_alone(&limiter)).await;
    limiter.finish(Duration::from_secs(5)).await;
    assert_eq!(limiter.inner.permits.unsettled(), 0);
    let places: u64 = server.ask(&["EVAL", "local n = 0 for _, k in ipairs(redis.call('KEYS', 't:*:p')) do n = n + redis.call('ZCARD', k) end return n", "0"]);
    assert_eq!(places, 0, "what was admitted and not answered is undone");
}

#[tokio::test]
async fn cut_connections_are_made_again() {
    let server = Server::start();
    let limiter = server.limiter(limits(PLAN));
    let ann = Principal::for_tests("ann");
    drop(limiter.admit(&ann, Some(1)).await.unwrap());
    let _: u64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    drop(limiter.admit(&ann, Some(1)).await.unwrap());
    assert!(!stands_alone(&limiter));
}
