//! One measurement: streams at a model's pace, their readers, and what all of it took.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::cases::{Case, Readers};
use super::redis::{Redis, Work};
use super::setting::Setting;
use crate::bench::{Load, options};
use crate::machine::Cores;
use crate::scenario::seconds;
use crate::server::Server;
use crate::upstream::{MODEL, TOKENS_PER_SECOND};

/// Over how long the streams start: not a multiple of the pace of their tokens, or 100 streams
/// would all have theirs in the same moment.
const START: Duration = Duration::from_millis(2020);

/// How long all of them run before anything counts: who comes later is first told what it has missed.
const SETTLE: Duration = Duration::from_secs(4);

/// What one measurement found, or the medians of several. What is of Redis is not a number where
/// there is none.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Figures {
    pub(super) age_p50_ms: f64,
    pub(super) age_p99_ms: f64,
    pub(super) age_p999_ms: f64,
    pub(super) nodes_cpu_us_per_delivery: f64,
    pub(super) redis_cpu_us_per_token: f64,
    pub(super) redis_commands_per_token: f64,
    pub(super) redis_cpu_us_per_append: f64,
    pub(super) redis_script_us_per_append: f64,
    pub(super) appends_per_second_per_stream: f64,
    pub(super) arrived_percent: f64,
    pub(super) nodes_core_percent: f64,
    pub(super) load_core_percent: f64,
}

pub(super) fn measure(
    case: Case,
    peer: Option<&Path>,
    window: Duration,
    cores: Cores,
) -> anyhow::Result<Figures> {
    let mut setting = Setting::start(case, peer, cores)?;
    let mut load = options([
        ("model", MODEL.to_owned()),
        // More than a measurement waits for.
        ("max-tokens", "100000".to_owned()),
        ("streams", case.streams.to_string()),
        ("ramp", seconds(START)),
        ("warm-up", seconds(START + SETTLE)),
        ("duration", seconds(window)),
        ("drain", "0s".to_owned()),
    ]);
    load.push("--stamped".to_owned());
    if let Readers::Here(readers) | Readers::Elsewhere(readers) = case.readers {
        load.extend(options([
            ("readers", readers.to_string()),
            (
                "readers-url",
                format!("http://{}", setting.reader().address()),
            ),
        ]));
    }
    let mut pids: Vec<u32> = setting.nodes.iter().map(Server::pid).collect();
    let nodes = pids.len();
    pids.extend(setting.redis.as_ref().map(Redis::pid));
    let writer = setting.writer();
    let running = Load::start(writer.address(), "", writer.token(), &pids, &load)?;
    // The load goes evenly, so that what Redis does in nearly the same time is told per second.
    sleep(START + SETTLE);
    let (began, before) = (Instant::now(), work(&mut setting)?);
    sleep(window);
    let (spent, after) = (began.elapsed().as_secs_f64(), work(&mut setting)?);
    let found = running.wait()?;

    let connections = case.streams * case.readers.count();
    let delivered = found.figure("/tokens/per_second");
    let generated = delivered / case.readers.count() as f64;
    let of_redis = |of: fn(&Work) -> f64| {
        let both = before.as_ref().zip(after.as_ref());
        both.map_or(f64::NAN, |(before, after)| (of(after) - of(before)) / spent)
    };
    let percent = |process: usize| found.figure(&format!("/processes/{process}/cpu_percent"));
    let nodes_percent: f64 = (0..nodes).map(percent).sum();
    // Not a number where there is no Redis.
    let redis_percent = percent(nodes);
    let redis_cpu = redis_percent * 1e4;
    let appends = of_redis(|work| work.appends);
    let age = |member: &str| found.figure(&format!("/age_ms/{member}"));
    Ok(Figures {
        age_p50_ms: age("p50"),
        age_p99_ms: age("p99"),
        age_p999_ms: age("p999"),
        nodes_cpu_us_per_delivery: nodes_percent * 1e4 / delivered,
        redis_cpu_us_per_token: redis_cpu / generated,
        redis_commands_per_token: of_redis(|work| work.commands) / generated,
        redis_cpu_us_per_append: redis_cpu / appends,
        redis_script_us_per_append: of_redis(|work| work.script_seconds) * 1e6 / appends,
        appends_per_second_per_stream: appends / case.streams as f64,
        arrived_percent: found.arrived_percent(connections, TOKENS_PER_SECOND),
        nodes_core_percent: nodes_percent,
        load_core_percent: found.figure("/client/cpu_percent")
            + found.figure("/others_cpu_percent")
            + redis_percent.max(0.0),
    })
}

fn work(setting: &mut Setting) -> anyhow::Result<Option<Work>> {
    setting.redis.as_mut().map(Redis::work).transpose()
}
