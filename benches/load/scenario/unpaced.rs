//! A few streams as fast as they go: what a token costs when nothing waits.

use std::time::Duration;

use super::{Bench, Counter, report_conditions};
use crate::fleet::Fleet;
use crate::report::Report;
use crate::request::{self, Wanted};
use crate::server::Server;
use crate::usage::{Meter, Used};

const NAME: &str = "unpaced";

const STREAMS: usize = 20;

const TOKENS: u32 = 20_000;

struct Measured {
    tokens_per_second: f64,
    cpu_us: f64,
    bytes_per_event: f64,
    used: Used,
}

pub(super) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let window = bench.time(Duration::from_secs(6), Duration::from_secs(2));
    let what = format!("{STREAMS} unpaced streams of {TOKENS} tokens");
    let found = bench.both(&what, |server| measure(server, window))?;
    report.figure(NAME, "tokens/s", found.each(|it| it.tokens_per_second));
    report.figure(NAME, "CPU per token, us", found.each(|it| it.cpu_us));
    report.figure(NAME, "bytes per event", found.each(|it| it.bytes_per_event));
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
    for _ in 0..STREAMS {
        fleet.open(&request)?;
    }
    // The start and the terminal event count as tokens here: one in ten thousand.
    let mut counter = Counter::expecting(u64::from(TOKENS) + 2);
    fleet.run(Duration::from_secs(1), &mut counter)?;
    let before = counter.events;
    let meter = Meter::start(server)?;
    fleet.run(window, &mut counter)?;
    let used = meter.stop()?;
    counter.check()?;
    let tokens = (counter.events - before) as f64;
    Ok(Measured {
        tokens_per_second: tokens / used.seconds,
        cpu_us: used.server_seconds * 1e6 / tokens,
        bytes_per_event: counter.bytes_per_event(),
        used,
    })
}
