//! Asks any server that speaks OpenAI's chat completions: vLLM, llama.cpp, Ollama, SGLang, hosted.
//!
//! A generation is one streamed request. What the server says is turned into deltas and nothing
//! else; what it says wrong becomes a failure with a stable code.

mod answer;
mod request;

use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, StatusCode};
use tokio_util::sync::CancellationToken;

use self::answer::Reading;
use super::event_stream::EventStream;
use super::http::{Answer, HttpError, Upstream};
use super::{Deltas, Generator, GeneratorError, ModelServer, Prompt};
use crate::stream::FailureCode;

/// The most that one event of an upstream may have, in bytes: room for a large tool call at once.
const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// How much is read of an answer that is an error, and for how long.
const ERROR_BYTES: usize = 16 * 1024;
const ERROR_TIME: Duration = Duration::from_secs(5);

/// How long the end of the body is waited for once the answer is over.
const BODY_END_TIME: Duration = Duration::from_millis(20);

/// How long a list of models may be, and how long it may take.
const LIST_BYTES: usize = 1024 * 1024;
const LIST_TIME: Duration = Duration::from_secs(5);

/// How long the end of an answer may take once its finish reason is known.
const END_TIME: Duration = Duration::from_secs(2);

/// The `openai` backend of [`Generator`].
pub struct OpenAiGenerator {
    upstream: Upstream,
    /// The upstream's name for the model; the public name if absent.
    model: Option<String>,
}

impl OpenAiGenerator {
    /// A generator that asks this server. Its base URL is the one that OpenAI's SDKs are given.
    #[must_use]
    pub const fn new(upstream: Upstream, model: Option<String>) -> Self {
        Self { upstream, model }
    }
}

impl Generator for OpenAiGenerator {
    /// The upstream is told, and its deltas may be finer than its tokens.
    fn limits_itself(&self) -> bool {
        true
    }

    /// Dropping the deltas closes the connection, at whatever point the exchange is.
    fn generate(&self, prompt: Arc<Prompt>, _: CancellationToken) -> Deltas {
        let upstream = self.upstream.clone();
        let body = request::body(&prompt, self.model.as_deref());
        drop(prompt);
        Box::pin(stream! {
            let mut answer = match ask(&upstream, body).await {
                Ok(answer) => answer,
                Err(error) => {
                    yield Err(error);
                    return;
                }
            };
            let mut events = EventStream::new(MAX_EVENT_BYTES);
            let mut reading = Reading::default();
            while !reading.is_over() {
                let data = if reading.has_finish_reason() {
                    // Usage may follow, and the end; but the answer is complete.
                    tokio::time::timeout(END_TIME, answer.data()).await.unwrap_or(Ok(None))
                } else {
                    answer.data().await
                };
                match data {
                    Ok(Some(data)) => {
                        let pushed = events.push(&data, |event| reading.take(&event.data));
                        if let Err(error) = pushed {
                            reading.fail(invalid(format!("the upstream's answer cannot be read: {error}")));
                        }
                    }
                    Ok(None) => {
                        if let Ok(Some(event)) = events.finish() {
                            reading.take(&event.data);
                        }
                        reading.end();
                    }
                    Err(_) if reading.has_finish_reason() => reading.end(),
                    Err(error) => reading.fail(broken(&error)),
                }
                if reading.is_over() {
                    // The end of the body comes with the end of the answer or right after it; read,
                    // it leaves a connection for the next request.
                    let _late = tokio::time::timeout(BODY_END_TIME, answer.data()).await;
                }
                while let Some(delta) = reading.next() {
                    yield delta;
                }
            }
        })
    }
}

impl ModelServer for OpenAiGenerator {
    fn models(&self) -> LocalBoxFuture<'_, Result<Vec<String>, GeneratorError>> {
        let list = async {
            let mut answer = self
                .upstream
                .send(Method::GET, "/models", &[], Vec::new().into())
                .await
                .map_err(|error| broken(&error))?;
            if answer.status != StatusCode::OK {
                return Err(refused(&mut answer).await);
            }
            let text = answer.text(LIST_BYTES, LIST_TIME).await;
            answer::model_names(&text)
                .ok_or_else(|| invalid("the upstream's list of models cannot be read"))
        };
        async move {
            let listed = tokio::time::timeout(LIST_TIME, list).await;
            listed.unwrap_or_else(|_late| {
                Err(GeneratorError::new(
                    FailureCode::UpstreamUnavailable,
                    "the upstream does not say in time which models it has",
                ))
            })
        }
        .boxed_local()
    }
}

/// Sends the request; an answer is one that streams.
async fn ask(upstream: &Upstream, body: Vec<u8>) -> Result<Answer, GeneratorError> {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (ACCEPT, HeaderValue::from_static("text/event-stream")),
    ];
    let mut answer = upstream
        .send(Method::POST, "/chat/completions", &headers, body.into())
        .await
        .map_err(|error| broken(&error))?;
    if answer.status != StatusCode::OK {
        return Err(refused(&mut answer).await);
    }
    let content_type = answer.headers.get(CONTENT_TYPE);
    let is_stream = content_type
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().starts_with("text/event-stream"));
    if !is_stream {
        return Err(invalid(
            "the upstream did not answer with a stream of events",
        ));
    }
    Ok(answer)
}

/// What an answer means that is not a stream. What the upstream says is passed on only where it is
/// about the request; elsewhere it may hold our key or its own secrets.
async fn refused(answer: &mut Answer) -> GeneratorError {
    let status = answer.status;
    let retry_after = retry_after(answer);
    let text = answer.text(ERROR_BYTES, ERROR_TIME).await;
    let (code, message) = match status.as_u16() {
        429 => (
            FailureCode::UpstreamRateLimited,
            "the upstream turns requests away for now".to_owned(),
        ),
        401 | 403 => {
            tracing::error!(
                status = status.as_u16(),
                "The upstream refuses our credentials"
            );
            return GeneratorError {
                retryable: false,
                ..GeneratorError::new(
                    FailureCode::UpstreamError,
                    "the upstream refuses this server's credentials",
                )
            };
        }
        400..=499 => {
            let said = answer::message_of(&text).unwrap_or_else(|| format!("status {status}"));
            (
                FailureCode::UpstreamRefused,
                format!("the upstream refuses the request: {said}"),
            )
        }
        500..=599 => (
            FailureCode::UpstreamError,
            format!("the upstream failed with status {}", status.as_u16()),
        ),
        _ => (
            FailureCode::UpstreamInvalid,
            format!("the upstream answered with status {}", status.as_u16()),
        ),
    };
    GeneratorError {
        retry_after,
        ..GeneratorError::new(code, message)
    }
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

fn invalid(message: impl Into<String>) -> GeneratorError {
    GeneratorError::new(FailureCode::UpstreamInvalid, message)
}

/// What an error of the transport means. Its cause names addresses, so it goes to the log only.
fn broken(error: &HttpError) -> GeneratorError {
    tracing::warn!(%error, "An exchange with an upstream failed");
    match error {
        HttpError::Connect(_) | HttpError::ConnectTimeout(_) => GeneratorError::new(
            FailureCode::UpstreamUnavailable,
            "the upstream cannot be reached",
        ),
        HttpError::Exchange(error) if error.is_parse() => {
            invalid("the upstream's answer is not HTTP")
        }
        HttpError::Exchange(_) | HttpError::Closed => GeneratorError::new(
            FailureCode::UpstreamIncomplete,
            "the connection to the upstream broke before the answer was complete",
        ),
    }
}
