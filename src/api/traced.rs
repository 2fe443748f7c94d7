//! A span for each request. It begins before anything else is done and lasts until the last byte of the
//! answer, as far as the framework took it.

use std::net::Ipv6Addr;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{HOST, HeaderName, HeaderValue};
use actix_web::http::uri::Authority;
use actix_web::web::Bytes;
use actix_web::{HttpMessage as _, HttpRequest};
use pin_project_lite::pin_project;

use super::{Api, connection};
use crate::metrics;
use crate::stream::StreamId;
use crate::traces::{Kind, Span, Trace};

/// What asks whether we live, all day long.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// The longest name of a host, in bytes (RFC 1123, section 2.1).
const LONGEST_HOST: usize = 255;

/// That the client did not wait for all of its answer.
const LEFT_EARLY: &str = "tailrace.response.left_early";

/// Why a request failed, in its extensions.
pub(super) struct ProblemCode(pub(super) &'static str);

/// The span of a request, in its extensions.
struct RequestSpan(Span);

/// Begins the span of a request, and keeps it with that.
pub(super) fn begin(request: &HttpRequest, api: Option<&Api>) -> Span {
    let Some(api) = api.filter(|_| !PROBES.contains(&request.path())) else {
        return Span::default();
    };
    let headers = request.headers();
    let all = |name| headers.get_all(name).map(HeaderValue::as_bytes);
    let trace = api.traces.incoming(all("traceparent"), all("tracestate"));
    if trace.is_none() {
        return Span::default();
    }
    let span = trace.begin(Kind::Server, "HTTP");
    request.extensions_mut().insert(RequestSpan(span.clone()));
    span
}

/// Where a request stands in a trace.
pub(super) fn trace_of(request: &HttpRequest) -> Trace {
    let extensions = request.extensions();
    let span = extensions.get::<RequestSpan>();
    span.map_or_else(Trace::default, |span| span.0.trace().clone())
}

/// Says what is known once the head of the answer is.
pub(super) fn answered<B>(span: &Span, request_id: &str, response: &ServiceResponse<B>) {
    if !span.is_recorded() {
        return;
    }
    let request = response.request();
    let named = response
        .headers()
        .get(HeaderName::from_static("x-stream-id"));
    let named = named.and_then(|id| id.to_str().ok()?.parse().ok());
    asked(span, request_id, request, named);
    let status = response.status();
    span.set("http.response.status_code", i64::from(status.as_u16()));
    let extensions = request.extensions();
    let code = extensions.get::<ProblemCode>().map(|code| code.0);
    if let Some(code) = code {
        span.set("tailrace.problem.code", code);
    }
    if status.is_server_error() {
        span.fail(code.unwrap_or("server_error"));
    }
}

/// Says what is known of a request whose client has left before there was an answer.
pub(super) fn unanswered(request: &HttpRequest, request_id: &str) {
    let extensions = request.extensions();
    if let Some(RequestSpan(span)) = extensions.get()
        && span.is_recorded()
    {
        asked(span, request_id, request, None);
        span.set(LEFT_EARLY, true);
    }
}

/// Says what was asked: the conventions' attributes, and never the query. A path is shown if all of it is
/// ours: what callers put there in place of an id might be anything.
fn asked(span: &Span, request_id: &str, request: &HttpRequest, named: Option<StreamId>) {
    let method = metrics::method(request.method().as_str());
    let shown = if method == metrics::OTHER_METHOD {
        "HTTP"
    } else {
        method
    };
    // The stream that it is about, as the answer or the path names it.
    let in_path = || request.match_info().get("id")?.parse().ok();
    let stream: Option<StreamId> = named.or_else(in_path);
    match request.match_pattern() {
        Some(route) => {
            span.rename(format!("{shown} {route}"));
            if stream.is_some() || !route.contains('{') {
                span.set("url.path", request.path().to_owned());
            }
            span.set("http.route", route);
        }
        None => span.rename(shown.to_owned()),
    }
    let is_tls = connection::Handle::of(request).is_some_and(|it| it.is_secure());
    span.set("url.scheme", if is_tls { "https" } else { "http" });
    span.set("http.request.method", method);
    if let Some(host) = authority(request) {
        span.set("server.address", host.host().to_owned());
        if let Some(port) = host.port_u16() {
            span.set("server.port", i64::from(port));
        }
    }
    span.set("tailrace.request.id", request_id.to_owned());
    if let Some(stream) = stream {
        span.set("tailrace.stream.id", stream.to_string());
    }
}

/// Whom the caller meant to ask, if that can be: a name, or an address.
fn authority(request: &HttpRequest) -> Option<Authority> {
    let host = request.headers().get(HOST)?.to_str().ok()?;
    if host.len() > LONGEST_HOST + ":65535".len() {
        return None;
    }
    let authority: Authority = host.parse().ok()?;
    let host = authority.host();
    let in_brackets = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let may_be = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_host = match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => (1..=LONGEST_HOST).contains(&host.len()) && host.bytes().all(may_be),
    };
    is_host.then_some(authority)
}

pin_project! {
    /// A body that holds its request's span until it is gone.
    pub struct Traced<B> {
        #[pin]
        body: B,
        has_ended: bool,
        span: Span,
    }

    impl<B> PinnedDrop for Traced<B> {
        /// Whoever leaves a stream early may come back: that is no failure.
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !*this.has_ended && this.span.is_recorded() {
                this.span.set(LEFT_EARLY, true);
            }
        }
    }
}

impl<B: MessageBody> Traced<B> {
    pub(super) fn new(body: B, span: Span) -> Self {
        Self {
            // Others are written as a whole, and need not be asked for their end.
            has_ended: !matches!(body.size(), BodySize::Stream),
            body,
            span,
        }
    }
}

impl<B: MessageBody> MessageBody for Traced<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, B::Error>>> {
        let this = self.project();
        let piece = this.body.poll_next(context);
        match &piece {
            Poll::Ready(None) => *this.has_ended = true,
            Poll::Ready(Some(Err(_))) => {
                *this.has_ended = true;
                this.span.fail("broken_off");
            }
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        piece
    }
}
