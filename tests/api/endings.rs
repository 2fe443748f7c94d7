//! Every stream ends with exactly one terminal event, whatever happens to it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{Server, token_with, wait_for};
use crate::sse::check_whole;

fn ends_with(server: &Server, knobs: Value) -> Value {
    let events = server.create(knobs).rest();
    check_whole(&events);
    events.last().unwrap().data.clone()
}

#[test]
fn generator_errors_panics_and_early_ends_are_errors() {
    let server = Server::start();
    for (knob, at, code, retryable) in [
        ("fail_after", 3, "generator_error", true),
        ("fail_after", 0, "generator_error", true),
        ("panic_after", 3, "internal_error", false),
        ("panic_after", 0, "internal_error", false),
        ("end_after", 3, "upstream_incomplete", true),
        ("end_after", 0, "upstream_incomplete", true),
    ] {
        let end = ends_with(&server, json!({knob: at}));
        assert_eq!(end["type"], "error");
        assert_eq!(end["error"]["code"], code, "{knob}");
        assert_eq!(end["error"]["retryable"], retryable);
        assert_eq!(end["usage"]["completion_tokens"], at);
        let message = end["error"]["message"].as_str().unwrap();
        assert!(
            !message.contains("told to panic"),
            "a panic's text stays inside"
        );
    }
    assert_eq!(
        ends_with(&server, json!({}))["type"],
        "done",
        "the server lives on"
    );
}

#[test]
fn silence_has_its_bounds() {
    let server = Server::with(
        "generation.first_token_timeout = \"300ms\"\ngeneration.idle_timeout = \"200ms\"\n\
         generation.total_timeout = \"800ms\"\n",
    );
    for (knobs, code, bound) in [
        (json!({"stall_after": 0}), "first_token_timeout", 300),
        (
            json!({"first_token_delay_ms": 60_000}),
            "first_token_timeout",
            300,
        ),
        (json!({"stall_after": 5}), "idle_timeout", 200),
        (
            json!({"tokens": 1000, "tokens_per_second": 20}),
            "total_timeout",
            800,
        ),
    ] {
        let started = Instant::now();
        let end = ends_with(&server, knobs);
        let took = started.elapsed();
        assert_eq!(end["error"]["code"], code);
        assert!(
            took >= Duration::from_millis(bound),
            "{code} after {took:?}"
        );
        assert!(
            took < Duration::from_millis(bound + 5000),
            "{code} after {took:?}"
        );
    }
}

#[test]
fn cancel_ends_the_stream_as_done() {
    let server = Server::start();
    let mut events = server.create(json!({"stall_after": 2}));
    let mut whole: Vec<_> = (0..3).map(|_| events.expect()).collect();
    let id = whole[0].data["stream"].as_str().unwrap().to_owned();
    let cancel = || server.post(&format!("/v1/streams/{id}/cancel")).send();
    let answer = cancel();
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json()["id"], id.as_str());
    whole.extend(events.rest());
    check_whole(&whole);
    assert_eq!(whole.last().unwrap().data["finish_reason"], "cancelled");
    let again = cancel();
    assert_eq!(again.status, 202, "idempotent");
    assert_eq!(again.json()["finish_reason"], "cancelled");
}

#[test]
fn cancel_before_the_first_token() {
    let server = Server::start();
    let mut events = server.create(json!({"first_token_delay_ms": 60_000}));
    let id = events.expect().data["stream"].as_str().unwrap().to_owned();
    server.post(&format!("/v1/streams/{id}/cancel")).send();
    let end = events.expect();
    assert_eq!(end.data["finish_reason"], "cancelled");
    assert_eq!(end.data["timing"].get("first_token_ms"), None);
}

#[test]
fn an_operator_may_stop_any_stream_and_read_none() {
    let server = Server::start();
    let mut events = server.create(json!({"stall_after": 2}));
    let id = events.expect().data["stream"].as_str().unwrap().to_owned();
    let operator = token_with("root", "streams:write streams:read tailrace:admin", None);
    let request = |method: &str, tail: &str| {
        server
            .request(method, &format!("/v1/streams/{id}{tail}"))
            .bearer(&operator)
            .send()
    };
    assert_eq!(request("GET", "").status, 404);
    assert_eq!(request("GET", "/events").status, 404);
    assert_eq!(request("POST", "/tickets").status, 404);
    let answer = request("POST", "/cancel");
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json().get("text"), None);
    while !events.expect().is_terminal() {}
    assert_eq!(request("DELETE", "").status, 204);
}

#[test]
fn delete_erases_at_once_and_its_readers_are_told_the_end() {
    let server = Server::start();
    let mut events = server.create(json!({"stall_after": 2}));
    let mut whole: Vec<_> = (0..3).map(|_| events.expect()).collect();
    let id = whole[0].data["stream"].as_str().unwrap().to_owned();
    let delete = || server.delete(&format!("/v1/streams/{id}")).send();
    assert_eq!(delete().status, 204);
    assert_eq!(delete().status, 404);
    assert_eq!(server.events(&id, None).status, 404);
    whole.extend(events.rest());
    check_whole(&whole);
    assert_eq!(whole.last().unwrap().data["finish_reason"], "cancelled");
}

/// A stream that was deleted while it lived makes no room before it has ended.
#[test]
fn whoever_reads_a_stream_that_is_deleted_is_told_the_end_though_the_log_is_full() {
    let server = Server::with("memory.max_bytes = \"1MiB\"\nhttp.heartbeat = \"30s\"\n");
    let mut events = server.create(json!({"text": "huge", "tokens": 10, "stall_after": 4}));
    let mut whole = vec![events.expect()];
    while crate::sse::text(&whole).len() < 4 * 200 * 1024 {
        whole.push(events.expect());
    }
    let id = whole[0].data["stream"].as_str().unwrap().to_owned();
    let body = crate::server::prompt(json!({"stall_after": 0}));
    wait_for(|| {
        let request = server.post("/v1/streams").header("Prefer", "respond-async");
        (request.json(&body).send().status == 503).then_some(())
    });
    assert_eq!(
        server.delete(&format!("/v1/streams/{id}")).send().status,
        204
    );
    whole.extend(events.rest());
    check_whole(&whole);
    assert_eq!(whole.last().unwrap().data["finish_reason"], "cancelled");
}

#[test]
fn a_stream_that_everybody_left_is_cancelled_unless_somebody_comes_back() {
    let server = Server::with("generation.abandon_after = \"1500ms\"\n");
    let mut events = server.create(json!({"stall_after": 2}));
    let start = events.expect();
    let id = start.data["stream"].as_str().unwrap().to_owned();
    // Leaving and coming back is not leaving.
    for _ in 0..3 {
        drop(events);
        std::thread::sleep(Duration::from_millis(600));
        events = server.events(&id, Some(&start.id)).events();
        events.expect();
    }
    std::thread::sleep(Duration::from_millis(1700));
    assert_eq!(server.snapshot(&id)["status"], "running");
    drop(events);
    let left = Instant::now();
    assert_eq!(server.ended(&id)["finish_reason"], "cancelled");
    assert!(left.elapsed() >= Duration::from_millis(1400));
    assert!(left.elapsed() < Duration::from_secs(6));
}

#[test]
fn on_disconnect_overrides_abandonment() {
    let server = Server::with("generation.abandon_after = \"100ms\"\n");
    let start = |choice: &str, knobs: Value| {
        let mut body = crate::server::prompt(knobs);
        body["on_disconnect"] = choice.into();
        let mut events = server.post("/v1/streams").json(&body).send().events();
        events.expect().data["stream"].as_str().unwrap().to_owned()
    };
    let continued = start("continue", json!({"tokens": 50, "tokens_per_second": 100}));
    assert_eq!(server.ended(&continued)["finish_reason"], "stop");
    let server = Server::start();
    let start = |choice: &str| {
        let mut body = crate::server::prompt(json!({"stall_after": 1}));
        body["on_disconnect"] = choice.into();
        let mut events = server.post("/v1/streams").json(&body).send().events();
        events.expect().data["stream"].as_str().unwrap().to_owned()
    };
    let left = Instant::now();
    assert_eq!(server.ended(&start("cancel"))["finish_reason"], "cancelled");
    assert!(left.elapsed() < Duration::from_secs(5), "at once");
}

#[test]
fn a_stream_that_nobody_has_read_is_not_abandoned() {
    let server = Server::with("generation.abandon_after = \"50ms\"\n");
    let id = server.create_async(json!({"tokens": 40, "tokens_per_second": 100}));
    assert_eq!(server.ended(&id)["finish_reason"], "stop");
}

#[test]
fn a_stream_has_a_size_limit() {
    let server = Server::with("memory.max_stream_bytes = \"64KiB\"\n");
    let end = ends_with(&server, json!({"tokens": 100_000}));
    assert_eq!(end["error"]["code"], "stream_too_large");
    assert_eq!(end["error"]["retryable"], false);
}

#[test]
fn a_log_without_room_ends_the_stream_that_grows() {
    let server = Server::with("memory.max_bytes = \"1MiB\"\nmemory.max_stream_bytes = \"16MiB\"\n");
    let end = ends_with(&server, json!({"text": "huge", "tokens": 1000}));
    assert_eq!(end["error"]["code"], "overloaded");
    assert_eq!(end["error"]["retryable"], true);
    assert_eq!(
        ends_with(&server, json!({}))["type"],
        "done",
        "and made room for others"
    );
}

#[test]
fn a_stopping_server_lets_streams_finish_and_then_ends_them() {
    let server = Server::start();
    let quick = server.create(json!({"tokens": 10, "tokens_per_second": 100}));
    let mut slow = server.create(json!({"tokens": 1000, "tokens_per_second": 20}));
    slow.expect();
    server.ask_to_stop();
    wait_for(|| (server.request("GET", "/readyz").send().status == 503).then_some(()));
    assert_eq!(server.request("GET", "/livez").send().status, 200);
    let refused = server
        .post("/v1/streams")
        .json(&json!({"prompt": "x"}))
        .send();
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.json()["error"]["code"], "server_stopping");
    assert_eq!(quick.rest().last().unwrap().kind, "done");
    let end = slow.rest().last().unwrap().clone();
    assert_eq!(end.data["error"]["code"], "server_stopping");
    assert_eq!(end.data["error"]["retryable"], true);
    assert_eq!(server.wait(), tailrace::app::Stopped::Drained);
}
