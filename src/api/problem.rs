//! Every error a client can get: one table of codes, rendered as `application/problem+json`.
//!
//! A body that problem-details clients (RFC 9457), the OpenAI and Anthropic SDKs and the AI SDK
//! all read. Conversions from the errors of other modules stand here and nowhere else.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;

use super::quota;
use crate::auth::AuthError;
use crate::generation::{Refused, StartError, UnknownModel};
use crate::generator::InvalidPrompt;
use crate::limit::{Limit, Quota, Rejection};
use crate::stream::ParseIdError;
use crate::stream_log::LogError;

/// Where the codes are explained: a reference relative to this server (RFC 9457, section 3.1.1).
const EXPLAINED_AT: &str = "/errors/";

/// The stable codes of answers that are not streams.
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
    Overloaded,
    ServerStopping,
}

/// How a code is answered.
struct Meaning {
    name: &'static str,
    status: StatusCode,
    title: &'static str,
    /// Whether the same request may succeed later.
    retryable: bool,
}

impl Code {
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
        Self::Overloaded,
        Self::ServerStopping,
    ];

    fn meaning(self) -> Meaning {
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
                "This origin may not use cookies here",
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
            Self::Overloaded => ("overloaded", 503, "The server is full", true),
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

    /// Whether the same request may succeed later.
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

/// The OpenAI SDKs' name for an error of this status.
const fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 | 410 => "not_found_error",
        429 => "rate_limit_error",
        503 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// An answer that is an error. Its text is for the client and holds no secret.
#[derive(Debug, Clone)]
pub struct ApiError {
    code: Code,
    detail: String,
    param: Option<String>,
    retry_after: Option<Duration>,
    quota: Option<Box<Quota>>,
    allow: Option<String>,
}

impl ApiError {
    /// An error with a sentence that says what to do about it.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            param: None,
            retry_after: None,
            quota: None,
            allow: None,
        }
    }

    /// Names the field, header or parameter that is wrong.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Says when to come back.
    #[must_use]
    pub const fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Says which methods are possible.
    #[must_use]
    pub fn allow(mut self, methods: &str) -> Self {
        self.allow = Some(methods.to_owned());
        self
    }

    /// An error of ours, about which a client learns nothing.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            Code::InternalError,
            "the server failed to answer; the request id finds it in the log",
        )
    }

    /// A field of the body that is wrong.
    #[must_use]
    pub fn field(field: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::new(Code::InvalidField, expected).param(field)
    }

    /// Which error it is.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// Renders the answer for the request with this id.
    #[must_use]
    pub fn render(&self, request_id: &str) -> HttpResponse {
        let meaning = self.code.meaning();
        let mut response = HttpResponse::build(meaning.status);
        self.write_headers(&meaning, &mut response);
        let message = match &self.param {
            Some(param) => format!("{param}: {}", self.detail),
            None => self.detail.clone(),
        };
        response.json(Problem {
            kind: format!("{EXPLAINED_AT}{}", meaning.name),
            title: meaning.title.to_owned(),
            status: meaning.status.as_u16(),
            detail: message.clone(),
            instance: format!("/requests/{request_id}"),
            error: ProblemError {
                message: message.clone(),
                kind: openai_type(meaning.status.as_u16()).to_owned(),
                code: meaning.name.to_owned(),
                param: self.param.clone(),
            },
            message,
        })
    }

    fn write_headers(&self, meaning: &Meaning, response: &mut HttpResponseBuilder) {
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if meaning.status == StatusCode::UNAUTHORIZED {
            let challenge = match self.code {
                // RFC 6750, section 3.1: no error code when there were no credentials at all.
                Code::MissingCredentials => "Bearer".to_owned(),
                _ => format!(
                    "Bearer error=\"invalid_token\", error_description=\"{}\"",
                    self.detail
                ),
            };
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        if self.code == Code::InsufficientScope {
            response.insert_header((
                header::WWW_AUTHENTICATE,
                "Bearer error=\"insufficient_scope\"",
            ));
        }
        if meaning.retryable {
            let after = self.retry_after.unwrap_or(Duration::from_secs(1));
            let after = after.clamp(Duration::from_millis(1), Duration::from_secs(59));
            let millis = after.as_millis();
            response.insert_header((header::RETRY_AFTER, millis.div_ceil(1000).to_string()));
            response.insert_header(("retry-after-ms", millis.to_string()));
        } else {
            response.insert_header(("x-should-retry", "false"));
        }
        if let Some(quota) = &self.quota {
            quota::write_headers(quota, response);
        }
        if let Some(methods) = &self.allow {
            response.insert_header((header::ALLOW, methods.as_str()));
        }
    }
}

/// The body of every error before the headers of a stream.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Problem {
    /// A URI that names the code.
    #[serde(rename = "type")]
    kind: String,
    /// What the code means, always the same.
    title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong with this request.
    detail: String,
    /// Names this request in the server's log.
    instance: String,
    /// The same as `detail`, where SDKs look for it.
    message: String,
    /// The error in the form that the OpenAI SDKs read.
    error: ProblemError,
}

/// The error in the form that the OpenAI SDKs read.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ProblemError {
    /// What is wrong with this request.
    message: String,
    /// A coarse kind.
    #[serde(rename = "type")]
    kind: String,
    /// The stable code for programs.
    code: String,
    /// The field, header or parameter that is wrong.
    param: Option<String>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.name(), self.detail)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    /// Without its body: that is rendered by the middleware that knows the request's id.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.code.status())
    }
}

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
            LogError::TooLarge | LogError::Closed => Self::internal(),
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
        Self::new(Code::ModelNotFound, error.to_string()).param("model")
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
