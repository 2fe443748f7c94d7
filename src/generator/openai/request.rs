//! The request that an upstream gets.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::generator::{Message, Prompt};

#[derive(Serialize)]
struct ChatCompletion<'a> {
    model: &'a str,
    messages: &'a [Message],
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
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

/// The body for this prompt, with the upstream's name for the model if it has another one.
///
/// `metadata` stays here: it is the client's word to us.
pub(super) fn body(prompt: &Prompt, model: Option<&str>) -> Vec<u8> {
    let request = ChatCompletion {
        model: model.unwrap_or(&prompt.model),
        messages: &prompt.messages,
        stream: true,
        stream_options: StreamOptions {
            include_usage: true,
        },
        max_tokens: prompt.max_tokens,
        temperature: prompt.temperature,
        top_p: prompt.top_p,
        stop: &prompt.stop,
        seed: prompt.seed,
        more: &prompt.more,
    };
    // Plain structs with string keys: this cannot fail.
    serde_json::to_vec(&request).unwrap_or_default()
}
