//! From the errors of other modules to answers: the one place where they meet HTTP.

use std::time::Duration;

use super::{ApiError, Code};
use crate::auth::AuthError;
use crate::generation::{Refused, StartError, UnknownModel};
use crate::generator::InvalidPrompt;
use crate::limit::{Limit, Rejection};
use crate::stream::{Failure, FailureCode, ParseIdError};
use crate::stream_log::LogError;

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let code = match error {
            AuthError::Expired => Code::TokenExpired,
            AuthError::Invalid
            | AuthError::TooLong
            | AuthError::UnsupportedHeader(_)
            | AuthError::Claim(_)
            | AuthError::ClaimRefused(_)
            | AuthError::NotYet => Code::InvalidToken,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let quota = rejection.quota.map(Box::new);
        let (code, detail) = match rejection.limit {
            Limit::Requests => (
                Code::RateLimited,
                "your plan's requests per minute are used up",
            ),
            Limit::Tokens => (
                Code::TokensExhausted,
                "your plan's tokens per minute are used up or reserved",
            ),
            Limit::TokensEver => {
                let error = Self::field(
                    "max_tokens",
                    "more tokens than your plan allows in a minute",
                );
                return Self { quota, ..error };
            }
            Limit::Streams => (
                Code::TooManyStreams,
                "your plan's streams at once are all running",
            ),
            Limit::Server => (
                Code::Overloaded,
                "the server runs as many streams as it may",
            ),
        };
        Self {
            quota,
            ..Self::new(code, detail).retry_after(rejection.retry_after)
        }
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        match error {
            // A stream that is somebody else's must look like one that does not exist.
            LogError::Missing | LogError::Foreign => Self::new(
                Code::StreamNotFound,
                "there is no stream of yours with this id",
            ),
            LogError::Expired => {
                Self::new(Code::StreamExpired, "the stream's retention has passed")
            }
            LogError::BeyondEnd => Self::new(
                Code::InvalidEventId,
                "the stream has no event of this number yet",
            ),
            LogError::KeyReused => Self::new(
                Code::IdempotencyKeyReused,
                "this key was used with another body; use a new key for a new request",
            )
            .param("Idempotency-Key"),
            LogError::Full => Self::new(Code::Overloaded, "the log is full of live streams")
                .retry_after(Duration::from_secs(5)),
            LogError::Unavailable => Self::new(
                Code::StoreUnavailable,
                "the store of streams cannot be reached just now",
            )
            .retry_after(Duration::from_secs(2)),
            LogError::TooLarge | LogError::Closed => Self::internal(),
        }
    }
}

/// What a failed generation is called when its answer has not begun.
impl From<FailureCode> for Code {
    fn from(code: FailureCode) -> Self {
        match code {
            FailureCode::GeneratorError
            | FailureCode::UpstreamIncomplete
            | FailureCode::UpstreamUnavailable
            | FailureCode::UpstreamError
            | FailureCode::UpstreamInvalid
            | FailureCode::ProducerLost => Self::UpstreamFailed,
            FailureCode::UpstreamRefused => Self::UpstreamRefused,
            FailureCode::UpstreamRateLimited => Self::UpstreamRateLimited,
            FailureCode::FirstTokenTimeout
            | FailureCode::IdleTimeout
            | FailureCode::TotalTimeout => Self::UpstreamTimeout,
            FailureCode::QuotaExceeded => Self::TokensExhausted,
            FailureCode::ServerStopping => Self::ServerStopping,
            FailureCode::Overloaded => Self::Overloaded,
            FailureCode::InternalError | FailureCode::StreamTooLarge => Self::InternalError,
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let error = Self::new(failure.code.into(), failure.message);
        match failure.retry_after_ms {
            Some(after) => error.retry_after(Duration::from_millis(after)),
            None => error,
        }
    }
}

impl From<StartError> for ApiError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Model(error) => error.into(),
            StartError::Log(error) => error.into(),
        }
    }
}

impl From<UnknownModel> for ApiError {
    fn from(error: UnknownModel) -> Self {
        match error {
            UnknownModel::Name(_) => {
                Self::new(Code::ModelNotFound, error.to_string()).param("model")
            }
            UnknownModel::Unnamed => Self::field("model", error.to_string()),
            UnknownModel::Unasked(_) => Self::new(Code::UpstreamFailed, error.to_string()),
        }
    }
}

impl From<InvalidPrompt> for ApiError {
    fn from(error: InvalidPrompt) -> Self {
        Self::field(error.field, error.expected)
    }
}

impl From<Refused> for ApiError {
    fn from(error: Refused) -> Self {
        match error {
            Refused::Model(error) => error.into(),
            Refused::Prompt(error) => error.into(),
        }
    }
}

/// For ids in paths.
impl From<ParseIdError> for ApiError {
    fn from(error: ParseIdError) -> Self {
        let code = match error {
            ParseIdError::StreamId => Code::InvalidStreamId,
            ParseIdError::Cursor => Code::InvalidEventId,
        };
        Self::new(code, error.to_string())
    }
}
