//! Following: SSE, NDJSON and long polling on one cursor, heartbeats, several readers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{Server, token, wait_for};
use crate::sse::{check_whole, text};

fn finished(server: &Server, tokens: u32) -> (String, String) {
    let id = server.create_async(json!({"tokens": tokens}));
    let snapshot = server.ended(&id);
    (id, snapshot["text"].as_str().unwrap().to_owned())
}

#[test]
fn every_cursor_continues_exactly_after_itself() {
    let server = Server::start();
    let (id, whole) = finished(&server, 20);
    let all = server.events(&id, None).events().rest();
    check_whole(&all);
    assert_eq!(text(&all), whole);
    for (at, event) in all.iter().enumerate() {
        let response = server.events(&id, Some(&event.id));
        if event.is_terminal() {
            assert_eq!(response.status, 204, "EventSource stops at a 204");
            assert!(response.bytes().is_empty());
        } else {
            assert_eq!(response.events().rest(), all[at + 1..]);
        }
        let query = server
            .get(&format!(
                "/v1/streams/{id}/events?last_event_id={}",
                event.id
            ))
            .send();
        assert_eq!(query.status, if event.is_terminal() { 204 } else { 200 });
    }
}

/// What a client may call replayed, without guessing by times.
#[test]
fn an_answer_says_up_to_where_it_is_replayed() {
    let server = Server::start();
    let (id, _) = finished(&server, 20);
    let last = server.events(&id, None).events().rest().last().unwrap().seq;
    for cursor in [None, Some(format!("{id}.0")), Some(format!("{id}.7"))] {
        let response = server.events(&id, cursor.as_deref());
        assert_eq!(response.header("tailrace-tail").unwrap(), last.to_string());
    }
    let lines = server
        .get(&format!("/v1/streams/{id}/events"))
        .header("Accept", "application/x-ndjson")
        .send();
    assert_eq!(lines.header("tailrace-tail").unwrap(), last.to_string());

    let mut live = server.create(json!({"tokens": 200, "tokens_per_second": 100}));
    let start = live.expect();
    let id = start.data["stream"].as_str().unwrap().to_owned();
    let seen = (0..10).map(|_| live.expect().seq).last().unwrap();
    let response = server.events(&id, Some(&start.id));
    let tail: u64 = response.header("tailrace-tail").unwrap().parse().unwrap();
    assert!(
        (seen..200).contains(&tail),
        "{tail} is where the stream stood, with {seen} of it seen"
    );
}

#[test]
fn the_header_wins_over_the_query() {
    let server = Server::start();
    let (id, _) = finished(&server, 20);
    let request = server.get(&format!("/v1/streams/{id}/events?last_event_id={id}.3"));
    let events = request
        .header("Last-Event-ID", &format!("{id}.10"))
        .send()
        .events()
        .rest();
    assert_eq!(events[0].seq, 11);
    let request = server.get(&format!("/v1/streams/{id}/events?last_event_id={id}.3"));
    let malformed = request.header("Last-Event-ID", "nonsense").send();
    assert_eq!(
        malformed.status, 400,
        "a bad cursor does not replay everything"
    );
}

#[test]
fn several_readers_see_the_same_stream() {
    let server = Server::start();
    let mut first = server.create(json!({"tokens": 60, "tokens_per_second": 200}));
    let start = first.expect();
    let id = start.data["stream"].as_str().unwrap().to_owned();
    let readers: Vec<_> = (0..8).map(|_| server.events(&id, None).events()).collect();
    let mut whole = vec![start];
    whole.extend(first.rest());
    check_whole(&whole);
    for reader in readers {
        assert_eq!(reader.rest(), whole);
    }
}

#[test]
fn heartbeats_come_before_the_first_token_and_between_tokens() {
    let server = Server::with("http.heartbeat = \"50ms\"\n");
    let mut events = server.create(json!({
        "tokens": 3, "tokens_per_second": 3, "first_token_delay_ms": 400,
    }));
    assert_eq!(
        events.expect().kind,
        "start",
        "headers and start go out at once"
    );
    assert_eq!(events.heartbeats, 0);
    assert_eq!(events.expect().kind, "token");
    let before_first = events.heartbeats;
    assert!(before_first >= 3, "{before_first} heartbeats in 400 ms");
    while !events.expect().is_terminal() {}
    assert!(events.heartbeats >= before_first + 4);
}

#[test]
fn no_heartbeat_while_tokens_come() {
    let server = Server::with("http.heartbeat = \"5s\"\n");
    let mut events = server.create(json!({"tokens": 100, "tokens_per_second": 100}));
    while !events.expect().is_terminal() {}
    assert_eq!(events.heartbeats, 0);
}

#[test]
fn ndjson_is_one_object_a_line() {
    let server = Server::with("http.heartbeat = \"50ms\"\n");
    let id =
        server.create_async(json!({"text": "awkward", "tokens": 60, "first_token_delay_ms": 300}));
    let request = server.get(&format!("/v1/streams/{id}/events"));
    let response = request.header("Accept", "application/x-ndjson").send();
    assert_eq!(
        response.header("content-type"),
        Some("application/x-ndjson")
    );
    let body = response.text();
    assert!(body.contains("  "), "heartbeats are spaces");
    let events: Vec<Value> = body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(body.lines().count(), 62);
    let texts = events.iter().filter(|event| event["type"] == "token");
    let joined: String = texts.map(|event| event["text"].as_str().unwrap()).collect();
    assert_eq!(server.snapshot(&id)["text"], joined.as_str());
    let request = server
        .get(&format!("/v1/streams/{id}/events"))
        .header("Accept", "application/x-ndjson");
    assert_eq!(
        request
            .header("Last-Event-ID", &format!("{id}.61"))
            .send()
            .status,
        204
    );
}

#[test]
fn accept_chooses_the_form_and_never_406() {
    let server = Server::start();
    let (id, _) = finished(&server, 2);
    for (accept, expected) in [
        ("text/event-stream", "text/event-stream"),
        ("*/*", "text/event-stream"),
        (
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/event-stream",
        ),
        ("image/png", "text/event-stream"),
        ("", "text/event-stream"),
        ("application/json", "application/json"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("application/json, text/event-stream", "text/event-stream"),
        (
            "application/json;q=0.9, text/event-stream;q=0.1",
            "application/json",
        ),
        ("APPLICATION/JSON", "application/json"),
    ] {
        let request = server
            .get(&format!("/v1/streams/{id}/events"))
            .header("Accept", accept);
        assert_eq!(
            request.send().header("content-type"),
            Some(expected),
            "{accept:?}"
        );
    }
    let request = server.get(&format!("/v1/streams/{id}/events"));
    assert_eq!(
        request.send().header("content-type"),
        Some("text/event-stream"),
        "no Accept"
    );
}

fn poll(server: &Server, id: &str, cursor: &str, wait: &str) -> Value {
    let path = format!("/v1/streams/{id}/events?last_event_id={cursor}{wait}");
    let response = server
        .get(&path)
        .header("Accept", "application/json")
        .send();
    assert_eq!(response.status, 200);
    assert_eq!(response.header("cache-control"), Some("no-store"));
    response.json()
}

#[test]
fn long_polling_reads_the_same_stream_on_the_same_cursor() {
    let server = Server::start();
    let id = server.create_async(json!({"tokens": 30, "tokens_per_second": 100}));
    let (mut cursor, mut joined, mut next) = (String::new(), String::new(), 0);
    let mut polls = 0;
    loop {
        let page = poll(&server, &id, &cursor, "&wait=25");
        polls += 1;
        for event in page["events"].as_array().unwrap() {
            assert_eq!(event["seq"], next);
            next += 1;
            joined.push_str(event["text"].as_str().unwrap_or_default());
        }
        cursor = page["last_event_id"].as_str().unwrap().to_owned();
        assert_eq!(cursor, format!("{id}.{}", next - 1));
        if page["closed"] == true {
            break;
        }
        assert!(
            !page["events"].as_array().unwrap().is_empty(),
            "it waits for an event"
        );
    }
    assert!(polls > 1);
    assert_eq!(server.snapshot(&id)["text"], joined.as_str());
    let after = poll(&server, &id, &cursor, "&wait=25");
    assert_eq!(
        after,
        json!({"events": [], "last_event_id": cursor, "closed": true})
    );
}

#[test]
fn a_poll_waits_as_long_as_it_was_told() {
    let server = Server::start();
    let id = server.create_async(json!({"stall_after": 1}));
    wait_for(|| (server.snapshot(&id)["text"] != "").then_some(()));
    let page = poll(&server, &id, &format!("{id}.1"), "");
    assert_eq!(
        page,
        json!({"events": [], "last_event_id": format!("{id}.1"), "closed": false})
    );
    let started = Instant::now();
    let page = poll(&server, &id, &format!("{id}.1"), "&wait=0.3");
    assert_eq!(page["events"], json!([]));
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_large_stream_comes_in_several_pages() {
    let server = Server::start();
    let id = server.create_async(json!({"text": "huge", "tokens": 4}));
    server.ended(&id);
    let (mut cursor, mut pages, mut bytes) = (String::new(), 0, 0);
    loop {
        let page = poll(&server, &id, &cursor, "");
        pages += 1;
        for event in page["events"].as_array().unwrap() {
            bytes += event["text"].as_str().unwrap_or_default().len();
        }
        cursor = page["last_event_id"].as_str().unwrap().to_owned();
        if page["closed"] == true {
            break;
        }
    }
    assert_eq!(bytes, 4 * 200 * 1024);
    assert!(pages >= 3);
}

#[test]
fn other_peoples_streams_look_like_none() {
    let server = Server::start();
    let (id, _) = finished(&server, 3);
    let never = "0".repeat(32);
    for (method, tail) in [
        ("GET", ""),
        ("GET", "/events"),
        ("POST", "/cancel"),
        ("POST", "/tickets"),
        ("DELETE", ""),
    ] {
        let answers: Vec<Value> = [&id, &never]
            .map(|id| {
                let request = server.request(method, &format!("/v1/streams/{id}{tail}"));
                let response = request
                    .bearer(&token("ben"))
                    .header("X-Request-Id", "same")
                    .send();
                assert_eq!(response.status, 404, "{method} {tail}");
                response.json()
            })
            .into();
        assert_eq!(answers[0], answers[1], "nothing tells them apart");
    }
    assert_eq!(server.snapshot(&id)["status"], "done");
}

#[test]
fn an_expired_stream_is_410_for_its_owner_and_404_for_others() {
    let server = Server::with("memory.retention = \"1s\"\n");
    let (id, _) = finished(&server, 3);
    let path = format!("/v1/streams/{id}/events");
    wait_for(|| (server.get(&path).send().status == 410).then_some(()));
    let response = server.get(&path).send();
    assert_eq!(response.json()["error"]["code"], "stream_expired");
    let other = server.request("GET", &path).bearer(&token("ben")).send();
    assert_eq!(other.status, 404);
    let post = server
        .post("/v1/streams")
        .header("Last-Event-ID", &format!("{id}.1"));
    assert_eq!(post.json(&json!({"prompt": "x"})).send().status, 410);
}

#[test]
fn polling_is_not_leaving() {
    let server = Server::start();
    let mut body = crate::server::prompt(json!({"tokens": 20, "tokens_per_second": 50}));
    body["on_disconnect"] = "cancel".into();
    let created = server
        .post("/v1/streams")
        .header("Prefer", "respond-async")
        .json(&body)
        .send();
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let mut cursor = String::new();
    loop {
        let page = poll(&server, &id, &cursor, "&wait=25");
        cursor = page["last_event_id"].as_str().unwrap().to_owned();
        if page["closed"] == true {
            break;
        }
    }
    assert_eq!(server.snapshot(&id)["finish_reason"], "stop");
}

/// A poll that finds entries is there for a moment only, and that counts.
#[test]
fn whoever_polls_for_longer_than_the_abandonment_time_is_not_away() {
    let server = Server::with("generation.abandon_after = \"1s\"\n");
    let id = server.create_async(json!({"tokens": 60, "tokens_per_second": 20}));
    let mut cursor = String::new();
    let end = wait_for(|| {
        // Each finds the tokens of this time, without waiting for any.
        std::thread::sleep(Duration::from_millis(150));
        let page = poll(&server, &id, &cursor, "");
        cursor = page["last_event_id"].as_str().unwrap().to_owned();
        (page["closed"] == true).then(|| page["events"].as_array().unwrap().last().cloned())
    });
    assert_eq!(end.unwrap()["finish_reason"], "stop");
}

#[test]
fn a_large_snapshot_is_whole() {
    let server = Server::start();
    let id = server.create_async(json!({"text": "huge", "tokens": 20, "reasoning": 500}));
    let snapshot = server.ended(&id);
    assert!(snapshot["reasoning"].as_str().unwrap().len() > 1000);
    let id = server.create_async(json!({"text": "huge", "tokens": 20}));
    let snapshot = server.ended(&id);
    assert_eq!(snapshot["text"].as_str().unwrap().len(), 20 * 200 * 1024);
    assert_eq!(snapshot.get("reasoning"), None);
}

#[test]
fn a_stream_is_never_compressed() {
    let server = Server::start();
    let (id, _) = finished(&server, 20);
    let request = server.get(&format!("/v1/streams/{id}/events"));
    let response = request
        .header("Accept-Encoding", "gzip, deflate, br, zstd")
        .send();
    assert_eq!(response.header("content-encoding"), None);
    check_whole(&response.events().rest());
}

#[test]
fn an_evicted_stream_breaks_its_slow_readers_connection() {
    let server =
        Server::with("memory.max_bytes = \"12MiB\"\nmemory.max_stream_bytes = \"11MiB\"\n");
    let mut slow = server.create(json!({"text": "huge", "tokens": 50}));
    slow.expect();
    let id = slow.stream.clone();
    server.ended(&id);
    let other = server.create_async(json!({"text": "huge", "tokens": 20}));
    assert_eq!(server.ended(&other)["status"], "done");
    let cut = std::iter::from_fn(|| slow.next().map(|event| event.map(drop)).transpose())
        .find(Result::is_err);
    assert!(cut.is_some(), "no clean end of what is not complete");
    assert_eq!(server.events(&id, None).status, 410);
}
