//! The promise: cut the connection anywhere, by bytes, also inside an event; resume; and what was
//! read together is the uninterrupted stream.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::server::Server;
use crate::sse::{check_whole, text};

/// A client as the standard has it: it takes lines as they come, keeps a block only when its blank
/// line has come, and commits an id with its block (WHATWG HTML, section 9.2.6).
#[derive(Default)]
struct Resuming {
    events: Vec<Value>,
    last_event_id: Option<String>,
}

impl Resuming {
    /// Reads up to `limit` bytes of the response's body, then cuts the connection. Answers whether
    /// the terminal event has come.
    fn read(&mut self, server: &Server, stream: &str, limit: usize) -> bool {
        let mut request = server.get(&format!("/v1/streams/{stream}/events"));
        if let Some(id) = &self.last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let mut response = request.send();
        if response.status == 204 {
            return true;
        }
        assert_eq!(response.status, 200);
        let mut body = Vec::new();
        while body.len() < limit {
            match response.body.chunk().unwrap() {
                Some(chunk) => body.extend_from_slice(&chunk),
                None => break,
            }
        }
        // Whatever was sent beyond the limit is lost with the connection, as in a cut.
        body.truncate(limit);
        drop(response);
        let body = &body[..];
        self.take(body)
    }

    fn take(&mut self, body: &[u8]) -> bool {
        let (mut data, mut id) = (None, None);
        let whole_lines = body
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        for line in std::str::from_utf8(&body[..whole_lines]).unwrap().lines() {
            if let Some(text) = line.strip_prefix("data: ") {
                data = Some(serde_json::from_str::<Value>(text).unwrap());
            } else if let Some(text) = line.strip_prefix("id: ") {
                id = Some(text.to_owned());
            } else if line.is_empty() {
                self.events.extend(data.take());
                self.last_event_id = id.take().or(self.last_event_id.take());
            }
        }
        let last = self.events.last();
        last.is_some_and(|event| event["type"] == "done" || event["type"] == "error")
    }
}

/// What a generation may be like, and where it is cut.
fn cases() -> impl Strategy<Value = (Value, Vec<usize>)> {
    let knobs = (
        0_u32..120,
        prop::sample::select(vec!["prose", "awkward"]),
        prop::sample::select(vec![0, 400]),
        0_u32..3,
        prop::option::weighted(0.2, 0_u32..60),
    );
    let knobs = knobs.prop_map(|(tokens, text, pace, reasoning, fail_after)| {
        let mut knobs = json!({
            "tokens": tokens, "text": text, "tokens_per_second": pace, "reasoning": reasoning,
        });
        if let Some(after) = fail_after {
            knobs["fail_after"] = after.into();
        }
        knobs
    });
    (knobs, prop::collection::vec(0_usize..3000, 1..12))
}

#[test]
fn cut_anywhere_resume_and_nothing_is_lost_or_doubled() {
    let server = Server::start();
    let mut runner = TestRunner::new(Config {
        cases: 60,
        ..Config::default()
    });
    let outcome = runner.run(&cases(), |(knobs, cuts)| {
        let stream = server.create_async(knobs);
        let mut client = Resuming::default();
        let ended = cuts
            .iter()
            .any(|limit| client.read(&server, &stream, *limit));
        // A last connection that is not cut.
        if !ended {
            prop_assert!(client.read(&server, &stream, usize::MAX / 2));
        }
        let whole = server.events(&stream, None).events().rest();
        check_whole(&whole);
        let expected: Vec<Value> = whole.iter().map(|event| event.data.clone()).collect();
        prop_assert_eq!(&client.events, &expected);
        let snapshot = server.snapshot(&stream);
        let text = text(&whole);
        prop_assert_eq!(snapshot["text"].as_str(), Some(text.as_str()));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn a_cut_post_is_resumed_while_the_generation_goes_on() {
    let server = Server::start();
    let mut seen = Vec::new();
    let mut events = server.create(json!({"tokens": 200, "tokens_per_second": 400}));
    seen.push(events.expect());
    let stream = seen[0].data["stream"].as_str().unwrap().to_owned();
    for cut in 1..10 {
        while seen.len() < cut * 15 {
            seen.push(events.expect());
        }
        drop(events);
        events = server
            .events(&stream, Some(&seen.last().unwrap().id))
            .events();
    }
    seen.extend(events.rest());
    check_whole(&seen);
    assert_eq!(seen.len(), 202);
}
