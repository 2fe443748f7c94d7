//! Streams at a model's pace: what a token takes over each transport, in bytes, packets, CPU and time.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use tailrace::load::Usage;
use tokio::time::sleep;

use super::meter::Meter;
use super::reader::Reader;
use super::scene::{Scene, block_on};
use super::transport::Transport;
use crate::machine::Cores;
use crate::upstream::TOKENS_PER_SECOND;

/// Over how long the streams start.
const START: Duration = Duration::from_secs(1);

/// How long all of them run before anything counts.
const SETTLE: Duration = Duration::from_millis(500);

/// More than any stream has time for.
const ENDLESS: u32 = 100_000;

/// One thing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Case {
    pub(super) streams: u32,
    pub(super) readers_of_each: u32,
    pub(super) transport: Transport,
}

impl Case {
    /// How many readers there are, or, if nobody reads, streams.
    pub(super) const fn readers(self) -> u32 {
        self.streams * self.readers_of_each
    }
}

/// What one measurement found. A token that several read counts for each of them.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Figures {
    pub(super) bytes_down_per_token: f64,
    pub(super) bytes_up_per_token: f64,
    pub(super) requests_per_token: f64,
    /// Sent by anybody on this machine, acknowledgements too.
    pub(super) segments_per_token: f64,
    pub(super) age_p50_ms: f64,
    pub(super) age_p99_ms: f64,
    pub(super) cpu_seconds: f64,
    pub(super) cpu_us_per_token: f64,
    pub(super) kernel_us_per_token: f64,
    pub(super) kib_per_reader: f64,
    pub(super) arrived_percent: f64,
    pub(super) server_core_percent: f64,
    pub(super) load_core_percent: f64,
    pub(super) others_percent: f64,
}

pub(super) fn measure(case: Case, window: Duration, cores: Cores) -> anyhow::Result<Figures> {
    let scene = Scene::start(cores)?;
    block_on(run(case, window, &scene))
}

async fn run(case: Case, window: Duration, scene: &Scene) -> anyhow::Result<Figures> {
    let Scene {
        upstream,
        server,
        site,
        seen,
    } = scene;
    scene.warm_up(case.transport).await?;
    let before = Usage::of(server.pid())?;
    let mut readers = Vec::new();
    let read = |stream: String| {
        for _ in 0..case.readers_of_each {
            if case.transport != Transport::Nobody {
                let reader = Reader::new(site, case.transport, stream.clone(), seen);
                readers.push(reader.spawn());
            }
        }
    };
    scene
        .each_stream(case.streams, ENDLESS, START, read)
        .await?;
    sleep(SETTLE).await;

    let meter = Meter::start(server)?;
    let upstream_before = Usage::of(upstream.pid())?.cpu_seconds();
    let segments_before = segments_sent()?;
    seen.begin();
    sleep(window).await;
    let used = meter.stop()?;
    let segments = segments_sent()? - segments_before;
    let upstream_seconds = Usage::of(upstream.pid())?.cpu_seconds() - upstream_before;
    let after = Usage::of(server.pid())?;

    let more = after.resident_bytes as f64 - before.resident_bytes as f64;
    let failed = readers.iter().filter(|reader| reader.is_finished()).count();
    ensure!(failed == 0, "{failed} readers have stopped");
    let due = f64::from(case.readers() * TOKENS_PER_SECOND) * used.seconds;
    let tokens = match case.transport {
        Transport::Nobody => due,
        _ => seen.tokens() as f64,
    };
    let of_upstream = 100.0 * upstream_seconds / used.seconds;
    Ok(Figures {
        bytes_down_per_token: seen.traffic.down.get() as f64 / tokens,
        bytes_up_per_token: seen.traffic.up.get() as f64 / tokens,
        requests_per_token: seen.requests.get() as f64 / tokens,
        segments_per_token: segments / tokens,
        age_p50_ms: seen.age_ms(0.5),
        age_p99_ms: seen.age_ms(0.99),
        cpu_seconds: used.server_seconds,
        cpu_us_per_token: used.server_seconds * 1e6 / tokens,
        kernel_us_per_token: used.kernel_seconds * 1e6 / tokens,
        kib_per_reader: more / 1024.0 / f64::from(case.readers()),
        arrived_percent: 100.0 * tokens / due,
        server_core_percent: 100.0 * used.server_seconds / used.seconds,
        load_core_percent: used.load_percent + of_upstream,
        others_percent: (used.others_percent - of_upstream).max(0.0),
    })
}

/// How many TCP segments this machine has sent, to itself too. Each is counted once, at its sender.
fn segments_sent() -> anyhow::Result<f64> {
    let counters = fs::read_to_string("/proc/net/snmp")?;
    let mut lines = counters
        .lines()
        .filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = lines.next().zip(lines.next()).context("no Tcp in snmp")?;
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    let sent = pairs.find_map(|(name, value)| (name == "OutSegs").then_some(value));
    Ok(sent.context("no OutSegs")?.parse()?)
}
