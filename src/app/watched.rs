//! What the parts of the server know of themselves, gathered when somebody looks: the page of metrics, the
//! monitor.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web;

use super::store::Store;
use crate::api::metrics::Page;
use crate::api::{Api, Code, DRAINING, Facts, Look, Monitor};
use crate::auth::{Provider, ProviderFigures};
use crate::config::{Config, File};
use crate::limit::Limit;
use crate::metrics::catalogue as about;
use crate::metrics::{Metrics, Samples, Scope};

/// What the labels of this server's metrics may say.
pub(super) fn scope(config: &Config, workers: usize) -> Scope {
    let limits = config.limits();
    let reasons = Limit::ALL.map(Limit::name).into_iter();
    Scope {
        models: config.models.keys().cloned().collect(),
        plans: limits.plans.into_keys().collect(),
        default_plan: limits.default_plan,
        problems: Code::ALL.iter().map(|code| code.name()).collect(),
        auth_failures: Code::OF_CREDENTIALS.map(Code::name).to_vec(),
        reasons: reasons.chain([DRAINING]).collect(),
        passes_through: config.upstream.is_some(),
        store: config.store_name(),
        // Streams that are taken over are generated on the main thread.
        threads: workers + 1,
        paces: wants_paces(&config.file),
    }
}

/// Whether anybody may ask how fast tokens come.
pub(super) const fn wants_paces(file: &File) -> bool {
    file.metrics.bind.is_some() || file.monitor.enabled
}

/// Looks at the parts of this server.
pub(super) fn look(config: &Config, workers: usize, parts: Store) -> Look {
    let kind = config.store_name();
    let max_streams = config.file.limits.max_streams;
    let max_bytes = config.file.memory.max_bytes.as_u64();
    Arc::new(move |api| {
        let mut samples = Samples::default();
        let build = [env!("CARGO_PKG_VERSION"), kind];
        samples.count(about::BUILD_INFO, &build, 1);
        samples.count(about::WORKERS, &[], workers as u64);
        samples.count(about::LIMIT_MOST_STREAMS, &[], max_streams.into());
        let leaving = api.leaving.is_cancelled();
        samples.count(about::DRAINING, &[], leaving.into());
        let ready = !leaving && api.generations.is_ready() && api.jwt.has_keys();
        samples.count(about::READY, &[], ready.into());
        for (url, [answered, failed, keys]) in by_url(&api.jwt.providers()) {
            samples.count(about::KEY_FETCHES, &[&url, "answered"], answered);
            samples.count(about::KEY_FETCHES, &[&url, "failed"], failed);
            samples.count(about::KEYS, &[&url], keys);
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
        samples
    })
}

/// How many questions were answered and failed, and how many keys there are, by what is shown of a URL:
/// several may differ only in what is not.
fn by_url(providers: &[Arc<Provider>]) -> BTreeMap<String, [u64; 3]> {
    let mut sums: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    let mut seen: Vec<*const Provider> = Vec::new();
    for provider in providers {
        // One that is there twice, for different issuers, is asked once.
        if seen.contains(&Arc::as_ptr(provider)) {
            continue;
        }
        seen.push(Arc::as_ptr(provider));
        let ProviderFigures {
            answered,
            failed,
            keys,
        } = provider.figures();
        let sum = sums.entry(provider.url()).or_default();
        for (sum, part) in sum.iter_mut().zip([answered, failed, keys]) {
            *sum += part;
        }
    }
    sums
}

/// Makes the page of metrics of this server.
pub(super) fn page(api: web::Data<Api>, look: Look) -> Page {
    Arc::new(move |format| Metrics::page(&api.metrics, look(&api), format))
}

/// The monitor of a server that listens there.
pub(super) fn monitor(config: &Config, address: SocketAddr, look: Look) -> Monitor {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let machine = machine.ok().filter(|name| !name.trim().is_empty());
    let machine = machine.unwrap_or_else(|| address.ip().to_string());
    let facts = Facts {
        name: format!("{}:{}", machine.trim(), address.port()),
        store: config.store_name(),
        drain_timeout: config.file.drain_timeout,
    };
    Monitor::new(config.file.monitor.enabled, facts, look)
}

/// Lets the other nodes know what this one does.
pub(super) fn introduce(api: &web::Data<Api>) {
    // The limiter is a part of it, and must not keep it.
    let whole = Arc::downgrade(&api.clone().into_inner());
    api.limiter.introduce(Box::new(move || {
        let api = whole.upgrade();
        api.map(|api| api.monitor.note(&api)).unwrap_or_default()
    }));
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
