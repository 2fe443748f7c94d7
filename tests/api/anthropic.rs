//! The `anthropic` generator before an upstream that does what a test tells it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{Program, tailrace};
use crate::server::{SECRET, Server, token, wait_for};
use crate::sse::{Event, check_whole, text};
use crate::upstream::{EVENTS, Exchange, Seen, Then, Upstream};

/// Sends an event with the name that its data has too.
fn event(exchange: &mut Exchange, data: Value) {
    let kind = data["type"].as_str().unwrap();
    exchange.chunk(format!("event: {kind}\ndata: {data}\n\n"));
}

/// The head, and what comes before the first token.
pub fn begin(exchange: &mut Exchange) {
    exchange.raw(EVENTS);
    let usage = json!({"input_tokens": 3, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 20, "output_tokens": 1});
    event(
        exchange,
        json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": [], "usage": usage}}),
    );
    start(exchange, 0, json!({"type": "text", "text": ""}));
    ping(exchange);
}

pub fn ping(exchange: &mut Exchange) {
    event(exchange, json!({"type": "ping"}));
}

fn start(exchange: &mut Exchange, index: u32, block: Value) {
    event(
        exchange,
        json!({"type": "content_block_start", "index": index, "content_block": block}),
    );
}

fn delta(exchange: &mut Exchange, index: u32, delta: Value) {
    event(
        exchange,
        json!({"type": "content_block_delta", "index": index, "delta": delta}),
    );
}

pub fn say(exchange: &mut Exchange, text: &str) {
    delta(exchange, 0, json!({"type": "text_delta", "text": text}));
}

fn stop(exchange: &mut Exchange, index: u32) {
    event(
        exchange,
        json!({"type": "content_block_stop", "index": index}),
    );
}

pub fn finish_reason(exchange: &mut Exchange, reason: &str) {
    event(
        exchange,
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 9}}),
    );
}

fn finish(exchange: &mut Exchange, reason: &str) {
    finish_reason(exchange, reason);
    event(exchange, json!({"type": "message_stop"}));
    exchange.chunk("");
}

fn failed(exchange: &mut Exchange, kind: &str) {
    event(
        exchange,
        json!({"type": "error", "error": {"type": kind, "message": "geheim"}}),
    );
}

fn server(upstream: &Upstream, more: &str) -> Server {
    Server::with(&format!(
        "models.up = {{ generator = \"anthropic\", base_url = \"http://{}\", model = \"real\" }}\n{more}",
        upstream.address
    ))
}

/// The events of a generation whose upstream does this.
fn events(script: impl Fn(&mut Exchange) + Send + Sync + 'static) -> Vec<Event> {
    let upstream = Upstream::start(move |_: &Seen, exchange: &mut Exchange| {
        script(exchange);
        Then::Close
    });
    let server = server(&upstream, "");
    let request = server.post("/v1/streams");
    let request = request.json(&json!({"model": "up", "prompt": "say it"}));
    let events = request.send().events().rest();
    check_whole(&events);
    events
}

#[test]
fn text_thinking_tool_calls_and_usage_come_through() {
    let events = events(|e| {
        begin(e);
        say(e, "Hel");
        ping(e);
        say(e, "lo \u{1F600}");
        stop(e, 0);
        start(e, 1, json!({"type": "thinking", "thinking": ""}));
        delta(e, 1, json!({"type": "thinking_delta", "thinking": "hm"}));
        delta(e, 1, json!({"type": "signature_delta", "signature": "s"}));
        stop(e, 1);
        let tool = |id| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
        let input = |json| json!({"type": "input_json_delta", "partial_json": json});
        start(e, 2, tool("a"));
        start(e, 3, tool("b"));
        delta(e, 2, input("{\"x\""));
        delta(e, 3, input("{\"y\":2}"));
        delta(e, 2, input(":1}"));
        stop(e, 2);
        stop(e, 3);
        finish(e, "tool_use");
    });
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    let mut expected = vec!["start", "token", "token", "reasoning"];
    expected.extend(["tool_call"; 5]);
    expected.push("done");
    assert_eq!(kinds, expected);
    assert_eq!(text(&events), "Hello \u{1F600}");
    let arguments = |index: u32| -> String {
        let calls = events
            .iter()
            .filter(|event| event.kind == "tool_call" && event.data["index"] == index);
        calls
            .map(|event| event.data["arguments"].as_str().unwrap())
            .collect()
    };
    assert_eq!(arguments(0), "{\"x\":1}");
    assert_eq!(arguments(1), "{\"y\":2}");
    assert_eq!(events[5].data["id"], "b");
    let done = &events[9].data;
    assert_eq!(done["finish_reason"], "tool_calls");
    assert_eq!(
        done["usage"],
        json!({"prompt_tokens": 23, "completion_tokens": 9, "total_tokens": 32})
    );
}

#[test]
fn the_upstream_gets_the_request_its_own_model_name_and_our_key_and_nothing_else() {
    let upstream = Upstream::start(|_, e| {
        begin(e);
        say(e, "x");
        finish(e, "end_turn");
        Then::Keep
    });
    let server = Server::with(&format!(
        "models.up = {{ generator = \"anthropic\", base_url = \"http://{}/\", model = \"real\", api_key_env = \"CARGO_PKG_NAME\", headers = {{ anthropic-beta = \"new\" }}, max_tokens = 77 }}\n",
        upstream.address
    ));
    let body = json!({
        "model": "up", "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "temperature": 1.5, "top_p": 0.9, "stop": ["a"], "seed": 7, "metadata": {"private": "note"},
    });
    for _ in 0..3 {
        let request = server.post("/v1/streams").json(&body);
        assert_eq!(text(&request.send().events().rest()), "x");
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(upstream.connections(), 1, "one connection serves all");
    let head = &seen[0].head;
    assert!(head.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{head}");
    assert_eq!(seen[0].header("x-api-key"), Some("tailrace"));
    assert_eq!(seen[0].header("authorization"), None);
    assert_eq!(seen[0].header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(seen[0].header("anthropic-beta"), Some("new"));
    assert!(!head.contains("eyJ"), "no token of the client's goes on");
    assert_eq!(
        seen[0].json(),
        json!({
            "model": "real", "max_tokens": 77, "stream": true, "temperature": 1.0, "top_p": 0.9, "stop_sequences": ["a"],
            "system": [{"type": "text", "text": "be brief"}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        })
    );
}

type Script = fn(&mut Exchange);

/// Each fault, what the stream's error is called, and whether it is worth another try.
#[test]
fn faults_have_codes() {
    let table: &[(&str, Script, &str, bool)] = &[
        (
            "overloaded in the stream",
            |e| {
                begin(e);
                say(e, "x");
                failed(e, "overloaded_error");
            },
            "upstream_error",
            true,
        ),
        (
            "too many in the stream",
            |e| {
                begin(e);
                failed(e, "rate_limit_error");
            },
            "upstream_rate_limited",
            true,
        ),
        (
            "400",
            |e| {
                let body = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: too many"}});
                e.answer("400 Bad Request", "", &body.to_string());
            },
            "upstream_refused",
            false,
        ),
        (
            "401",
            |e| {
                let body = json!({"type": "error", "error": {"type": "authentication_error", "message": "geheim"}});
                e.answer("401 Unauthorized", "", &body.to_string());
            },
            "upstream_error",
            false,
        ),
        (
            "429",
            |e| e.answer("429 Too Many Requests", "Retry-After: 7\r\n", "geheim"),
            "upstream_rate_limited",
            true,
        ),
        (
            "529",
            |e| e.answer("529 Overloaded", "Retry-After: 7\r\n", "geheim"),
            "upstream_error",
            true,
        ),
        (
            "cut in the middle",
            |e| {
                begin(e);
                say(e, "x");
                e.raw("ff\r\nevent: content");
            },
            "upstream_incomplete",
            true,
        ),
        (
            "an end without a reason",
            |e| {
                begin(e);
                say(e, "x");
                stop(e, 0);
                e.chunk("");
            },
            "upstream_incomplete",
            true,
        ),
        (
            "no JSON",
            |e| {
                begin(e);
                e.chunk("event: content_block_delta\ndata: geheim\n\n");
            },
            "upstream_invalid",
            false,
        ),
        (
            "a chunk of OpenAI's",
            |e| {
                e.raw(EVENTS);
                e.text("geheim");
            },
            "upstream_invalid",
            false,
        ),
    ];
    for (fault, script, code, retryable) in table {
        let events = events(*script);
        let last = events.last().unwrap();
        assert_eq!(last.kind, "error", "{fault}: {}", last.data);
        let error = &last.data["error"];
        assert_eq!(error["code"], *code, "{fault}: {error}");
        assert_eq!(error["retryable"], *retryable, "{fault}: {error}");
        let waits = ["429", "529"].contains(fault);
        let expected = if waits { json!(7000) } else { Value::Null };
        assert_eq!(error["retry_after_ms"], expected, "{fault}: {error}");
        let said = error["message"].as_str().unwrap();
        assert!(!said.contains("geheim"), "{fault}: {said}");
        assert_eq!(
            said.contains("max_tokens: too many"),
            *fault == "400",
            "{fault}: {said}"
        );
    }
}

#[test]
fn an_answer_that_is_complete_needs_no_end() {
    for script in [
        (|e| e.hold()) as Script,
        |e| e.chunk(""),
        |e| e.raw("ff\r\nevent: message_s"),
    ] {
        let started = Instant::now();
        let events = events(move |e| {
            begin(e);
            say(e, "x");
            finish_reason(e, "max_tokens");
            script(e);
        });
        assert_eq!(events.last().unwrap().data["finish_reason"], "length");
        assert!(started.elapsed() < Duration::from_secs(4));
    }
}

#[test]
fn cancelling_closes_the_upstream_connection() {
    let before_the_head: Script = Exchange::hold;
    let before_the_first_token: Script = |e| {
        begin(e);
        e.hold();
    };
    let in_the_middle: Script = |e| {
        begin(e);
        say(e, "x");
        e.hold();
    };
    for script in [before_the_head, before_the_first_token, in_the_middle] {
        let upstream = Upstream::start(move |_, exchange| {
            script(exchange);
            Then::Close
        });
        let server = server(&upstream, "");
        let request = server.post("/v1/streams").header("Prefer", "respond-async");
        let request = request.json(&json!({"model": "up", "prompt": "x"}));
        let id = request.send().json()["id"].as_str().unwrap().to_owned();
        wait_for(|| (!upstream.seen().is_empty()).then_some(()));
        let asked = Instant::now();
        server.post(&format!("/v1/streams/{id}/cancel")).send();
        assert!(upstream.left() - asked < Duration::from_secs(1));
        assert_eq!(server.ended(&id)["finish_reason"], "cancelled");
    }
}

/// OpenAI's clients call tools through it: the call goes out in their words, and so does the answer.
#[test]
fn a_round_of_tools_through_chat_completions() {
    let upstream = Upstream::start(|seen, e| {
        let asked = seen.json();
        let turns = asked["messages"].as_array().unwrap().len();
        begin(e);
        if turns == 1 {
            stop(e, 0);
            start(
                e,
                1,
                json!({"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}),
            );
            for json in ["", "{\"city\":", "\"Bern\"}"] {
                delta(
                    e,
                    1,
                    json!({"type": "input_json_delta", "partial_json": json}),
                );
            }
            stop(e, 1);
            finish(e, "tool_use");
        } else {
            say(e, "It rains.");
            stop(e, 0);
            finish(e, "end_turn");
        }
        Then::Keep
    });
    let server = server(&upstream, "");
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let mut messages = json!([{"role": "user", "content": "Weather in Bern?"}]);
    let ask = |messages: &Value| {
        let body = json!({
            "model": "up", "messages": messages, "tool_choice": "auto", "parallel_tool_calls": false, "n": 1,
            "tools": [{"type": "function", "function": {"name": "weather", "parameters": schema}}],
        });
        let request = server.post("/v1/chat/completions").json(&body);
        request.send().json()["choices"][0].clone()
    };
    let first = ask(&messages);
    assert_eq!(first["finish_reason"], "tool_calls");
    assert_eq!(
        first["message"]["tool_calls"],
        json!([{"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Bern\"}"}}])
    );
    let turns = messages.as_array_mut().unwrap();
    turns.push(first["message"].clone());
    turns.push(json!({"role": "tool", "tool_call_id": "toolu_1", "content": "rain"}));
    let second = ask(&messages);
    assert_eq!(second["message"]["content"], "It rains.");
    assert_eq!(second["finish_reason"], "stop");
    let asked = upstream.seen()[1].json();
    assert_eq!(
        asked["tools"],
        json!([{"name": "weather", "input_schema": schema}])
    );
    assert_eq!(
        asked["tool_choice"],
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );
    assert_eq!(
        asked["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "Weather in Bern?"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Bern"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "rain"}]}]},
        ])
    );
}

#[test]
fn what_cannot_be_asked_there_is_refused_before_anything_is_asked() {
    let upstream = Upstream::start(|_, _| Then::Close);
    let server = server(&upstream, "");
    for (field, value, named) in [
        (
            "response_format",
            json!({"type": "json_object"}),
            "response_format",
        ),
        ("logprobs", json!(true), "logprobs"),
        ("tools", json!([{"type": "custom"}]), "tools[0]"),
        (
            "messages",
            json!([{"role": "user", "content": [{"type": "input_audio"}]}]),
            "messages[0].content[0]",
        ),
    ] {
        let mut body =
            json!({"model": "up", "stream": true, "messages": [{"role": "user", "content": "x"}]});
        body[field] = value;
        let response = server.post("/v1/chat/completions").json(&body).send();
        assert_eq!(response.status, 422);
        let problem = response.json();
        assert_eq!(problem["error"]["param"], named, "{problem}");
    }
    assert!(upstream.seen().is_empty());
}

#[test]
fn the_key_is_in_no_log_and_no_error() {
    let upstream = Upstream::start(|seen, e| {
        let key = seen.header("x-api-key").unwrap().to_owned();
        match seen.json()["messages"][0]["content"][0]["text"].as_str() {
            Some("refuse") => e.answer("401 Unauthorized", "", &key),
            Some("fail") => e.answer("529 Overloaded", "", &key),
            Some("garble") => {
                begin(e);
                e.event(key);
            }
            _ => {
                begin(e);
                event(
                    e,
                    json!({"type": "error", "error": {"type": "authentication_error", "message": key}}),
                );
            }
        }
        Then::Close
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tailrace.toml");
    let config = format!(
        "models.up = {{ generator = \"anthropic\", base_url = \"http://{}\", api_key_env = \"THE_KEY\" }}\n\
         auth.keys = [{{ id = \"test\", algorithm = \"HS256\", secret = \"{SECRET}\" }}]\n",
        upstream.address
    );
    std::fs::write(&path, config).unwrap();
    let mut command = tailrace(directory.path());
    command
        .arg("--config")
        .arg(&path)
        .env("THE_KEY", "sk-ant-geheim")
        .env("TAILRACE_LOG__LEVEL", "trace");
    let program = Program::start(command);
    for prompt in ["refuse", "fail", "garble", "report"] {
        let events = crate::client::Request::new(program.address, "POST", "/v1/streams")
            .bearer(&token("ann"))
            .json(&json!({"prompt": prompt}))
            .send()
            .events()
            .rest();
        let last = &events.last().unwrap().data;
        assert_eq!(last["type"], "error");
        assert!(!last.to_string().contains("geheim"), "{last}");
    }
    assert_eq!(
        upstream.seen()[3].header("x-api-key"),
        Some("sk-ant-geheim")
    );
    let log = wait_for(|| {
        let log = program.log.lock().unwrap().clone();
        (log.matches("A stream ended").count() == 4).then_some(log)
    });
    let line = log.lines().find(|line| line.contains("status 401"));
    assert!(line.unwrap().contains("ERROR"), "{log}");
    let leak = log.lines().find(|line| line.contains("geheim"));
    assert_eq!(leak, None);
}
