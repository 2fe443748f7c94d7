//! The request that an upstream gets.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::generator::{MaxTokensField, Message, Prompt};

#[derive(Serialize)]
struct ChatCompletion<'a> {
    model: &'a str,
    messages: &'a [Message],
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    /// Untouched.
    #[serde(flatten)]
    more: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// The body for this prompt, with the upstream's names for the model and for the most tokens, if it
/// has other ones than the client.
///
/// `metadata` stays here: it is the client's word to us.
pub(super) fn body(
    prompt: &Prompt,
    model: Option<&str>,
    max_tokens_field: Option<MaxTokensField>,
) -> Vec<u8> {
    let (max_tokens, max_completion_tokens) =
        match max_tokens_field.unwrap_or(prompt.max_tokens_field) {
            MaxTokensField::MaxTokens => (prompt.max_tokens, None),
            MaxTokensField::MaxCompletionTokens => (None, prompt.max_tokens),
        };
    let request = ChatCompletion {
        model: model.unwrap_or(&prompt.model),
        messages: &prompt.messages,
        stream: true,
        stream_options: StreamOptions {
            include_usage: true,
        },
        max_tokens,
        max_completion_tokens,
        temperature: prompt.temperature,
        top_p: prompt.top_p,
        stop: &prompt.stop,
        seed: prompt.seed,
        more: &prompt.more,
    };
    // Plain structs with string keys: this cannot fail.
    serde_json::to_vec(&request).unwrap_or_default()
}
