//! How a stream ends: exactly one [`Terminal`], either done or failed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a generation that went well stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model came to its end, or to a stop sequence.
    Stop,
    /// `max_tokens` or the model's own limit was reached.
    Length,
    /// The model wants its tools called.
    ToolCalls,
    /// The upstream's filter cut the answer.
    ContentFilter,
    /// Somebody cancelled the stream, or all its readers left for good.
    Cancelled,
}

impl FinishReason {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Counts of tokens. Counted by the upstream where it says so, else by us: one per delta, and one
/// per four bytes of prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens that were generated.
    pub completion_tokens: u64,
    /// Their sum.
    pub total_tokens: u64,
}

impl Usage {
    /// Counts with their sum.
    #[must_use]
    pub const fn new(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
        }
    }
}

/// How long a generation took, in milliseconds from its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Timing {
    /// Until the first delta; absent if there was none, or if it came on another node that was lost.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_token_ms: Option<u64>,
    /// Until the end.
    pub total_ms: u64,
}

/// The stable codes of a stream that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The generator reported an error.
    GeneratorError,
    /// The generator ended without a finish reason.
    UpstreamIncomplete,
    /// The model's server cannot be reached.
    UpstreamUnavailable,
    /// The model's server turns requests away for now.
    UpstreamRateLimited,
    /// The model's server refuses this request, or us.
    UpstreamRefused,
    /// The model's server failed.
    UpstreamError,
    /// The model's server said something that cannot be understood.
    UpstreamInvalid,
    /// A defect of the server or of the generator (a panic, for example).
    InternalError,
    /// No delta came within the first-token time-out.
    FirstTokenTimeout,
    /// No delta came within the idle time-out.
    IdleTimeout,
    /// The generation took longer than the total time-out.
    TotalTimeout,
    /// The principal's tokens per minute were spent in the middle of the stream.
    QuotaExceeded,
    /// The server stopped before the generation came to its end.
    ServerStopping,
    /// The log has no room for more of any stream.
    Overloaded,
    /// The log cannot be reached.
    StoreUnavailable,
    /// The stream grew beyond what the log holds for one stream.
    StreamTooLarge,
    /// The process that produced the stream is gone.
    ProducerLost,
}

impl FailureCode {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GeneratorError => "generator_error",
            Self::UpstreamIncomplete => "upstream_incomplete",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::UpstreamRateLimited => "upstream_rate_limited",
            Self::UpstreamRefused => "upstream_refused",
            Self::UpstreamError => "upstream_error",
            Self::UpstreamInvalid => "upstream_invalid",
            Self::InternalError => "internal_error",
            Self::FirstTokenTimeout => "first_token_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::QuotaExceeded => "quota_exceeded",
            Self::ServerStopping => "server_stopping",
            Self::Overloaded => "overloaded",
            Self::StoreUnavailable => "store_unavailable",
            Self::StreamTooLarge => "stream_too_large",
            Self::ProducerLost => "producer_lost",
        }
    }

    /// Whether the same request may well succeed when it is sent again.
    #[must_use]
    pub const fn retryable(self) -> bool {
        match self {
            Self::GeneratorError
            | Self::UpstreamIncomplete
            | Self::UpstreamUnavailable
            | Self::UpstreamRateLimited
            | Self::UpstreamError
            | Self::FirstTokenTimeout
            | Self::IdleTimeout
            | Self::QuotaExceeded
            | Self::ServerStopping
            | Self::Overloaded
            | Self::StoreUnavailable
            | Self::ProducerLost => true,
            Self::UpstreamRefused
            | Self::UpstreamInvalid
            | Self::InternalError
            | Self::TotalTimeout
            | Self::StreamTooLarge => false,
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What went wrong with a stream, as its readers are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Failure {
    /// A stable code for programs.
    pub code: FailureCode,
    /// A sentence for people.
    pub message: String,
    /// Whether sending the request again may help.
    pub retryable: bool,
    /// When it may help, in milliseconds from then, if that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure whose `retryable` is what its code says.
    #[must_use]
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retryable: code.retryable(),
            retry_after_ms: None,
        }
    }
}

/// The last entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Terminal {
    /// The generation came to an end that is not an error.
    Done {
        /// Why it stopped.
        finish_reason: FinishReason,
        /// What it used.
        usage: Usage,
        /// What it took.
        timing: Timing,
        /// SHA-256 over the UTF-8 of all token texts in order, in lower-case hexadecimal.
        text_sha256: String,
    },
    /// The generation failed.
    Error {
        /// What went wrong.
        error: Failure,
        /// What it used until then.
        usage: Usage,
    },
}

impl Terminal {
    /// What the generation used.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        match self {
            Self::Done { usage, .. } | Self::Error { usage, .. } => *usage,
        }
    }

    /// The finish reason or the failure code, for logs.
    #[must_use]
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Done { finish_reason, .. } => finish_reason.as_str(),
            Self::Error { error, .. } => error.code.as_str(),
        }
    }
}
