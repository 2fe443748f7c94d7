//! What produces tokens: the [`Generator`] trait and its vocabulary.
//!
//! A generator knows nothing of logs, limits or HTTP. It turns a [`Prompt`] into a stream of
//! [`Delta`]s, and stops its work when that stream is dropped. A new one is a file here, its
//! settings in `config/file.rs`, and a line in `app/parts.rs`.

pub mod anthropic;
pub mod command;
pub mod demo;
mod exchange;
pub mod openai;
mod prompt;
pub mod route;
mod upstream;

pub use prompt::{Answered, Content, MaxTokensField, Message, Prompt, Role};
pub use upstream::{Timeouts, Upstream, UpstreamConfig};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::LocalBoxStream;
use tokio_util::sync::CancellationToken;

use crate::stream::FailureCode;
pub use crate::stream::{FinishReason, Logprobs, ToolCall, Usage};

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

    /// Whether it ends an answer at the prompt's `max_tokens` by itself. Its tokens are its own affair
    /// then; else each of its deltas counts as one, and the answer is cut after so many.
    fn limits_itself(&self) -> bool {
        false
    }

    /// Whether it can go on with an answer that was begun elsewhere ([`Prompt::answered`]), rather than
    /// only begin again. It then yields what comes after, and counts that only.
    fn continues(&self) -> bool {
        false
    }

    /// Whose API it speaks, in OpenTelemetry's words where it has one (`gen_ai.provider.name`). For traces only.
    fn provider(&self) -> &'static str {
        "tailrace"
    }

    /// The server that it asks, as the configuration has its host and port. For the log only.
    fn upstream(&self) -> Option<&str> {
        None
    }

    /// Which of its upstreams are left alone now, if it has several.
    fn rests(&self) -> Vec<(Arc<str>, bool)> {
        Vec::new()
    }

    /// Says what this generator cannot do with the prompt, before anything is admitted or counted.
    ///
    /// # Errors
    /// Names the field of the request and what would be right.
    fn check(&self, _prompt: &Prompt) -> Result<(), InvalidPrompt> {
        Ok(())
    }
}

/// A server that has models of its own, all of which it serves by their names.
pub trait ModelServer: Generator {
    /// The names of its models, as it has them now.
    ///
    /// # Errors
    /// It could not be asked, or its answer is no list.
    fn models(&self) -> LocalBoxFuture<'_, Result<Vec<String>, GeneratorError>>;
}

/// The next piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// Answer text.
    Text(String),
    /// Reasoning that comes before or between the answer.
    Reasoning(String),
    /// Why the model does not answer, in its own words; no answer text.
    Refusal(String),
    /// A fragment of a tool call.
    ToolCall(ToolCall),
    /// How likely the tokens just before were. It counts as none itself.
    Logprobs(Logprobs),
    /// Not a piece of the answer: an upstream has been asked for it, or passed over. For the log only.
    Tried(Attempt),
    /// The end.
    Finish {
        /// Why it ended.
        reason: FinishReason,
        /// What it used, if the generator knows.
        usage: Option<Usage>,
    },
}

impl Delta {
    /// Whether it is a piece of an answer in form only: some upstreams begin or close with such.
    #[must_use]
    pub const fn says_nothing(&self) -> bool {
        match self {
            Self::Text(text) | Self::Reasoning(text) | Self::Refusal(text) => text.is_empty(),
            Self::ToolCall(call) => {
                call.id.is_none() && call.name.is_none() && call.arguments.is_empty()
            }
            Self::Logprobs(_) | Self::Tried(_) | Self::Finish { .. } => false,
        }
    }
}

/// What came of one upstream when an answer was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its name in the configuration's words.
    pub upstream: Arc<str>,
    /// Whether it was asked, and what it did.
    pub outcome: Outcome,
}

/// What came of one upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It answers, since so long after it was asked. How that ends is the stream's own outcome.
    Answered(Duration),
    /// It failed before its first token, so long after it was asked.
    Failed(Box<GeneratorError>, Duration),
    /// It was not asked, since it has failed lately: it is left alone for so long from now.
    Rests(Duration),
    /// It was not asked, since it cannot serve this field of the prompt.
    Unable(String),
}

impl Attempt {
    /// How it failed, if it did.
    #[must_use]
    pub const fn failure(&self) -> Option<&GeneratorError> {
        match &self.outcome {
            Outcome::Failed(error, _) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.upstream)?;
        match &self.outcome {
            Outcome::Answered(after) => {
                write!(formatter, "answered after {} ms", after.as_millis())
            }
            Outcome::Failed(error, after) => {
                write!(formatter, "{} after {} ms", error.code, after.as_millis())
            }
            // In whole seconds, and not less than it is.
            Outcome::Rests(rest) => {
                write!(formatter, "skipped (rests {} s)", rest.as_secs_f64().ceil())
            }
            Outcome::Unable(field) => write!(formatter, "skipped ({field})"),
        }
    }
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
    /// When, if that is known.
    pub retry_after: Option<Duration>,
    /// What an operator needs to know and a client must not, such as a status or an address. It goes
    /// to the log, so it must not hold secrets either, nor anything that stood in a prompt.
    pub cause: Option<Box<str>>,
    /// Whether somebody must set something right here, a key or a path for example.
    pub is_ours_to_mend: bool,
}

impl GeneratorError {
    /// A failure that is retryable if its code says so.
    #[must_use]
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retryable: code.retryable(),
            retry_after: None,
            cause: None,
            is_ours_to_mend: false,
        }
    }

    /// The same failure, with what an operator needs to know of it.
    #[must_use]
    pub fn because(self, cause: impl Into<Box<str>>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..self
        }
    }

    /// Why it failed, for the log: where nothing more is known, the message says it. A message that
    /// has the words of somebody else comes with a cause.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.cause.as_deref().unwrap_or(&self.message)
    }

    /// The same failure, which does not pass before somebody sets something right here.
    #[must_use]
    pub fn ours_to_mend(self) -> Self {
        Self {
            retryable: false,
            is_ours_to_mend: true,
            ..self
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
