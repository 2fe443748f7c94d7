//! Why a generation ends: finished, failed, or out of time.

use crate::generation::GenerationConfig;
use crate::generator::{FinishReason, GeneratorError, Usage};
use crate::stream::{Failure, FailureCode};
use crate::stream_log::LogError;

/// The longest error message that a reader is told, in characters.
const MAX_MESSAGE_CHARS: usize = 500;

/// Why the generation ends.
pub(super) enum End {
    Finished(FinishReason, Option<Usage>),
    Failed(Failure),
    /// Another process goes on, if it can.
    Moved,
}

impl End {
    pub(super) fn failed(code: FailureCode, message: impl Into<String>) -> Self {
        Self::Failed(Failure::new(code, message))
    }

    pub(super) const CANCELLED: Self = Self::Finished(FinishReason::Cancelled, None);
}

/// How a stream ends that outlives its server, where no other can go on with it.
pub(super) fn server_stopping() -> Failure {
    Failure::new(
        FailureCode::ServerStopping,
        "the server is stopping; send the request again",
    )
}

/// What a deadline is for.
#[derive(Clone, Copy)]
pub(super) enum Due {
    FirstToken,
    Idle,
    Total,
    Abandoned,
}

impl Due {
    pub(super) fn end(self, config: &GenerationConfig) -> End {
        let (code, what, limit) = match self {
            Self::Abandoned => return End::CANCELLED,
            Self::FirstToken => (
                FailureCode::FirstTokenTimeout,
                "no token came within",
                config.first_token_timeout,
            ),
            Self::Idle => (
                FailureCode::IdleTimeout,
                "no further token came within",
                config.idle_timeout,
            ),
            Self::Total => (
                FailureCode::TotalTimeout,
                "the generation took longer than",
                config.total_timeout,
            ),
        };
        End::failed(code, format!("{what} {} s", limit.as_secs_f64()))
    }
}

/// What readers are told of a generator's error.
pub(super) fn generator_failed(error: &GeneratorError) -> Failure {
    Failure {
        code: error.code,
        message: error.message.chars().take(MAX_MESSAGE_CHARS).collect(),
        retryable: error.retryable,
        retry_after_ms: error
            .retry_after
            .map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
    }
}

/// How a stream ends that the log takes no more of.
pub(super) fn log_failed(error: &LogError) -> End {
    match error {
        LogError::Full => End::failed(
            FailureCode::Overloaded,
            "the server has no room for more of this stream",
        ),
        LogError::TooLarge => End::failed(
            FailureCode::StreamTooLarge,
            "the stream has reached the size limit of this server",
        ),
        LogError::Unavailable => End::failed(
            FailureCode::StoreUnavailable,
            "the store of streams cannot be reached just now",
        ),
        _ => End::failed(FailureCode::InternalError, "the stream could not be logged"),
    }
}
