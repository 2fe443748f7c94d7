//! What it means when an upstream does not answer as it should: statuses and broken connections.

use std::time::Duration;

use http::header::RETRY_AFTER;
use serde_json::Value;

use super::about::About;
use crate::generator::GeneratorError;
use crate::http_client::{Answer, HttpError};
use crate::stream::FailureCode;

/// How much is read of an answer that is an error, and for how long.
const ERROR_BYTES: usize = 16 * 1024;
const ERROR_TIME: Duration = Duration::from_secs(5);

/// The most that is passed on of what an upstream says, in characters.
const MAX_SAID: usize = 300;

/// What an answer means that is not a stream. What the upstream says is passed on only where it is
/// about the request; elsewhere it may hold our key or its own secrets.
pub(in crate::generator) async fn refused(answer: &mut Answer) -> GeneratorError {
    let status = answer.status.as_u16();
    let retry_after = retry_after(answer);
    let text = answer.text(ERROR_BYTES, ERROR_TIME).await;
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let said = body.get("error").unwrap_or(&body);
    let cause = format!("status {status}");
    let error = match (status, About::status(status.into())) {
        (400..=499, about) => match about.max(About::error(said)) {
            About::Account => credentials_refused(),
            About::Pace => rate_limited(),
            About::Missing => missing(),
            About::Request => request_refused(sentence(said).as_deref().unwrap_or(&cause), &cause),
            About::Server | About::Load | About::Unknown => failed(status),
        },
        (_, About::Server) => failed(status),
        _ => invalid(format!("the upstream answered with status {status}")),
    };
    GeneratorError {
        retry_after,
        ..error.because(cause)
    }
}

/// What an error means that comes instead of the rest of a stream. The same is passed on of it.
pub(in crate::generator) fn reported(error: &Value) -> GeneratorError {
    let about = About::error(error);
    let code = error.get("code").and_then(Value::as_u64);
    let cause = match code.filter(|code| (100..600).contains(code)) {
        Some(status) => format!("an error in the stream with status {status}, {about}"),
        None => format!("an error in the stream, {about}"),
    };
    let failed = |message| GeneratorError::new(FailureCode::UpstreamError, message);
    let error = match about {
        About::Account => credentials_refused(),
        About::Pace => rate_limited(),
        About::Missing => missing(),
        About::Request => {
            let said = sentence(error);
            request_refused(said.as_deref().unwrap_or("it did not say why"), &cause)
        }
        About::Load => failed("the upstream is overloaded"),
        About::Server | About::Unknown => failed("the upstream reported an error"),
    };
    error.because(cause)
}

fn failed(status: u16) -> GeneratorError {
    GeneratorError::new(
        FailureCode::UpstreamError,
        format!("the upstream failed with status {status}"),
    )
}

fn rate_limited() -> GeneratorError {
    GeneratorError::new(
        FailureCode::UpstreamRateLimited,
        "the upstream turns requests away for now",
    )
}

/// Sent again, the request meets the same key.
fn credentials_refused() -> GeneratorError {
    GeneratorError::new(
        FailureCode::UpstreamError,
        "the upstream refuses this server's credentials or account",
    )
    .ours_to_mend()
}

/// What is configured is not there. Another upstream may have it.
fn missing() -> GeneratorError {
    GeneratorError::new(
        FailureCode::UpstreamError,
        "the upstream does not know this model or path",
    )
    .ours_to_mend()
}

/// The request is not one that this upstream serves; it says so itself. What it says may repeat the
/// prompt, so the log has a cause instead.
pub(in crate::generator) fn request_refused(said: &str, cause: &str) -> GeneratorError {
    let message = format!("the upstream refuses the request: {said}");
    GeneratorError::new(FailureCode::UpstreamRefused, message).because(cause)
}

/// When the upstream wants to be asked again: in seconds (RFC 9110, section 10.2.3; its dates are not
/// used by such servers), or more exactly, as OpenAI says it, in milliseconds.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let number = |name: &str| -> Option<f64> {
        let number: f64 = answer
            .headers
            .get(name)?
            .to_str()
            .ok()?
            .trim()
            .parse()
            .ok()?;
        (0.0..=86_400_000.0).contains(&number).then_some(number)
    };
    let seconds = number("retry-after-ms")
        .map(|ms| ms / 1000.0)
        .or_else(|| number(RETRY_AFTER.as_str()))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// What came is not what such a server says.
pub(in crate::generator) fn invalid(message: impl Into<String>) -> GeneratorError {
    GeneratorError::new(FailureCode::UpstreamInvalid, message)
}

/// What an error of the transport means. Its cause names addresses, so it goes to the log only.
pub(in crate::generator) fn broken(error: &HttpError) -> GeneratorError {
    let failure = match error {
        HttpError::Connect(_) | HttpError::ConnectTimeout(_) => GeneratorError::new(
            FailureCode::UpstreamUnavailable,
            "the upstream cannot be reached",
        ),
        HttpError::Malformed(_) => invalid("the upstream's answer is not HTTP"),
        HttpError::Broken(_) | HttpError::Closed => GeneratorError::new(
            FailureCode::UpstreamIncomplete,
            "the connection to the upstream broke before the answer was complete",
        ),
    };
    failure.because(error.to_string())
}

/// The sentence of an error, in the forms that servers give it.
fn sentence(error: &Value) -> Option<String> {
    let text = error
        .as_str()
        .or_else(|| error.get("message")?.as_str())
        .or_else(|| error.get("detail")?.as_str())?;
    Some(text.chars().take(MAX_SAID).collect())
}
