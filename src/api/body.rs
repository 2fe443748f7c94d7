//! Request bodies: read within a size and a time, then parsed as JSON with errors that name the
//! field.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{self, Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use super::Api;
use super::problem::{ApiError, Code};
use super::strict::Object;

/// The most that a body may have, and how long it may take to arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyConfig {
    /// Bytes.
    pub limit: usize,
    /// Until the last byte.
    pub timeout: Duration,
}

/// A body that has been read whole.
pub(super) struct Body {
    bytes: Bytes,
    is_json: bool,
}

impl FromRequest for Body {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let Some(api) = request.app_data::<web::Data<Api>>() else {
            return futures_util::future::ready(Err(ApiError::internal())).boxed_local();
        };
        let config = api.config.load().body;
        let declared = request.headers().get(CONTENT_LENGTH);
        let declared = declared.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        let is_json = is_json(request);
        let payload = payload.take();
        async move {
            if declared.is_some_and(|length| length > config.limit) {
                return Err(too_large(config.limit));
            }
            match tokio::time::timeout(config.timeout, read(payload, config.limit)).await {
                Ok(bytes) => Ok(Self {
                    bytes: bytes?,
                    is_json,
                }),
                Err(_) => Err(ApiError::new(
                    Code::RequestTimeout,
                    format!(
                        "the body did not arrive within {} s",
                        config.timeout.as_secs_f64()
                    ),
                )),
            }
        }
        .boxed_local()
    }
}

fn is_json(request: &HttpRequest) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE);
    let essence = content_type
        .and_then(|value| value.to_str().ok())
        .map(|value| {
            value
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        });
    essence.is_some_and(|essence| {
        essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"))
    })
}

async fn read(mut payload: Payload, limit: usize) -> Result<Bytes, ApiError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| {
            ApiError::new(
                Code::InvalidRequest,
                "the body ended early or is badly framed",
            )
        })?;
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        Code::BodyTooLarge,
        format!("the body may have {limit} bytes (`http.body_limit`)"),
    )
}

impl Body {
    /// Parses the body.
    ///
    /// # Errors
    /// It is not JSON, or a field is missing, unknown or of the wrong type.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        if !self.is_json {
            return Err(ApiError::new(
                Code::UnsupportedMediaType,
                "send the body with `Content-Type: application/json`",
            ));
        }
        let mut deserializer = serde_json::Deserializer::from_slice(&self.bytes);
        let Object(value) = serde_path_to_error::deserialize(&mut deserializer)
            .map_err(|error| self.explain(&error.path().to_string(), error.inner()))?;
        deserializer
            .end()
            .map_err(|error| self.explain("", &error))?;
        Ok(value)
    }

    /// Tells bad JSON (400) from good JSON with a bad field (422), and names the field.
    fn explain(&self, path: &str, error: &serde_json::Error) -> ApiError {
        let message = error.to_string();
        let message = message
            .rsplit_once(" at line ")
            .map_or(message.as_str(), |(message, _)| message);
        // A word where a variant's name must stand is a syntax error to serde, and good JSON to us.
        let is_json = std::str::from_utf8(&self.bytes)
            .is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
        if error.classify() != Category::Data && !is_json {
            return ApiError::new(
                Code::InvalidJson,
                format!(
                    "{message} (line {}, column {})",
                    error.line(),
                    error.column()
                ),
            );
        }
        // Serde names an unknown or missing field in its message and its parent in the path.
        let named = ["unknown field `", "missing field `", "duplicate field `"]
            .iter()
            .find_map(|start| message.strip_prefix(start)?.split('`').next());
        let parent = if path == "." { "" } else { path };
        let field = match named {
            Some(field) if parent.is_empty() => field.to_owned(),
            Some(field) if parent.ends_with(field) => parent.to_owned(),
            Some(field) => format!("{parent}.{field}"),
            None if parent.is_empty() => "body".to_owned(),
            None => parent.to_owned(),
        };
        let message = message
            .replace(
                "expected u32",
                "expected a whole number from 0 to 4294967295",
            )
            .replace("expected i64", "expected a whole number")
            .replace("expected f64", "expected a number");
        ApiError::field(
            field.chars().take(100).collect::<String>(),
            message.chars().take(300).collect::<String>(),
        )
    }
}
