//! Looks around once a second while somebody watches, and makes a state of what it sees and of what it saw
//! within the last minute.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::collect::{Moment, tenths, whole};
use super::peers::Peers;
use super::{Monitor, serving};
use crate::api::Api;
use crate::api::wire::monitor::{
    LiveStream, LiveStreams, MonitorState, NodeState, RedisState, StateType, UpstreamState,
};
use crate::generation::Live;
use crate::metrics::catalogue as about;
use crate::stream::StreamId;

/// For how long quantiles and counts look back.
const WINDOW: Duration = Duration::from_secs(60);

/// Over how many seconds the tokens a second of one stream are, which may be slow.
const STREAM_LOOKS: usize = 5;

/// What was seen before.
#[derive(Default)]
pub(super) struct Sampler {
    past: VecDeque<Moment>,
    /// Of the streams that are shown: how many tokens there were, when.
    streams: HashMap<StreamId, VecDeque<(Instant, u64)>>,
    peers: Peers,
}

impl Sampler {
    pub(super) async fn look(&mut self, monitor: &Monitor, api: &Api) -> MonitorState {
        let nodes = self.peers.look(monitor, api).await;
        let (now, shown, count) = Moment::now(api, (monitor.look)(api));
        let last = self.past.back();
        let window = self.past.front().unwrap_or(&now);
        let [total, models, plans] = now.paces(last, window);
        let requests = |last: &Moment| tenths((now.requests() - last.requests()) / now.since(last));
        let cpu = |last: &Moment| Some((now.cpu()? - last.cpu()?) / now.since(last));
        let state = MonitorState {
            r#type: StateType::State,
            at_ms: since_epoch(SystemTime::now()),
            window_ms: millis(now.at.saturating_duration_since(window.at)),
            node: node(monitor, api, &now, last.and_then(cpu)),
            total: total.into_iter().next().unwrap_or_default(),
            models,
            plans,
            requests_per_second: last.map(requests),
            errors: now.errors_since(window),
            failures: now.failures_since(window),
            rejections: now.rejections_since(window),
            readers: now.readers(),
            upstreams: upstreams(&now),
            redis: redis(&now, window),
            nodes,
            streams: LiveStreams {
                count,
                shown: Self::streams(&mut self.streams, &shown, now.at),
            },
        };
        self.remember(now);
        state
    }

    fn remember(&mut self, now: Moment) {
        let at = now.at;
        self.past.push_back(now);
        let is_old = |it: &Moment| at.saturating_duration_since(it.at) >= WINDOW;
        // The first that is old is where the window begins.
        while self.past.get(1).is_some_and(is_old) {
            self.past.pop_front();
        }
    }

    fn streams(
        known: &mut HashMap<StreamId, VecDeque<(Instant, u64)>>,
        shown: &[Arc<Live>],
        now: Instant,
    ) -> Vec<LiveStream> {
        let mut before = std::mem::take(known);
        let streams = shown.iter().map(|live| {
            let mut looks = before.remove(&live.id).unwrap_or_default();
            let tokens = live.tokens();
            let rate = looks.front().map(|(at, earlier)| {
                let seconds = now.saturating_duration_since(*at).as_secs_f64().max(0.001);
                tenths(number(tokens.saturating_sub(*earlier)) / seconds)
            });
            looks.push_back((now, tokens));
            if looks.len() > STREAM_LOOKS {
                looks.pop_front();
            }
            known.insert(live.id, looks);
            let attendance = live.attendance();
            LiveStream {
                id: live.id,
                owner: live.owner.subject.to_string(),
                issuer: live.owner.issuer.to_string(),
                model: live.model.clone(),
                plan: live.pace.plan.clone(),
                age_ms: millis(live.age()),
                has_begun: live.has_begun(),
                tokens,
                tokens_per_second: rate,
                readers: attendance.here,
                read_elsewhere: attendance.elsewhere,
            }
        });
        streams.collect()
    }
}

fn node(monitor: &Monitor, api: &Api, now: &Moment, cpu: Option<f64>) -> NodeState {
    let number = |about| now.samples.number(about).map(whole);
    let left = |since: &Instant| {
        let left = monitor.facts.drain_timeout.saturating_sub(since.elapsed());
        millis(left)
    };
    NodeState {
        name: monitor.facts.name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        store: monitor.facts.store,
        state: serving(api),
        started_ms: since_epoch(monitor.started_at),
        uptime_s: monitor.started.elapsed().as_secs(),
        drain_left_ms: monitor.drains_since.get().map(left),
        workers: number(about::WORKERS).unwrap_or_default(),
        cpu: cpu.map(|cpu| (cpu * 1000.0).round() / 1000.0),
        memory_bytes: number(about::PROCESS_RESIDENT),
        descriptors: number(about::PROCESS_FDS),
        max_descriptors: number(about::PROCESS_MOST_FDS),
        places: number(about::LIMIT_STREAMS).unwrap_or_default(),
        max_places: number(about::LIMIT_MOST_STREAMS).unwrap_or_default(),
        log_bytes: number(about::LOG_BYTES).unwrap_or_default(),
        max_log_bytes: number(about::LOG_MOST_BYTES),
    }
}

fn upstreams(now: &Moment) -> Vec<UpstreamState> {
    let open = now.samples.numbers(about::BREAKER_OPEN);
    let states = open.filter_map(|(labels, rests)| {
        let [model, upstream] = labels[..] else {
            return None;
        };
        Some(UpstreamState {
            model: model.to_owned(),
            upstream: upstream.to_owned(),
            rests: rests > 0.0,
        })
    });
    states.collect()
}

fn redis(now: &Moment, window: &Moment) -> Option<RedisState> {
    let up = now.samples.number(about::REDIS_UP)?;
    Some(RedisState {
        up: up > 0.0,
        faults: now.faults_since(window),
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "tokens of seconds are far from what a double can hold"
)]
const fn number(count: u64) -> f64 {
    count as f64
}

fn since_epoch(time: SystemTime) -> u64 {
    millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
