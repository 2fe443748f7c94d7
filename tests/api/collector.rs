//! A collector that decodes what it is sent by OTLP's own schema, and answers as a test tells it.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message as _;
use serde_json::{Map, Value};
use tailrace::app::Stopped;

use crate::server::{Server, wait_for};
use crate::upstream::{Exchange, Seen, Then, Upstream};

/// Takes all of it.
pub const TAKES: fn(&Seen, &mut Exchange) = |_, exchange| {
    exchange.answer("200 OK", "Content-Type: application/x-protobuf\r\n", "");
};

/// A span as the collector understands it.
#[derive(Debug, Clone)]
pub struct Span {
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty where the trace begins.
    pub parent: String,
    pub state: String,
    pub kind: otlp::span::SpanKind,
    pub attributes: Value,
    pub events: Vec<(String, Value)>,
    /// Trace and span of each.
    pub links: Vec<(String, String)>,
    pub failed: bool,
    pub description: String,
    /// Nanoseconds since the Unix epoch.
    pub started: u64,
    pub ended: u64,
    pub resource: Value,
}

pub struct Collector {
    http: Upstream,
}

impl Collector {
    pub fn start() -> Self {
        Self::with(TAKES)
    }

    /// A collector that answers so.
    pub fn with(answer: impl Fn(&Seen, &mut Exchange) + Send + Sync + 'static) -> Self {
        let http = Upstream::start(move |seen: &Seen, exchange: &mut Exchange| {
            answer(seen, exchange);
            Then::Keep
        });
        Self { http }
    }

    /// What a server needs to know of it.
    pub fn settings(&self) -> String {
        format!("traces.endpoint = \"http://{}\"\n", self.http.address)
    }

    /// The requests as they came.
    pub fn seen(&self) -> Vec<Seen> {
        self.http.seen()
    }

    /// What has come so far.
    pub fn spans(&self) -> Vec<Span> {
        self.seen().iter().flat_map(spans).collect()
    }

    /// Waits for a span of this name.
    pub fn span(&self, name: &str) -> Span {
        wait_for(|| self.spans().into_iter().find(|span| span.name == name))
    }

    /// Lets the server stop, after which nothing more comes: all spans.
    pub fn all(&self, server: Server) -> Vec<Span> {
        server.ask_to_stop();
        assert_eq!(server.wait(), Stopped::Drained);
        self.spans()
    }
}

/// The one span of this name.
pub fn only<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut named = spans.iter().filter(|span| span.name == name);
    let first = named.next();
    let first = first.unwrap_or_else(|| panic!("there is no {name:?} in {spans:#?}"));
    assert!(named.next().is_none(), "there are several {name:?}");
    first
}

/// What stands in one request.
fn spans(seen: &Seen) -> Vec<Span> {
    assert!(seen.head.starts_with("POST /v1/traces HTTP/1.1\r\n"));
    assert_eq!(seen.header("content-type"), Some("application/x-protobuf"));
    let request = ExportTraceServiceRequest::decode(&*seen.body).unwrap();
    let mut spans = Vec::new();
    for group in request.resource_spans {
        let resource = attributes(&group.resource.unwrap().attributes);
        for scope in group.scope_spans {
            assert_eq!(scope.scope.unwrap().name, "tailrace");
            let read = scope.spans.into_iter().map(|span| read(span, &resource));
            spans.extend(read);
        }
    }
    spans
}

fn read(span: otlp::Span, resource: &Value) -> Span {
    assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
    assert_eq!(span.flags & 1, 1, "it is not sampled");
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    assert_eq!(span.dropped_attributes_count + span.dropped_events_count, 0);
    let kind = span.kind();
    let status = span.status.unwrap_or_default();
    let events = span.events.into_iter();
    let links = span.links.into_iter();
    Span {
        name: span.name,
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        state: span.trace_state,
        kind,
        attributes: attributes(&span.attributes),
        events: events
            .map(|event| (event.name, attributes(&event.attributes)))
            .collect(),
        links: links
            .map(|link| (hex(&link.trace_id), hex(&link.span_id)))
            .collect(),
        failed: status.code() == otlp::status::StatusCode::Error,
        description: status.message,
        started: span.start_time_unix_nano,
        ended: span.end_time_unix_nano,
        resource: resource.clone(),
    }
}

fn attributes(all: &[KeyValue]) -> Value {
    let mut found = Map::new();
    for KeyValue { key, value, .. } in all {
        let before = found.insert(key.clone(), value_of(value.as_ref().unwrap()));
        assert_eq!(before, None, "{key} is said twice");
    }
    Value::Object(found)
}

fn value_of(value: &AnyValue) -> Value {
    match value.value.as_ref().unwrap() {
        any_value::Value::StringValue(text) => text.clone().into(),
        any_value::Value::BoolValue(flag) => (*flag).into(),
        any_value::Value::IntValue(number) => (*number).into(),
        any_value::Value::DoubleValue(number) => (*number).into(),
        any_value::Value::ArrayValue(list) => list.values.iter().map(value_of).collect(),
        other => panic!("nobody sends {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
