//! Very many streams that have said something and fallen silent: what an open stream weighs.

use std::time::Duration;

use anyhow::ensure;

use super::{Bench, seconds};
use crate::bench::{Found, Load, Wanted, options};
use crate::report::{Bar, Report};
use crate::server::Server;

const NAME: &str = "idle";

/// What we may weigh above the bare handler, in KiB for each stream.
const BAR: Bar = Bar::AboveAtMost(8.0);

/// How long the last of them may take to their first tokens.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let streams = if bench.quick { 4_000 } else { 9_000 };
    let what = format!("{streams} idle streams");
    let found = bench.both(&what, |server| measure(server, streams))?;
    let metric = |of: &str| format!("memory per stream of {streams}, KiB {of}");
    let kib = |which: &str| found.each(|it| it.kib_per_stream(which));
    report.barred(NAME, metric("RSS"), kib("resident"), BAR);
    report.figure(NAME, metric("PSS"), kib("proportional"));
    let cpu = found.each(|it| it.figure("/processes/0/cpu_percent"));
    report.figure(NAME, "CPU while silent, %", cpu);
    Ok(())
}

fn measure(server: &Server, streams: u32) -> anyhow::Result<Found> {
    let wanted = Wanted {
        tokens: 1_000,
        tokens_per_second: 50,
        stall_after: Some(1),
    };
    let start = Duration::from_micros(400) * streams;
    let load = options([
        ("streams", streams.to_string()),
        ("ramp", seconds(start)),
        ("warm-up", seconds(start + PATIENCE)),
        ("duration", "2s".to_owned()),
        ("drain", "0s".to_owned()),
    ]);
    let found = Load::run(server, "", &[load, wanted.options()].concat())?;
    let tokens = found.figure("/counts/tokens");
    ensure!(
        (tokens - f64::from(streams)).abs() < 0.5,
        "{tokens} of {streams} streams have said something"
    );
    Ok(found)
}
