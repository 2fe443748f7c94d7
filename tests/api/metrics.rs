//! Each metric moves when that happens which it counts. Those of Redis are in `metrics_redis.rs`.

use std::io::Write as _;

use serde_json::json;

use crate::client::connect;
use crate::metrics_page::{ON, Page, until};
use crate::route::{answer, openai, says, upstream};
use crate::server::{Server, prompt, token, token_with, wait_for};

const DEMO: &str = "gen_ai_request_model=\"demo\"";
const CHAT: &str = "gen_ai_request_model=\"chat\"";

fn is(page: &Page, name: &str, labels: &[&str], expected: u32) {
    let found = page.sum(name, labels);
    assert!(
        (found - f64::from(expected)).abs() < 1e-9,
        "{name} {labels:?}: {found}, not {expected}"
    );
}

/// Waits until all has been generated, without reading any of it.
fn until_none_runs(server: &Server) {
    until(server, "tailrace_generations_active", &[], |n| n < 0.5);
}

#[test]
fn a_generation_and_its_request() {
    let server = Server::with(ON);
    let knobs = json!({"tokens": 21, "tokens_per_second": 200, "first_token_delay_ms": 20});
    server.create(knobs).rest();
    let page = Page::of(&server);
    let request = [
        "http_request_method=\"POST\"",
        "http_route=\"/v1/streams\"",
        "http_response_status_code=\"200\"",
    ];
    is(
        &page,
        "http_server_request_duration_seconds_count",
        &request,
        1,
    );
    assert!(page.sum("http_server_request_duration_seconds_sum", &request) > 0.0);
    let ended = [DEMO, "error_type=\"\""];
    is(
        &page,
        "gen_ai_server_request_duration_seconds_count",
        &ended,
        1,
    );
    let took = page.sum("gen_ai_server_request_duration_seconds_sum", &ended);
    // 20 gaps of 5 ms after 20 ms.
    assert!((0.12..10.0).contains(&took), "{took}");
    let first = page.sum("gen_ai_server_time_to_first_token_seconds_sum", &[DEMO]);
    assert!((0.02..10.0).contains(&first), "{first}");
    let each = page.sum("gen_ai_server_time_per_output_token_seconds_sum", &[DEMO]);
    assert!((each - (took - first) / 20.0).abs() < 0.001, "{each}");
    let gaps = "gen_ai_client_operation_time_per_output_chunk_seconds";
    let arrivals = page.sum(
        &format!("{gaps}_count"),
        &[DEMO, "gen_ai_operation_name=\"chat\""],
    );
    // Some may have come together.
    assert!((1.0..=20.0).contains(&arrivals), "{arrivals}");
    let gaps = page.sum(&format!("{gaps}_sum"), &[DEMO]);
    assert!((gaps - (took - first)).abs() < 0.02, "{gaps}");
    let stopped = [DEMO, "finish_reason=\"stop\"", "error_type=\"\""];
    is(&page, "tailrace_generations_total", &stopped, 1);
    let output = [
        DEMO,
        "gen_ai_token_type=\"output\"",
        "finish_reason=\"stop\"",
    ];
    is(&page, "tailrace_tokens_total", &output, 21);
    let input = [DEMO, "gen_ai_token_type=\"input\""];
    assert!(page.sum("tailrace_tokens_total", &input) > 0.0);
    is(&page, "tailrace_log_streams", &["store=\"memory\""], 1);
    assert!(page.sum("tailrace_log_bytes", &[]) > 1000.0);
    is(&page, "tailrace_log_max_bytes", &[], 512 << 20);
    is(
        &page,
        "tailrace_log_append_duration_seconds_count",
        &["store=\"memory\""],
        1,
    );
    is(
        &page,
        "tailrace_log_follow_duration_seconds_count",
        &["store=\"memory\""],
        1,
    );
    is(&page, "tailrace_workers", &[], 1);
    is(&page, "tailrace_limit_max_streams", &[], 10_000);
    is(
        &page,
        "tailrace_build_info",
        &["version=\"", "store=\"memory\""],
        1,
    );
}

#[test]
fn a_generation_that_fails_or_is_cancelled() {
    let server = Server::with(ON);
    server.create(json!({"fail_after": 3})).rest();
    let id = server.create_async(json!({"stall_after": 2}));
    server.post(&format!("/v1/streams/{id}/cancel")).send();
    server.ended(&id);
    let page = Page::of(&server);
    let failed = [DEMO, "finish_reason=\"\"", "error_type=\"generator_error\""];
    is(&page, "tailrace_generations_total", &failed, 1);
    is(
        &page,
        "gen_ai_server_request_duration_seconds_count",
        &[DEMO, failed[2]],
        1,
    );
    is(
        &page,
        "tailrace_tokens_total",
        &["gen_ai_token_type=\"output\"", failed[2]],
        3,
    );
    is(
        &page,
        "gen_ai_server_time_per_output_token_seconds_count",
        &[],
        1,
    );
    is(
        &page,
        "tailrace_generations_total",
        &[DEMO, "finish_reason=\"cancelled\""],
        1,
    );
}

#[test]
fn what_is_under_way_is_counted_while_it_is() {
    let server = Server::with(ON);
    let knobs = json!({"stall_after": 2});
    let mut events = server.create(knobs.clone());
    let id = events.expect().data["stream"].as_str().unwrap().to_owned();
    let path = format!("/v1/streams/{id}/events");
    let lines = server.get(&path).header("Accept", "application/x-ndjson");
    let lines = lines.send();
    let mut chat = prompt(knobs);
    chat["messages"] = json!([{"role": "user", "content": "x"}]);
    chat.as_object_mut().unwrap().remove("prompt");
    chat["stream"] = true.into();
    let chat = server.post("/v1/chat/completions").json(&chat).send();
    let polled = std::thread::scope(|scope| {
        let poll = scope.spawn(|| {
            let page = server.get(&format!("{path}?wait=50"));
            let page = page.header("Accept", "application/json");
            page.header("Last-Event-ID", &format!("{id}.2")).send()
        });
        for kind in ["sse", "ndjson", "openai", "poll"] {
            let label = format!("kind=\"{kind}\"");
            until(&server, "tailrace_readers_active", &[&label], |n| {
                (n - 1.0).abs() < 0.5
            });
        }
        let page = Page::of(&server);
        is(&page, "tailrace_generations_active", &[DEMO], 2);
        is(&page, "tailrace_limit_streams", &[], 2);
        server.post(&format!("/v1/streams/{id}/cancel")).send();
        poll.join().unwrap()
    });
    assert_eq!(polled.status, 200);
    drop((events, lines, chat));
    until(&server, "tailrace_readers_active", &[], |n| n < 0.5);
    until(&server, "tailrace_generations_active", &[DEMO], |n| n < 0.5);
    until(&server, "tailrace_limit_streams", &[], |n| n < 0.5);
}

#[test]
fn errors_before_the_head() {
    let server = Server::with(&format!(
        "{ON}limits.plans.tiny = {{ requests_per_minute = 1, burst = 1, streams = 1, tokens_per_minute = 1000000 }}\n"
    ));
    let guess = server.request("GET", "/v1/streams").bearer("guess").send();
    assert_eq!(guess.status, 401);
    assert_eq!(server.post("/v1/streams").body("{").send().status, 415);
    let scopes = "streams:write streams:read";
    let tiny = token_with("tim", scopes, Some("tiny"));
    let unknown = token_with("ann", scopes, Some("no such plan"));
    let ask = |token: &str, more: serde_json::Value| {
        let mut body = prompt(json!({"tokens": 1}));
        body["max_tokens"] = more;
        let request = server.request("POST", "/v1/streams").bearer(token);
        request.json(&body).send().status
    };
    assert_eq!(ask(&tiny, 1.into()), 200);
    assert_eq!(ask(&tiny, 1.into()), 429);
    assert_eq!(ask(&unknown, 4_000_000_000_u32.into()), 422);
    let page = Page::of(&server);
    is(
        &page,
        "tailrace_problems_total",
        &["code=\"invalid_token\""],
        1,
    );
    is(
        &page,
        "tailrace_problems_total",
        &["code=\"unsupported_media_type\""],
        1,
    );
    is(
        &page,
        "tailrace_problems_total",
        &["code=\"rate_limited\""],
        1,
    );
    is(
        &page,
        "tailrace_authentication_failures_total",
        &["code=\"invalid_token\""],
        1,
    );
    let refused = [
        "http_route=\"/v1/streams\"",
        "http_response_status_code=\"429\"",
    ];
    is(
        &page,
        "http_server_request_duration_seconds_count",
        &refused,
        1,
    );
    let requests = ["reason=\"requests\"", "plan=\"tiny\""];
    is(&page, "tailrace_rejections_total", &requests, 1);
    let ever = ["reason=\"tokens_ever\"", "plan=\"default\""];
    is(&page, "tailrace_rejections_total", &ever, 1);
}

#[test]
fn readers_that_resume_and_what_they_have_missed() {
    let server = Server::with(ON);
    let events = server.create(json!({"tokens": 30})).rest();
    let id = events[0].data["stream"].as_str().unwrap().to_owned();
    let cursor = format!("{id}.11");
    server.events(&id, Some(&cursor)).events().rest();
    let lines = server.get(&format!("/v1/streams/{id}/events"));
    let lines = lines.header("Accept", "application/x-ndjson");
    lines.header("Last-Event-ID", &cursor).send().text();
    // From the start it is no resume.
    server.events(&id, None).events().rest();
    let page = Page::of(&server);
    is(&page, "tailrace_resumes_total", &["kind=\"sse\""], 1);
    is(&page, "tailrace_resumes_total", &["kind=\"ndjson\""], 1);
    // Of 32 events those after the twelfth.
    is(&page, "tailrace_replayed_events_total", &[], 40);
}

#[test]
fn what_is_forgotten_for_want_of_memory_and_who_was_reading_it() {
    let server = Server::with(&format!(
        "{ON}http.peer_timeout = \"10m\"\nmemory.max_bytes = \"12MiB\"\nmemory.max_stream_bytes = \"11MiB\"\n"
    ));
    let body = prompt(json!({"text": "huge", "tokens": 200}));
    // It takes its answer's head only.
    let slow = server.post("/v1/streams").json(&body).send();
    until_none_runs(&server);
    for _ in 0..2 {
        server.create(json!({"text": "huge", "tokens": 200})).rest();
    }
    let page = Page::of(&server);
    assert!(page.sum("tailrace_log_evictions_total", &[]) >= 1.0);
    // It reads on, and finds the rest gone.
    drop(std::thread::spawn(move || slow.bytes()));
    until(
        &server,
        "tailrace_readers_cut_total",
        &["reason=\"evicted\""],
        |n| n > 0.5,
    );
}

#[test]
fn a_reader_whose_connection_takes_nothing() {
    let server = Server::with(&format!("{ON}http.peer_timeout = \"1s\"\n"));
    let id = server.create_async(json!({"text": "huge", "tokens": 500}));
    until_none_runs(&server);
    let before = Page::of(&server).sum("tailrace_tcp_timeouts_total", &[]);
    let mut connection = connect(server.address);
    socket2::SockRef::from(&connection)
        .set_recv_buffer_size(4096)
        .unwrap();
    let request = server.get(&format!("/v1/streams/{id}/events")).bytes();
    connection.write_all(&request).unwrap();
    let stalled = ["reason=\"stalled\""];
    until(&server, "tailrace_readers_cut_total", &stalled, |n| n > 0.5);
    let after = Page::of(&server).sum("tailrace_tcp_timeouts_total", &[]);
    assert!(after > before, "{before} {after}");
    // One that leaves in time was not cut.
    let leaves = server.create(json!({"stall_after": 1}));
    drop(leaves);
    until(&server, "tailrace_readers_active", &[], |n| n < 0.5);
    is(&Page::of(&server), "tailrace_readers_cut_total", &[], 1);
}

#[test]
fn upstreams_that_are_asked_fail_and_are_left_alone() {
    let first = upstream(|e| e.answer("500 Oh", "", ""));
    let second = upstream(|e| says(e, "second"));
    let alone = upstream(|e| says(e, "alone"));
    let settings = "breaker_failures = 2, breaker_rest = \"10m\"";
    let config = crate::route::config(settings, &[openai(&first), openai(&second)]);
    let single = format!("models.single = {}\n", openai(&alone));
    let server = Server::with(&format!("{ON}{config}{single}"));
    let (one, two) = (first.address.to_string(), second.address.to_string());
    let (one, two) = (format!("upstream=\"{one}\""), format!("upstream=\"{two}\""));
    is(&Page::of(&server), "tailrace_upstream_breaker_open", &[], 0);
    for _ in 0..3 {
        assert_eq!(answer(&server), "second");
    }
    let body = json!({"model": "single", "prompt": "x"});
    server
        .post("/v1/streams")
        .json(&body)
        .send()
        .events()
        .rest();
    let page = Page::of(&server);
    let attempts = "tailrace_upstream_attempts_total";
    is(
        &page,
        attempts,
        &[CHAT, &one, "outcome=\"upstream_error\""],
        2,
    );
    is(&page, attempts, &[CHAT, &one, "outcome=\"rests\""], 1);
    is(&page, attempts, &[CHAT, &two, "outcome=\"answered\""], 3);
    is(
        &page,
        attempts,
        &["gen_ai_request_model=\"single\"", "outcome=\"answered\""],
        1,
    );
    is(&page, "tailrace_upstream_breaker_open", &[CHAT, &one], 1);
    is(&page, "tailrace_upstream_breaker_open", &[CHAT, &two], 0);
}

#[test]
fn the_process() {
    let server = Server::with(ON);
    let page = Page::of(&server);
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_open_fds",
        "process_max_fds",
    ] {
        assert!(page.sum(name, &[]) > 0.0, "{name}");
    }
    let started = page.sum("process_start_time_seconds", &[]);
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let age = now.as_secs_f64() - started;
    assert!((-1.0..3600.0).contains(&age), "{age}");
    let before = page.sum("process_cpu_seconds_total", &[]);
    wait_for(|| {
        server
            .request("GET", "/v1/models")
            .bearer(&token("ann"))
            .send();
        (Page::of(&server).sum("process_cpu_seconds_total", &[]) > before).then_some(())
    });
}

/// Prometheus does not see the first increase of a series that was not there before.
#[test]
fn what_alerts_watch_is_there_from_the_start() {
    let server = Server::with(ON);
    let page = Page::of(&server);
    let has = |start: &str| page.series().any(|series| series.starts_with(start));
    for start in [
        "tailrace_problems_total{code=\"internal_error\"}",
        "tailrace_rejections_total{reason=\"server\",plan=\"default\"}",
        "tailrace_authentication_failures_total{code=\"invalid_token\"}",
        "tailrace_readers_cut_total{reason=\"evicted\"}",
    ] {
        assert!(has(start), "{start}");
    }
}
