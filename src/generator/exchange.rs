//! One streamed request to a model's server: from the bytes of the request to deltas.
//!
//! What all such servers have in common: HTTP, a stream of events, statuses, ends and time-outs. What
//! the events mean is for each kind of server to say, in its [`Reader`].

mod about;
mod deadlines;
mod failure;
mod reading;

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt as _, Stream};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use tokio::time::{Sleep, sleep};

use self::deadlines::Deadlines;
pub(super) use self::failure::{broken, invalid, refused, reported, request_refused};
pub(super) use self::reading::{Reader, Reading};
use super::{Delta, Deltas, GeneratorError, Upstream};
use crate::event_stream::EventStream;
use crate::http_client::Answer;
use crate::traces::{Kind, Span, Trace};

/// The most that one event of an upstream may have, in bytes: room for a large tool call at once.
const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// How long the end of an answer may take once its finish reason is known.
const END_TIME: Duration = Duration::from_secs(2);

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
pub(super) fn deltas(
    upstream: Upstream,
    request: Request,
    reader: impl Reader,
    trace: &Trace,
) -> Deltas {
    let span = begin(&upstream, &request, trace);
    Box::pin(Exchange {
        deadlines: Deadlines::new(upstream.timeouts),
        place: Place::Asking(ask(upstream, request, span.clone()).boxed_local()),
        span,
        events: EventStream::new(MAX_EVENT_BYTES),
        reading: Reading::default(),
        reader,
        ending: None,
    })
}

/// An exchange under way. It is no `async` block, which would keep room for the asking while the
/// answer comes, and a token would touch more of it.
struct Exchange<R> {
    place: Place,
    events: EventStream,
    reading: Reading,
    reader: R,
    deadlines: Deadlines,
    /// How long the end is waited for, once the answer is complete.
    ending: Option<Pin<Box<Sleep>>>,
    /// Ends with the exchange.
    span: Span,
}

/// How far it has come.
enum Place {
    Asking(LocalBoxFuture<'static, Result<Answer, GeneratorError>>),
    Answering(Answer),
    Over,
}

impl<R: Reader> Stream for Exchange<R> {
    type Item = Result<Delta, GeneratorError>;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Delta, GeneratorError>>> {
        let this = self.get_mut();
        loop {
            if let Some(delta) = this.reading.next() {
                return Poll::Ready(Some(delta));
            }
            if this.reading.is_over() {
                return Poll::Ready(None);
            }
            ready!(this.poll_more(context));
        }
    }
}

impl<R: Reader> Exchange<R> {
    /// Goes on until something may be ready.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.place {
            Place::Asking(asking) => match asking.poll_unpin(context) {
                Poll::Ready(Ok(answer)) => self.place = Place::Answering(answer),
                Poll::Ready(Err(error)) => self.reading.fail(error),
                Poll::Pending => self.reading.fail(ready!(self.deadlines.poll_late(context))),
            },
            Place::Answering(answer) => {
                let (events, reading, reader) =
                    (&mut self.events, &mut self.reading, &mut self.reader);
                let mut unreadable = None;
                let read = answer.poll_read(context, |piece| {
                    let pushed = events.push(piece, |event| reading.take(reader, event.data));
                    unreadable = unreadable.or(pushed.err());
                });
                if let Some(error) = unreadable {
                    reading.fail(invalid(format!(
                        "the upstream's answer cannot be read: {error}"
                    )));
                }
                match read {
                    Poll::Ready(Ok(true)) if reading.is_ready() => self.deadlines.delta_came(),
                    Poll::Ready(Ok(true)) => {}
                    Poll::Ready(Ok(false)) => {
                        // What is no text is no event either.
                        let _cut = events.finish(|event| reading.take_last(reader, event.data));
                        reading.end();
                    }
                    // Usage might have followed, and the end; but the answer is complete.
                    Poll::Ready(Err(_)) if reading.has_finish_reason() => reading.end(),
                    Poll::Ready(Err(error)) => reading.fail(broken(&error)),
                    Poll::Pending if reading.has_finish_reason() => {
                        let ending = self.ending.get_or_insert_with(|| Box::pin(sleep(END_TIME)));
                        ready!(ending.poll_unpin(context));
                        reading.end();
                    }
                    Poll::Pending => {
                        reading.fail(ready!(self.deadlines.poll_late(context)));
                    }
                }
            }
            Place::Over => {}
        }
        Poll::Ready(())
    }
}

impl<R> Drop for Exchange<R> {
    /// The finish reason is the last that anybody asks for. If all went well until then, the connection
    /// may serve others; else it is closed.
    fn drop(&mut self) {
        if let Some(code) = self.reading.failure() {
            self.span.fail(code.as_str());
        }
        if let Place::Answering(answer) = std::mem::replace(&mut self.place, Place::Over)
            && self.reading.is_over()
            && self.reading.has_finish_reason()
        {
            answer.leave();
        }
    }
}

/// The span of an attempt to have an answer.
fn begin(upstream: &Upstream, request: &Request, trace: &Trace) -> Span {
    let span = trace.begin(Kind::Client, "POST");
    if span.is_recorded() {
        // Neither query nor credentials are part of it.
        let url = upstream.client.url();
        span.set("http.request.method", "POST");
        span.set("url.full", format!("{url}{}", request.path));
        span.set("server.address", url.host().to_owned());
        span.set("server.port", i64::from(url.port()));
    }
    span
}

/// Sends the request; an answer is one that streams.
async fn ask(upstream: Upstream, request: Request, span: Span) -> Result<Answer, GeneratorError> {
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
    headers.extend(span.trace().headers().filter_map(|(name, value)| {
        let value = HeaderValue::from_str(&value).ok()?;
        Some((HeaderName::from_static(name), value))
    }));
    let mut answer = upstream
        .client
        .send(Method::POST, request.path, &headers, &request.body)
        .await
        .map_err(|error| broken(&error))?;
    let status = i64::from(answer.status.as_u16());
    span.set("http.response.status_code", status);
    if answer.status != StatusCode::OK {
        return Err(refused(&mut answer).await);
    }
    // They are not looked at again, and many streams would keep them.
    let headers = std::mem::replace(&mut answer.headers, HeaderMap::new());
    let content_type = headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().trim_start();
    if !content_type.starts_with("text/event-stream") {
        let error = invalid("the upstream did not answer with a stream of events");
        let kinds = ["text/html", "text/plain", "application/json"];
        let kind = kinds.iter().find(|kind| content_type.starts_with(**kind));
        let kind = kind.unwrap_or(&"another content type, or none");
        return Err(error.because(format!("status 200 with {kind}")));
    }
    Ok(answer)
}
