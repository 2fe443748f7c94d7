//! Short streams one after the other on a few connections: how soon the first token is there, and
//! how many generations can be started.

use std::time::Duration;

use super::{Bench, report_conditions, seconds};
use crate::bench::{Found, Load, Wanted, options};
use crate::report::Report;

const NAME: &str = "first-token";

const CONNECTIONS: u32 = 8;

const TOKENS: u32 = 16;

pub(super) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let window = bench.time(Duration::from_secs(5), Duration::from_secs(2));
    let what = format!("streams of {TOKENS} tokens on {CONNECTIONS} connections");
    let wanted = Wanted {
        tokens: TOKENS,
        ..Wanted::default()
    };
    let load = options([
        ("streams", CONNECTIONS.to_string()),
        ("ramp", "0s".to_owned()),
        ("warm-up", "500ms".to_owned()),
        ("duration", seconds(window)),
    ]);
    let load = [load, wanted.options()].concat();
    let found = bench.both(&what, |server| Load::run(server, "", &load))?;
    for quantile in ["p50", "p99"] {
        report.figure(
            NAME,
            format!("from request to first token {quantile}, ms"),
            found.each(|it| it.figure(&format!("/first_token_ms/{quantile}"))),
        );
    }
    let rate = |it: &Found| it.figure("/tokens/streams_per_second");
    report.figure(NAME, "requests/s", found.each(rate));
    let cpu = |it: &Found| it.figure("/processes/0/cpu_percent") * 1e4 / rate(it);
    report.figure(NAME, "CPU per request, us", found.each(cpu));
    report_conditions(report, NAME, &found);
    Ok(())
}
