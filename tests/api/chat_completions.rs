//! OpenAI's chat completions: the shape of each chunk, failures before and after the headers, and
//! the stream behind them.

use serde_json::{Value, json};

use crate::client::Response;
use crate::server::{Server, wait_for};
use crate::upstream::{EVENTS, Exchange, Then, Upstream};

fn ask(server: &Server, body: Value) -> Response {
    let mut whole = json!({"messages": [{"role": "user", "content": "Tell me about rivers"}]});
    for (name, value) in body.as_object().unwrap() {
        whole[name] = value.clone();
    }
    server.post("/v1/chat/completions").json(&whole).send()
}

fn knobs(knobs: Value) -> Value {
    crate::server::prompt(knobs)["metadata"].clone()
}

/// The chunks of an answer that streams; nothing but `data:` lines, ended by `[DONE]`.
fn chunks(response: Response) -> Vec<Value> {
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    let body = String::from_utf8(response.bytes()).unwrap();
    let body = body.strip_suffix("data: [DONE]\n\n").unwrap();
    let events = body.strip_suffix("\n\n").unwrap().split("\n\n");
    events
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect()
}

fn upstream(script: impl Fn(&mut Exchange) + Send + Sync + 'static) -> (Upstream, Server) {
    let upstream = Upstream::start(move |_, exchange| {
        script(exchange);
        Then::Close
    });
    let server = Server::with(&format!(
        "models.up = {{ generator = \"openai\", base_url = \"{}\" }}\n\
         generation.first_token_timeout = \"300ms\"\ngeneration.idle_timeout = \"300ms\"\n",
        upstream.url()
    ));
    (upstream, server)
}

#[test]
fn chunks_have_the_documented_shape() {
    let server = Server::start();
    let response = ask(
        &server,
        json!({"stream": true, "stream_options": {"include_usage": true}, "metadata": knobs(json!({"tokens": 3, "reasoning": 1}))}),
    );
    let stream = response.header("x-stream-id").unwrap().to_owned();
    let chunks = chunks(response);
    for chunk in &chunks {
        assert_eq!(chunk["id"], format!("chatcmpl-{stream}"));
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["model"], "demo");
        assert!(chunk["created"].is_u64() && chunk["choices"].is_array());
    }
    let deltas: Vec<&Value> = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"])
        .collect();
    assert_eq!(deltas[0], &json!({"role": "assistant", "content": ""}));
    assert!(deltas[1]["reasoning_content"].is_string());
    assert!(deltas[2]["content"].is_string());
    let [.., finish, usage] = chunks.as_slice() else {
        panic!()
    };
    assert_eq!(finish["choices"][0]["delta"], json!({}));
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(finish["usage"], Value::Null);
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["completion_tokens"], 4);
    let without = chunks_of(
        &server,
        json!({"stream": true, "metadata": knobs(json!({"tokens": 1}))}),
    );
    assert!(without.iter().all(|chunk| chunk.get("usage").is_none()));
}

fn chunks_of(server: &Server, body: Value) -> Vec<Value> {
    chunks(ask(server, body))
}

#[test]
fn an_answer_at_once_is_the_same_text() {
    let server = Server::start();
    let whole = ask(&server, json!({"max_tokens": 30})).json();
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
    assert_eq!(whole["usage"]["completion_tokens"], 30);
    let text: String = chunks_of(&server, json!({"max_tokens": 30, "stream": true}))
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(whole["choices"][0]["message"]["content"], text);
}

#[test]
fn tool_calls_and_unknown_fields_pass_through_and_come_back() {
    let (upstream, server) = upstream(|exchange| {
        exchange.raw(EVENTS);
        for delta in [
            json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{\"x\""}}]}),
            json!({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
        ] {
            exchange.event(json!({"choices": [{"index": 0, "delta": delta}]}));
        }
        exchange.finish("tool_calls");
    });
    let image = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]);
    let body = json!({
        "model": "up", "messages": [{"role": "user", "content": image, "name": "ann"}],
        "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto", "brand_new": [1, {"a": null}],
    });
    let whole = ask(&server, body.clone()).json();
    let message = &whole["choices"][0]["message"];
    assert_eq!(message["content"], Value::Null);
    assert_eq!(
        message["tool_calls"],
        json!([
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ])
    );
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    let asked = upstream.seen()[0].json();
    for field in ["messages", "tools", "tool_choice", "brand_new"] {
        assert_eq!(asked[field], body[field], "{field}");
    }
}

#[test]
fn a_failure_before_the_first_token_has_a_status_of_its_own() {
    type Script = fn(&mut Exchange);
    let table: [(Script, u16, &str, bool); 10] = [
        (
            |e| e.answer("429 Too Many Requests", "", ""),
            429,
            "upstream_rate_limited",
            true,
        ),
        (
            |e| e.answer("400 Bad Request", "", r#"{"error":{"message":"too long"}}"#),
            400,
            "upstream_refused",
            false,
        ),
        // Our own credentials: the same again next time.
        (
            |e| e.answer("401 Unauthorized", "Retry-After: 3\r\n", ""),
            502,
            "upstream_error",
            false,
        ),
        (|e| e.answer("500 Oh", "", ""), 502, "upstream_error", true),
        (
            |e| e.answer("200 OK", "Content-Type: text/html\r\n", "<html>"),
            502,
            "upstream_invalid",
            false,
        ),
        (
            |e| e.answer("302 Found", "Location: /\r\n", ""),
            502,
            "upstream_invalid",
            false,
        ),
        (|e| e.raw("SSH-2.0-x\r\n"), 502, "upstream_invalid", false),
        (
            |e| {
                e.raw(EVENTS);
                e.event("{");
            },
            502,
            "upstream_invalid",
            false,
        ),
        (|_| {}, 502, "upstream_incomplete", true),
        (Exchange::hold, 504, "first_token_timeout", true),
    ];
    for (script, status, code, again) in table {
        let (_upstream, server) = upstream(script);
        for stream in [true, false] {
            let response = ask(&server, json!({"model": "up", "stream": stream}));
            assert_eq!(response.status, status, "{code}");
            assert_eq!(response.header("retry-after").is_some(), again, "{code}");
            let never = response.header("x-should-retry") == Some("false");
            assert_eq!(never, !again, "{code}");
            let problem = response.json();
            assert_eq!(problem["error"]["code"], code);
            assert_eq!(problem["type"], format!("/errors/{code}"));
            let explained = server.get(&format!("/errors/{code}")).anonymous().send();
            assert!(explained.text().starts_with(code));
        }
    }
}

#[test]
fn an_upstream_that_is_not_there_has_a_code_of_its_own() {
    let server = Server::with(
        "models.up = { generator = \"openai\", base_url = \"http://127.0.0.1:9/v1\" }\n",
    );
    let response = ask(&server, json!({"model": "up"}));
    assert_eq!(response.status, 502);
    assert!(response.header("retry-after").is_some());
    assert_eq!(response.code(), "upstream_unavailable");
}

/// What ends an answer in the middle is the status of one that is not a stream.
#[test]
fn an_answer_at_once_that_is_cut_has_a_status_of_its_own() {
    let server =
        Server::with("memory.max_stream_bytes = \"64KiB\"\ngeneration.total_timeout = \"300ms\"\n");
    for (knobs, status, code) in [
        (json!({"text": "huge"}), 502, "stream_too_large"),
        (json!({"stall_after": 2}), 504, "total_timeout"),
    ] {
        let response = ask(&server, json!({"metadata": self::knobs(knobs)}));
        assert_eq!(response.status, status, "{code}");
        assert_eq!(response.header("x-should-retry"), Some("false"), "{code}");
        assert_eq!(response.code(), code);
    }
}

#[test]
fn when_to_come_back_stands_in_the_header() {
    let (_upstream, server) = upstream(|e| e.answer("429 Slow", "Retry-After: 7\r\n", ""));
    let response = ask(&server, json!({"model": "up", "stream": true}));
    assert_eq!(response.header("retry-after"), Some("7"));
}

#[test]
fn a_failure_after_the_headers_is_an_error_and_then_the_end() {
    let server = Server::start();
    let chunks = chunks_of(
        &server,
        json!({"stream": true, "metadata": knobs(json!({"fail_after": 2}))}),
    );
    let last = chunks.last().unwrap();
    assert_eq!(last["error"]["code"], "generator_error");
    assert!(last.get("choices").is_none());
}

#[test]
fn silence_is_filled_with_chunks_that_say_nothing() {
    let server = Server::with("http.heartbeat = \"50ms\"\n");
    let chunks = chunks_of(
        &server,
        json!({"stream": true, "metadata": knobs(json!({"tokens": 1, "first_token_delay_ms": 400}))}),
    );
    let empty = chunks.iter().filter(|chunk| {
        chunk["choices"][0]["delta"] == json!({}) && chunk["choices"][0]["finish_reason"].is_null()
    });
    assert!(empty.count() >= 2);
}

/// Whoever is cut reads the rest by the native calls, if the request says that it shall go on.
#[test]
fn a_completion_that_was_cut_is_read_to_its_end_natively() {
    let server = Server::start();
    let knobs = knobs(json!({"tokens": 60, "tokens_per_second": 100}));
    let response = ask(
        &server,
        json!({"stream": true, "on_disconnect": "continue", "metadata": knobs}),
    );
    let id = response.header("x-stream-id").unwrap().to_owned();
    drop(response);
    let rest = server.events(&id, Some(&format!("{id}.0"))).events().rest();
    assert_eq!(rest.first().unwrap().data["seq"], 1);
    assert_eq!(rest.last().unwrap().kind, "done");
}

#[test]
fn leaving_cancels_at_once() {
    let server = Server::start();
    let knobs = knobs(json!({"stall_after": 2}));
    let response = ask(&server, json!({"stream": true, "metadata": knobs}));
    let id = response.header("x-stream-id").unwrap().to_owned();
    drop(response);
    assert_eq!(server.ended(&id)["finish_reason"], "cancelled");
}

/// Also when the answer is not a stream, and nothing has been said yet.
#[test]
fn leaving_an_answer_that_is_not_a_stream_cancels_too() {
    let server = Server::start();
    let body = json!({"messages": [{"role": "user", "content": "x"}], "metadata": knobs(json!({"stall_after": 0}))});
    let request = server.post("/v1/chat/completions").json(&body);
    let mut socket = crate::client::connect(server.address);
    std::io::Write::write_all(&mut socket, &request.bytes()).unwrap();
    let newest = || {
        let list = server.get("/v1/streams").send().json();
        Some(list["streams"][0].clone()).filter(|stream| !stream.is_null())
    };
    wait_for(newest);
    drop(socket);
    wait_for(|| newest().filter(|stream| stream["finish_reason"] == "cancelled"));
}

#[test]
fn the_same_key_attaches() {
    let server = Server::start();
    let ask = |content: &str| {
        let body = json!({"messages": [{"role": "user", "content": content}]});
        let request = server
            .post("/v1/chat/completions")
            .header("Idempotency-Key", "k");
        request.json(&body).send()
    };
    let first = ask("a").json();
    assert_eq!(ask("a").json(), first);
    assert_eq!(ask("b").status, 422);
}

#[test]
fn models_are_listed_by_their_names() {
    let server = Server::with("models.\"org/other:1\" = { generator = \"demo\" }\n");
    let list = server.get("/v1/models").send().json();
    let names: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["demo", "org/other:1"]);
    assert_eq!(
        server.get("/v1/models/org/other:1").send().json()["id"],
        "org/other:1"
    );
    let missing = server.get("/v1/models/none").send();
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json()["error"]["code"], "model_not_found");
}
