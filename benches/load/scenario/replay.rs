//! A finished stream, read from its start again and again: what resuming costs.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::{Bench, Counter, report_conditions};
use crate::fleet::{Audience, Connection, Fleet};
use crate::report::{Bar, Report};
use crate::request::{self, Wanted};
use crate::server::Server;
use crate::usage::{Meter, Used};

/// How long the stream is.
pub(crate) const TOKENS: u32 = 10_000;

const EVENTS: u64 = TOKENS as u64 + 2;

/// How many read it at once.
const READERS: [(usize, &str); 2] = [(1, "replay, 1 reader"), (20, "replay, 20 readers")];

/// How many events a second must be replayed, whoever reads.
const BAR: Bar = Bar::AtLeast(500_000.0);

struct Measured {
    events: f64,
    used: Used,
}

pub(super) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let window = bench.time(Duration::from_secs(3), Duration::from_secs(1));
    for (readers, name) in READERS {
        let what = format!("{name} of a stream of {TOKENS} tokens");
        let found = bench.both(&what, |server| measure(server, readers, window))?;
        let rate = found.each(|it| it.events / it.used.seconds);
        let cpu = found.each(|it| it.used.server_seconds * 1e6 / it.events);
        report.barred(name, "events/s", rate, BAR);
        report.figure(name, "CPU per event, us", cpu);
        report_conditions(report, name, found.each(|it| it.used));
    }
    Ok(())
}

fn measure(server: &Server, readers: usize, window: Duration) -> anyhow::Result<Measured> {
    let stream = generate(server)?;
    let request = request::events(server, &stream);
    let mut fleet = Fleet::new(server.address())?;
    for _ in 0..readers {
        fleet.open(&request)?;
    }
    let mut counter = Counter::expecting(EVENTS);
    fleet.run(Duration::from_millis(500), &mut counter)?;
    let before = counter.events;
    let meter = Meter::start(server)?;
    fleet.run(window, &mut counter)?;
    let used = meter.stop()?;
    counter.check()?;
    Ok(Measured {
        events: (counter.events - before) as f64,
        used,
    })
}

/// Has the stream generated, and answers with its id.
fn generate(server: &Server) -> anyhow::Result<String> {
    let wanted = Wanted {
        tokens: TOKENS,
        ..Wanted::default()
    };
    let mut fleet = Fleet::new(server.address())?;
    fleet.open(&request::create(server, wanted))?;
    let mut generated = Generated::default();
    fleet.run_until(&mut generated, |generated| generated.stream.is_some())?;
    generated.stream.context("the stream has no id")
}

/// Waits for the end of a generation and keeps its id.
#[derive(Default)]
struct Generated {
    stream: Option<String>,
}

impl Audience for Generated {
    fn events(&mut self, _: &Connection, _: u64, _: Instant) {}

    fn ended(&mut self, connection: &Connection) -> bool {
        self.stream = connection.response.header("x-stream-id").map(str::to_owned);
        false
    }
}
