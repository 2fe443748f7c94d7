//! Routes: what fails before its first token is asked of the next upstream, and nothing after it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::anthropic;
use crate::server::Server;
use crate::sse::{Event, check_whole, text};
use crate::upstream::{EVENTS, Exchange, Seen, Then, Upstream};

pub type Script = fn(&mut Exchange);

/// An upstream that does this with each request.
pub fn upstream(script: impl Fn(&mut Exchange) + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |_: &Seen, exchange: &mut Exchange| {
        script(exchange);
        Then::Close
    })
}

/// Answers well, with this text.
pub fn says(exchange: &mut Exchange, text: &str) {
    exchange.raw(EVENTS);
    exchange.text(text);
    exchange.finish("stop");
}

/// The same, as Anthropic's API has it.
fn anthropic_says(exchange: &mut Exchange, text: &str) {
    anthropic::begin(exchange);
    anthropic::say(exchange, text);
    anthropic::finish_reason(exchange, "end_turn");
    exchange.chunk("");
}

/// An upstream of a route, as it stands in the configuration.
pub fn openai(upstream: &Upstream) -> String {
    at(&upstream.url(), "")
}

/// The same at any address, with more settings of its own.
pub fn at(url: &str, more: &str) -> String {
    let base_url = format!("base_url = \"{url}\"");
    table(&[
        "generator = \"openai\"",
        &base_url,
        "connect_timeout = \"500ms\"",
        more,
    ])
}

pub fn anthropic(upstream: &Upstream, more: &str) -> String {
    let base_url = format!("base_url = \"http://{}\"", upstream.address);
    table(&["generator = \"anthropic\"", &base_url, more])
}

/// A table in one line, of those that are not empty.
fn table(settings: &[&str]) -> String {
    let mut settings = settings.to_vec();
    settings.retain(|setting| !setting.is_empty());
    format!("{{ {} }}", settings.join(", "))
}

/// The model `chat` is a route over these.
pub fn config(settings: &str, upstreams: &[String]) -> String {
    let upstreams = format!("upstreams = [{}]", upstreams.join(", "));
    let route = table(&["generator = \"route\"", &upstreams, settings]);
    format!("models.chat = {route}\nhttp.heartbeat = \"200ms\"\n")
}

pub fn server(settings: &str, upstreams: &[String]) -> Server {
    Server::with(&config(settings, upstreams))
}

pub fn ask(server: &Server) -> Vec<Event> {
    let request = server.post("/v1/streams");
    let request = request.json(&json!({"model": "chat", "prompt": "x"}));
    let events = request.send().events().rest();
    check_whole(&events);
    events
}

/// The text of an answer that went well.
pub fn answer(server: &Server) -> String {
    let events = ask(server);
    let last = events.last().unwrap();
    assert_eq!(last.kind, "done", "{}", last.data);
    text(&events)
}

/// The error that a stream ended in.
pub fn error(server: &Server) -> Value {
    let events = ask(server);
    let last = events.last().unwrap();
    assert_eq!(last.kind, "error", "{}", last.data);
    last.data["error"].clone()
}

/// An address where nobody listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/v1", listener.local_addr().unwrap())
}

#[test]
fn who_cannot_be_reached_is_passed_over() {
    let second = upstream(|e| says(e, "second"));
    let server = server("", &[at(&nowhere(), ""), openai(&second)]);
    assert_eq!(answer(&server), "second");
}

#[test]
fn what_fails_before_its_first_token_is_asked_of_the_next() {
    let table: [(&str, Script, &str); 19] = [
        ("closed", |_| {}, ""),
        ("reset", Exchange::reset, ""),
        ("500", |e| e.answer("500 Oh", "", ""), ""),
        ("503", |e| e.answer("503 Full", "", ""), ""),
        (
            "429",
            |e| e.answer("429 Wait", "Retry-After: 7\r\n", ""),
            "",
        ),
        ("401", |e| e.answer("401 Who", "", ""), ""),
        ("404", |e| e.answer("404 Where", "", ""), ""),
        (
            "an event that is no chunk",
            |e| {
                e.raw(EVENTS);
                e.event(json!({"hello": "world"}));
                e.finish("stop");
            },
            "",
        ),
        (
            "an end without anything",
            |e| {
                e.raw(EVENTS);
                e.event("[DONE]");
                e.chunk("");
            },
            "",
        ),
        (
            "a redirect",
            |e| e.answer("302 Found", "Location: /\r\n", ""),
            "",
        ),
        (
            "no HTTP",
            |e| e.raw("220 mail.example.com ESMTP\r\n\r\n"),
            "",
        ),
        (
            "no stream",
            |e| e.answer("200 OK", "Content-Type: application/json\r\n", "{}"),
            "",
        ),
        (
            "an end without a token",
            |e| {
                e.raw(EVENTS);
                e.event(json!({"choices": [{"delta": {"role": "assistant", "content": ""}}]}));
                e.chunk("");
            },
            "",
        ),
        (
            "a tool call of nothing, and a cut",
            |e| {
                e.raw(EVENTS);
                e.event(json!({"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]}));
            },
            "",
        ),
        (
            "an error in the stream",
            |e| {
                e.raw(EVENTS);
                e.event(json!({"error": {"message": "out of memory"}}));
                e.chunk("");
            },
            "",
        ),
        (
            "no chunk of a completion",
            |e| {
                e.raw(EVENTS);
                e.event("<html>");
            },
            "",
        ),
        ("no head", Exchange::hold, "first_token_timeout = \"200ms\""),
        (
            "no token",
            |e| {
                e.raw(EVENTS);
                e.hold();
            },
            "first_token_timeout = \"200ms\"",
        ),
        (
            "no token, and only the whole has a bound",
            Exchange::hold,
            "total_timeout = \"200ms\"",
        ),
    ];
    for (fault, script, settings) in table {
        let first = upstream(script);
        let second = upstream(|e| says(e, "second"));
        let server = server("", &[at(&first.url(), settings), openai(&second)]);
        let started = Instant::now();
        assert_eq!(answer(&server), "second", "{fault}");
        assert!(started.elapsed() < Duration::from_secs(2), "{fault}");
        assert_eq!(first.seen().len(), 1, "{fault}");
        assert_eq!(second.seen().len(), 1, "{fault}");
    }
}

/// An answer may have no token at all, and be complete.
#[test]
fn an_empty_answer_is_one() {
    let first = upstream(|e| {
        e.raw(EVENTS);
        e.finish("content_filter");
    });
    let second = upstream(|e| says(e, "second"));
    let server = server("", &[openai(&first), openai(&second)]);
    let events = ask(&server);
    let last = &events.last().unwrap().data;
    assert_eq!(last["finish_reason"], "content_filter", "{last}");
    assert!(second.seen().is_empty());
}

#[test]
fn a_request_that_is_refused_is_refused_everywhere() {
    let first = upstream(|e| {
        let said = r#"{"error": {"message": "the prompt is too long"}}"#;
        e.answer("400 No", "", said);
    });
    let second = upstream(|e| says(e, "second"));
    let server = server("rounds = 3", &[openai(&first), openai(&second)]);
    let error = error(&server);
    assert_eq!(error["code"], "upstream_refused");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("the prompt is too long"), "{message}");
    assert_eq!((first.seen().len(), second.seen().len()), (1, 0));
}

#[test]
fn after_the_first_token_nothing_is_repeated() {
    let table: [(Script, &str); 4] = [
        (|_| {}, "upstream_incomplete"),
        (Exchange::hold, "idle_timeout"),
        (
            |e| e.event(json!({"error": {"message": "out of memory"}})),
            "upstream_error",
        ),
        (|e| e.event("<html>"), "upstream_invalid"),
    ];
    for (script, code) in table {
        let first = upstream(move |e| {
            e.raw(EVENTS);
            e.text("x");
            script(e);
        });
        let second = upstream(|e| says(e, "second"));
        let first_one = at(&first.url(), "idle_timeout = \"200ms\"");
        let server = server("rounds = 3", &[first_one, openai(&second)]);
        let events = ask(&server);
        assert_eq!(text(&events), "x", "{code}");
        assert_eq!(events.last().unwrap().data["error"]["code"], code);
        assert_eq!((first.seen().len(), second.seen().len()), (1, 0), "{code}");
    }
}

#[test]
fn when_all_fail_each_is_asked_as_often_as_configured() {
    for rounds in [1, 2, 4] {
        let first = upstream(|e| e.answer("500 Oh", "", ""));
        let second = upstream(|_| {});
        let settings = format!("rounds = {rounds}");
        let server = server(&settings, &[openai(&first), openai(&second)]);
        let started = Instant::now();
        let error = error(&server);
        assert_eq!(error["code"], "upstream_incomplete", "the last one's");
        assert_eq!(error["retryable"], true);
        assert_eq!((first.seen().len(), second.seen().len()), (rounds, rounds));
        // Between the rounds at most 100, 200 and 400 ms.
        assert!(started.elapsed() < Duration::from_secs(2));
    }
}

#[test]
fn upstreams_of_several_kinds_serve_one_model_each_by_its_own_name() {
    let claude = upstream(|e| e.answer("529 Overloaded", "", ""));
    let local = upstream(|e| says(e, "local"));
    let named = "model = \"claude-real\"";
    let before = server("", &[anthropic(&claude, named), openai(&local)]);
    assert_eq!(answer(&before), "local");
    assert_eq!(claude.seen()[0].json()["model"], "claude-real");
    assert_eq!(local.seen()[0].json()["model"], "chat", "the public name");

    let local = upstream(|e| e.answer("500 Oh", "", ""));
    let claude = upstream(|e| anthropic_says(e, "claude"));
    let named = at(&local.url(), "model = \"real\"");
    let server = server("", &[named, anthropic(&claude, "")]);
    assert_eq!(answer(&server), "claude");
    assert_eq!(local.seen()[0].json()["model"], "real");
    assert_eq!(claude.seen()[0].json()["model"], "chat");
}

/// What Anthropic's API does not have.
pub fn only_for_openai() -> Value {
    json!({
        "model": "chat", "messages": [{"role": "user", "content": "x"}],
        "response_format": {"type": "json_object"},
    })
}

#[test]
fn a_prompt_goes_only_to_those_who_can_serve_it() {
    let claude = upstream(|e| anthropic_says(e, "claude"));
    let local = upstream(|e| says(e, "local"));
    let mixed = server("", &[anthropic(&claude, ""), openai(&local)]);
    let post = |server: &Server| {
        let request = server.post("/v1/chat/completions");
        request.json(&only_for_openai()).send()
    };
    let completion = post(&mixed).json();
    assert_eq!(completion["choices"][0]["message"]["content"], "local");
    assert!(claude.seen().is_empty());
    assert_eq!(answer(&mixed), "claude", "other prompts as ever");

    let local = upstream(|e| e.answer("500 Oh", "", ""));
    let failing = server("rounds = 2", &[anthropic(&claude, ""), openai(&local)]);
    assert_eq!(post(&failing).status, 502);
    assert_eq!((claude.seen().len(), local.seen().len()), (1, 2));

    let alone = server("", &[anthropic(&claude, "")]);
    let response = post(&alone);
    assert_eq!(response.status, 422);
    assert_eq!(response.json()["error"]["param"], "response_format");
}
