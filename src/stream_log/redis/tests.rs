//! The Redis log's own promises, on a real Redis: several nodes, and what may go wrong between them.

use std::future::poll_fn;

use tokio::time::sleep;

use super::*;
use crate::redis::RedisConfig;
use crate::redis::test_server::{Cluster, Server, at_seed};
use crate::stream::Kind;
use crate::stream_log::conformance::{self, close, create, done, drain, owner, write};
use crate::stream_log::{Control, Writer};

impl Server {
    fn log(&self) -> RedisLog {
        self.log_with(Duration::from_millis(1500))
    }

    fn log_with(&self, lease: Duration) -> RedisLog {
        log_on(&self.config(), lease)
    }
}

/// A node on this Redis.
fn log_on(redis: &RedisConfig, lease: Duration) -> RedisLog {
    let config = RedisLogConfig {
        prefix: "t:".to_owned(),
        retention: Duration::from_secs(600),
        max_stream_bytes: 1 << 20,
        lease,
        patience: Duration::from_secs(5),
        most_life: Duration::from_secs(3600),
    };
    RedisLog::new(Redis::new(redis).unwrap(), config)
}

async fn follow(log: &RedisLog, id: StreamId) -> Follower {
    let owner = owner("o");
    let follower = log.follow(Access::Owner(&owner), id, None, Presence::Connected);
    follower.await.unwrap()
}

/// How a stream ended, once it has.
async fn outcome(log: &RedisLog, id: StreamId) -> &'static str {
    for _ in 0..1000 {
        let description = log.describe(Access::Operator, id).await.unwrap();
        if let Some(terminal) = description.terminal {
            return terminal.outcome();
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("the stream did not end");
}

/// Waits until Redis has the stream up to this entry.
async fn logged(log: &RedisLog, id: StreamId, seq: u64) {
    for _ in 0..1000 {
        if log.describe(Access::Operator, id).await.unwrap().last_seq >= seq {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("the entry was not logged");
}

#[tokio::test]
async fn it_conforms() {
    let server = Server::start();
    let log = server.log();
    conformance::all(&log, &log).await;
}

#[tokio::test]
async fn two_nodes_conform() {
    let server = Server::start();
    conformance::all(&server.log(), &server.log()).await;
}

#[tokio::test]
async fn two_nodes_on_a_cluster_conform() {
    let cluster = Cluster::start(false);
    let seeds = [&cluster.masters[2], &cluster.masters[0]];
    let [a, b] = seeds.map(|seed| log_on(&at_seed(seed), Duration::from_millis(1500)));
    conformance::all(&a, &b).await;
    let streams = |at: usize| cluster.masters[at].ask::<u64>(&["DBSIZE"]);
    assert!((0..3).all(|at| streams(at) > 0), "every master has some");
}

#[tokio::test]
async fn a_stream_whose_node_died_is_ended_by_another() {
    let server = Server::start();
    let (a, b) = (server.log(), server.log());
    let (id, mut writer) = create(&a, &owner("o")).await;
    write(&mut writer, &["before"]).await.unwrap();
    let mut follower = follow(&b, id).await;
    logged(&b, id, 1).await;
    drop(a);
    let (seqs, kinds, text) = drain(&mut follower).await;
    assert_eq!((seqs, text.as_str()), (vec![0, 1, 2], "before"));
    assert_eq!(kinds.last(), Some(&Kind::Error));
    assert_eq!(outcome(&b, id).await, "producer_lost");
    drop(writer);
}

#[tokio::test]
async fn a_writer_that_was_away_for_longer_than_its_lease_is_fenced() {
    let server = Server::start();
    // The writer's node believes in so long a lease that it does not renew the one that is cut here.
    let a = server.log_with(Duration::from_secs(600));
    let b = server.log_with(Duration::from_millis(300));
    let (id, mut writer) = create(&a, &owner("o")).await;
    write(&mut writer, &["seen"]).await.unwrap();
    let mut here = follow(&a, id).await;
    logged(&b, id, 1).await;
    let _: u8 = server.ask(&[
        "ZADD",
        &a.inner.keys.leases(keys::partition(id)),
        "XX",
        "CH",
        "1",
        &id.to_string(),
    ]);
    assert_eq!(outcome(&b, id).await, "producer_lost");
    let mut late = Err(LogError::Missing);
    for _ in 0..100 {
        late = write(&mut writer, &["never"]).await;
        if late.is_err() {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(late, Err(LogError::Closed));
    let (_, kinds, text) = drain(&mut here).await;
    assert_eq!((kinds.last(), text.as_str()), (Some(&Kind::Error), "seen"));
}

#[tokio::test]
async fn scripts_are_loaded_again() {
    let server = Server::start();
    let log = server.log();
    let (id, mut writer) = create(&log, &owner("o")).await;
    let _: String = server.ask(&["SCRIPT", "FLUSH"]);
    write(&mut writer, &["a"]).await.unwrap();
    let _: String = server.ask(&["SCRIPT", "FLUSH"]);
    close(&mut writer, &done()).await.unwrap();
    assert_eq!(outcome(&log, id).await, "stop");
}

/// Writes through the faults that `fault` makes, and reads on two nodes what was written.
async fn heals(server: &mut Server, fault: impl Fn(&mut Server, &RedisLog, StreamId)) {
    let (a, b) = (
        server.log_with(Duration::from_secs(10)),
        server.log_with(Duration::from_secs(10)),
    );
    let (id, mut writer) = create(&a, &owner("o")).await;
    let (mut here, mut there) = (follow(&a, id).await, follow(&b, id).await);
    let mut expected = String::new();
    for at in 0..60_u64 {
        let text = format!("{at};");
        write(&mut writer, &[&text]).await.unwrap();
        expected.push_str(&text);
        if at % 20 == 10 {
            logged(&b, id, at + 1).await;
            fault(server, &a, id);
        }
        // The pace of a model, so that what is written is many batches.
        sleep(Duration::from_millis(2)).await;
    }
    close(&mut writer, &done()).await.unwrap();
    for follower in [&mut here, &mut there] {
        let (seqs, kinds, text) = drain(follower).await;
        assert_eq!(seqs, (0..62).collect::<Vec<u64>>());
        assert_eq!((kinds.last(), &text), (Some(&Kind::Done), &expected));
    }
    let fresh = server.log();
    let mut anew = follow(&fresh, id).await;
    assert_eq!(drain(&mut anew).await.2, expected, "Redis has it all");
}

#[tokio::test]
async fn cut_connections_lose_nothing() {
    heals(&mut Server::start(), |server, _, _| {
        for kind in ["normal", "pubsub"] {
            let _: u64 = server.ask(&["CLIENT", "KILL", "TYPE", kind]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_restart_that_keeps_everything_loses_nothing() {
    heals(&mut Server::start(), |server, _, _| {
        server.stop();
        server.start_again();
    })
    .await;
}

#[tokio::test]
async fn what_a_failover_lost_is_written_again_under_the_same_numbers() {
    heals(&mut Server::start(), |server, log, id| {
        let keys = &log.inner.keys;
        let tail: Vec<(String, Vec<String>)> =
            server.ask(&["XREVRANGE", &keys.entries(id), "+", "-", "COUNT", "4"]);
        for (entry, _) in &tail[..3] {
            let _: u64 = server.ask(&["XDEL", &keys.entries(id), entry]);
        }
        // As a replica has it that missed them; a stream that was only shortened refuses old ids.
        let _: String = server.ask(&["XSETID", &keys.entries(id), &tail[3].0]);
    })
    .await;
}

/// As a replica has it that missed the stream's creation.
fn forget(server: &Server, log: &RedisLog, id: StreamId) {
    let keys = &log.inner.keys;
    let _: u64 = server.ask(&["DEL", &keys.meta(id), &keys.entries(id)]);
    let leases = keys.leases(keys::partition(id));
    let _: u64 = server.ask(&["ZREM", &leases, &id.to_string()]);
}

#[tokio::test]
async fn a_stream_that_a_failover_lost_is_made_again() {
    heals(&mut Server::start(), |server, log, id| {
        forget(server, log, id);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_a_failover_lost_after_its_end_is_made_again() {
    let server = Server::start();
    let (a, b) = (server.log(), server.log());
    let (id, mut writer) = create(&a, &owner("o")).await;
    write(&mut writer, &["a", "b"]).await.unwrap();
    close(&mut writer, &done()).await.unwrap();
    forget(&server, &a, id);
    let (seqs, kinds, text) = drain(&mut follow(&b, id).await).await;
    assert_eq!((seqs.len(), text.as_str()), (4, "ab"));
    assert_eq!(kinds.last(), Some(&Kind::Done));
    assert_eq!(outcome(&b, id).await, "stop");
}

#[tokio::test]
async fn a_redis_that_stays_away_ends_the_stream_here() {
    let mut server = Server::start();
    let log = server.log();
    let (id, mut writer) = create(&log, &owner("o")).await;
    let mut follower = follow(&log, id).await;
    assert!(log.is_ready());
    server.stop();
    write(&mut writer, &["a"]).await.unwrap();
    let told = poll_fn(|context| {
        while writer.poll_control(context).is_ready() {}
        writer
            .poll_flush(context, &mut Batch::default())
            .map(Result::err)
    });
    assert_eq!(told.await, None, "it was taken, not yet acknowledged");
    let mut batch = Batch::default();
    let lost = loop {
        match poll_fn(|context| follower.poll_read(context, &mut batch, 64)).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(lost, LogError::Unavailable);
    assert_eq!(write(&mut writer, &["b"]).await, Err(LogError::Unavailable));
    assert!(!log.is_ready());
}

#[tokio::test]
async fn readers_of_other_nodes_keep_a_stream() {
    let server = Server::start();
    let (a, b) = (server.log(), server.log());
    let (id, mut writer) = create(&a, &owner("o")).await;
    let follower = follow(&b, id).await;
    let told = async |writer: &mut Writer, within| {
        let told = poll_fn(|context| writer.poll_control(context));
        tokio::time::timeout(within, told).await.ok()
    };
    // Longer than a node is believed to have readers without saying so again.
    let long = Duration::from_secs(7);
    assert_eq!(told(&mut writer, long).await, Some(Control::Attended));
    assert_eq!(told(&mut writer, long).await, None, "it has not left");
    drop(b);
    drop(follower);
    assert_eq!(
        told(&mut writer, long * 2).await,
        Some(Control::Deserted(Presence::Connected)),
        "its node is gone"
    );
}

mod listening;
mod succession;
