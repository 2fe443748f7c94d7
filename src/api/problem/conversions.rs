//! From the errors of other modules to answers: the one place where they meet HTTP.

use std::time::Duration;

use super::{ApiError, Code};
use crate::auth::AuthError;
use crate::generation::{Refused, StartError, UnknownModel};
use crate::generator::{GeneratorError, InvalidPrompt};
use crate::limit::{Limit, Rejection};
use crate::stream::{Failure, FailureCode, ParseIdError};
use crate::stream_log::LogError;

/// When a token whose key cannot be had may be sent again.
const KEYS_RETRY: Duration = Duration::from_secs(5);

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let code = match error {
            AuthError::Expired => Code::TokenExpired,
            AuthError::KeysUnavailable => {
                return Self::new(Code::KeysUnavailable, error.to_string()).retry_after(KEYS_RETRY);
            }
            AuthError::Invalid
            | AuthError::UnknownKey
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
            LogError::Expired | LogError::Evicted => {
                Self::new(Code::StreamExpired, error.to_string())
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

/// A failed generation whose answer has not begun is called what it would be called in its stream.
impl From<FailureCode> for Code {
    fn from(code: FailureCode) -> Self {
        match code {
            FailureCode::GeneratorError => Self::GeneratorError,
            FailureCode::UpstreamIncomplete => Self::UpstreamIncomplete,
            FailureCode::UpstreamUnavailable => Self::UpstreamUnavailable,
            FailureCode::UpstreamRateLimited => Self::UpstreamRateLimited,
            FailureCode::UpstreamRefused => Self::UpstreamRefused,
            FailureCode::UpstreamError => Self::UpstreamError,
            FailureCode::UpstreamInvalid => Self::UpstreamInvalid,
            FailureCode::InternalError => Self::InternalError,
            FailureCode::FirstTokenTimeout => Self::FirstTokenTimeout,
            FailureCode::IdleTimeout => Self::IdleTimeout,
            FailureCode::TotalTimeout => Self::TotalTimeout,
            FailureCode::QuotaExceeded => Self::QuotaExceeded,
            FailureCode::ServerStopping => Self::ServerStopping,
            FailureCode::Overloaded => Self::Overloaded,
            FailureCode::StoreUnavailable => Self::StoreUnavailable,
            FailureCode::StreamTooLarge => Self::StreamTooLarge,
            FailureCode::ProducerLost => Self::ProducerLost,
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        Self {
            retryable: Some(failure.retryable),
            retry_after: failure.retry_after_ms.map(Duration::from_millis),
            ..Self::new(failure.code.into(), failure.message)
        }
    }
}

/// Before a generation there is no failure of one, but the same is said of its generator.
impl From<GeneratorError> for ApiError {
    fn from(error: GeneratorError) -> Self {
        Self {
            retryable: Some(error.retryable),
            retry_after: error.retry_after,
            ..Self::new(error.code.into(), error.message)
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
        let detail = error.to_string();
        match error {
            UnknownModel::Name(_) => Self::new(Code::ModelNotFound, detail).param("model"),
            UnknownModel::Unnamed => Self::field("model", detail),
            UnknownModel::Unasked(cause) => {
                let error = Self::from(cause);
                // It was our request for its list that was refused, not the client's.
                let code = match error.code {
                    Code::UpstreamRefused => Code::UpstreamError,
                    code => code,
                };
                Self {
                    code,
                    detail,
                    ..error
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One name for one thing, whether its stream had begun or not.
    #[test]
    fn failures_are_called_the_same_before_and_after_the_headers() {
        let names = serde_json::to_value(<FailureCode as utoipa::PartialSchema>::schema());
        let names = names.unwrap()["enum"].as_array().unwrap().clone();
        assert!(names.len() >= 16);
        for name in names {
            let failure: FailureCode = serde_json::from_value(name).unwrap();
            let code = Code::from(failure);
            assert_eq!(code.name(), failure.as_str());
            assert_eq!(code.retryable(), failure.retryable(), "{failure}");
            assert!(Code::ALL.contains(&code), "{failure}");
        }
    }
}
