//! Whoever cancels or leaves ends what a route is doing, wherever it is.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::route::{Script, at, openai, server, upstream};
use crate::server::{Server, wait_for};
use crate::upstream::{EVENTS, Exchange, Upstream};

const SOON: Duration = Duration::from_secs(1);

/// How far the attempt under way has come.
const PLACES: [(&str, Script); 3] = [
    ("before the head", Exchange::hold),
    ("before the first token", |e| {
        e.raw(EVENTS);
        e.hold();
    }),
    ("after the first token", |e| {
        e.raw(EVENTS);
        e.text("x");
        e.hold();
    }),
];

/// A route whose second upstream is asked and does this; the first has failed by then.
fn second_asked(place: Script) -> (Server, Upstream, Upstream) {
    let first = upstream(|e| e.answer("500 Oh", "", ""));
    let second = upstream(place);
    let server = server("", &[openai(&first), at(&second.url(), "")]);
    (server, first, second)
}

fn create(server: &Server) -> String {
    let request = server.post("/v1/streams").header("Prefer", "respond-async");
    let request = request.json(&json!({"model": "chat", "prompt": "x"}));
    request.send().json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn cancelling_closes_the_connection_of_the_attempt() {
    for (place, script) in PLACES {
        let (server, _first, second) = second_asked(script);
        let id = create(&server);
        wait_for(|| (second.seen().len() == 1).then_some(()));
        let asked = Instant::now();
        server.post(&format!("/v1/streams/{id}/cancel")).send();
        assert!(second.left() - asked < SOON, "{place}");
        assert_eq!(server.ended(&id)["finish_reason"], "cancelled", "{place}");
        assert_eq!(second.seen().len(), 1, "{place}");
    }
}

#[test]
fn leaving_closes_the_connection_of_the_attempt() {
    for (place, script) in PLACES {
        let messages = json!([{"role": "user", "content": "x"}]);
        for (path, body) in [
            (
                "/v1/streams",
                json!({"model": "chat", "prompt": "x", "on_disconnect": "cancel"}),
            ),
            (
                "/v1/chat/completions",
                json!({"model": "chat", "stream": true, "messages": messages}),
            ),
        ] {
            let (server, _first, second) = second_asked(script);
            let response = server.post(path).json(&body).send();
            assert_eq!(response.status, 200);
            wait_for(|| (second.seen().len() == 1).then_some(()));
            let left = Instant::now();
            drop(response);
            assert!(second.left() - left < SOON, "{place}, {path}");
        }
    }
}

/// What fails at once is asked again and again, with a wait of up to two seconds between.
#[test]
fn cancelling_between_two_rounds_ends_them() {
    let only = upstream(|e| e.answer("500 Oh", "", ""));
    let settings = "rounds = 1000, breaker_failures = 1000";
    let server = server(settings, &[openai(&only)]);
    let id = create(&server);
    wait_for(|| (only.seen().len() >= 5).then_some(()));
    let asked = Instant::now();
    server.post(&format!("/v1/streams/{id}/cancel")).send();
    assert_eq!(server.ended(&id)["finish_reason"], "cancelled");
    assert!(asked.elapsed() < SOON);
    let seen = only.seen().len();
    std::thread::sleep(Duration::from_millis(2_200));
    assert_eq!(only.seen().len(), seen, "nobody is asked any more");
}
