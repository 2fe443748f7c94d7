//! The time-outs of one upstream, beside those of the whole server, for each kind of server.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::anthropic;
use crate::server::Server;
use crate::sse::check_whole;
use crate::upstream::{EVENTS, Exchange, Seen, Then, Upstream};

type Script = fn(&mut Exchange);

/// How one kind of server says what every kind says.
#[derive(Clone, Copy)]
struct Speech {
    generator: &'static str,
    /// What follows the address in its base URL.
    path: &'static str,
    /// The head, and what comes before the first token.
    begin: Script,
    token: Script,
    /// Something that is no token.
    nothing: Script,
    /// The finish reason, without the end.
    finish_reason: Script,
}

const SPEECHES: [Speech; 2] = [OPENAI, ANTHROPIC];

const OPENAI: Speech = Speech {
    generator: "openai",
    path: "/v1",
    begin: |e| {
        e.raw(EVENTS);
        e.event(json!({"choices": [{"delta": {"role": "assistant", "content": ""}}]}));
    },
    token: |e| e.text("x"),
    nothing: |e| e.chunk(": keep-alive\n\n"),
    finish_reason: |e| e.event(json!({"choices": [{"delta": {}, "finish_reason": "stop"}]})),
};

const ANTHROPIC: Speech = Speech {
    generator: "anthropic",
    path: "",
    begin: anthropic::begin,
    token: |e| anthropic::say(e, "x"),
    nothing: anthropic::ping,
    finish_reason: |e| anthropic::finish_reason(e, "end_turn"),
};

/// The terminal event of a generation, and how long it took.
fn end(
    speech: Speech,
    settings: &str,
    script: impl Fn(&mut Exchange) + Send + Sync + 'static,
) -> (Value, Duration, Upstream) {
    let upstream = Upstream::start(move |_: &Seen, exchange: &mut Exchange| {
        script(exchange);
        Then::Close
    });
    let Speech {
        generator, path, ..
    } = speech;
    let server = Server::with(&format!(
        "models.up = {{ generator = \"{generator}\", base_url = \"http://{}{path}\", {settings} }}\n",
        upstream.address
    ));
    let started = Instant::now();
    let request = server.post("/v1/streams");
    let request = request.json(&json!({"model": "up", "prompt": "x"}));
    let events = request.send().events().rest();
    check_whole(&events);
    let last = events.last().unwrap().data.clone();
    (last, started.elapsed(), upstream)
}

/// What waits for a time of less than a second is over by then, however slow the machine is: nothing else
/// would end it in the default's minute.
const LATEST: Duration = Duration::from_secs(9);

fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

#[test]
fn silence_ends_the_stream_and_closes_the_connection() {
    type Silent = fn(Speech, &mut Exchange);
    let first = "first_token_timeout = \"300ms\"";
    let idle = "idle_timeout = \"300ms\"";
    let table: [(&str, Silent, &str, &str, &str); 5] = [
        (
            "no answer",
            |_, e| e.hold(),
            first,
            "first_token_timeout",
            "sent no token within 0.3 s",
        ),
        (
            "no token",
            |speech, e| {
                (speech.begin)(e);
                e.hold();
            },
            first,
            "first_token_timeout",
            "sent no token within 0.3 s",
        ),
        (
            "no token, but signs of life",
            |speech, e| {
                (speech.begin)(e);
                for _ in 0..10 {
                    (speech.nothing)(e);
                    pause(50);
                }
                e.hold();
            },
            first,
            "first_token_timeout",
            "sent no token within 0.3 s",
        ),
        (
            "a stall",
            |speech, e| {
                (speech.begin)(e);
                (speech.token)(e);
                e.hold();
            },
            idle,
            "idle_timeout",
            "no further token within 0.3 s",
        ),
        (
            "a stall with signs of life",
            |speech, e| {
                (speech.begin)(e);
                (speech.token)(e);
                for _ in 0..10 {
                    (speech.nothing)(e);
                    pause(50);
                }
                e.hold();
            },
            idle,
            "idle_timeout",
            "no further token within 0.3 s",
        ),
    ];
    for speech in SPEECHES {
        for (what, silent, settings, code, words) in table {
            let (last, took, upstream) = end(speech, settings, move |e| silent(speech, e));
            let what = format!("{}: {what}: {last}", speech.generator);
            assert_eq!(last["error"]["code"], code, "{what}");
            assert_eq!(last["error"]["retryable"], true, "{what}");
            assert!(
                last["error"]["message"].as_str().unwrap().contains(words),
                "{what}"
            );
            assert!(took >= Duration::from_millis(300), "{what}: {took:?}");
            assert!(took < LATEST, "{what}: {took:?}");
            upstream.left();
        }
    }
}

#[test]
fn an_answer_without_end_is_cut() {
    for speech in SPEECHES {
        let settings = "idle_timeout = \"5s\", total_timeout = \"400ms\"";
        let (last, took, _upstream) = end(speech, settings, move |e| {
            (speech.begin)(e);
            for _ in 0..500 {
                (speech.token)(e);
                pause(20);
            }
        });
        assert_eq!(last["error"]["code"], "total_timeout", "{last}");
        assert_eq!(last["error"]["retryable"], false);
        assert!(took < LATEST, "{took:?}");
    }
}

/// Each token moves the time of the next, and what is not configured does not hold.
#[test]
fn an_answer_in_time_is_whole() {
    let settings = [
        "first_token_timeout = \"2s\", idle_timeout = \"2s\"",
        "first_token_timeout = \"2s\"",
        "idle_timeout = \"2s\"",
        "total_timeout = \"20s\"",
    ];
    let check = |speech: Speech, settings: &str| {
        let (last, _, _upstream) = end(speech, settings, move |e| {
            (speech.begin)(e);
            for _ in 0..6 {
                pause(400);
                (speech.token)(e);
            }
            (speech.finish_reason)(e);
            e.chunk("");
        });
        assert_eq!(last["finish_reason"], "stop", "{settings}: {last}");
    };
    std::thread::scope(|scope| {
        for speech in SPEECHES {
            for settings in settings {
                scope.spawn(move || check(speech, settings));
            }
        }
    });
}

/// A pause that only the first token may not make.
#[test]
fn the_first_token_has_a_time_of_its_own() {
    for speech in SPEECHES {
        let (last, _, _upstream) = end(speech, "first_token_timeout = \"1s\"", move |e| {
            (speech.begin)(e);
            (speech.token)(e);
            pause(1500);
            (speech.finish_reason)(e);
            e.chunk("");
        });
        assert_eq!(last["finish_reason"], "stop", "{last}");
    }
}

/// Once the finish reason is known, nothing can be late.
#[test]
fn a_complete_answer_is_not_late() {
    for speech in SPEECHES {
        let settings = "idle_timeout = \"1s\", total_timeout = \"2s\"";
        let (last, _, _upstream) = end(speech, settings, move |e| {
            (speech.begin)(e);
            (speech.token)(e);
            (speech.finish_reason)(e);
            e.hold();
        });
        assert_eq!(last["finish_reason"], "stop", "{last}");
    }
}

/// The server's own times hold beside them.
#[test]
fn the_sooner_time_counts() {
    for speech in SPEECHES {
        let settings = "idle_timeout = \"10s\" }\ngeneration = { idle_timeout = \"200ms\"";
        let (last, took, upstream) = end(speech, settings, move |e| {
            (speech.begin)(e);
            (speech.token)(e);
            e.hold();
        });
        assert_eq!(last["error"]["code"], "idle_timeout", "{last}");
        assert!(took < LATEST);
        upstream.left();
    }
}
