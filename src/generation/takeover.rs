//! Goes on with generations whose nodes are gone.
//!
//! A stream is created with what another node needs: the prompt, whose it is, and under which plan.
//! Whoever takes it over asks the generator for the rest of the answer, under the same ids, as if the
//! writer had paused; readers see nothing else.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::producer::Producer;
use super::{GenerationService, OnDisconnect};
use crate::auth::Principal;
use crate::generator::{Answered, MaxTokensField, Prompt};
use crate::limit::RateLimiter;
use crate::metrics::Takeover;
use crate::stream::{Batch, Kind, Owner};
use crate::stream_log::Orphan;
use crate::traces::Traces;

/// How many streams are taken over at once.
const AT_ONCE: usize = 16;

/// What is kept with a stream, as JSON.
#[derive(Serialize, Deserialize)]
struct Job {
    issuer: String,
    subject: String,
    plan: Option<String>,
    request_id: String,
    on_disconnect: OnDisconnect,
    prompt: Prompt,
    max_tokens_field: MaxTokensField,
    /// Where the request stands in a trace, as HTTP headers say it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    trace: BTreeMap<String, String>,
    /// When the generation began, in milliseconds since the Unix epoch, by the clock of its node.
    #[serde(default = "now_ms")]
    started_ms: u64,
}

/// What another node must know to go on with this generation.
pub(super) fn job(
    principal: &Principal,
    prompt: &Prompt,
    on_disconnect: OnDisconnect,
    request_id: &str,
) -> String {
    let owner = principal.owner();
    let headers = prompt.trace.headers();
    let headers = headers.map(|(name, value)| (name.to_owned(), value));
    let job = Job {
        issuer: owner.issuer.to_string(),
        subject: owner.subject.to_string(),
        plan: principal.plan.clone(),
        request_id: request_id.to_owned(),
        on_disconnect,
        prompt: prompt.clone(),
        max_tokens_field: prompt.max_tokens_field,
        trace: headers.collect(),
        started_ms: now_ms(),
    };
    // Plain structs with string keys: this cannot fail.
    serde_json::to_string(&job).unwrap_or_default()
}

impl GenerationService {
    /// Takes over what other nodes have left, if that is configured, until this one leaves. It must be
    /// polled within a local task set.
    pub async fn take_over(
        &self,
        limiter: &dyn RateLimiter,
        traces: &Traces,
        leaving: &CancellationToken,
    ) {
        if !self.config.takes_over {
            return;
        }
        let (found, mut orphans) = mpsc::channel(AT_ONCE);
        let mut looking = self.log.find_orphans(found);
        loop {
            let orphan = tokio::select! {
                () = leaving.cancelled() => break,
                () = &mut looking => break,
                Some(orphan) = orphans.recv() => orphan,
            };
            self.try_to_go_on(orphan, limiter, traces).await;
        }
        // What has been found is ours.
        drop(looking);
        while let Some(orphan) = orphans.recv().await {
            self.try_to_go_on(orphan, limiter, traces).await;
        }
    }

    async fn try_to_go_on(&self, orphan: Orphan, limiter: &dyn RateLimiter, traces: &Traces) {
        let id = orphan.id;
        // A writer that is dropped ends its stream, so that nobody waits.
        let went = self.go_on(orphan, limiter, traces).await;
        self.metrics.takeover(match went {
            Ok(()) => Takeover::Taken,
            Err(_) => Takeover::Failed,
        });
        if let Err(reason) = went {
            tracing::warn!(stream.id = %id, reason, "A stream whose producer is gone cannot be gone on with");
        }
    }

    async fn go_on(
        &self,
        orphan: Orphan,
        limiter: &dyn RateLimiter,
        traces: &Traces,
    ) -> Result<(), &'static str> {
        let job: Job = serde_json::from_str(&orphan.job).map_err(|_| "it is of another version")?;
        let mut prompt = job.prompt;
        prompt.max_tokens_field = job.max_tokens_field;
        prompt.answered = answered(&orphan.entries)?;
        let header = |name: &str| job.trace.get(name).map(String::as_str);
        prompt.trace = traces.again(header("traceparent"), header("tracestate"));
        let generator = self.models.load().generator(&prompt);
        let generator = generator.map_err(|_| "there is no such model here")?;
        if prompt.answered.is_some() && !generator.continues() {
            return Err("its generator cannot go on with an answer that has begun");
        }
        let owner = Owner {
            issuer: job.issuer.into(),
            subject: job.subject.into(),
        };
        let principal = Principal::admitted_before(owner, job.plan);
        // What the writers before have generated is theirs to settle.
        let before = prompt
            .answered
            .as_ref()
            .map_or(0, |answered| answered.tokens);
        let rest = prompt.max_tokens.map(|most| most.saturating_sub(before));
        let permit = limiter.admit_again(&principal, rest).await;
        let permit = permit.map_err(|_| "this node has no room for it")?;
        let mut made = self.job(
            orphan.id,
            &principal,
            &prompt,
            job.on_disconnect,
            job.request_id,
        );
        made.earlier = Duration::from_millis(now_ms().saturating_sub(job.started_ms));
        let producer = Producer::new(made, prompt, &*generator, orphan.writer, permit);
        self.producers.spawn_local(producer.run());
        Ok(())
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// The answer so far, if there is any.
fn answered(entries: &Batch) -> Result<Option<Answered>, &'static str> {
    let mut text = String::new();
    let mut tokens = 0;
    for entry in entries.entries().skip(1) {
        if entry.kind != Kind::Text {
            return Err("its answer is more than text");
        }
        text.push_str(entry.payload);
        tokens += 1;
    }
    Ok((tokens > 0).then_some(Answered { text, tokens }))
}
