//! What metrics cost: the paced scenario with the monitor and a listener for metrics that is read each second,
//! beside the same server without either.

use std::time::Duration;

use super::Bench;
use super::paced;
use crate::bench::Found;
use crate::median::median;
use crate::report::{Pair, Report};
use crate::server::Kind;

const NAME: &str = "metrics";

pub(super) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let window = bench.time(Duration::from_secs(10), Duration::from_secs(3));
    let mut found = Pair {
        tailrace: Vec::new(),
        bare: Vec::new(),
    };
    let rounds = paced::rounds(bench.quick);
    for round in 1..=rounds {
        let what = format!("metrics on and off, round {round} of {rounds}");
        let of = |kind| bench.one(&what, kind, |server| paced::measure(server, window));
        let off = of(Kind::Unwatched)?;
        found.tailrace.push(of(Kind::Watched)?);
        found.bare.push(off);
    }
    let per_token = |it: &Found| it.cpu_us_per_token(0);
    let kernel = |it: &Found| it.kernel_us_per_token(0);
    let mut figure = |name: &str, of: &dyn Fn(&Found) -> f64| {
        report.figure(
            NAME,
            name,
            found.each(|rounds| median(rounds.iter().map(of))),
        );
    };
    figure("CPU per token, us", &per_token);
    figure("of it outside the kernel, us", &|it| {
        per_token(it) - kernel(it)
    });
    figure("lateness p99, ms", &|it| it.figure("/lateness_ms/p99"));
    figure("memory per stream, KiB RSS", &|it| {
        it.kib_per_stream("resident")
    });
    for (name, pointer) in super::CONDITIONS {
        figure(name, &|it| it.figure(pointer));
    }
    report.note(
        "Of the metrics scenario, Tailrace has its monitor and a listener for metrics that is read each second, \
         and what stands for the bare handler is Tailrace with neither; each figure is the median of its rounds.",
    );
    Ok(())
}
