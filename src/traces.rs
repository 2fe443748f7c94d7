//! What happens to a request and to a generation, told to a collector as OpenTelemetry spans over OTLP.
//!
//! One [`Traces`] for each server. A [`Trace`] is where some work stands in a trace, a [`Span`] is that
//! work; both are handed on as values, since a generation outlives its request and no task is current. Who
//! is not sampled, and whoever traces nothing, costs no more than what stands in `traceparent`.
//!
//! Nothing is done for a token. Spans that have ended go through a bounded queue to a thread of their own
//! (`export.rs`), which drops and counts what the collector does not take: no stream waits for it.

mod collector;
mod export;
mod span;
mod w3c;

pub use collector::PATH;
pub use span::{Kind, Span};

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::trace::{Link, SpanContext, TracerProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use rustls::ClientConfig;
use uuid::Uuid;

use self::collector::Collector;
use self::export::Exporter;
use crate::http_client::{HttpClient, HttpClientConfig};

/// What the server is called where nobody says otherwise.
const SERVICE: &str = "tailrace";

/// Where spans go, and which.
#[derive(Debug, Clone)]
pub struct TracesConfig {
    /// The collector.
    pub server: HttpClientConfig,
    /// How long it may take to take some.
    pub timeout: Duration,
    /// The share of the traces that begin here, 0 to 1. Others are sampled as their callers decided.
    pub sample: f64,
    /// What the server is called; if absent, what `OTEL_SERVICE_NAME` says, or `tailrace`.
    pub service_name: Option<String>,
    /// Whether callers' traces go on here. Else each request begins one of its own, with a link to theirs.
    pub trusts_callers: bool,
}

/// What became of the spans that have ended.
#[derive(Debug, Default)]
pub struct Figures {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl Figures {
    /// How many were taken by the collector, found no room here, and were not taken by it.
    pub fn counted(&self) -> [(&'static str, u64); 3] {
        [
            ("exported", &self.exported),
            ("dropped", &self.dropped),
            ("failed", &self.failed),
        ]
        .map(|(result, count)| (result, count.load(Ordering::Relaxed)))
    }
}

fn add(count: &AtomicU64, more: usize) {
    count.fetch_add(more as u64, Ordering::Relaxed);
}

/// Begins the traces of one server. A clone is another handle on the same; the default traces nothing, and
/// only hands callers' traces on.
#[derive(Clone, Default)]
pub struct Traces {
    tracing: Option<Arc<Tracing>>,
    ignores_callers: bool,
}

struct Tracing {
    tracer: SdkTracer,
    exporter: Exporter,
}

impl Traces {
    /// Traces nothing, and hands callers' traces on only if they are trusted.
    #[must_use]
    pub const fn none(trusts_callers: bool) -> Self {
        Self {
            tracing: None,
            ignores_callers: !trusts_callers,
        }
    }

    /// Traces to this collector from now on, with a thread of its own. `tls` is for `https` URLs.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn new(config: TracesConfig, tls: Arc<ClientConfig>) -> std::io::Result<Self> {
        let resource = resource(config.service_name);
        let collector = Collector::new(HttpClient::new(config.server, tls), config.timeout);
        let (exporter, queue) = export::start(collector, &resource)?;
        let ratio = Sampler::TraceIdRatioBased(config.sample);
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(ratio)))
            .with_resource(resource)
            .with_span_processor(queue)
            .build();
        let scope = InstrumentationScope::builder(SERVICE)
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let tracing = Tracing {
            tracer: provider.tracer_with_scope(scope),
            exporter,
        };
        Ok(Self {
            tracing: Some(Arc::new(tracing)),
            ignores_callers: !config.trusts_callers,
        })
    }

    /// Where a request stands, by its `traceparent` and `tracestate` headers. What is malformed is as if
    /// it were not there.
    pub fn incoming<'a>(
        &self,
        traceparent: impl Iterator<Item = &'a [u8]>,
        tracestate: impl Iterator<Item = &'a [u8]>,
    ) -> Trace {
        let caller = w3c::context(traceparent, tracestate);
        let tracer = self.tracer();
        if self.ignores_callers {
            Trace::at(tracer, None, caller)
        } else {
            Trace::at(tracer, caller, None)
        }
    }

    /// Where something stands that another node has begun, by what [`Trace::headers`] said there.
    #[must_use]
    pub fn again(&self, traceparent: Option<&str>, tracestate: Option<&str>) -> Trace {
        let bytes = |text: Option<&'_ str>| text.map(|text| text.as_bytes().to_vec());
        let (parent, state) = (bytes(traceparent), bytes(tracestate));
        let context = w3c::context(parent.as_deref().into_iter(), state.as_deref().into_iter());
        Trace::at(self.tracer(), context, None)
    }

    fn tracer(&self) -> Option<&SdkTracer> {
        Some(&self.tracing.as_ref()?.tracer)
    }

    /// What became of the spans, if there are any.
    #[must_use]
    pub fn figures(&self) -> Option<&Figures> {
        Some(self.tracing.as_ref()?.exporter.figures())
    }

    /// Waits until the collector has what has ended so far, but no longer than `limit`.
    pub async fn flush(&self, limit: Duration) {
        if let Some(tracing) = &self.tracing {
            tracing.exporter.flush(limit).await;
        }
    }
}

/// Who tells: this process of this server, and what `OTEL_RESOURCE_ATTRIBUTES` says of it.
fn resource(service_name: Option<String>) -> Resource {
    let detected = Resource::builder().build();
    let named = detected.get(&"service.name".into());
    // The library's own word for a service that nobody has named.
    let named = named.filter(|name| !name.as_str().starts_with("unknown_service"));
    let name = service_name.or_else(|| named.map(|name| name.to_string()));
    let instance = Uuid::new_v4().to_string();
    let ours = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance),
    ];
    let ours = ours
        .into_iter()
        .filter(|attribute| detected.get(&attribute.key).is_none());
    Resource::builder()
        .with_attributes(ours)
        .with_service_name(name.unwrap_or_else(|| SERVICE.to_owned()))
        .build()
}

/// Where some work stands in a trace, if it stands in any: what its parts and the servers that it asks are
/// told.
#[derive(Clone, Default)]
pub struct Trace(Option<Arc<Place>>);

struct Place {
    /// What records parts of it, if anything does.
    tracer: Option<SdkTracer>,
    /// Absent where a trace begins. It is a valid one.
    context: Option<SpanContext>,
    /// Whose work led to a trace that begins here.
    caller: Option<SpanContext>,
}

impl Trace {
    fn at(
        tracer: Option<&SdkTracer>,
        context: Option<SpanContext>,
        caller: Option<SpanContext>,
    ) -> Self {
        if tracer.is_none() && context.is_none() {
            return Self(None);
        }
        Self(Some(Arc::new(Place {
            tracer: tracer.cloned(),
            context,
            caller,
        })))
    }

    /// Whether it stands nowhere, and nobody traces what begins here.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The id of the trace, for the log.
    #[must_use]
    pub fn id(&self) -> Option<impl fmt::Display + use<>> {
        Some(self.context()?.trace_id())
    }

    /// What a server is told that is asked here, sampled or not: the names and values of headers.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.context().into_iter().flat_map(w3c::headers)
    }

    fn context(&self) -> Option<&SpanContext> {
        self.0.as_ref()?.context.as_ref()
    }

    fn links(&self) -> Vec<Link> {
        let caller = self.0.as_ref().and_then(|place| place.caller.clone());
        caller.map(Link::with_context).into_iter().collect()
    }
}

/// Two are the same when they stand at the same place.
impl PartialEq for Trace {
    fn eq(&self, other: &Self) -> bool {
        self.context() == other.context()
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id() {
            None => formatter.write_str("Trace(none)"),
            Some(id) => write!(formatter, "Trace({id})"),
        }
    }
}
