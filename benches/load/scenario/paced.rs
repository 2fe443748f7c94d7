//! Many streams at the pace of a model: what a token costs when each is a wake-up, a write and a
//! read of its own, and how late it comes.

use std::time::Duration;

use super::{Bench, seconds};
use crate::bench::{Found, Load, Wanted, options};
use crate::median::median;
use crate::report::{Bar, Pair, Report};
use crate::server::Server;

const NAME: &str = "paced";

const STREAMS: u32 = 1_000;

const TOKENS_PER_SECOND: u32 = 50;

/// Over how long the streams start: not a multiple of the interval of their tokens, or many would have
/// theirs in the same moment.
const START: Duration = Duration::from_millis(2020);

/// What we may spend on a token, in times of what the bare handler spends.
const BAR: Bar = Bar::RatioAtMost(1.25);

/// How long all of them run before anything counts.
const SETTLE: Duration = Duration::from_secs(1);

/// How often both servers are measured in turns.
pub(super) const fn rounds(quick: bool) -> usize {
    if quick { 1 } else { 5 }
}

pub(super) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let window = bench.time(Duration::from_secs(10), Duration::from_secs(3));
    let mut found = Pair {
        tailrace: Vec::new(),
        bare: Vec::new(),
    };
    let rounds = rounds(bench.quick);
    for round in 1..=rounds {
        let what =
            format!("{STREAMS} streams at {TOKENS_PER_SECOND} tokens/s, round {round} of {rounds}");
        let both = bench.both(&what, |server| measure(server, window))?;
        found.tailrace.push(both.tailrace);
        found.bare.push(both.bare);
    }

    let per_token = |it: &Found| it.cpu_us_per_token(0);
    let kernel = |it: &Found| it.kernel_us_per_token(0);
    let own = |it: &Found| per_token(it) - kernel(it);
    let cpu = found.each(|rounds| median(rounds.iter().map(per_token)));
    report.barred(NAME, "CPU per token, us", cpu, BAR);
    let mut figure = |name: &str, of: &dyn Fn(&Found) -> f64| {
        report.figure(
            NAME,
            name,
            found.each(|rounds| median(rounds.iter().map(of))),
        );
    };
    figure("of it in the kernel, us", &kernel);
    figure("of it outside the kernel, us", &own);
    for (name, member) in [("p50", "p50"), ("p99", "p99"), ("p99.9", "p999")] {
        figure(&format!("lateness {name}, ms"), &|it| {
            it.figure(&format!("/lateness_ms/{member}"))
        });
    }
    figure("memory per stream, KiB RSS", &|it| {
        it.kib_per_stream("resident")
    });
    figure("tokens that came in time, %", &|it| {
        it.arrived_percent(STREAMS as usize, TOKENS_PER_SECOND)
    });
    for (name, pointer) in super::CONDITIONS {
        figure(name, &|it| it.figure(pointer));
    }
    report.note("Of the paced scenario, each figure is the median of its rounds.");
    report.note(
        "Lateness: how much later than its schedule a token arrived, where a stream's schedule \
         has one token every 20 ms and begins so early that its most punctual token is 0 late. \
         Timers tick each millisecond, so up to 1 ms of it is theirs.",
    );
    Ok(())
}

pub(super) fn measure(server: &Server, window: Duration) -> anyhow::Result<Found> {
    let wanted = Wanted {
        tokens: 1_000_000,
        tokens_per_second: TOKENS_PER_SECOND,
        stall_after: None,
    };
    let load = options([
        ("streams", STREAMS.to_string()),
        ("ramp", seconds(START)),
        ("warm-up", seconds(START + SETTLE)),
        ("duration", seconds(window)),
        ("drain", "0s".to_owned()),
    ]);
    Load::run(server, "", &[load, wanted.options()].concat())
}
