//! The request that Anthropic's Messages API gets: all of it but the conversation and the tools.
//!
//! What has an equivalent there is said in its words, what OpenAI alone has is refused, and all else
//! goes on untouched: whatever Anthropic adds next (`thinking` and `top_k` came so) works at once.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::conversation::{Block, Conversation, Turn};
use super::tools::{self, Tool, ToolChoice};
use crate::generator::{InvalidPrompt, Prompt};

/// Anthropic's temperatures go from 0 to 1. Its own layer for OpenAI's clients caps higher ones, and
/// so do we.
const MAX_TEMPERATURE: f64 = 1.0;

/// Fields that would go on untouched and mean nothing there, with what would be right.
const NOT_THERE: [(&str, &str); 22] = [
    ("audio", NO_EQUIVALENT),
    ("frequency_penalty", NO_EQUIVALENT),
    ("function_call", "say it with tool_choice"),
    ("functions", "say it with tools"),
    ("logit_bias", NO_EQUIVALENT),
    ("logprobs", NO_EQUIVALENT),
    ("modalities", NO_EQUIVALENT),
    ("moderation", NO_EQUIVALENT),
    ("n", NO_EQUIVALENT),
    ("prediction", NO_EQUIVALENT),
    ("presence_penalty", NO_EQUIVALENT),
    ("prompt_cache_key", NO_EQUIVALENT),
    ("prompt_cache_retention", NO_EQUIVALENT),
    ("reasoning_effort", "say it with thinking"),
    ("response_format", NO_EQUIVALENT),
    ("safety_identifier", "say it with user"),
    ("stop_sequences", "say it with stop"),
    ("store", NO_EQUIVALENT),
    ("system", "say it in a message of the role system"),
    ("top_logprobs", NO_EQUIVALENT),
    ("verbosity", NO_EQUIVALENT),
    ("web_search_options", NO_EQUIVALENT),
];

const NO_EQUIVALENT: &str = "this model's server has no equivalent of it";

/// The whole request. It borrows from the prompt, so that it costs little to make one for a check.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ToolChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
    /// Untouched.
    #[serde(flatten)]
    more: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Body<'a> {
    /// The request for this prompt, with the upstream's name for the model if it has another one,
    /// and the most tokens of an answer if the prompt does not say.
    ///
    /// `seed` has no equivalent and asks for no more than an attempt, so it is left out. So is the
    /// prompt's `metadata`: it is the client's word to us.
    ///
    /// # Errors
    /// Names what cannot be said in this API.
    pub(super) fn new(
        prompt: &'a Prompt,
        model: Option<&'a str>,
        max_tokens: u32,
    ) -> Result<Self, InvalidPrompt> {
        let conversation = Conversation::new(&prompt.messages)?;
        let tools = tools::tools(prompt.more.get("tools"))?;
        let newer = whole_number(&prompt.more, "max_completion_tokens")?;
        Ok(Self {
            model: model.unwrap_or(&prompt.model),
            max_tokens: newer.unwrap_or_else(|| prompt.max_tokens.unwrap_or(max_tokens).into()),
            stream: true,
            system: conversation.system,
            messages: conversation.turns,
            temperature: prompt.temperature.map(|high| high.min(MAX_TEMPERATURE)),
            top_p: prompt.top_p,
            stop_sequences: &prompt.stop,
            tool_choice: tools::choice(
                prompt.more.get("tool_choice"),
                prompt.more.get("parallel_tool_calls"),
                !tools.is_empty(),
            )?,
            tools,
            metadata: user(&prompt.more)?,
            more: untouched(&prompt.more)?,
        })
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        // Plain structs with string keys: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

type Fields = serde_json::Map<String, Value>;

pub(super) fn invalid(field: impl Into<String>, expected: impl Into<String>) -> InvalidPrompt {
    InvalidPrompt {
        field: field.into(),
        expected: expected.into(),
    }
}

/// Whether a field says no more than its absence does.
pub(super) fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(said) => !said,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn whole_number(fields: &Fields, name: &str) -> Result<Option<u64>, InvalidPrompt> {
    match fields.get(name).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => match value.as_u64().filter(|number| *number > 0) {
            Some(number) => Ok(Some(number)),
            None => Err(invalid(name, "expected a whole number of at least 1")),
        },
    }
}

/// OpenAI's `user` is Anthropic's `metadata.user_id`.
fn user(fields: &Fields) -> Result<Option<Value>, InvalidPrompt> {
    match fields.get("user") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(_)) if fields.contains_key("metadata") => {
            Err(invalid("user", "expected in metadata.user_id, or alone"))
        }
        Some(Value::String(user)) => Ok(Some(json!({"user_id": user}))),
        Some(_) => Err(invalid("user", "expected a string")),
    }
}

fn untouched(fields: &Fields) -> Result<BTreeMap<&str, &Value>, InvalidPrompt> {
    let mut more = BTreeMap::new();
    for (name, value) in fields {
        match name.as_str() {
            "max_completion_tokens" | "parallel_tool_calls" | "tool_choice" | "tools" | "user" => {}
            _ if value.is_null() => {}
            // What these say in such clients' defaults.
            "n" if *value == 1 => {}
            "modalities" if *value == json!(["text"]) => {}
            "response_format" if value["type"] == "text" => {}
            name => match NOT_THERE.iter().find(|(not_there, _)| *not_there == name) {
                None => {
                    more.insert(name, value);
                }
                Some(_) if says_nothing(value) => {}
                Some((_, expected)) => return Err(invalid(name, *expected)),
            },
        }
    }
    Ok(more)
}

#[cfg(test)]
mod tests;
