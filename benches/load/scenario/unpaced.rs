//! A few streams as fast as they go: what a token costs when nothing waits.

use std::time::Duration;

use super::{Bench, report_conditions, seconds};
use crate::bench::{Load, Wanted, options};
use crate::report::Report;

const NAME: &str = "unpaced";

const STREAMS: u32 = 20;

const TOKENS: u32 = 20_000;

pub(super) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let window = bench.time(Duration::from_secs(6), Duration::from_secs(2));
    let what = format!("{STREAMS} unpaced streams of {TOKENS} tokens");
    let wanted = Wanted {
        tokens: TOKENS,
        ..Wanted::default()
    };
    let load = options([
        ("streams", STREAMS.to_string()),
        ("ramp", "0s".to_owned()),
        ("warm-up", "1s".to_owned()),
        ("duration", seconds(window)),
    ]);
    let unchecked = vec!["--no-check".to_owned()];
    let load = [load, wanted.options(), unchecked].concat();
    let found = bench.both(&what, |server| Load::run(server, "", &load))?;
    let figure = |pointer: &str| found.each(|it| it.figure(pointer));
    report.figure(NAME, "tokens/s", figure("/tokens/per_second"));
    // The last event counts as a token here: one in twenty thousand.
    let cpu = found.each(|it| it.cpu_us_per_token(0));
    report.figure(NAME, "CPU per token, us", cpu);
    report.figure(NAME, "bytes per token", figure("/tokens/bytes_each"));
    report_conditions(report, NAME, &found);
    Ok(())
}
