//! From spans that have ended to the collector, on a thread of their own: a bounded queue, batches, a few
//! tries, and then they are dropped and counted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prost::Message as _;
use rand::RngExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::collector::{Collector, Refusal};
use super::{Figures, add};
use crate::http_client::BaseUrl;

/// How many spans wait at most, about a KiB each and never more than a few (`span.rs`). What comes when so many wait is dropped.
const ROOM: usize = 4096;

/// How many are sent at once, and how long the first of them waits for others.
const BATCH: usize = 512;
const GATHERING: Duration = Duration::from_secs(1);

/// How often a batch is sent at most, how long to wait before the second time (then twice as long, and so
/// on), and how long at most where the collector says how long.
const TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How often it is said that spans are dropped.
const COMPLAINT: Duration = Duration::from_secs(60);

/// What a server holds of the thread.
pub(super) struct Exporter {
    /// Where the spans go.
    collector: BaseUrl,
    figures: Arc<Figures>,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
}

/// What spans go into when they end.
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    figures: Arc<Figures>,
}

/// Starts the thread. It ends when the queue is gone.
pub(super) fn start(
    collector: Collector,
    resource: &Resource,
) -> std::io::Result<(Exporter, Queue)> {
    let figures = Arc::new(Figures::default());
    let (spans, ended) = mpsc::channel(ROOM);
    let (flushes, asked) = mpsc::channel(1);
    let url = collector.url().clone();
    let mut worker = Worker {
        collector,
        resource: ResourceAttributesWithSchema::from(resource),
        figures: Arc::clone(&figures),
        spans: ended,
        flushes: asked,
        flushed: None,
        complains: None,
        dropped: 0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("traces".to_owned())
        .spawn(move || runtime.block_on(worker.run()))?;
    let queue = Queue {
        spans,
        figures: Arc::clone(&figures),
    };
    let exporter = Exporter {
        collector: url,
        figures,
        flushes,
    };
    Ok((exporter, queue))
}

impl Exporter {
    pub(super) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Waits until what has ended so far has been sent or given up, but no longer than `limit`.
    pub(super) async fn flush(&self, limit: Duration) {
        let (done, is_done) = oneshot::channel();
        let flush = async {
            // A thread that is gone has nothing left to send.
            if self.flushes.send(done).await.is_ok() {
                let _gone = is_done.await;
            }
        };
        if timeout(limit, flush).await.is_err() {
            tracing::warn!(
                collector.url = %self.collector,
                limit_ms = limit.as_millis(),
                "The collector did not take the last spans in time"
            );
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Queue")
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    /// On whatever thread the span ends: it neither waits nor logs.
    fn on_end(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            add(&self.figures.dropped, 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

struct Worker {
    collector: Collector,
    resource: ResourceAttributesWithSchema,
    figures: Arc<Figures>,
    spans: mpsc::Receiver<SpanData>,
    flushes: mpsc::Receiver<oneshot::Sender<()>>,
    /// Whoever waits for the end of what is queued. As long as somebody does, nothing is tried twice.
    flushed: Option<oneshot::Sender<()>>,
    /// How many were lost since the collector failed, while it does.
    complains: Option<usize>,
    /// How many had been dropped when that was said last.
    dropped: u64,
}

impl Worker {
    async fn run(&mut self) {
        let mut batch = Vec::new();
        let mut complained: Option<Instant> = None;
        loop {
            tokio::select! {
                open = gather(&mut self.spans, &mut batch) => {
                    if !open && batch.is_empty() {
                        return;
                    }
                }
                Some(done) = self.flushes.recv() => {
                    self.flushed = Some(done);
                    while batch.len() < BATCH && let Ok(span) = self.spans.try_recv() {
                        batch.push(span);
                    }
                }
            }
            while !batch.is_empty() {
                self.export(std::mem::take(&mut batch)).await;
                while self.flushed.is_some()
                    && batch.len() < BATCH
                    && let Ok(span) = self.spans.try_recv()
                {
                    batch.push(span);
                }
            }
            if let Some(done) = self.flushed.take() {
                let _gone = done.send(());
            }
            let is_due = complained.is_none_or(|at| at.elapsed() >= COMPLAINT);
            let dropped = self.figures.dropped.load(Ordering::Relaxed);
            if is_due && dropped > self.dropped {
                let more = dropped - self.dropped;
                tracing::warn!(
                    collector.url = %self.collector.url(),
                    spans = more,
                    "Spans were dropped, since more end than the collector takes"
                );
                (complained, self.dropped) = (Some(Instant::now()), dropped);
            }
        }
    }

    /// Sends a batch, again if that may help, and counts what became of it.
    async fn export(&mut self, batch: Vec<SpanData>) {
        let count = batch.len();
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let batch = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let mut tries = 0;
        let outcome = loop {
            tries += 1;
            // Whoever waits for the end does not wait for a second time.
            let is_last = self.flushed.is_some() || tries == TRIES;
            let taken = self.collector.take(&batch).await;
            let Err(refusal) = &taken else {
                break taken;
            };
            self.complain(refusal);
            if is_last || !refusal.may_pass() {
                break taken;
            }
            let wait = wait(tries, refusal);
            if let Ok(Some(done)) = timeout(wait, self.flushes.recv()).await {
                self.flushed = Some(done);
            }
        };
        let lost = match &outcome {
            Ok(()) => 0,
            Err(Refusal::Partly(rejected, _)) => count.min(*rejected),
            Err(_) => count,
        };
        add(&self.figures.exported, count - lost);
        add(&self.figures.failed, lost);
        match outcome {
            Ok(()) => {
                if let Some(lost) = self.complains.take() {
                    let url = self.collector.url();
                    tracing::info!(collector.url = %url, spans.lost = lost, "The collector takes spans again");
                }
            }
            Err(_) => *self.complains.get_or_insert_default() += lost,
        }
    }

    /// Says once that the collector fails, until it has taken something again.
    fn complain(&mut self, refusal: &Refusal) {
        if self.complains.is_none() {
            self.complains = Some(0);
            tracing::warn!(
                collector.url = %self.collector.url(),
                failure.cause = %refusal,
                "The collector does not take spans; those that it does not take soon are lost"
            );
        }
    }
}

/// Waits for a batch: full, or as it is some time after its first. `false` when no more will come. What it
/// has is kept when it is not waited for to the end.
async fn gather(spans: &mut mpsc::Receiver<SpanData>, batch: &mut Vec<SpanData>) -> bool {
    if batch.is_empty() && spans.recv_many(batch, BATCH).await == 0 {
        return false;
    }
    let until = Instant::now() + GATHERING;
    while batch.len() < BATCH {
        let room = BATCH - batch.len();
        match timeout_at(until, spans.recv_many(batch, room)).await {
            Ok(0) => return false,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    true
}

fn wait(tries: u32, refusal: &Refusal) -> Duration {
    let longest = FIRST_WAIT * 2_u32.pow(tries - 1);
    // Not all servers at once.
    let ours = rand::rng().random_range(longest / 2..=longest);
    refusal.asks_for().unwrap_or(ours).min(LONGEST_WAIT)
}
