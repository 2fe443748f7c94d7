//! What servers that speak OpenAI's API do otherwise than OpenAI: reasons that are none, tool calls
//! without numbers, counts of nothing, errors in the stream.

use serde_json::{Value, json};

use crate::server::Server;
use crate::sse::{Event, check_whole, text};
use crate::upstream::{EVENTS, Exchange, Then, Upstream};

fn server(upstream: &Upstream, more: &str) -> Server {
    Server::with(&format!(
        "models.up = {{ generator = \"openai\", base_url = \"{}\"{more} }}\ngeneration.idle_timeout = \"400ms\"\n",
        upstream.url()
    ))
}

fn upstream(script: impl Fn(&mut Exchange) + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |_, exchange| {
        exchange.raw(EVENTS);
        script(exchange);
        Then::Close
    })
}

/// The events of a generation whose upstream streams this.
fn events(script: impl Fn(&mut Exchange) + Send + Sync + 'static) -> Vec<Event> {
    let upstream = upstream(script);
    let server = server(&upstream, "");
    let request = server.post("/v1/streams");
    let body = json!({"model": "up", "prompt": "tell me about rivers"});
    let events = request.json(&body).send().events().rest();
    check_whole(&events);
    events
}

fn chunk(delta: Value, finish_reason: Value) -> Value {
    let mut choice = json!({"index": 0});
    choice["delta"] = delta;
    choice["finish_reason"] = finish_reason;
    json!({ "choices": [choice] })
}

/// Some servers say it in every chunk. A cut or a pause is then no end.
#[test]
fn a_finish_reason_that_names_none_is_none() {
    for reason in ["", "null"] {
        let said = move |text: &str| chunk(json!({"content": text}), reason.into());
        let cut = events(move |exchange| {
            exchange.event(said("a"));
            exchange.event(said("b"));
            exchange.chunk("");
        });
        assert_eq!(text(&cut), "ab");
        let error = &cut.last().unwrap().data["error"];
        assert_eq!(error["code"], "upstream_incomplete", "{reason:?}");
        let stalled = events(move |exchange| {
            exchange.event(said("a"));
            exchange.hold();
        });
        let error = &stalled.last().unwrap().data["error"];
        assert_eq!(error["code"], "idle_timeout", "{reason:?}");
        let whole = events(move |exchange| {
            exchange.event(said("a"));
            exchange.event(chunk(json!({}), "length".into()));
            exchange.event(said(""));
            exchange.event("[DONE]");
        });
        let done = &whole.last().unwrap().data;
        assert_eq!(done["finish_reason"], "length", "{reason:?}");
    }
}

/// Some never say why they end, and some add things of their own after that.
#[test]
fn an_answer_that_ends_without_a_reason_and_one_with_more_after_it_are_complete() {
    let unreasoned = events(|exchange| {
        exchange.text("a");
        exchange.event("[DONE]");
    });
    assert_eq!(text(&unreasoned), "a");
    assert_eq!(unreasoned.last().unwrap().data["finish_reason"], "stop");
    let more = events(|exchange| {
        exchange.event(json!({"choices": null, "id": "1"}));
        exchange.text("a");
        exchange.event(chunk(json!({}), "length".into()));
        exchange.event(json!({"cost": 1}));
        exchange.event("[DONE]");
    });
    assert_eq!(text(&more), "a");
    assert_eq!(more.last().unwrap().data["finish_reason"], "length");
}

/// The finish reason of a failure.
#[test]
fn an_answer_that_finishes_with_an_error_has_failed() {
    let events = events(|exchange| {
        exchange.text("a");
        exchange.finish("error");
    });
    let error = &events.last().unwrap().data["error"];
    assert_eq!(error["code"], "upstream_error");
}

/// The tool calls of these chunks as a client merges them: id, name, arguments.
fn calls(chunks: Vec<Value>) -> Vec<(String, String, String)> {
    let events = events(move |exchange| {
        for calls in &chunks {
            exchange.event(chunk(json!({"tool_calls": calls}), Value::Null));
        }
        exchange.finish("tool_calls");
    });
    let mut calls: Vec<(String, String, String)> = Vec::new();
    for event in events.iter().filter(|event| event.kind == "tool_call") {
        let at = usize::try_from(event.data["index"].as_u64().unwrap()).unwrap();
        assert!(at <= calls.len(), "{}", event.data);
        if at == calls.len() {
            calls.push(Default::default());
        }
        let said = |name: &str| event.data[name].as_str().unwrap_or_default().to_owned();
        calls[at].0 += &said("id");
        calls[at].1 += &said("name");
        calls[at].2 += &said("arguments");
    }
    calls
}

fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
    (id.into(), name.into(), arguments.into())
}

#[test]
fn tool_calls_without_an_index_are_told_apart() {
    let whole = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let more = |arguments: &str| json!({"function": {"arguments": arguments}});
    let two = vec![call("a", "f", "{}"), call("b", "f", "{\"x\":1}")];
    // Each in a chunk of its own, as Gemini has them.
    assert_eq!(
        calls(vec![
            json!([whole("a", "{}")]),
            json!([whole("b", "{\"x\":1}")])
        ]),
        two
    );
    // All in one.
    assert_eq!(
        calls(vec![json!([whole("a", "{}"), whole("b", "{\"x\":1}")])]),
        two
    );
    // In fragments, whose later ones have no id, an empty one, or the same.
    assert_eq!(
        calls(vec![
            json!([whole("a", "{")]),
            json!([more("}")]),
            json!([whole("b", "{\"x\"")]),
            json!([{"id": "", "function": {"name": "", "arguments": ":"}}]),
            json!([{"function": {"arguments": "1}"}}]),
        ]),
        two
    );
    // Without ids: a name begins a call.
    let nameless = |name: &str| json!({"function": {"name": name, "arguments": "{}"}});
    assert_eq!(
        calls(vec![
            json!([nameless("f"), nameless("g")]),
            json!([nameless("h")])
        ]),
        [
            call("", "f", "{}"),
            call("", "g", "{}"),
            call("", "h", "{}")
        ]
    );
    // Where there is an index, it counts.
    assert_eq!(
        calls(vec![
            json!([{"index": 0, "id": "a", "function": {"name": "f"}}, {"index": 1, "id": "b", "function": {"name": "f"}}]),
            json!([{"index": 1, "function": {"arguments": "{\"x\":1}"}}]),
            json!([{"index": 0, "function": {"arguments": "{}"}}]),
        ]),
        two
    );
}

#[test]
fn counts_of_nothing_are_not_believed() {
    let zero = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
    for usage in [zero, json!({}), json!({"prompt_tokens": null})] {
        let mut early = chunk(json!({"content": "a"}), Value::Null);
        early["usage"] = usage.clone();
        let late = json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9}});
        // Ours are five for the 20 bytes of the prompt, and one for each delta.
        for (last, expected) in [
            (late, [3, 9]),
            (json!({"choices": [], "usage": usage.clone()}), [5, 2]),
            (
                json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 0}}),
                [7, 2],
            ),
        ] {
            let early = early.clone();
            let events = events(move |exchange| {
                exchange.event(&early);
                exchange.event(&early);
                exchange.event(chunk(json!({}), "stop".into()));
                exchange.event(&last);
                exchange.event("[DONE]");
            });
            let usage = &events.last().unwrap().data["usage"];
            let counts = ["prompt_tokens", "completion_tokens"].map(|name| usage[name].clone());
            assert_eq!(counts, expected.map(Value::from));
        }
    }
}

/// What an upstream says in its stream is passed on if it is about the request, and only then.
#[test]
fn errors_in_the_stream_tell_no_secrets() {
    let said = "geheim sk-1234";
    let error = |code: Value, kind: &str| json!({"message": said, "code": code, "type": kind});
    let table = [
        (json!(said), "upstream_error", true, false),
        (json!({"message": said}), "upstream_error", true, false),
        (
            error(500.into(), "server_error"),
            "upstream_error",
            true,
            false,
        ),
        (
            error(400.into(), "BadRequestError"),
            "upstream_refused",
            false,
            true,
        ),
        (error("413".into(), ""), "upstream_refused", false, true),
        (
            error("context_length_exceeded".into(), "invalid_request_error"),
            "upstream_refused",
            false,
            true,
        ),
        (
            error(Value::Null, "exceed_context_size_error"),
            "upstream_refused",
            false,
            true,
        ),
        (
            json!({"message": said, "status": "INVALID_ARGUMENT", "code": 400}),
            "upstream_refused",
            false,
            true,
        ),
        (
            error("invalid_api_key".into(), "invalid_request_error"),
            "upstream_error",
            false,
            false,
        ),
        (error(401.into(), ""), "upstream_error", false, false),
        (
            error(404.into(), "NotFoundError"),
            "upstream_error",
            false,
            false,
        ),
        (
            error("model_not_found".into(), "invalid_request_error"),
            "upstream_error",
            false,
            false,
        ),
        (
            json!({"message": said, "status": "PERMISSION_DENIED"}),
            "upstream_error",
            false,
            false,
        ),
        (
            error(500.into(), "invalid_request_error"),
            "upstream_error",
            true,
            false,
        ),
        (error(429.into(), ""), "upstream_rate_limited", true, false),
        (
            error("insufficient_quota".into(), "insufficient_quota"),
            "upstream_rate_limited",
            true,
            false,
        ),
        (
            json!({"message": said, "status": "RESOURCE_EXHAUSTED"}),
            "upstream_rate_limited",
            true,
            false,
        ),
    ];
    for (error, code, retryable, is_told) in table {
        let what = error.to_string();
        let events = events(move |exchange| {
            exchange.text("x");
            exchange.event(json!({ "error": error }));
        });
        let failure = &events.last().unwrap().data["error"];
        assert_eq!(failure["code"], code, "{what}");
        assert_eq!(failure["retryable"], retryable, "{what}");
        let message = failure["message"].as_str().unwrap();
        assert_eq!(message.contains("geheim"), is_told, "{what}: {message}");
    }
}

#[test]
fn refusals_about_billing_proxies_and_keys_tell_no_secrets() {
    let bad_key = r#"{"error":{"message":"geheim","code":"invalid_api_key"}}"#;
    let body = r#"{"error":{"message":"geheim"}}"#;
    for (status, body) in [
        ("402 Payment Required", body),
        ("407 Proxy Authentication Required", body),
        ("404 Not Found", body),
        ("400 Bad Request", bad_key),
    ] {
        let upstream = Upstream::start(move |_, exchange| {
            exchange.answer(status, "", body);
            Then::Close
        });
        let server = server(&upstream, "");
        let request = server.post("/v1/streams");
        let body = json!({"model": "up", "prompt": "x"});
        let events = request.json(&body).send().events().rest();
        let error = &events.last().unwrap().data["error"];
        assert_eq!(error["code"], "upstream_error", "{status}");
        assert_eq!(error["retryable"], false, "{status}");
        assert!(!error["message"].as_str().unwrap().contains("geheim"));
        let messages = json!([{"role": "user", "content": "x"}]);
        let request = server.post("/v1/chat/completions");
        let request = request.json(&json!({"model": "up", "messages": messages}));
        assert_eq!(request.send().status, 502, "{status}");
    }
}

/// Newer models of OpenAI's refuse `max_tokens`, and some servers know no other name.
#[test]
fn the_limit_goes_on_under_the_name_that_was_used() {
    let (older, newer) = ("max_tokens", "max_completion_tokens");
    let both = json!({(older): 5, (newer): 7});
    for (setting, body, expected) in [
        ("", json!({(older): 7}), older),
        ("", json!({(newer): 7}), newer),
        ("", both.clone(), newer),
        (newer, json!({(older): 7}), newer),
        (older, json!({(newer): 7}), older),
        (older, both, older),
    ] {
        let upstream = upstream(|exchange| exchange.finish("stop"));
        let server = server(
            &upstream,
            &match setting {
                "" => String::new(),
                name => format!(", max_tokens_field = \"{name}\""),
            },
        );
        let mut chat = body;
        chat["model"] = "up".into();
        chat["messages"] = json!([{"role": "user", "content": "x"}]);
        let answer = server.post("/v1/chat/completions").json(&chat).send();
        assert_eq!(answer.status, 200);
        if setting.is_empty() || chat.get(newer).is_none() {
            let native = json!({"model": "up", "prompt": "x", (older): 7});
            server
                .post("/v1/streams")
                .json(&native)
                .send()
                .events()
                .rest();
        }
        for (at, seen) in upstream.seen().iter().enumerate() {
            let (asked, native) = (seen.json(), at == 1 && setting.is_empty());
            let expected = if native { older } else { expected };
            let other = if expected == older { newer } else { older };
            assert_eq!(asked[expected], 7, "{setting} {chat}");
            assert!(asked.get(other).is_none(), "{setting} {chat}");
        }
    }
}
