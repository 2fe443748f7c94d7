//! How a node listens to streams of others: many at once, and what it does when it cannot.

use super::*;
use crate::redis::Ask;

/// How many channels Redis publishes to somebody, and how often it was asked for some.
fn subscriptions(server: &Server) -> (usize, u64) {
    let channels: Vec<String> = server.ask(&["PUBSUB", "CHANNELS", "t:w:*"]);
    let stats: String = server.ask(&["INFO", "commandstats"]);
    let calls = stats
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_subscribe:calls="))
        .and_then(|rest| rest.split(',').next()?.parse().ok());
    (channels.len(), calls.unwrap_or_default())
}

async fn listens_to(server: &Server, count: usize) -> u64 {
    for _ in 0..1000 {
        let (channels, calls) = subscriptions(server);
        if channels == count {
            return calls;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not listen to {count} streams");
}

#[tokio::test]
async fn what_many_streams_ask_of_the_hub_is_one_question() {
    let server = Server::start();
    let log = server.log();
    let ids: Vec<_> = (0..500).map(|_| StreamId::generate()).collect();
    let ask = |request: hub::Request| log.inner.hub.try_send(request).ok().unwrap();
    ask(hub::Request::Join(ids[0]));
    let before = listens_to(&server, 1).await;
    let _: String = server.ask(&["CLIENT", "PAUSE", "500", "ALL"]);
    for id in &ids[1..] {
        ask(hub::Request::Join(*id));
    }
    let calls = listens_to(&server, 500).await - before;
    // One that was under way when the rest came, and the rest.
    assert!(calls <= 3, "{calls} questions");
    for id in &ids[1..] {
        ask(hub::Request::Leave(*id));
        ask(hub::Request::Join(*id));
        ask(hub::Request::Leave(*id));
        sleep(Duration::from_micros(100)).await;
    }
    listens_to(&server, 1).await;
}

#[tokio::test]
async fn a_stream_is_read_while_the_hub_has_no_room() {
    let server = Server::start();
    let (a, b) = (server.log(), server.log());
    let (id, mut writer) = create(&a, &owner("o")).await;
    let room = b.inner.hub.try_reserve_many(hub::QUEUE).unwrap();
    let mut there = follow(&b, id).await;
    write(&mut writer, &["x"]).await.unwrap();
    logged(&b, id, 1).await;
    close(&mut writer, &done()).await.unwrap();
    let read = tokio::time::timeout(Duration::from_secs(15), drain(&mut there));
    assert_eq!(read.await.expect("it waits for the hub").2, "x");
    drop(room);
}

/// A message that says something else under the same fence than what is here, as two writers say it of
/// whom a failover has made the same number.
#[tokio::test]
async fn a_message_that_contradicts_breaks_the_connection() {
    let server = Server::start();
    let (a, b) = (server.log(), server.log());
    let (id, mut writer) = create(&a, &owner("o")).await;
    let mut there = follow(&b, id).await;
    write(&mut writer, &["one "]).await.unwrap();
    listens_to(&server, 1).await;
    let mirror = b.inner.mirror(id).unwrap();
    for _ in 0..1000 {
        if mirror.open.next_seq() == 2 {
            break;
        }
        sleep(Duration::from_millis(5)).await;
    }
    let say = async |fence: u64, text: &str| {
        let mut batch = Batch::starting_at(1);
        batch.push_text(text);
        batch.push_text("more");
        let news = encoding::news(fence, 2, &encoding::encode(&batch));
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(b.inner.keys.growth(id)).arg(news);
        let patience = Duration::from_secs(5);
        let heard: u8 = b.inner.ask(patience, Ask::Command(&publish)).await.unwrap();
        assert_eq!(heard, 1);
    };
    // Redis knows nothing of another writer.
    say(2, "eins ").await;
    write(&mut writer, &["two "]).await.unwrap();
    let mut batch = Batch::default();
    let mut text = String::new();
    while batch.next_seq() < 3 {
        let read = poll_fn(|context| there.poll_read(context, &mut batch, 9999));
        assert_eq!(read.await, Ok(true));
        text.extend(
            batch
                .entries()
                .skip_while(|it| it.seq == 0)
                .map(|it| it.payload.to_owned()),
        );
    }
    assert_eq!(text, "one two ");
    say(1, "eins ").await;
    let read = poll_fn(|context| there.poll_read(context, &mut batch, 9999));
    let read = tokio::time::timeout(Duration::from_secs(5), read).await;
    assert_eq!(read, Ok(Err(LogError::Unavailable)));
    // Whoever comes next reads what Redis has.
    let mut again = follow(&b, id).await;
    close(&mut writer, &done()).await.unwrap();
    assert_eq!(drain(&mut again).await.2, "one two ");
}
