//! The examples of the OpenAPI document: requests that work as they stand, and what the server
//! answers. Tests send each request, and check each example against its schema.

use serde_json::{Value, json};
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::{Content, OpenApi, RefOr};

use crate::api::problem::{ApiError, Code};

const STREAM: &str = "01a1fb215cf474538c6442ebd4a9f1c3";
const QUESTION: &str = "Tell me about lighthouse keepers";

/// A name, what it shows, and the value.
type Named = (&'static str, &'static str, Value);

/// Puts them where they belong.
pub(super) fn add(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let id = if path.starts_with("/v1/models") {
                "demo"
            } else {
                STREAM
            };
            describe(operation, id);
        }
    }
}

fn describe(operation: &mut Operation, path_id: &str) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && parameter.parameter_in == ParameterIn::Path
        {
            let described = ParameterBuilder::from(parameter.clone());
            *parameter = described.example(Some(path_id.into())).build();
        }
    }
    let id = operation.operation_id.clone().unwrap_or_default();
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for content in body.content.values_mut() {
            put(content, requests(&id));
        }
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        for (kind, content) in &mut response.content {
            put(content, answers(&id, status, kind));
        }
    }
}

fn put(content: &mut RefOr<Content>, examples: Vec<Named>) {
    let RefOr::T(content) = content else { return };
    for (name, summary, value) in examples {
        let example: Example = ExampleBuilder::new()
            .summary(summary)
            .value(Some(value))
            .into();
        content.examples.insert(name.to_owned(), RefOr::T(example));
    }
}

/// Names sort, and the page shows the first: so they begin with a digit.
fn requests(operation: &str) -> Vec<Named> {
    let user = |text: &str| json!({"role": "user", "content": text});
    let weather = json!([{
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather in a city, now",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }]);
    match operation {
        "createStream" => vec![
            ("1-prompt", "A prompt", json!({"prompt": QUESTION})),
            (
                "2-messages",
                "A conversation",
                json!({
                    "model": "demo",
                    "messages": [
                        {"role": "system", "content": "Answer in two sentences."},
                        user(QUESTION),
                        {"role": "assistant", "content": "They kept the lamps burning."},
                        user("And who pays them?"),
                    ],
                }),
            ),
            (
                "3-parameters",
                "Sampling, and how it ends",
                json!({
                    "prompt": QUESTION, "max_tokens": 60, "temperature": 0.7, "top_p": 0.9,
                    "stop": ["\n\n"], "seed": 7,
                }),
            ),
            (
                "4-tools",
                "Tools (the demo does not call them)",
                json!({
                    "messages": [user("Do I need an umbrella in Oslo?")],
                    "tools": weather, "tool_choice": "auto",
                }),
            ),
            (
                "5-background",
                "To its end, whoever reads",
                json!({
                    "prompt": QUESTION, "on_disconnect": "continue",
                    "metadata": {"conversation": "42"},
                }),
            ),
            (
                "6-slow-with-reasoning",
                "The demo, thinking and slow",
                json!({
                    "prompt": QUESTION,
                    "metadata": {
                        "demo.reasoning": "12", "demo.tokens": "40", "demo.tokens_per_second": "10",
                    },
                }),
            ),
            (
                "7-failing",
                "The demo, failing in the middle",
                json!({"prompt": QUESTION, "metadata": {"demo.fail_after": "10"}}),
            ),
        ],
        "createChatCompletion" => vec![
            (
                "1-whole",
                "One answer",
                json!({"model": "demo", "messages": [user(QUESTION)], "max_tokens": 40}),
            ),
            (
                "2-streamed",
                "Chunks as they come, with the usage",
                json!({
                    "model": "demo", "messages": [user(QUESTION)],
                    "stream": true, "stream_options": {"include_usage": true},
                }),
            ),
            (
                "3-tools",
                "Tools (the demo does not call them)",
                json!({
                    "model": "demo", "messages": [user("Do I need an umbrella in Oslo?")],
                    "tools": weather, "stream": true,
                }),
            ),
        ],
        _ => Vec::new(),
    }
}

fn answers(operation: &str, status: &str, kind: &str) -> Vec<Named> {
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
