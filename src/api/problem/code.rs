//! The table of codes: what each is called, its status, what it means, whether to try again.

use actix_web::http::StatusCode;

/// The stable codes of answers that are not streams, those of failed generations among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each has its title in the table below")]
pub enum Code {
    InvalidRequest,
    InvalidJson,
    InvalidEventId,
    InvalidStreamId,
    InvalidQuery,
    InvalidHeader,
    MultipleCredentials,
    MissingCredentials,
    InvalidToken,
    TokenExpired,
    InsufficientScope,
    OriginNotAllowed,
    RouteNotFound,
    StreamNotFound,
    ModelNotFound,
    MethodNotAllowed,
    RequestTimeout,
    StreamExpired,
    BodyTooLarge,
    UnsupportedMediaType,
    InvalidField,
    IdempotencyKeyReused,
    RateLimited,
    TokensExhausted,
    TooManyStreams,
    TooManyFailures,
    InternalError,
    GeneratorError,
    UpstreamUnavailable,
    UpstreamError,
    UpstreamInvalid,
    UpstreamIncomplete,
    UpstreamRefused,
    UpstreamRateLimited,
    FirstTokenTimeout,
    IdleTimeout,
    TotalTimeout,
    StreamTooLarge,
    QuotaExceeded,
    ProducerLost,
    Overloaded,
    StoreUnavailable,
    KeysUnavailable,
    ServerStopping,
}

/// How a code is answered.
pub(super) struct Meaning {
    pub(super) name: &'static str,
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    /// Whether the same request may succeed later.
    pub(super) retryable: bool,
}

impl Code {
    /// Those that say that a credential was not accepted.
    pub const OF_CREDENTIALS: [Self; 3] = [
        Self::InvalidToken,
        Self::TokenExpired,
        Self::TooManyFailures,
    ];

    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::InvalidRequest,
        Self::InvalidJson,
        Self::InvalidEventId,
        Self::InvalidStreamId,
        Self::InvalidQuery,
        Self::InvalidHeader,
        Self::MultipleCredentials,
        Self::MissingCredentials,
        Self::InvalidToken,
        Self::TokenExpired,
        Self::InsufficientScope,
        Self::OriginNotAllowed,
        Self::RouteNotFound,
        Self::StreamNotFound,
        Self::ModelNotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::StreamExpired,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidField,
        Self::IdempotencyKeyReused,
        Self::RateLimited,
        Self::TokensExhausted,
        Self::TooManyStreams,
        Self::TooManyFailures,
        Self::InternalError,
        Self::GeneratorError,
        Self::UpstreamUnavailable,
        Self::UpstreamError,
        Self::UpstreamInvalid,
        Self::UpstreamIncomplete,
        Self::UpstreamRefused,
        Self::UpstreamRateLimited,
        Self::FirstTokenTimeout,
        Self::IdleTimeout,
        Self::TotalTimeout,
        Self::StreamTooLarge,
        Self::QuotaExceeded,
        Self::ProducerLost,
        Self::Overloaded,
        Self::StoreUnavailable,
        Self::KeysUnavailable,
        Self::ServerStopping,
    ];

    #[expect(clippy::too_many_lines, reason = "a table")]
    pub(super) fn meaning(self) -> Meaning {
        let (name, status, title, retryable) = match self {
            Self::InvalidRequest => ("invalid_request", 400, "The request is malformed", false),
            Self::InvalidJson => ("invalid_json", 400, "The body is not valid JSON", false),
            Self::InvalidEventId => (
                "invalid_event_id",
                400,
                "The last event id is malformed",
                false,
            ),
            Self::InvalidStreamId => (
                "invalid_stream_id",
                400,
                "The stream id is malformed",
                false,
            ),
            Self::InvalidQuery => (
                "invalid_query",
                400,
                "A query parameter is malformed",
                false,
            ),
            Self::InvalidHeader => ("invalid_header", 400, "A header is malformed", false),
            Self::MultipleCredentials => (
                "multiple_credentials",
                400,
                "More than one credential",
                false,
            ),
            Self::MissingCredentials => {
                ("missing_credentials", 401, "Credentials are needed", false)
            }
            Self::InvalidToken => ("invalid_token", 401, "The credential is not valid", false),
            Self::TokenExpired => ("token_expired", 401, "The credential has expired", false),
            Self::InsufficientScope => (
                "insufficient_scope",
                403,
                "The credential does not allow this",
                false,
            ),
            Self::OriginNotAllowed => (
                "origin_not_allowed",
                403,
                "This origin may not do that here",
                false,
            ),
            Self::RouteNotFound => (
                "route_not_found",
                404,
                "There is nothing at this path",
                false,
            ),
            Self::StreamNotFound => ("stream_not_found", 404, "There is no such stream", false),
            Self::ModelNotFound => ("model_not_found", 404, "There is no such model", false),
            Self::MethodNotAllowed => (
                "method_not_allowed",
                405,
                "This method is not possible here",
                false,
            ),
            Self::RequestTimeout => ("request_timeout", 408, "The body came too slowly", true),
            Self::StreamExpired => ("stream_expired", 410, "The stream is no longer kept", false),
            Self::BodyTooLarge => ("body_too_large", 413, "The body is too large", false),
            Self::UnsupportedMediaType => (
                "unsupported_media_type",
                415,
                "The body must be JSON",
                false,
            ),
            Self::InvalidField => (
                "invalid_field",
                422,
                "A field of the request is wrong",
                false,
            ),
            Self::IdempotencyKeyReused => (
                "idempotency_key_reused",
                422,
                "The idempotency key was used for another request",
                false,
            ),
            Self::RateLimited => ("rate_limited", 429, "Too many requests", true),
            Self::TokensExhausted => ("tokens_exhausted", 429, "Too many tokens", true),
            Self::TooManyStreams => ("too_many_streams", 429, "Too many streams at once", true),
            Self::TooManyFailures => (
                "too_many_failures",
                429,
                "Too many failed authentications",
                true,
            ),
            Self::InternalError => ("internal_error", 500, "The server failed", false),
            Self::GeneratorError => ("generator_error", 502, "The model failed", true),
            Self::UpstreamUnavailable => (
                "upstream_unavailable",
                502,
                "The model's server cannot be reached",
                true,
            ),
            Self::UpstreamError => ("upstream_error", 502, "The model's server failed", true),
            Self::UpstreamInvalid => (
                "upstream_invalid",
                502,
                "The model's server said what cannot be understood",
                false,
            ),
            Self::UpstreamIncomplete => (
                "upstream_incomplete",
                502,
                "The model's answer broke off",
                true,
            ),
            Self::UpstreamRefused => (
                "upstream_refused",
                400,
                "The model refuses the request",
                false,
            ),
            Self::UpstreamRateLimited => (
                "upstream_rate_limited",
                429,
                "The model turns requests away for now",
                true,
            ),
            Self::FirstTokenTimeout => (
                "first_token_timeout",
                504,
                "The model said nothing in time",
                true,
            ),
            Self::IdleTimeout => ("idle_timeout", 504, "The model fell silent", true),
            Self::TotalTimeout => ("total_timeout", 504, "The answer took too long", false),
            Self::StreamTooLarge => ("stream_too_large", 502, "The answer is too large", false),
            Self::QuotaExceeded => (
                "quota_exceeded",
                429,
                "Your plan's tokens were used up during the answer",
                true,
            ),
            Self::ProducerLost => (
                "producer_lost",
                502,
                "The process that made the answer is gone",
                true,
            ),
            Self::Overloaded => ("overloaded", 503, "The server is full", true),
            Self::StoreUnavailable => (
                "store_unavailable",
                503,
                "The store of streams cannot be reached",
                true,
            ),
            Self::KeysUnavailable => (
                "keys_unavailable",
                503,
                "The keys that tokens are verified with cannot be had",
                true,
            ),
            Self::ServerStopping => ("server_stopping", 503, "The server is stopping", true),
        };
        Meaning {
            name,
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            title,
            retryable,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.meaning().name
    }

    /// What it means, always the same.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.meaning().title
    }

    /// Whether the same request may succeed later, unless an answer says otherwise of itself.
    #[must_use]
    pub fn retryable(self) -> bool {
        self.meaning().retryable
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.meaning().status
    }
}
