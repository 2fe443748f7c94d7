//! What the server answers to each call, as examples: the errors are those that it would render itself.

use serde_json::{Value, json};

use super::{Named, QUESTION, STREAM};
use crate::api::problem::{ApiError, Code};

/// The examples of one call's answer with this status, in this form.
pub(super) fn answers(operation: &str, status: &str, kind: &str) -> Vec<Named> {
    let snapshot = |summary| vec![("snapshot", summary, running())];
    match (operation, status, kind) {
        ("createStream" | "followStream", "200", "text/event-stream" | "application/x-ndjson") => {
            events()
        }
        ("followStream", "200", "application/json") => vec![(
            "page",
            "One page",
            json!({
                "events": [
                    {"type": "token", "seq": 58, "text": " and"},
                    {"type": "token", "seq": 59, "text": " oil"},
                ],
                "last_event_id": format!("{STREAM}.59"),
                "closed": false,
            }),
        )],
        ("createStream", "202", _) => snapshot("It has begun"),
        ("getStream", "200", _) => vec![
            ("1-running", "It runs", running()),
            ("2-done", "It has ended", ended("stop", QUESTION)),
            ("3-error", "It failed", failed()),
        ],
        ("cancelStream", "202", _) => vec![(
            "cancelled",
            "It is cancelled",
            ended("cancelled", "Lighthouse"),
        )],
        ("listStreams", "200", _) => vec![(
            "streams",
            "Without their text",
            json!({"streams": [without_text(running()), without_text(failed())], "has_more": false}),
        )],
        ("createTicket", "201", _) => vec![(
            "ticket",
            "For an EventSource",
            json!({
                "ticket": "eyJ0eXAiOi...",
                "url": format!("/v1/streams/{STREAM}/events?ticket=eyJ0eXAiOi..."),
                "expires_at": 1_795_218_230,
            }),
        )],
        ("listModels", "200", _) => vec![(
            "models",
            "By name",
            json!({"object": "list", "data": [model()]}),
        )],
        ("watchServer", "200", _) => vec![
            (
                "1-drain",
                "It was told to stop, and lets its generations finish",
                json!({"type": "drain", "drain_left_ms": 30_000, "streams": 3}),
            ),
            (
                "2-end",
                "After ten minutes at most; then ask again",
                json!({"type": "end", "reason": "again"}),
            ),
        ],
        ("getModel", "200", _) => vec![("model", "The demo", model())],
        ("createChatCompletion", "200", "application/json") => {
            vec![("completion", "One answer", completion())]
        }
        ("createChatCompletion", "200", _) => vec![("chunks", "Chunks", chunks().into())],
        ("livez", ..) => vec![("ok", "It does", "ok\n".into())],
        ("readyz", "200", _) => vec![("ready", "It does", "ready\n".into())],
        ("readyz", ..) => vec![("draining", "It is being stopped", "draining\n".into())],
        (_, "4XX", _) => client_errors(operation),
        (_, "5XX", _) => vec![
            problem(
                Code::Overloaded,
                "503: full",
                "the server runs as many streams as it may",
            ),
            problem(
                Code::ServerStopping,
                "503: stopping",
                "the server is stopping; try another",
            ),
        ],
        _ => Vec::new(),
    }
}

fn client_errors(operation: &str) -> Vec<Named> {
    let mut found = vec![
        problem(
            Code::MissingCredentials,
            "401: no token",
            "send a token as `Authorization: Bearer <token>`",
        ),
        problem(
            Code::TokenExpired,
            "401: the token has expired",
            "the token has expired",
        ),
    ];
    if operation.starts_with("create") && operation != "createTicket" {
        let error = ApiError::field("temperature", "must be from 0 to 2");
        found.push(rendered("422: a wrong field", &error));
        found.push(problem(
            Code::RateLimited,
            "429: too many requests",
            "your plan's requests per minute are used up",
        ));
    }
    if operation.ends_with("Stream") || operation == "createTicket" {
        found.push(problem(
            Code::StreamNotFound,
            "404: no stream of yours",
            "there is no stream of yours with this id",
        ));
    }
    found
}

fn problem(code: Code, summary: &'static str, detail: &str) -> Named {
    rendered(summary, &ApiError::new(code, detail))
}

/// What a client would get, by the code that answers it.
fn rendered(summary: &'static str, error: &ApiError) -> Named {
    let problem = error.problem("0b2c8e7a4f6d4d0e9a1b3c5d7e9f1a2b");
    let body = serde_json::to_value(problem).unwrap_or_default();
    (error.code().name(), summary, body)
}

/// One of each kind. The text around them, which no schema can describe, stands in the description.
fn events() -> Vec<Named> {
    let usage = json!({"prompt_tokens": 8, "completion_tokens": 229, "total_tokens": 237});
    vec![
        (
            "1-start",
            "The first",
            json!({"type": "start", "seq": 0, "stream": STREAM, "model": "demo", "created": 1_795_214_630}),
        ),
        (
            "2-token",
            "A piece of the answer",
            json!({"type": "token", "seq": 1, "text": "You"}),
        ),
        (
            "3-reasoning",
            "A piece of the reasoning",
            json!({"type": "reasoning", "seq": 1, "text": "They ask"}),
        ),
        (
            "4-tool-call",
            "The first piece of a tool call",
            json!({
                "type": "tool_call", "seq": 1, "index": 0, "id": "call_1", "name": "weather",
                "arguments": "{\"city\":",
            }),
        ),
        (
            "5-done",
            "The end",
            json!({
                "type": "done", "seq": 230, "finish_reason": "stop", "usage": usage,
                "timing": {"first_token_ms": 151, "total_ms": 5877},
                "text_sha256": "457773ade5afd76d4e4301d0c3b23714bf0d68ee71208e132ceba0a573c54950",
            }),
        ),
        (
            "6-error",
            "The end, if it failed",
            json!({"type": "error", "seq": 11, "error": failure(), "usage": usage_of(10)}),
        ),
    ]
}

fn failure() -> Value {
    json!({"code": "upstream_error", "message": "the model's server failed", "retryable": true})
}

fn usage_of(completion: u64) -> Value {
    json!({"prompt_tokens": 8, "completion_tokens": completion, "total_tokens": completion + 8})
}

/// What all snapshots have.
fn snapshot(status: &str, last: u64, text: &str) -> Value {
    json!({
        "id": STREAM, "status": status, "model": "demo", "created": 1_795_214_630,
        "finish_reason": null, "usage": null, "error": null,
        "last_event_id": format!("{STREAM}.{last}"),
        "events_url": format!("/v1/streams/{STREAM}/events"),
        "text": text,
    })
}

fn running() -> Value {
    snapshot("running", 3, "You asked about")
}

fn ended(reason: &str, text: &str) -> Value {
    let mut it = snapshot("done", 5, text);
    it["finish_reason"] = reason.into();
    it["usage"] = usage_of(4);
    it
}

fn failed() -> Value {
    let mut it = snapshot("error", 11, "You asked about lighthouse");
    it["error"] = failure();
    it["usage"] = usage_of(10);
    it
}

fn without_text(mut snapshot: Value) -> Value {
    if let Some(members) = snapshot.as_object_mut() {
        members.remove("text");
    }
    snapshot
}

fn model() -> Value {
    json!({"id": "demo", "object": "model", "created": 1_795_214_630, "owned_by": "tailrace"})
}

fn completion() -> Value {
    json!({
        "id": format!("chatcmpl-{STREAM}"), "object": "chat.completion", "created": 1_795_214_630,
        "model": "demo",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "You asked about rivers.", "refusal": null},
            "logprobs": null, "finish_reason": "length",
        }],
        "usage": usage_of(5),
    })
}

fn chunks() -> String {
    let chunk = |delta: Value, reason: Value| {
        let chunk = json!({
            "id": format!("chatcmpl-{STREAM}"), "object": "chat.completion.chunk",
            "created": 1_795_214_630, "model": "demo",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        });
        format!("data: {chunk}\n\n")
    };
    [
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"content": "You"}), Value::Null),
        chunk(json!({}), "stop".into()),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat()
}
