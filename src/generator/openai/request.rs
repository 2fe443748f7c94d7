//! The request that an upstream gets.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::generator::{MaxTokensField, Message, Prompt, Role};

/// How a server is asked to go on with an answer that has begun. There is no standard for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Continues {
    /// The last message is the assistant's, and `continue_final_message` says that it is not finished:
    /// vLLM, SGLang.
    ContinueFinalMessage,
    /// The last message is the assistant's, and the server goes on with such by itself: llama.cpp,
    /// Ollama.
    AssistantMessage,
}

#[derive(Serialize)]
struct ChatCompletion<'a> {
    model: &'a str,
    messages: Vec<Cow<'a, Message>>,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continue_final_message: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    add_generation_prompt: Option<bool>,
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
    continues: Option<Continues>,
) -> Vec<u8> {
    let mut messages: Vec<_> = prompt.messages.iter().map(Cow::Borrowed).collect();
    let mut most = prompt.max_tokens;
    if let Some(answered) = &prompt.answered {
        let begun = Message::new(Role::Assistant, &*answered.text);
        messages.push(Cow::Owned(begun));
        most = most.map(|most| most.saturating_sub(answered.tokens).max(1));
    }
    let says = prompt.answered.is_some() && continues == Some(Continues::ContinueFinalMessage);
    let (max_tokens, max_completion_tokens) =
        match max_tokens_field.unwrap_or(prompt.max_tokens_field) {
            MaxTokensField::MaxTokens => (most, None),
            MaxTokensField::MaxCompletionTokens => (None, most),
        };
    let request = ChatCompletion {
        model: model.unwrap_or(&prompt.model),
        messages,
        continue_final_message: says.then_some(true),
        add_generation_prompt: says.then_some(false),
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
