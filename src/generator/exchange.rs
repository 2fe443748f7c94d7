//! One streamed request to a model's server: from the bytes of the request to deltas.
//!
//! What all such servers have in common: HTTP, a stream of events, statuses, ends and time-outs. What
//! the events mean is for each kind of server to say, in its [`Reader`].

mod deadlines;
mod failure;
mod reading;

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

use self::deadlines::Deadlines;
pub(super) use self::failure::{
    broken, credentials_refused, invalid, rate_limited, refused, request_refused, said,
};
pub(super) use self::reading::{Reader, Reading};
use super::event_stream::EventStream;
use super::http::{Answer, Upstream};
use super::{Deltas, GeneratorError};

/// The most that one event of an upstream may have, in bytes: room for a large tool call at once.
const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// How long the end of an answer may take once its finish reason is known.
const END_TIME: Duration = Duration::from_secs(2);

/// How long the end of the body is waited for once the answer is over.
const BODY_END_TIME: Duration = Duration::from_millis(20);

/// What is asked, as the server wants it.
pub(super) struct Request {
    /// What follows the base URL.
    pub(super) path: &'static str,
    /// What this kind of server wants beside what all want, with names in lower case.
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// JSON.
    pub(super) body: Vec<u8>,
}

/// What the server answers. Dropping the deltas closes the connection, at whatever point the
/// exchange is.
pub(super) fn deltas(upstream: Upstream, request: Request, mut reader: impl Reader) -> Deltas {
    Box::pin(stream! {
        let mut deadlines = Deadlines::new(upstream.timeouts());
        let asked = {
            let asking = pin!(ask(&upstream, request));
            deadlines.within(asking).await
        };
        let mut answer = match asked.flatten() {
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
                let next = pin!(answer.data());
                match deadlines.within(next).await {
                    Ok(data) => data,
                    Err(late) => {
                        yield Err(late);
                        return;
                    }
                }
            };
            match data {
                Ok(Some(data)) => {
                    let pushed = events.push(&data, |event| reading.take(&mut reader, &event.data));
                    if let Err(error) = pushed {
                        reading.fail(invalid(format!("the upstream's answer cannot be read: {error}")));
                    }
                }
                Ok(None) => {
                    if let Ok(Some(event)) = events.finish() {
                        reading.take(&mut reader, &event.data);
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
            let mut has_spoken = false;
            while let Some(delta) = reading.next() {
                has_spoken = true;
                yield delta;
            }
            // Counted from here, a reader that takes its time is not the upstream's silence.
            if has_spoken {
                deadlines.delta_came();
            }
        }
    })
}

/// Sends the request; an answer is one that streams.
async fn ask(upstream: &Upstream, request: Request) -> Result<Answer, GeneratorError> {
    let mut headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (ACCEPT, HeaderValue::from_static("text/event-stream")),
    ];
    headers.extend(request.headers.iter().map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    }));
    let mut answer = upstream
        .send(Method::POST, request.path, &headers, request.body.into())
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
