//! Tailrace under load, beside a bare actix-web handler that streams the same events.
//!
//! `cargo bench --bench load` runs every scenario; `-- paced idle` only those, `-- --quick` all of
//! them for a shorter time, `-- --json FILE` keeps the figures. `-- proxied` compares it with other
//! servers before the same upstream (see [`proxied`]), `-- cluster` the log in Redis with the embedded
//! one and with another program's (see [`cluster`]), `-- transports` SSE with WebSocket and long polling
//! (see [`transports`]). The server under test is a process of its own on
//! one core, and `tailrace bench` loads it from another. Figures of two machines cannot
//! be compared; the ratio to the bare handler of the same run can.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is where the program speaks to a person"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "what is counted here stays far below 2^52"
)]

mod bare;
mod bench;
mod cluster;
mod machine;
mod median;
mod proxied;
mod report;
mod response;
mod scenario;
mod scrape;
mod server;
mod tied;
mod transports;
mod upstream;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use self::machine::Cores;
use self::report::Report;
use self::scenario::{Bench, Scenario};

/// Loads Tailrace and a bare actix-web handler alike, and compares them.
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Arguments {
    /// Which scenarios to run; all if none is named
    scenarios: Vec<Scenario>,

    /// Shorter measurements, for a first look
    #[arg(long)]
    quick: bool,

    /// Also write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Given by `cargo bench`, and not by `cargo test --benches`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some(bare::ARGUMENT) => return bare::serve(),
        Some(tied::ARGUMENT) => return tied::run(),
        Some(proxied::ARGUMENT) => return proxied::run(),
        Some(cluster::ARGUMENT) => return cluster::run(),
        Some(transports::ARGUMENT) => return transports::run(),
        Some(transports::embedded::ARGUMENT) => return transports::embedded::serve(),
        Some(upstream::ARGUMENT) => return upstream::serve(),
        _ => {}
    }
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("A rehearsal. `cargo bench --bench load` measures.");
        scenario::rehearse()?;
        return transports::rehearse();
    }
    machine::raise_file_limit()?;
    let cores = Cores::choose()?;
    machine::pin(cores.load)?;

    let scenarios = match arguments.scenarios.as_slice() {
        [] => Scenario::ALL.to_vec(),
        named => named.to_vec(),
    };
    let steps: usize = scenarios
        .iter()
        .map(|scenario| scenario.steps(arguments.quick))
        .sum();
    let bench = Bench {
        cores,
        quick: arguments.quick,
        progress: progress(steps),
    };
    let mut report = Report::new(tailrace::load::machine(), arguments.quick);
    for scenario in scenarios {
        scenario
            .run(&bench, &mut report)
            .with_context(|| format!("scenario {scenario:?}"))?;
    }
    bench.progress.finish_and_clear();
    println!("{report}");
    if let Some(path) = &arguments.json {
        std::fs::write(path, report.json()?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// One bar over all measurements. It draws itself now and then, so that measuring need not.
fn progress(steps: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} {wide_msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(250));
    bar
}
