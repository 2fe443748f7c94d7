//! What a client asks of a model.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::traces::Trace;

/// What a client asks of a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// The public name of the model.
    pub model: String,
    /// The conversation so far, oldest first; never empty.
    pub messages: Vec<Message>,
    /// The most tokens to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// How the client called that, for generators that pass it on.
    #[serde(skip)]
    pub max_tokens_field: MaxTokensField,
    /// Sampling temperature, 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling, above 0 and up to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Texts at which generation stops; they are not part of the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// The same seed and prompt should give the same answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// The client's own notes, which a generator may read as options.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// What else the client asks in the words of OpenAI's chat completions (`tools`,
    /// `response_format`, whatever comes next), for generators that understand it.
    #[serde(flatten)]
    pub more: Map<String, Value>,
    /// The answer as far as it was given before its process was lost: to be gone on with, not
    /// repeated. Only a generator that [continues](super::Generator::continues) is given one.
    #[serde(skip)]
    pub answered: Option<Answered>,
    /// Where the generation stands in a trace, for the servers and programs that it asks.
    #[serde(skip)]
    pub trace: Trace,
}

/// The beginning of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Its text.
    pub text: String,
    /// How many deltas it came in.
    pub tokens: u32,
}

impl Prompt {
    /// About how many tokens the messages have: a quarter of their bytes, rounded up.
    #[must_use]
    pub fn approximate_tokens(&self) -> u64 {
        let bytes: usize = self
            .messages
            .iter()
            .map(|message| message.text().len())
            .sum();
        bytes.div_ceil(4) as u64
    }
}

/// What the most tokens to generate are called in the words of OpenAI's chat completions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// The older name, which most servers know.
    #[default]
    MaxTokens,
    /// The newer one, which OpenAI's reasoning models demand.
    MaxCompletionTokens,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What they say.
    pub content: Content,
    /// What else belongs to it (`tool_calls`, `tool_call_id`, `name`), in OpenAI's words.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Text.
    Text(String),
    /// Parts as OpenAI's chat completions have them, images among them; or nothing.
    Parts(Option<Vec<Value>>),
}

impl Message {
    /// A message of text.
    #[must_use]
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            content: Content::Text(text.into()),
            more: Map::new(),
        }
    }

    /// The text of it, without images and other parts.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match &self.content {
            Content::Text(text) => Cow::Borrowed(text),
            Content::Parts(parts) => {
                let texts = parts.iter().flatten();
                texts
                    .filter_map(|part| part.get("text")?.as_str())
                    .collect()
            }
        }
    }
}

/// Who speaks in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sets the rules.
    System,
    /// Sets the rules; the newer name of `system`.
    Developer,
    /// Asks.
    User,
    /// Answered earlier.
    Assistant,
    /// Says what a tool found.
    Tool,
}
