//! Short streams one after the other on a few connections: how soon the first token is there, and
//! how many generations can be started.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::{Bench, report_conditions};
use crate::fleet::{Audience, Connection, Fleet};
use crate::report::Report;
use crate::request::{self, Wanted};
use crate::server::Server;
use crate::usage::{Meter, Used};

const NAME: &str = "first-token";

const CONNECTIONS: usize = 8;

const TOKENS: u32 = 16;

/// The start event comes before the first token.
const FIRST_TOKEN: u64 = 2;

struct Measured {
    latency: Histogram<u64>,
    requests: f64,
    used: Used,
}

pub(super) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let window = bench.time(Duration::from_secs(5), Duration::from_secs(2));
    let what = format!("streams of {TOKENS} tokens on {CONNECTIONS} connections");
    let found = bench.both(&what, |server| measure(server, window))?;
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
        report.figure(
            NAME,
            format!("from request to first token {name}, ms"),
            found.each(|it| it.latency.value_at_quantile(quantile) as f64 / 1e6),
        );
    }
    report.figure(
        NAME,
        "requests/s",
        found.each(|it| it.requests / it.used.seconds),
    );
    let cpu = |it: &Measured| it.used.server_seconds * 1e6 / it.requests;
    report.figure(NAME, "CPU per request, us", found.each(cpu));
    report_conditions(report, NAME, found.each(|it| it.used));
    Ok(())
}

fn measure(server: &Server, window: Duration) -> anyhow::Result<Measured> {
    let wanted = Wanted {
        tokens: TOKENS,
        ..Wanted::default()
    };
    let request = request::create(server, wanted);
    let mut fleet = Fleet::new(server.address())?;
    for _ in 0..CONNECTIONS {
        fleet.open(&request)?;
    }
    let mut first = FirstTokens::new()?;
    fleet.run(Duration::from_millis(500), &mut first)?;
    first = FirstTokens::new()?;
    let meter = Meter::start(server)?;
    fleet.run(window, &mut first)?;
    let used = meter.stop()?;
    anyhow::ensure!(first.ended > 0, "no answer ended");
    Ok(Measured {
        latency: first.latency,
        requests: first.ended as f64,
        used,
    })
}

struct FirstTokens {
    /// In nanoseconds.
    latency: Histogram<u64>,
    ended: u64,
}

impl FirstTokens {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            latency: Histogram::new(3)?,
            ended: 0,
        })
    }
}

impl Audience for FirstTokens {
    fn events(&mut self, connection: &Connection, more: u64, now: Instant) {
        let events = connection.response.events();
        if events >= FIRST_TOKEN && events - more < FIRST_TOKEN {
            let latency = u64::try_from((now - connection.asked).as_nanos()).unwrap_or(u64::MAX);
            // It grows as it must, and only refuses what is longer than five hundred years.
            let _recorded = self.latency.record(latency);
        }
    }

    fn ended(&mut self, _: &Connection) -> bool {
        self.ended += 1;
        true
    }
}
