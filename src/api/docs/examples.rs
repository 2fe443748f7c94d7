//! The examples of the OpenAPI document: requests that work as they stand, and, in `answers`, what the
//! server answers. Tests send each request, and check each example against its schema.

mod answers;

use serde_json::{Value, json};
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::{Content, OpenApi, RefOr};

use self::answers::answers;

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
