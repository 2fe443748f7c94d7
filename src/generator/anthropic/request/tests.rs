//! What is said in Anthropic's words, and what is refused.

use serde_json::{Value, json};

use super::*;
use crate::generator::{Content, Message, Role};

/// A prompt of these fields of a chat completion.
fn prompt(body: Value) -> Prompt {
    let Value::Object(mut fields) = body else {
        panic!()
    };
    let messages = fields
        .remove("messages")
        .unwrap_or_else(|| json!([{"role": "user", "content": "hi"}]));
    let messages = messages.as_array().unwrap().iter().map(|message| {
        let mut more = message.as_object().unwrap().clone();
        let role: Role = serde_json::from_value(more.remove("role").unwrap()).unwrap();
        let content = match more.remove("content").unwrap_or_default() {
            Value::String(text) => Content::Text(text),
            Value::Array(parts) => Content::Parts(Some(parts)),
            _ => Content::Parts(None),
        };
        Message {
            role,
            content,
            more,
        }
    });
    Prompt {
        model: "claude".to_owned(),
        messages: messages.collect(),
        more: fields,
        ..Prompt::default()
    }
}

fn said(prompt: &Prompt) -> Value {
    let body = Body::new(prompt, None, 4096).unwrap_or_else(|error| panic!("{error}"));
    serde_json::from_slice(&body.to_json()).unwrap()
}

fn refused(body: Value) -> InvalidPrompt {
    let prompt = prompt(body);
    let body = Body::new(&prompt, None, 4096);
    body.map(|body| body.to_json()).unwrap_err()
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[test]
fn a_prompt_of_text() {
    let prompt = Prompt {
        max_tokens: Some(7),
        temperature: Some(0.5),
        top_p: Some(0.9),
        stop: vec!["a".to_owned()],
        seed: Some(1),
        metadata: [("private".to_owned(), "note".to_owned())].into(),
        messages: vec![
            Message::new(Role::System, "be brief"),
            Message::new(Role::User, "hi"),
        ],
        ..prompt(json!({}))
    };
    assert_eq!(
        said(&prompt),
        json!({
            "model": "claude", "max_tokens": 7, "stream": true, "temperature": 0.5, "top_p": 0.9,
            "stop_sequences": ["a"], "system": [text("be brief")],
            "messages": [{"role": "user", "content": [text("hi")]}],
        })
    );
    let body = Body::new(&prompt, Some("real"), 4096).unwrap();
    let said: Value = serde_json::from_slice(&body.to_json()).unwrap();
    assert_eq!(said["model"], "real");
}

#[test]
fn the_most_tokens_are_always_said() {
    assert_eq!(said(&prompt(json!({})))["max_tokens"], 4096);
    let newer = prompt(json!({"max_completion_tokens": 9}));
    assert_eq!(said(&newer)["max_tokens"], 9);
    for wrong in [json!(0), json!(-1), json!("many")] {
        let error = refused(json!({"max_completion_tokens": wrong}));
        assert_eq!(error.field, "max_completion_tokens");
    }
}

#[test]
fn a_higher_temperature_is_the_highest() {
    for (asked, expected) in [(0.0, 0.0), (1.0, 1.0), (1.5, 1.0), (2.0, 1.0)] {
        let prompt = Prompt {
            temperature: Some(asked),
            ..prompt(json!({}))
        };
        assert_eq!(said(&prompt)["temperature"], json!(expected));
    }
}

#[test]
fn turns_alternate_and_rules_stand_apart() {
    let said = said(&prompt(json!({"messages": [
        {"role": "developer", "content": [{"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": "a", "name": "ann"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": ""}]},
        {"role": "system", "content": "two"},
        {"role": "assistant", "content": "c", "refusal": null, "annotations": [], "reasoning_content": "hm"},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "user", "content": "d"},
    ]})));
    assert_eq!(
        said["system"],
        json!([{"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}, text("two")])
    );
    assert_eq!(
        said["messages"],
        json!([
            {"role": "user", "content": [text("a"), text("b")]},
            {"role": "assistant", "content": [text("c"), text("no")]},
            {"role": "user", "content": [text("d")]},
        ])
    );
}

#[test]
fn images_are_blocks() {
    let said = said(&prompt(json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "auto"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
    ]}]})));
    assert_eq!(
        said["messages"][0]["content"],
        json!([
            text("what is it?"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.jpg"}},
        ])
    );
}

#[test]
fn a_round_of_tools() {
    let said = said(&prompt(json!({"messages": [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
        ]},
        {"role": "tool", "tool_call_id": "a", "content": "42", "name": "f"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "ok"}]},
        {"role": "tool", "tool_call_id": "c", "content": ""},
        {"role": "user", "content": "and?"},
    ]})));
    assert_eq!(
        said["messages"],
        json!([
            {"role": "user", "content": [text("weather?")]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": [text("42")]},
                {"type": "tool_result", "tool_use_id": "b", "content": [text("ok")]},
                {"type": "tool_result", "tool_use_id": "c"},
                text("and?"),
            ]},
        ])
    );
}

#[test]
fn tools_and_their_choice() {
    let schema = json!({"type": "object", "properties": {"x": {"type": "integer"}}});
    let tools = json!([
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": true}},
        {"type": "function", "function": {"name": "g", "description": null, "strict": false}, "cache_control": {"type": "ephemeral"}},
    ]);
    let said = |body: Value| said(&prompt(body));
    assert_eq!(
        said(json!({"tools": tools}))["tools"],
        json!([
            {"name": "f", "description": "d", "input_schema": schema, "strict": true},
            {"name": "g", "input_schema": {"type": "object", "properties": {}}, "cache_control": {"type": "ephemeral"}},
        ])
    );
    let named = json!({"type": "function", "function": {"name": "f"}});
    for (choice, parallel, expected) in [
        (json!(null), json!(null), json!(null)),
        (json!(null), json!(true), json!(null)),
        (
            json!(null),
            json!(false),
            json!({"type": "auto", "disable_parallel_tool_use": true}),
        ),
        (json!("auto"), json!(null), json!({"type": "auto"})),
        (json!("none"), json!(false), json!({"type": "none"})),
        (json!("required"), json!(true), json!({"type": "any"})),
        (
            named,
            json!(false),
            json!({"type": "tool", "name": "f", "disable_parallel_tool_use": true}),
        ),
    ] {
        let body = json!({"tools": tools, "tool_choice": choice, "parallel_tool_calls": parallel});
        assert_eq!(said(body)["tool_choice"], expected, "{choice} {parallel}");
    }
    let without = said(json!({"tools": [], "tool_choice": "auto", "parallel_tool_calls": false}));
    assert!(without.get("tools").is_none() && without.get("tool_choice").is_none());
}

#[test]
fn what_is_not_known_goes_on_untouched() {
    let thinking = json!({"type": "enabled", "budget_tokens": 2000});
    let said = said(&prompt(json!({
        "thinking": thinking, "top_k": 5, "service_tier": "auto", "something_new": [{"deep": null}],
        "user": "u1", "container": null,
    })));
    assert_eq!(said["thinking"], thinking);
    assert_eq!(said["top_k"], 5);
    assert_eq!(said["service_tier"], "auto");
    assert_eq!(said["something_new"], json!([{"deep": null}]));
    assert_eq!(said["metadata"], json!({"user_id": "u1"}));
    assert!(said.get("container").is_none() && said.get("user").is_none());
}

/// Clients send these by themselves, and mean nothing by it.
#[test]
fn fields_that_ask_for_nothing_are_left_out() {
    let said = said(&prompt(json!({
        "n": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logprobs": false, "logit_bias": {},
        "response_format": {"type": "text"}, "modalities": ["text"], "store": false, "functions": null,
    })));
    let fields: Vec<&String> = said.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["max_tokens", "messages", "model", "stream"]);
}

#[test]
fn fields_that_cannot_be_said_are_named() {
    for (body, field) in [
        (
            json!({"response_format": {"type": "json_object"}}),
            "response_format",
        ),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"n": 2}), "n"),
        (json!({"presence_penalty": 0.5}), "presence_penalty"),
        (json!({"reasoning_effort": "high"}), "reasoning_effort"),
        (json!({"system": "x"}), "system"),
        (json!({"stop_sequences": ["x"]}), "stop_sequences"),
        (json!({"user": 7}), "user"),
        (json!({"user": "u", "metadata": {"user_id": "v"}}), "user"),
    ] {
        let error = refused(body.clone());
        assert_eq!(error.field, field, "{body}: {error}");
    }
}

#[test]
fn messages_and_tools_that_cannot_be_said_are_named() {
    let message = |message: Value| json!({"messages": [{"role": "user", "content": "x"}, message]});
    let user = |part: Value| message(json!({"role": "user", "content": [part]}));
    let image = |image: Value| user(json!({"type": "image_url", "image_url": image}));
    let call = |call: Value| message(json!({"role": "assistant", "tool_calls": [call]}));
    let tool = |tool: Value| json!({"tools": [tool]});
    for (body, field) in [
        (
            json!({"messages": [{"role": "system", "content": "x"}]}),
            "messages",
        ),
        (
            json!({"messages": [{"role": "user", "content": ""}]}),
            "messages",
        ),
        (
            user(json!({"type": "input_audio", "input_audio": {}})),
            "messages[1].content[0]",
        ),
        (user(json!({"text": "x"})), "messages[1].content[0]"),
        (user(json!({"type": "text"})), "messages[1].content[0].text"),
        (
            user(json!({"type": "text", "text": "x", "more": 1})),
            "messages[1].content[0].more",
        ),
        (
            image(json!({"url": "ftp://a/"})),
            "messages[1].content[0].image_url.url",
        ),
        (
            image(json!({"url": "data:image/png,AA"})),
            "messages[1].content[0].image_url.url",
        ),
        (
            image(json!("https://a/")),
            "messages[1].content[0].image_url.url",
        ),
        (
            json!({"messages": [{"role": "system", "content": [{"type": "image_url"}]}]}),
            "messages[0].content[0]",
        ),
        (
            message(json!({"role": "tool", "content": "x"})),
            "messages[1].tool_call_id",
        ),
        (
            message(json!({"role": "assistant", "content": "x", "audio": {"id": "a"}})),
            "messages[1].audio",
        ),
        (
            message(json!({"role": "user", "content": "x", "tool_calls": [1]})),
            "messages[1].tool_calls",
        ),
        (
            call(json!({"id": "a", "type": "custom", "custom": {}})),
            "messages[1].tool_calls[0]",
        ),
        (
            call(json!({"id": "a", "function": {"name": "f", "arguments": "[1]"}})),
            "messages[1].tool_calls[0].function.arguments",
        ),
        (
            call(json!({"function": {"name": "f", "arguments": "{}"}})),
            "messages[1].tool_calls[0].id",
        ),
        (json!({"tools": {}}), "tools"),
        (
            tool(json!({"type": "custom", "custom": {"name": "f"}})),
            "tools[0]",
        ),
        (
            tool(json!({"type": "function", "function": {}})),
            "tools[0].function.name",
        ),
        (
            tool(json!({"type": "function", "function": {"name": "f", "parameters": 1}})),
            "tools[0].function.parameters",
        ),
        (
            tool(json!({"type": "function", "function": {"name": "f", "more": 1}})),
            "tools[0].function.more",
        ),
        (json!({"tool_choice": "sometimes"}), "tool_choice"),
        (
            json!({"tool_choice": {"type": "allowed_tools"}}),
            "tool_choice",
        ),
        (json!({"parallel_tool_calls": "no"}), "parallel_tool_calls"),
    ] {
        let error = refused(body.clone());
        assert_eq!(error.field, field, "{body}: {error}");
    }
}
