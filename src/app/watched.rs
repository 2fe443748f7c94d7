//! What the parts of the server know of themselves, gathered when the page of metrics is asked for.

use std::sync::Arc;

use actix_web::web;

use super::store::Store;
use crate::api::Api;
use crate::api::metrics::Page;
use crate::config::Config;
use crate::metrics::catalogue as about;
use crate::metrics::{Metrics, Samples, Scope};

/// What the labels of this server's metrics may say.
pub(super) fn scope(config: &Config, workers: usize) -> Scope {
    let limits = config.limits();
    Scope {
        models: config.models.keys().cloned().collect(),
        plans: limits.plans.into_keys().collect(),
        default_plan: limits.default_plan,
        store: store(config),
        // Streams that are taken over are generated on the main thread.
        threads: workers + 1,
        gaps: config.file.metrics.bind.is_some(),
    }
}

const fn store(config: &Config) -> &'static str {
    if config.redis.is_some() {
        "redis"
    } else {
        "memory"
    }
}

/// Makes the page of this server.
pub(super) fn page(config: &Config, workers: usize, api: web::Data<Api>, parts: Store) -> Page {
    let (metrics, kind) = (api.metrics.clone(), store(config));
    let max_streams = config.file.limits.max_streams;
    let max_bytes = config.file.memory.max_bytes.as_u64();
    Arc::new(move |format| {
        let mut samples = Samples::default();
        let build = [env!("CARGO_PKG_VERSION"), kind];
        samples.count(about::BUILD_INFO, &build, 1);
        samples.count(about::WORKERS, &[], workers as u64);
        samples.count(about::LIMIT_MOST_STREAMS, &[], max_streams.into());
        let leaving = api.leaving.is_cancelled();
        samples.count(about::DRAINING, &[], leaving.into());
        let ready = !leaving && api.generations.is_ready() && api.jwt.has_keys();
        samples.count(about::READY, &[], ready.into());
        for provider in api.jwt.providers() {
            let url = provider.config().url();
            let figures = provider.figures();
            for (result, count) in [("answered", figures.answered), ("failed", figures.failed)] {
                samples.count(about::KEY_FETCHES, &[&url, result], count);
            }
            samples.count(about::KEYS, &[&url], figures.keys);
        }
        for (model, upstream, rests) in api.generations.rests() {
            samples.count(about::BREAKER_OPEN, &[&model, &upstream], rests.into());
        }
        if let Some(spans) = api.traces.figures() {
            for (result, count) in spans.counted() {
                samples.count(about::SPANS, &[result], count);
            }
        }
        parts.look(max_bytes, &mut samples);
        Metrics::page(&metrics, samples, format)
    })
}

impl Store {
    fn look(&self, max_bytes: u64, samples: &mut Samples) {
        match self {
            Self::Embedded(log, limiter) => {
                let log = log.figures();
                let store = ["memory"];
                samples.count(about::LOG_STREAMS, &store, log.streams);
                samples.count(about::LOG_BYTES, &store, log.bytes);
                samples.count(about::LOG_MOST_BYTES, &[], max_bytes);
                samples.count(about::EVICTIONS, &[], log.evicted);
                samples.timing(about::LOG_APPEND, &store, &log.appends);
                samples.count(about::LIMIT_STREAMS, &[], limiter.active().into());
            }
            Self::Shared(redis, log, limiter) => {
                let log = log.figures();
                let store = ["redis"];
                samples.count(about::LOG_STREAMS, &store, log.streams);
                samples.count(about::LOG_BYTES, &store, log.bytes);
                samples.timing(about::LOG_APPEND, &store, &log.appends);
                samples.count(about::LIMIT_STREAMS, &[], limiter.active().into());
                samples.count(about::REDIS_UP, &[], redis.up_for().is_some().into());
                let meter = redis.meter();
                samples.timing(about::REDIS_ROUND_TRIP, &[], &meter.round_trips);
                for (kind, count) in meter.faults.counted() {
                    samples.count(about::REDIS_FAULTS, &[kind], count);
                }
            }
        }
    }
}
