//! Limits: what is turned away, with which headers, and that nothing leaks.

use serde_json::{Value, json};

use crate::client::Response;
use crate::server::{Server, prompt, token_with, wait_for};

const TIGHT: &str = "limits.plans.tight = { requests_per_minute = 6, burst = 3, streams = 2, tokens_per_minute = 100 }\n";

fn create(server: &Server, plan: &str, body: &Value) -> Response {
    let token = token_with("ann", "streams:write streams:read", Some(plan));
    server
        .request("POST", "/v1/streams")
        .bearer(&token)
        .json(body)
        .send()
}

#[test]
fn requests_per_minute_with_burst() {
    let server = Server::with(TIGHT);
    let body = json!({"prompt": "x", "max_tokens": 1});
    for left in [2, 1, 0] {
        let response = create(&server, "tight", &body);
        assert_eq!(response.status, 200);
        let ratelimit = response.header("ratelimit").unwrap().to_owned();
        assert!(
            ratelimit.starts_with(&format!("\"requests\";r={left};t=")),
            "{ratelimit}"
        );
        assert_eq!(
            response.header("ratelimit-policy"),
            Some("\"requests\";q=6;w=60")
        );
        assert_eq!(
            response.header("x-ratelimit-remaining-requests"),
            Some(left.to_string().as_str())
        );
        response.events().rest();
    }
    let response = create(&server, "tight", &body);
    assert_eq!(response.status, 429);
    let after: u64 = response.header("retry-after").unwrap().parse().unwrap();
    let millis: u64 = response.header("retry-after-ms").unwrap().parse().unwrap();
    assert!((1..=59).contains(&after) && millis <= after * 1000 && millis > 1000);
    assert_eq!(response.header("x-ratelimit-remaining-requests"), Some("0"));
    assert_eq!(response.header("x-should-retry"), None);
    assert_eq!(response.code(), "rate_limited");
}

#[test]
fn reading_and_resuming_are_not_limited() {
    let server = Server::with(TIGHT);
    let token = token_with("ann", "streams:write streams:read", Some("tight"));
    let body = json!({"prompt": "x", "max_tokens": 1});
    let events = create(&server, "tight", &body).events().rest();
    for _ in 0..20 {
        let follow = server.request("POST", "/v1/streams").bearer(&token);
        let follow = follow
            .header("Last-Event-ID", &events[0].id)
            .json(&body)
            .send();
        assert_eq!(follow.status, 200);
        follow.bytes();
    }
    assert_eq!(create(&server, "tight", &body).status, 200);
}

#[test]
fn streams_at_once_and_every_end_frees_its_place() {
    let one = "limits.plans.one = { requests_per_minute = 1000000, burst = 10000, streams = 1, tokens_per_minute = 1000000000 }\n\
                generation.first_token_timeout = \"200ms\"\ngeneration.idle_timeout = \"200ms\"\ngeneration.abandon_after = \"100ms\"\n";
    let server = Server::with(one);
    let stalled = create(
        &server,
        "one",
        &prompt(json!({"tokens": 100, "tokens_per_second": 50})),
    )
    .events();
    let refused = create(&server, "one", &prompt(json!({})));
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.code(), "too_many_streams");
    drop(stalled);
    let free = || {
        wait_for(|| {
            let response = create(&server, "one", &prompt(json!({"tokens": 1})));
            (response.status == 200).then(|| response.events().rest())
        });
    };
    free();
    for knobs in [
        json!({"fail_after": 2}),
        json!({"panic_after": 0}),
        json!({"panic_after": 2}),
        json!({"end_after": 1}),
        json!({"stall_after": 0}),
        json!({"stall_after": 2}),
        json!({"tokens": 5}),
    ] {
        create(&server, "one", &prompt(knobs)).events().rest();
        free();
    }
    // Cancelled, deleted, and left by its client.
    for method in ["cancel", "delete", "leave"] {
        let mut events = create(
            &server,
            "one",
            &prompt(json!({"tokens": 1000, "tokens_per_second": 20})),
        )
        .events();
        let id = events.expect().data["stream"].as_str().unwrap().to_owned();
        match method {
            "cancel" => drop(server.post(&format!("/v1/streams/{id}/cancel")).send()),
            "delete" => drop(server.delete(&format!("/v1/streams/{id}")).send()),
            _ => drop(events),
        }
        free();
    }
}

#[test]
fn tokens_are_reserved_and_settled() {
    let server = Server::with(
        "limits.plans.small = { requests_per_minute = 1000000, burst = 10000, streams = 10, tokens_per_minute = 100 }\n\
         limits.default_reservation = 60\n",
    );
    let remaining = |response: &Response| -> u64 {
        response
            .header("x-ratelimit-remaining-tokens")
            .unwrap()
            .parse()
            .unwrap()
    };
    // 80 reserved, 5 used: 75 come back.
    let mut body = prompt(json!({"tokens": 5, "tokens_per_second": 100}));
    body["max_tokens"] = 80.into();
    let first = create(&server, "small", &body);
    assert_eq!(remaining(&first), 20);
    let refused = create(&server, "small", &body);
    assert_eq!(refused.status, 429);
    assert_eq!(refused.code(), "tokens_exhausted");
    first.events().rest();
    let second = wait_for(|| Some(create(&server, "small", &body)).filter(|r| r.status == 200));
    assert!(remaining(&second) >= 15);
    second.events().rest();
    // More than the plan ever allows: waiting does not help, and it says so.
    body["max_tokens"] = 101.into();
    let never = create(&server, "small", &body);
    assert_eq!(never.status, 422);
    assert_eq!(never.header("x-should-retry"), Some("false"));
    assert_eq!(never.json()["error"]["param"], "max_tokens");
}

#[test]
fn a_stream_that_outgrows_the_quota_ends_with_an_error() {
    let server = Server::with(
        "limits.plans.small = { requests_per_minute = 1000000, burst = 10000, streams = 10, tokens_per_minute = 100 }\n\
         limits.default_reservation = 20\n",
    );
    let events = create(&server, "small", &prompt(json!({"tokens": 500})))
        .events()
        .rest();
    let end = &events.last().unwrap().data;
    assert_eq!(end["error"]["code"], "quota_exceeded");
    assert_eq!(end["error"]["retryable"], true);
    let generated = end["usage"]["completion_tokens"].as_u64().unwrap();
    assert!((100..110).contains(&generated), "{generated}");
}

#[test]
fn the_server_has_a_ceiling() {
    let server = Server::with("limits.max_streams = 2\n");
    let body = prompt(json!({"stall_after": 1}));
    let held: Vec<_> = (0..2)
        .map(|_| server.post("/v1/streams").json(&body).send().events())
        .collect();
    let other = server
        .request("POST", "/v1/streams")
        .bearer(&crate::server::token("ben"));
    let refused = other.json(&body).send();
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.code(), "overloaded");
    drop(held);
}

#[test]
fn a_full_log_takes_no_new_stream() {
    let server = Server::with("memory.max_bytes = \"1500B\"\n");
    let mut held = server.create(json!({"stall_after": 1}));
    while held.expect().kind != "token" {}
    let _second = server.create(json!({"stall_after": 0}));
    let refused = server
        .post("/v1/streams")
        .json(&json!({"prompt": "x"}))
        .send();
    assert_eq!(refused.status, 503);
    assert_eq!(refused.code(), "overloaded");
}

#[test]
fn failed_authentications_are_limited_and_right_ones_never() {
    let server = Server::with("limits.failed_authentications_per_minute = 5\n");
    let guess = || server.request("GET", "/v1/streams").bearer("guess").send();
    for _ in 0..5 {
        assert_eq!(guess().status, 401);
    }
    let refused = guess();
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.code(), "too_many_failures");
    assert_eq!(server.get("/v1/streams").send().status, 200);
}

#[test]
fn an_answer_that_uses_the_quota_to_the_last_token_is_whole() {
    let server = Server::with(
        "limits.plans.small = { requests_per_minute = 1000000, burst = 10000, streams = 10, tokens_per_minute = 100 }\n",
    );
    let mut body = prompt(json!({"tokens": 200}));
    body["max_tokens"] = 100.into();
    let events = create(&server, "small", &body).events().rest();
    assert_eq!(events.len(), 102);
    assert_eq!(events[101].data["finish_reason"], "length");
}

#[test]
fn the_headers_of_a_rejection_tell_the_same_story() {
    let server = Server::with(
        "limits.plans.one = { requests_per_minute = 60, burst = 5, streams = 1, tokens_per_minute = 1000 }\n\
         limits.default_reservation = 10\n",
    );
    let body = prompt(json!({"stall_after": 1}));
    let held = create(&server, "one", &body);
    assert_eq!(held.header("x-ratelimit-remaining-requests"), Some("4"));
    let refused = create(&server, "one", &body);
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.header("x-ratelimit-remaining-requests"),
        Some("3"),
        "every attempt counts"
    );
}
