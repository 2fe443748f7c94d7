//! The request of a new stream.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::message::{Message, object};
use crate::api::problem::ApiError;
use crate::api::strict;
use crate::generation::OnDisconnect;
use crate::generator::{self, Prompt, Role};

/// What to generate. Exactly one of `prompt` and `messages` is given.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"prompt": "Tell me about lighthouse keepers"}))]
pub(in crate::api) struct CreateStream {
    /// A public model name; the configured default if absent.
    #[schema(example = "demo")]
    pub model: Option<String>,
    /// The user's message, for a conversation of one.
    #[schema(min_length = 1)]
    pub prompt: Option<String>,
    /// The conversation so far, oldest first.
    #[schema(min_items = 1)]
    #[serde(default, deserialize_with = "strict::objects")]
    pub messages: Option<Vec<Message>>,
    /// The most tokens to generate.
    #[schema(minimum = 1, maximum = 4_294_967_295_u64, format = Int64)]
    pub max_tokens: Option<u32>,
    /// Sampling temperature.
    #[schema(minimum = 0, maximum = 2)]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub top_p: Option<f64>,
    /// One text or up to four at which generation stops.
    pub stop: Option<Stop>,
    /// The same seed and prompt should give the same answer.
    pub seed: Option<i64>,
    /// Up to 16 notes of yours, given back in snapshots; generators may read some as options.
    pub metadata: Option<BTreeMap<String, String>>,
    /// What the model may call: objects with `type` and `function`. They go to the model's server
    /// untouched, as do `tool_choice`, `parallel_tool_calls`, `response_format`, `logprobs`,
    /// `top_logprobs` and `reasoning_effort`; the demo ignores all of these.
    pub tools: Option<Vec<BTreeMap<String, Value>>>,
    /// Whether it calls tools, and which.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may call several tools in one answer.
    pub parallel_tool_calls: Option<bool>,
    /// What the answer must be like, for example `{"type": "json_object"}`.
    pub response_format: Option<BTreeMap<String, Value>>,
    /// Whether to tell how likely each token was, in events `logprobs`.
    pub logprobs: Option<bool>,
    /// How many other likely tokens to name at each position.
    pub top_logprobs: Option<u32>,
    /// How much a reasoning model thinks, in the words of its server.
    #[schema(example = "low")]
    pub reasoning_effort: Option<String>,
    /// What happens when the last reader leaves: `continue` to the end, `cancel` at once, or, if
    /// absent, cancel unless a reader comes back within the server's `abandon_after`.
    #[serde(default, deserialize_with = "strict::optional_name")]
    pub on_disconnect: Option<Disconnect>,
}

/// Whether the model calls tools, and which.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(untagged, expecting = "expected a string or an object")]
pub(in crate::api) enum ToolChoice {
    /// `auto`, `none` or `required`.
    Mode(String),
    /// A tool by its name: `{"type": "function", "function": {"name": "search"}}`.
    Named(BTreeMap<String, Value>),
}

/// One text or several at which generation stops.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(
    untagged,
    expecting = "expected a string or an array of up to 4 strings"
)]
pub(in crate::api) enum Stop {
    /// One text.
    One(String),
    /// Up to four texts.
    Many(Vec<String>),
}

/// What happens to a generation when its last reader leaves.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum Disconnect {
    /// It goes on to its end.
    Continue,
    /// It is cancelled at once.
    Cancel,
}

impl CreateStream {
    /// When nobody reads any more.
    #[must_use]
    pub(in crate::api) const fn on_disconnect(&self) -> OnDisconnect {
        match self.on_disconnect {
            None => OnDisconnect::Default,
            Some(Disconnect::Continue) => OnDisconnect::Continue,
            Some(Disconnect::Cancel) => OnDisconnect::Cancel,
        }
    }

    /// The prompt for a model, if every field is in range.
    ///
    /// # Errors
    /// Names the field that is not.
    pub(in crate::api) fn into_prompt(mut self, model: String) -> Result<Prompt, ApiError> {
        let more = self.untouched();
        let messages = match (self.prompt, self.messages) {
            (Some(_), Some(_)) => {
                return Err(ApiError::field(
                    "messages",
                    "give either prompt or messages, not both",
                ));
            }
            (None, None) => {
                return Err(ApiError::field("prompt", "prompt or messages is required"));
            }
            (Some(prompt), None) if prompt.is_empty() => {
                return Err(ApiError::field("prompt", "must not be empty"));
            }
            (Some(text), None) => vec![generator::Message::new(Role::User, text)],
            (None, Some(messages)) if messages.is_empty() => {
                return Err(ApiError::field("messages", "must not be empty"));
            }
            (None, Some(messages)) => messages
                .into_iter()
                .enumerate()
                .map(|(at, message)| message.into_prompt(at))
                .collect::<Result<_, _>>()?,
        };
        if self.max_tokens == Some(0) {
            return Err(ApiError::field("max_tokens", "must be at least 1"));
        }
        in_range(
            "temperature",
            self.temperature,
            "must be from 0 to 2",
            |t| (0.0..=2.0).contains(&t),
        )?;
        in_range("top_p", self.top_p, "must be above 0 and at most 1", |p| {
            p > 0.0 && p <= 1.0
        })?;
        let stop = match self.stop {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text],
            Some(Stop::Many(texts)) => texts,
        };
        if stop.len() > 4 || stop.iter().any(|text| text.is_empty() || text.len() > 256) {
            return Err(ApiError::field(
                "stop",
                "at most 4 texts of 1 to 256 bytes each",
            ));
        }
        let metadata = self.metadata.unwrap_or_default();
        let too_long = |(key, value): (&String, &String)| {
            key.is_empty() || key.len() > 64 || value.len() > 512
        };
        if metadata.len() > 16 || metadata.iter().any(too_long) {
            return Err(ApiError::field(
                "metadata",
                "at most 16 entries with keys of 1 to 64 and values of up to 512 bytes",
            ));
        }
        Ok(Prompt {
            model,
            messages,
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            stop,
            seed: self.seed,
            metadata,
            more,
            ..Prompt::default()
        })
    }

    /// What is only passed on.
    fn untouched(&mut self) -> Map<String, Value> {
        let tools = self.tools.take();
        let choice = self.tool_choice.take().map(|choice| match choice {
            ToolChoice::Mode(mode) => mode.into(),
            ToolChoice::Named(tool) => object(tool),
        });
        let effort = self.reasoning_effort.take();
        let fields = [
            (
                "tools",
                tools.map(|it| it.into_iter().map(object).collect()),
            ),
            ("tool_choice", choice),
            (
                "parallel_tool_calls",
                self.parallel_tool_calls.map(Value::from),
            ),
            ("response_format", self.response_format.take().map(object)),
            ("logprobs", self.logprobs.map(Value::from)),
            ("top_logprobs", self.top_logprobs.map(Value::from)),
            ("reasoning_effort", effort.map(Value::from)),
        ];
        let given = fields.into_iter();
        given
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

fn in_range(
    field: &str,
    value: Option<f64>,
    expected: &str,
    accepted: impl Fn(f64) -> bool,
) -> Result<(), ApiError> {
    match value {
        Some(value) if !accepted(value) => Err(ApiError::field(field, expected)),
        _ => Ok(()),
    }
}
