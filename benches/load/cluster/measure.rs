//! One measurement: streams at a model's pace, their readers, and what all of it took.

use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;

use super::cases::{Case, Readers};
use super::redis::{Redis, Work};
use super::setting::{self, Setting};
use crate::ages::Ages;
use crate::fleet::{Audience, Fleet};
use crate::machine::Cores;
use crate::request;
use crate::response::Response;
use crate::upstream::TOKENS_PER_SECOND;
use crate::usage::{CpuTime, busy};

/// Over how long the connections are opened: not a multiple of the pace of their tokens, or 100 streams
/// would all have theirs in the same moment.
const START: Duration = Duration::from_millis(2020);

/// How long it may take until all streams are made.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it may take until all readers have something of theirs.
const CATCHING_UP: Duration = Duration::from_secs(5);

/// The header that says which stream it is.
const ID: &str = "x-stream-id";

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

/// What was used up to a moment.
struct Used {
    at: Instant,
    nodes: f64,
    redis: Option<Work>,
    nodes_core: f64,
    load_core: f64,
}

impl Used {
    fn so_far(setting: &mut Setting, cores: Cores) -> anyhow::Result<Self> {
        let mut nodes = 0.0;
        for node in &setting.nodes {
            nodes += CpuTime::of(node.pid())?.total();
        }
        Ok(Self {
            at: Instant::now(),
            nodes,
            redis: setting.redis.as_mut().map(Redis::work).transpose()?,
            nodes_core: busy(&[cores.server])?,
            load_core: busy(&[cores.load])?,
        })
    }
}

pub(super) fn measure(
    case: Case,
    peer: Option<&Path>,
    window: Duration,
    cores: Cores,
) -> anyhow::Result<Figures> {
    let mut setting = Setting::start(case, peer, cores)?;
    let connections = case.streams * case.readers.count();
    let mut ages = Ages::new(connections)?;
    let mut fleet = open(case, &setting, &mut ages)?;
    // Who comes later is first told what it has missed. A server that cannot keep up is not waited for.
    wait(&mut fleet, &mut ages, CATCHING_UP, |response| {
        response.events() > 1
    })?;
    fleet.run(Duration::from_secs(1), &mut ages)?;
    let before = Used::so_far(&mut setting, cores)?;
    ages.begin()?;
    fleet.run(window, &mut ages)?;
    let after = Used::so_far(&mut setting, cores)?;

    let seconds = (after.at - before.at).as_secs_f64();
    let delivered = ages.count() as f64;
    let generated = delivered / case.readers.count() as f64;
    let due = connections as f64 * f64::from(TOKENS_PER_SECOND) * seconds;
    let redis = before.redis.zip(after.redis);
    let of_redis =
        |of: fn(&Work) -> f64| redis.map_or(f64::NAN, |(before, after)| of(&after) - of(&before));
    let appends = of_redis(|work| work.appends);
    let redis_cpu = of_redis(|work| work.seconds) * 1e6;
    Ok(Figures {
        age_p50_ms: ages.quantile_ms(0.5),
        age_p99_ms: ages.quantile_ms(0.99),
        age_p999_ms: ages.quantile_ms(0.999),
        nodes_cpu_us_per_delivery: (after.nodes - before.nodes) * 1e6 / delivered,
        redis_cpu_us_per_token: redis_cpu / generated,
        redis_commands_per_token: of_redis(|work| work.commands) / generated,
        redis_cpu_us_per_append: redis_cpu / appends,
        redis_script_us_per_append: of_redis(|work| work.script_seconds) * 1e6 / appends,
        appends_per_second_per_stream: appends / seconds / case.streams as f64,
        arrived_percent: 100.0 * delivered / due,
        nodes_core_percent: 100.0 * (after.nodes_core - before.nodes_core) / seconds,
        load_core_percent: 100.0 * (after.load_core - before.load_core) / seconds,
    })
}

/// Has streams made, and opens the connections of those who read them while they are measured.
fn open(case: Case, setting: &Setting, ages: &mut Ages) -> anyhow::Result<Fleet> {
    let asked = vec![setting::create(setting.writer()); case.streams];
    let mut askers = Fleet::new(setting.writer().address())?;
    if case.readers == Readers::Asker {
        askers.open_evenly(&asked, START, ages)?;
        return Ok(askers);
    }
    askers.open_evenly(&asked, START, &mut Nobody)?;
    wait(&mut askers, &mut Nobody, PATIENCE, |response| {
        response.header(ID).is_some()
    })?;
    let mut requests: Vec<Rc<[u8]>> = Vec::new();
    for response in askers.responses() {
        let id = response.header(ID).context("no stream")?;
        let request = request::events(setting.reader(), id);
        requests.extend(vec![request; case.readers.count()]);
    }
    let mut readers = Fleet::new(setting.reader().address())?;
    readers.open_evenly(&requests, START, ages)?;
    Ok(readers)
}

/// Receives until all answers are so far, or the time is over.
fn wait(
    fleet: &mut Fleet,
    audience: &mut impl Audience,
    limit: Duration,
    is_so_far: impl Fn(&Response) -> bool,
) -> anyhow::Result<()> {
    let started = Instant::now();
    while started.elapsed() < limit && !fleet.responses().all(&is_so_far) {
        fleet.run(Duration::from_millis(20), audience)?;
    }
    Ok(())
}

/// Looks at nothing that arrives.
struct Nobody;

impl Audience for Nobody {}
