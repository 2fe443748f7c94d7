//! What the native API passes on as chat completions do: tools, parts of messages, and the like.

use std::sync::{Mutex, mpsc};

use serde_json::{Value, json};

use crate::server::Server;
use crate::sse::{check_whole, text};
use crate::upstream::{EVENTS, Then, Upstream};

/// A question with an image, a call that is read over two connections, and the answer to its result.
#[test]
fn a_tool_round_trip_survives_a_cut() {
    let (go_on, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let upstream = Upstream::start(move |seen, exchange| {
        exchange.raw(EVENTS);
        let found = seen.json()["messages"][2]["content"].clone();
        if found.is_null() {
            let fragment = |call: Value| json!({"choices": [{"delta": {"tool_calls": [call]}}]});
            exchange.event(fragment(json!({"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"at\":"}})));
            gate.lock().unwrap().recv().unwrap();
            exchange.event(fragment(
                json!({"index": 0, "function": {"arguments": "\"sea\"}"}}),
            ));
            exchange.finish("tool_calls");
        } else {
            exchange.text(found.as_str().unwrap());
            exchange.finish("stop");
        }
        Then::Keep
    });
    let server = Server::with(&format!(
        "models.up = {{ generator = \"openai\", base_url = \"{}\" }}\n",
        upstream.url()
    ));
    let question = json!({"role": "user", "name": "ann", "content": [
        {"type": "text", "text": "Is there wind?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
    ]});
    let more = json!({
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": false, "response_format": {"type": "text"}, "logprobs": true, "top_logprobs": 2,
        "reasoning_effort": "low",
    });
    let ask = |messages: Value| {
        let mut body = more.clone();
        body["model"] = "up".into();
        body["messages"] = messages;
        server.post("/v1/streams").json(&body).send().events()
    };
    let mut first = ask(json!([question]));
    let (start, call) = (first.expect(), first.expect());
    drop(first);
    let (id, _) = start.id.split_once('.').unwrap();
    let resumed = server.events(id, Some(&call.id)).events();
    go_on.send(()).unwrap();
    let events: Vec<_> = [start.clone(), call]
        .into_iter()
        .chain(resumed.rest())
        .collect();
    check_whole(&events);
    let fragments = events.iter().filter(|event| event.kind == "tool_call");
    let arguments: String = fragments
        .map(|event| event.data["arguments"].as_str().unwrap())
        .collect();
    assert_eq!(arguments, "{\"at\":\"sea\"}");
    assert_eq!(events.last().unwrap().data["finish_reason"], "tool_calls");
    let call = &events[1].data;
    let called = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": arguments}},
    ]});
    let found = json!({"role": "tool", "tool_call_id": call["id"], "content": "a breeze"});
    let conversation = json!([question, called, found]);
    assert_eq!(text(&ask(conversation.clone()).rest()), "a breeze");
    let seen = upstream.seen();
    assert_eq!(seen[0].json()["messages"], json!([question]));
    let last = seen[1].json();
    assert_eq!(last["messages"], conversation);
    for (name, value) in more.as_object().unwrap() {
        assert_eq!(&last[name], value, "{name}");
    }
}

#[test]
fn the_demo_ignores_them_and_a_program_gets_them() {
    let server = Server::with(
        "models.echo = { generator = \"command\", program = \"cat\", output = \"text\" }\n",
    );
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let messages = json!([
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c1"}]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "42"}]},
    ]);
    let ask = |model: &str| {
        let body = json!({"model": model, "messages": messages, "tools": tools, "tool_choice": "auto", "max_tokens": 5});
        server
            .post("/v1/streams")
            .json(&body)
            .send()
            .events()
            .rest()
    };
    assert_eq!(ask("demo").last().unwrap().data["finish_reason"], "length");
    let echoed: Value = serde_json::from_str(&text(&ask("echo"))).unwrap();
    assert_eq!(echoed["messages"], messages);
    assert_eq!(
        (&echoed["tools"], &echoed["tool_choice"]),
        (&tools, &json!("auto"))
    );
}
