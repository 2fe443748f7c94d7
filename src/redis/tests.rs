//! The connections' promises, on real servers: what hangs is noticed, and is nothing to others.

use redis::cmd;
use tokio::time::timeout;

use super::test_server::{Cluster as Group, RedisServer, at_seed};
use super::*;

/// A key for each master of the cluster.
const KEYS: [&str; 3] = ["{b}", "{c}", "{a}"];

async fn add(redis: &Redis, key: &str) -> Result<u64, Refusal> {
    // A script, as nearly all that is asked.
    run(redis, key, "return redis.call('INCR', KEYS[1])").await
}

async fn run(redis: &Redis, key: &str, script: &str) -> Result<u64, Refusal> {
    let script = Script::new(script);
    let call = script.key(key);
    redis.ask(Duration::ZERO, Ask::Script(&call)).await
}

#[tokio::test]
async fn a_node_of_a_cluster_that_hangs_is_nothing_to_those_who_ask_others() {
    for (at, key) in KEYS.iter().enumerate() {
        assert_eq!(usize::from(slot(key.as_bytes()) / 5461), at, "{key}");
    }
    let group = Group::start(false);
    let redis = Redis::new(&at_seed(&group.masters[1])).unwrap();
    let settled = async { while add(&redis, KEYS[0]).await.is_err() {} };
    timeout(Duration::from_secs(5), settled).await.unwrap();
    // All have their connections, which may take a busy machine longer than nothing.
    let connected = async {
        for key in [&KEYS[1..], &KEYS[1..]].concat() {
            while run(&redis, key, "return 1").await.is_err() {}
        }
    };
    timeout(Duration::from_secs(5), connected).await.unwrap();
    group.masters[0].pause();
    let hanging = {
        let asking = Arc::clone(&redis);
        let hanging = async move { add(&asking, KEYS[0]).await };
        redis.runtime().spawn(hanging)
    };
    // The others are given a script that they do not know, and are asked while the first one hangs.
    let mut asked = 0;
    while !hanging.is_finished() {
        for key in &KEYS[1..] {
            let quick = Duration::from_secs(1);
            timeout(quick, add(&redis, key)).await.unwrap().unwrap();
            asked += 1;
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert!(asked > 50, "{asked}");
    assert_eq!(hanging.await.unwrap(), Err(Refusal::Away));
    assert_eq!(redis.up_for_key(KEYS[0]), None);
    assert!(redis.up_for_key(KEYS[1]).is_some() && redis.up_for().is_some());
    group.masters[0].resume();
    let back = async {
        while add(&redis, KEYS[0]).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(10), back).await.unwrap();
    assert!(redis.up_for_key(KEYS[0]).is_some());
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let group = Group::start(false);
    let redis = Redis::new(&at_seed(&group.masters[2])).unwrap();
    let (from, to) = (&group.masters[0], &group.masters[1]);
    let slot = slot(KEYS[0].as_bytes()).to_string();
    let ids = [from, to].map(|node| node.ask::<String>(&["CLUSTER", "MYID"]));
    let _: String = to.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[0]]);
    let _: String = from.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[1]]);
    // It is not there, so the new owner is asked for it.
    assert_eq!(add(&redis, KEYS[0]).await, Ok(1));
    for node in [to, from] {
        let _: String = node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &ids[1]]);
    }
    assert_eq!(add(&redis, KEYS[0]).await, Ok(2));
    let mut get = cmd("GET");
    get.arg(KEYS[0]);
    let read = redis.ask::<u64>(Duration::ZERO, Ask::Command(&get)).await;
    assert_eq!(read, Ok(2));
}

#[tokio::test]
async fn what_is_asked_about_one_slot_goes_over_one_connection() {
    let server = RedisServer::start();
    server.wait();
    let redis = Redis::new(&RedisConfig::at(server.url())).unwrap();
    // Its first argument is taken for a key, and the answer is which connection it came over.
    let mut which = cmd("CLIENT");
    which.arg("ID");
    let mut ids = Vec::new();
    for _ in 0..10 {
        let id = redis.ask::<u64>(Duration::from_secs(5), Ask::Command(&which));
        ids.push(id.await.unwrap());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn all_who_wait_for_a_connection_hear_of_one_attempt() {
    let server = RedisServer::start();
    server.wait();
    server.pause();
    let redis = Redis::new(&RedisConfig::at(server.url())).unwrap();
    let asking = (0..200).map(|_| add(&redis, "key"));
    let asking = futures_util::future::join_all(asking);
    // A connection is tried, for as long as one may take.
    let refused = timeout(CONNECT_TIMEOUT + Duration::from_secs(2), asking).await;
    assert!(refused.unwrap().iter().all(Result::is_err));
    assert_eq!(redis.up_for(), None);
    server.resume();
    let back = async {
        while add(&redis, "key").await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(5), back).await.unwrap();
    assert!(redis.up_for().is_some());
}
