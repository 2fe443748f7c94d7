//! Following a stream: Server-Sent Events, NDJSON or long polling, all on one cursor.

use std::future::poll_fn;
use std::time::Duration;

use actix_web::http::header::{self, ACCEPT, HeaderName};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use futures_util::FutureExt as _;

use super::credentials::Reader;
use super::encode;
use super::path::StreamPath;
use super::problem::{ApiError, Code, Errors};
use super::sse::{EventBody, Format, Watch};
use super::wire::{Event, EventPage};
use super::{Api, cursor, http10};
use crate::generation::Subscription;
use crate::metrics;
use crate::stream::{Batch, Cursor};

/// The longest that a poll may wait. Proxies cut silent requests at 60 s.
const MAX_WAIT: Duration = Duration::from_secs(55);

/// The most entries, in bytes, that one poll answers with; the next one gets the rest.
const PAGE_BYTES: usize = 256 * 1024;

/// Says which of the events that come were there already.
const TAIL: HeaderName = HeaderName::from_static("tailrace-tail");

/// In which form a client wants to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Following {
    /// `text/event-stream`
    Sse,
    /// `application/x-ndjson`
    Ndjson,
    /// `application/json`: one page at a time.
    Poll,
}

impl Following {
    /// What the `Accept` headers like best; SSE if they are silent or strange, for a stream must
    /// never be refused with 406.
    fn of(request: &HttpRequest) -> Self {
        let mut best = (Self::Sse, 0.0);
        let values = request.headers().get_all(ACCEPT);
        for range in values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|v| v.split(','))
        {
            let mut parts = range.split(';').map(str::trim);
            let following = match parts
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase()
                .as_str()
            {
                "text/event-stream" => Self::Sse,
                "application/x-ndjson" | "application/ndjson" => Self::Ndjson,
                "application/json" => Self::Poll,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
            let quality: f32 = quality.unwrap_or(1.0);
            // Among equals SSE wins, then whoever came first.
            if quality > best.1 || (following == Self::Sse && quality >= best.1) {
                best = (following, quality);
            }
        }
        best.0
    }
}

/// Follow a stream
///
/// Replays what came after the cursor and then follows. `Accept` chooses the form: SSE (the
/// default), `application/x-ndjson`, or `application/json` for one page (with `wait`, long
/// polling). After the terminal event, SSE and NDJSON answer 204, which stops an `EventSource`.
#[utoipa::path(
    get, path = "/v1/streams/{id}/events", tag = "streams", operation_id = "followStream",
    security(("bearer" = []), ("access_token" = []), ("ticket" = [])),
    params(
        ("id" = String, Path, description = "The stream's id"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event seen"),
        ("last_event_id" = Option<String>, Query, description = "The same, for clients that cannot set headers; the header wins"),
        ("wait" = Option<f64>, Query, description = "Long polling: wait so many seconds (up to 55) for an event", minimum = 0, maximum = 55),
    ),
    responses(
        (status = 200, description = "The events after the cursor", content(
            (Event = "text/event-stream"),
            (Event = "application/x-ndjson"),
            (EventPage = "application/json"),
        ), headers(("Tailrace-Tail" = u64, description = "The `seq` of the last event that was there when this reader came: those up to it are replayed. Not on pages"))),
        (status = 204, description = "The cursor is the terminal event: there is nothing to follow"),
        Errors,
    ),
)]
pub(super) async fn follow(
    reader: Reader,
    api: web::Data<Api>,
    request: HttpRequest,
    path: StreamPath,
) -> Result<HttpResponse, ApiError> {
    let Reader(viewer) = reader;
    let after = cursor::within(&request, path.0)?;
    let following = Following::of(&request);
    let wait = wait(&request)?;
    let cursor = after.map(|seq| Cursor {
        stream: path.0,
        seq,
    });
    if following != Following::Poll
        && let Some(cursor) = cursor
        && api.generations.is_end(&viewer, cursor).await?
    {
        return Ok(HttpResponse::NoContent().finish());
    }
    let kind = match following {
        Following::Poll => metrics::Reader::Poll,
        Following::Ndjson => metrics::Reader::Ndjson,
        Following::Sse => metrics::Reader::Sse,
    };
    let subscription = api
        .generations
        .subscribe(&viewer, path.0, after, kind)
        .await?;
    if following == Following::Poll {
        let _reading = api.metrics.reading(kind);
        return page(subscription, cursor, wait).await;
    }
    let format = match following {
        Following::Ndjson => Format::Ndjson,
        Following::Sse | Following::Poll => Format::Sse,
    };
    Ok(respond(
        HttpResponse::Ok(),
        &request,
        format,
        subscription,
        &api,
    ))
}

/// A response that follows the subscription to its end.
pub(super) fn respond(
    mut response: HttpResponseBuilder,
    request: &HttpRequest,
    format: Format,
    subscription: Subscription,
    api: &Api,
) -> HttpResponse {
    let config = api.config.load();
    let watch = Watch::new(&api.metrics, format.reader(), config.peer_timeout);
    // The other surface's clients know no sequence numbers.
    if format.reader() != metrics::Reader::OpenAi {
        response.insert_header((TAIL, subscription.tail().to_string()));
    }
    let response = response
        .insert_header((header::CONTENT_TYPE, format.content_type()))
        .insert_header((header::CACHE_CONTROL, "no-cache, no-transform"))
        .insert_header(("X-Accel-Buffering", "no"))
        .body(EventBody::new(
            subscription,
            format,
            config.heartbeat,
            watch,
        ));
    http10::adapt(request, response)
}

fn wait(request: &HttpRequest) -> Result<Duration, ApiError> {
    let mut pairs = form_urlencoded::parse(request.query_string().as_bytes());
    let Some((_, text)) = pairs.find(|(name, _)| name == "wait") else {
        return Ok(Duration::ZERO);
    };
    text.parse()
        .ok()
        .filter(|seconds: &f64| *seconds <= MAX_WAIT.as_secs_f64())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| {
            ApiError::new(
                Code::InvalidQuery,
                "must be a number of seconds from 0 to 55",
            )
            .param("wait")
        })
}

/// One page of events: what is there, or, within `wait`, what comes first.
async fn page(
    mut subscription: Subscription,
    cursor: Option<Cursor>,
    wait: Duration,
) -> Result<HttpResponse, ApiError> {
    let mut last = cursor;
    let mut body = br#"{"events":["#.to_vec();
    let mut closed = false;
    let mut batch = Batch::default();
    let mut budget = PAGE_BYTES;
    loop {
        let mut read = Box::pin(poll_fn(|context| {
            subscription.poll_read(context, &mut batch, budget)
        }));
        let more = if body.ends_with(b"[") {
            tokio::time::timeout(wait, read.as_mut()).await.ok()
        } else {
            read.as_mut().now_or_never()
        };
        drop(read);
        match more.transpose()? {
            None => break,
            Some(false) => {
                closed = true;
                break;
            }
            Some(true) => {}
        }
        for entry in batch.entries() {
            if !body.ends_with(b"[") {
                body.push(b',');
            }
            encode::json(&entry, &mut body);
            closed |= entry.kind.is_terminal();
            last = Some(Cursor {
                stream: subscription.stream(),
                seq: entry.seq,
            });
        }
        budget = budget.saturating_sub(batch.bytes());
        if closed || budget == 0 {
            break;
        }
    }
    // Every stream has a start event, so without one there was a cursor.
    let last = last.map_or_else(String::new, |cursor| cursor.to_string());
    body.extend_from_slice(format!(r#"],"last_event_id":"{last}","closed":{closed}}}"#).as_bytes());
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body))
}
