//! A few streams as fast as they go: what a token costs when nothing waits.

use std::time::Duration;

use super::{Bench, report_conditions, seconds};
use crate::bench::{Load, Wanted, options};
use crate::report::Report;

const NAME: &str = "unpaced";

const STREAMS: u32 = 20;

/// As many as the bare handler has ready.
const TOKENS: u32 = super::REPLAYED_TOKENS;

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
    let load = [load, wanted.options()].concat();
    let found = bench.both(&what, |server| Load::run(server, "", &load))?;
    let figure = |pointer: &str| found.each(|it| it.figure(pointer));
    report.figure(NAME, "tokens/s", figure("/tokens/per_second"));
    let cpu = found.each(|it| it.cpu_us_per_token(0));
    report.figure(NAME, "CPU per token, us", cpu);
    report.figure(NAME, "bytes per token", figure("/tokens/bytes_each"));
    report_conditions(report, NAME, &found);
    Ok(())
}
