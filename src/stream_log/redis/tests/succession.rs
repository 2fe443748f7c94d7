//! Who writes a stream after whom: claims, fences, failovers at the worst time, and readers who know more.

use std::task::{Context, Waker};

use super::*;
use crate::stream_log::OpenStream as _;
use crate::stream_log::conformance::new_stream;

/// As a replica has the entries that missed the last ones.
fn lose_last(server: &Server, log: &RedisLog, id: StreamId, count: usize) {
    let entries = log.inner.keys.entries(id);
    let tail: Vec<(String, redis::Value)> =
        server.ask(&["XREVRANGE", &entries, "+", "-", "COUNT", "9"]);
    for (entry, _) in &tail[..count] {
        let _: u64 = server.ask(&["XDEL", &entries, entry]);
    }
    let _: String = server.ask(&["XSETID", &entries, &tail[count].0]);
}

/// The machine of the master and of the writer's node is gone at once; the replica missed two tokens
/// that a reader elsewhere has.
#[tokio::test]
async fn a_reader_ahead_of_a_stream_that_was_ended_hears_of_it() {
    let server = Server::start();
    let a = server.log_with(Duration::from_secs(600));
    let b = server.log_with(Duration::from_millis(300));
    let (id, mut writer) = create(&a, &owner("o")).await;
    let mut there = follow(&b, id).await;
    for seq in 1..=4 {
        write(&mut writer, &["x"]).await.unwrap();
        logged(&b, id, seq).await;
    }
    let mut batch = Batch::default();
    let mut next = 0;
    while next < 5 {
        poll_fn(|context| there.poll_read(context, &mut batch, 64))
            .await
            .unwrap();
        next = batch.next_seq();
    }
    drop(a);
    drop(writer);
    lose_last(&server, &b, id, 2);
    let leases = b.inner.keys.leases(keys::partition(id));
    let _: u8 = server.ask(&["ZADD", &leases, "XX", "CH", "1", &id.to_string()]);
    assert_eq!(outcome(&b, id).await, "producer_lost");
    let end = poll_fn(|context| there.poll_read(context, &mut batch, 64));
    let end = tokio::time::timeout(Duration::from_secs(15), end).await;
    assert!(end.is_ok(), "the reader waits for ever");
}

/// What is looked at and what is taken are two looks: between them the end may come.
#[tokio::test]
async fn an_end_is_never_appended_with_others() {
    let server = Server::start();
    let log = server.log();
    let mut wrongly = 0;
    for _ in 0..5_000 {
        let mirror = Mirror::read(StreamId::generate(), &log.inner);
        {
            let mut outbox = mirror.outbox();
            outbox.checked = 7;
            outbox.is_waiting = true;
            outbox.queue.push_text("x");
        }
        let start = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            let taking = scope.spawn(|| {
                start.wait();
                mirror.take_together(7)
            });
            let mut end = Batch::default();
            end.push_terminal(&done());
            start.wait();
            let _waits = mirror.poll_flush(&mut Context::from_waker(Waker::noop()), &mut end);
            let taken = taking.join().unwrap();
            let is_end = |batch: Batch| batch.entries().next_back().unwrap().kind.is_terminal();
            wrongly += u32::from(taken.is_some_and(is_end));
        });
        if wrongly > 0 {
            break;
        }
    }
    assert_eq!(
        wrongly, 0,
        "the end went as a plain entry: no hash says that it ended"
    );
}

async fn claimed(log: &RedisLog) -> Orphan {
    let (found, mut orphans) = mpsc::channel(1);
    let looking = log.find_orphans(found);
    tokio::select! {
        () = looking => panic!("it looks for ever"),
        orphan = orphans.recv() => orphan.unwrap(),
    }
}

/// The fence of a claim that a failover lost is given again.
#[tokio::test]
async fn two_claims_never_have_one_fence() {
    let server = Server::start();
    let [a, b, c] = [10, 10, 10].map(|lease| server.log_with(Duration::from_secs(lease)));
    let mut new = new_stream(&owner("o"), None);
    new.job = Some("{}".to_owned());
    let id = new.id;
    let Ok(Created::New(mut writer)) = a.create(new).await else {
        panic!("expected a new stream");
    };
    write(&mut writer, &["a"]).await.unwrap();
    poll_fn(|context| writer.poll_hand_over(context, &mut Batch::default()))
        .await
        .unwrap();
    let mut of_b = claimed(&b).await;
    write(&mut of_b.writer, &["b"]).await.unwrap();
    logged(&b, id, 2).await;
    let mut there = follow(&b, id).await;
    let mut seen = Batch::default();
    while seen.next_seq() < 3 {
        poll_fn(|context| there.poll_read(context, &mut seen, 9999))
            .await
            .unwrap();
    }
    // A replica that missed the claim and what came of it becomes the master.
    lose_last(&server, &b, id, 1);
    let _: u64 = server.ask(&["HSET", &b.inner.keys.meta(id), "fence", "1"]);
    let left = b.inner.keys.left(keys::partition(id));
    let _: u64 = server.ask(&["ZADD", &left, "0", &id.to_string()]);
    let _: u64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    let mut of_c = claimed(&c).await;
    write(&mut of_c.writer, &["c"]).await.unwrap();
    logged(&c, id, 2).await;
    let mut late = Ok(());
    for _ in 0..20 {
        late = write(&mut of_b.writer, &["!"]).await;
        sleep(Duration::from_millis(50)).await;
    }
    let text = b.read(Access::Operator, id, Some(1), 9999).await.unwrap();
    let of_b_mirror: String = text
        .entries()
        .map(|entry| entry.payload.to_owned())
        .collect();
    let text = server
        .log()
        .read(Access::Operator, id, Some(1), 9999)
        .await
        .unwrap();
    let stored: String = text
        .entries()
        .map(|entry| entry.payload.to_owned())
        .collect();
    println!("b's mirror: {of_b_mirror:?}, Redis: {stored:?}, b's writer: {late:?}");
    assert!(late.is_err(), "two nodes write one stream");
}

/// A reader here of what was lost is not told another text under the same numbers.
#[tokio::test]
async fn a_reader_ahead_of_a_stream_that_is_gone_on_with_is_not_contradicted() {
    let server = Server::start();
    let a = server.log_with(Duration::from_secs(600));
    let b = server.log_with(Duration::from_millis(600));
    let c = server.log_with(Duration::from_millis(600));
    let mut new = new_stream(&owner("o"), None);
    new.job = Some("{}".to_owned());
    let id = new.id;
    let Ok(Created::New(mut writer)) = a.create(new).await else {
        panic!("expected a new stream");
    };
    let mut there = follow(&b, id).await;
    for (at, text) in ["one ", "two ", "three "].into_iter().enumerate() {
        write(&mut writer, &[text]).await.unwrap();
        logged(&b, id, at as u64 + 1).await;
    }
    let mut batch = Batch::default();
    let mut heard = String::new();
    while batch.next_seq() < 4 {
        poll_fn(|context| there.poll_read(context, &mut batch, 9999))
            .await
            .unwrap();
        heard.extend(
            batch
                .entries()
                .skip_while(|it| it.seq == 0)
                .map(|it| it.payload.to_owned()),
        );
    }
    drop(a);
    drop(writer);
    lose_last(&server, &b, id, 1);
    let leases = b.inner.keys.leases(keys::partition(id));
    // The lease ends now, so that it is claimed before it is reaped.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let _: u8 = server.ask(&[
        "ZADD",
        &leases,
        "XX",
        "CH",
        &now.to_string(),
        &id.to_string(),
    ]);
    let mut orphan = claimed(&c).await;
    write(&mut orphan.writer, &["drei "]).await.unwrap();
    logged(&c, id, 3).await;
    write(&mut orphan.writer, &["vier "]).await.unwrap();
    logged(&c, id, 4).await;
    close(&mut orphan.writer, &done()).await.unwrap();
    let told = loop {
        let read = poll_fn(|context| there.poll_read(context, &mut batch, 9999));
        match tokio::time::timeout(Duration::from_secs(10), read).await {
            Ok(Ok(true)) => heard.extend(
                batch
                    .entries()
                    .filter(|it| it.kind == Kind::Text)
                    .map(|it| it.payload.to_owned()),
            ),
            other => break format!("{other:?}"),
        }
    };
    let stored = server
        .log()
        .read(Access::Operator, id, Some(0), 9999)
        .await
        .unwrap();
    let stored: String = stored
        .entries()
        .filter(|it| it.kind == Kind::Text)
        .map(|it| it.payload.to_owned())
        .collect();
    println!("heard {heard:?}, then {told}; stored {stored:?}");
    assert!(
        stored.starts_with(&heard) || told.contains("Err"),
        "heard {heard:?}, stored {stored:?}"
    );
}

async fn create_with_job(log: &RedisLog) -> (StreamId, Writer) {
    let mut new = new_stream(&owner("o"), None);
    new.job = Some("{}".to_owned());
    let id = new.id;
    let Ok(Created::New(writer)) = log.create(new).await else {
        panic!("expected a new stream");
    };
    (id, writer)
}

/// A node that was fenced once goes on with the stream when the other one is gone too.
#[tokio::test]
async fn a_node_that_was_fenced_can_claim_the_stream_again() {
    let server = Server::start();
    let a = server.log_with(Duration::from_secs(600));
    let b = server.log_with(Duration::from_millis(600));
    let (id, mut writer) = create_with_job(&a).await;
    write(&mut writer, &["a"]).await.unwrap();
    logged(&a, id, 1).await;
    // Somebody reads it there, so that its mirror stays.
    let _reader = follow(&a, id).await;
    let leases = b.inner.keys.leases(keys::partition(id));
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let _: u8 = server.ask(&[
        "ZADD",
        &leases,
        "XX",
        "CH",
        &now.to_string(),
        &id.to_string(),
    ]);
    let mut orphan = claimed(&b).await;
    for _ in 0..100 {
        if write(&mut writer, &["never"]).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    drop(writer);
    let left = poll_fn(|context| orphan.writer.poll_hand_over(context, &mut Batch::default()));
    left.await.unwrap();
    let again = tokio::time::timeout(Duration::from_secs(5), claimed(&a)).await;
    let mut again = again.expect("it is never found by a node that has written it");
    write(&mut again.writer, &["b"]).await.unwrap();
}

/// A failover lost the end, which readers here have read.
#[tokio::test]
async fn a_claim_of_what_is_complete_here_does_not_hang() {
    let server = Server::start();
    let (a, b) = (server.log(), server.log());
    let (id, mut writer) = create_with_job(&a).await;
    let mut reader = follow(&b, id).await;
    write(&mut writer, &["a"]).await.unwrap();
    close(&mut writer, &done()).await.unwrap();
    drain(&mut reader).await;
    drop(a);
    lose_last(&server, &b, id, 1);
    let meta = b.inner.keys.meta(id);
    let _: u64 = server.ask(&["HSET", &meta, "state", "live", "job", "{}"]);
    let _: u64 = server.ask(&["HDEL", &meta, "terminal"]);
    // What a claim does once Redis has given it.
    let mirror = b.inner.mirror(id).unwrap();
    let claim = tokio::time::timeout(Duration::from_secs(5), mirror.succeed(&b.inner, 2, 1)).await;
    assert!(
        claim.is_ok(),
        "the claim, and its place among 16, are never given back"
    );
}

/// One master of a cluster hangs; the streams of the others go on.
#[tokio::test]
async fn a_master_that_hangs_does_not_hold_up_the_others() {
    let cluster = Cluster::start(false);
    let log = log_on(&at_seed(&cluster.masters[0]), Duration::from_secs(10));
    let other = log_on(&at_seed(&cluster.masters[0]), Duration::from_secs(10));
    let mut streams = Vec::new();
    for _ in 0..60 {
        let (id, mut writer) = create(&log, &owner("o")).await;
        write(&mut writer, &["a"]).await.unwrap();
        streams.push((id, writer));
    }
    for (id, _) in &streams {
        logged(&other, *id, 1).await;
    }
    let mut on = [None, None];
    for (id, writer) in streams {
        let leases = log.inner.keys.leases(keys::partition(id));
        let lane = log.inner.redis.lane(&leases).await.unwrap();
        let count: u64 = cluster.masters[2]
            .ask::<Vec<String>>(&["KEYS", "*:m:*"])
            .iter()
            .filter(|key| key.ends_with(&id.to_string()))
            .count() as u64;
        drop(lane);
        on[usize::from(count == 1)].get_or_insert((id, writer));
    }
    let [Some((id, mut well)), Some((_, mut ill))] = on else {
        panic!("streams on both");
    };
    cluster.masters[2].pause();
    write(&mut ill, &["b"]).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    let asked = Instant::now();
    write(&mut well, &["b"]).await.unwrap();
    while log.inner.mirror(id).unwrap().open.next_seq() < 3 && asked.elapsed().as_secs() < 20 {
        sleep(Duration::from_millis(5)).await;
    }
    let took = asked.elapsed();
    cluster.masters[2].resume();
    assert!(took < Duration::from_secs(1), "a token took {took:?}");
}
