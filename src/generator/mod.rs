//! What produces tokens: the [`Generator`] trait and its vocabulary.
//!
//! A generator knows nothing of logs, limits or HTTP. It turns a [`Prompt`] into a stream of
//! [`Delta`]s, and stops its work when that stream is dropped. A new one is a file here, its
//! settings in `config/file.rs`, and a line in `app.rs`.

pub mod command;
pub mod demo;
pub mod event_stream;
pub mod http;
pub mod openai;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::LocalBoxStream;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::stream::FailureCode;
pub use crate::stream::{FinishReason, ToolCall, Usage};

/// The deltas of one generation. It is polled on one thread, so it need not be `Send`.
pub type Deltas = LocalBoxStream<'static, Result<Delta, GeneratorError>>;

/// Something that answers prompts with tokens.
pub trait Generator: Send + Sync {
    /// Starts one generation. The last item is [`Delta::Finish`] or an error; a stream that ends
    /// otherwise counts as incomplete.
    ///
    /// When the stream is dropped or `cancel` fires, the work upstream must stop within a second.
    /// A generator may retry before its first delta and never after it.
    fn generate(&self, prompt: Arc<Prompt>, cancel: CancellationToken) -> Deltas;

    /// Says what this generator cannot do with the prompt, before anything is admitted or counted.
    ///
    /// # Errors
    /// Names the field of the request and what would be right.
    fn check(&self, _prompt: &Prompt) -> Result<(), InvalidPrompt> {
        Ok(())
    }
}

/// What a client asks of a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Prompt {
    /// The public name of the model.
    pub model: String,
    /// The conversation so far, oldest first; never empty.
    pub messages: Vec<Message>,
    /// The most tokens to generate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Sampling temperature, 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus sampling, above 0 and up to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Texts at which generation stops; they are not part of the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// The same seed and prompt should give the same answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// The client's own notes, which a generator may read as options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl Prompt {
    /// About how many tokens the messages have: a quarter of their bytes, rounded up.
    #[must_use]
    pub fn approximate_tokens(&self) -> u64 {
        let bytes: usize = self
            .messages
            .iter()
            .map(|message| message.content.len())
            .sum();
        bytes.div_ceil(4) as u64
    }
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What they say.
    pub content: String,
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
}

/// The next piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// Answer text.
    Text(String),
    /// Reasoning that comes before or between the answer.
    Reasoning(String),
    /// A fragment of a tool call.
    ToolCall(ToolCall),
    /// The end.
    Finish {
        /// Why it ended.
        reason: FinishReason,
        /// What it used, if the generator knows.
        usage: Option<Usage>,
    },
}

/// A generation that failed. The message is for the client: it must not hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct GeneratorError {
    /// A stable code for programs.
    pub code: FailureCode,
    /// A sentence for people.
    pub message: String,
    /// Whether the same request may succeed when it is sent again.
    pub retryable: bool,
}

impl GeneratorError {
    /// A failure that is retryable if its code says so.
    #[must_use]
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retryable: code.retryable(),
        }
    }

    /// A failure that may pass.
    #[must_use]
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::new(FailureCode::GeneratorError, message)
    }
}

/// A prompt that a generator cannot serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {expected}")]
pub struct InvalidPrompt {
    /// The path of the request's field, for example `metadata.demo.tokens`.
    pub field: String,
    /// What is wrong and what would be right.
    pub expected: String,
}
