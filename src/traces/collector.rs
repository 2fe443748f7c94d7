//! The collector: takes spans over OTLP/HTTP in protobuf (the OTLP specification, version 1).

use std::time::Duration;

use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;

use crate::http_client::{Answer, BaseUrl, HttpClient, HttpError};

/// Where it takes them, after its base URL.
pub const PATH: &str = "/v1/traces";

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// The most that is read of an answer.
const ANSWER_BYTES: usize = 64 * 1024;

/// The most of its words that are logged, in characters.
const MAX_SAID: usize = 200;

/// Takes spans, one batch at a time.
pub(super) struct Collector {
    client: HttpClient,
    timeout: Duration,
}

/// Why it did not take all of a batch.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// It cannot be reached, or its answer did not come.
    #[error(transparent)]
    Broken(#[from] HttpError),
    /// It did not answer in time.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// It answered with another status, and perhaps when it wants to be asked again.
    #[error("status {0}")]
    Status(u16, Option<Duration>),
    /// It took the batch, but not so many of it.
    #[error("it rejects some of them: {1:?}")]
    Partly(usize, String),
}

impl Refusal {
    /// Whether the same batch may be sent again. What was taken in part must not.
    pub(super) const fn may_pass(&self) -> bool {
        match self {
            Self::Broken(_) | Self::Late(_) => true,
            // Those that the specification names.
            Self::Status(status, _) => matches!(status, 429 | 502..=504),
            Self::Partly(..) => false,
        }
    }

    /// When it wants to be asked again, if it says so.
    pub(super) const fn asks_for(&self) -> Option<Duration> {
        match self {
            Self::Status(_, after) => *after,
            _ => None,
        }
    }
}

impl Collector {
    pub(super) const fn new(client: HttpClient, timeout: Duration) -> Self {
        Self { client, timeout }
    }

    /// Where it is, for people. Such a URL has neither credentials nor a query.
    pub(super) fn url(&self) -> &BaseUrl {
        self.client.url()
    }

    /// Sends an `ExportTraceServiceRequest`, once.
    pub(super) async fn take(&self, batch: &[u8]) -> Result<(), Refusal> {
        let taken = tokio::time::timeout(self.timeout, self.send(batch));
        taken.await.unwrap_or(Err(Refusal::Late(self.timeout)))
    }

    async fn send(&self, batch: &[u8]) -> Result<(), Refusal> {
        let headers = [(CONTENT_TYPE, PROTOBUF), (ACCEPT, PROTOBUF)];
        let sent = self.client.send(Method::POST, PATH, &headers, batch);
        let mut answer = sent.await?;
        if !answer.status.is_success() {
            return Err(Refusal::Status(
                answer.status.as_u16(),
                retry_after(&answer),
            ));
        }
        let mut body = Vec::new();
        while answer.read(|piece| body.extend_from_slice(piece)).await? {
            if body.len() > ANSWER_BYTES {
                return Ok(());
            }
        }
        answer.leave();
        // What is no such message is some proxy's word that all went well.
        let said = ExportTraceServiceResponse::decode(&*body).unwrap_or_default();
        match said.partial_success {
            Some(partial) if partial.rejected_spans > 0 => {
                let rejected = usize::try_from(partial.rejected_spans).unwrap_or(usize::MAX);
                let words = partial.error_message.chars().take(MAX_SAID).collect();
                Err(Refusal::Partly(rejected, words))
            }
            _ => Ok(()),
        }
    }
}

/// In whole seconds; dates are not used by collectors.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer.headers.get(RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(seconds.trim().parse().ok()?))
}
