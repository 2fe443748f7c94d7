//! Every error a client can get: one table of codes, rendered as `application/problem+json`.
//!
//! A body that problem-details clients (RFC 9457), the OpenAI and Anthropic SDKs and the AI SDK
//! all read.

mod code;
mod conversions;

pub use code::Code;

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;

use self::code::Meaning;
use super::quota;
use crate::limit::Quota;
use crate::stream::Failure;

/// Where the codes are explained: a reference relative to this server (RFC 9457, section 3.1.1).
const EXPLAINED_AT: &str = "/errors/";

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
    /// Whether the same request may succeed later, where that is not what the code says.
    retryable: Option<bool>,
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
            retryable: None,
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

    /// The field, header or parameter that is wrong.
    #[cfg(test)]
    pub(super) fn field_name(&self) -> Option<&str> {
        self.param.as_deref()
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
        response.json(self.problem(request_id))
    }

    /// The body of the answer for the request with this id.
    pub(super) fn problem(&self, request_id: &str) -> Problem {
        let meaning = self.code.meaning();
        let message = match &self.param {
            Some(param) => format!("{param}: {}", self.detail),
            None => self.detail.clone(),
        };
        Problem {
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
        }
    }

    fn write_headers(&self, meaning: &Meaning, response: &mut HttpResponseBuilder) {
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if meaning.status == StatusCode::UNAUTHORIZED {
            let challenge = format!(
                "Bearer error=\"invalid_token\", error_description=\"{}\"",
                self.detail
            );
            response.insert_header((header::WWW_AUTHENTICATE, challenge));
        }
        if self.code == Code::InsufficientScope {
            response.insert_header((
                header::WWW_AUTHENTICATE,
                "Bearer error=\"insufficient_scope\"",
            ));
        }
        if self.retryable.unwrap_or(meaning.retryable) {
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

/// A failure in the middle of an answer, in the form that the OpenAI SDKs read.
pub(super) fn failure_body(failure: &Failure) -> serde_json::Value {
    let status = Code::from(failure.code).status().as_u16();
    serde_json::json!({
        "message": failure.message,
        "type": openai_type(status),
        "code": failure.code.as_str(),
        "param": null,
        "retryable": failure.retryable,
    })
}

/// The error in the form that the OpenAI SDKs read.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ProblemError {
    /// What is wrong with this request.
    message: String,
    /// A coarse kind.
    #[serde(rename = "type")]
    kind: String,
    /// The stable code for programs; `/errors/{code}` explains it.
    #[schema(schema_with = codes)]
    code: String,
    /// The field, header or parameter that is wrong.
    param: Option<String>,
}

/// Every code there is.
fn codes() -> utoipa::openapi::Object {
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::Type::String)
        .description(Some(
            "The stable code for programs; `/errors/{code}` explains it.",
        ))
        .enum_values(Some(Code::ALL.iter().map(|code| code.name())))
        .build()
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

/// The errors of every operation, for the OpenAPI document.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only its shape is used")]
pub(super) enum Errors {
    /// The request is wrong, not allowed, or over a limit
    #[response(status = "4XX", content_type = "application/problem+json")]
    Client(Problem),
    /// The server is full, stopping, or failed
    #[response(status = "5XX", content_type = "application/problem+json")]
    Server(Problem),
}
