//! The log in Redis beside the embedded one: what it adds to a token's age, what a token costs Redis
//! and the nodes, on the node that writes and on another, and how that grows with readers.
//!
//! `cargo bench --bench load -- cluster`; `scripts/compare-cluster` also installs the npm package
//! `resumable-stream`, which does the same work beside it on the same kind of Redis. Tailrace asks an
//! upstream that writes the time into each token; the peer makes such tokens itself, which costs it less.
//! Whatever serves runs on one core together, Redis and the load on the other.

mod cases;
mod measure;
mod redis;
mod setting;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;

use self::cases::Case;
use self::table::Table;
use crate::machine::{self, Cores};

/// The argument that makes this program compare.
pub(crate) const ARGUMENT: &str = "cluster";

/// Compares the log in Redis with the embedded one, and with another program's.
#[derive(Debug, Parser)]
#[command(name = "load cluster")]
struct Arguments {
    /// Where the peer is installed: benches/peers/resumable-stream
    #[arg(long, value_name = "DIRECTORY")]
    resumable_stream: Option<PathBuf>,

    /// How often each is measured, in turns; the figures are medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// How long one measurement takes, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,

    /// Only the cases whose description contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,

    /// Also write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Compares, and prints a table.
pub(crate) fn run() -> anyhow::Result<()> {
    let arguments = Arguments::parse_from(std::env::args_os().skip(1));
    machine::raise_file_limit()?;
    let cores = Cores::choose()?;
    machine::pin(cores.load)?;

    let peer = arguments.resumable_stream.as_deref();
    let cases = Case::all(peer.is_some())
        .filter(|case| case.to_string().contains(&arguments.only))
        .collect::<Vec<_>>();
    let window = Duration::from_secs(arguments.seconds);
    let bar = crate::progress(cases.len() * arguments.rounds);
    let mut found = vec![Vec::new(); cases.len()];
    for _ in 0..arguments.rounds {
        for (case, found) in cases.iter().zip(&mut found) {
            bar.set_message(case.to_string());
            match measure::measure(*case, peer, window, cores) {
                Ok(figures) => found.push(figures),
                Err(error) => bar.suspend(|| eprintln!("{case}: {error:#}")),
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let table = Table::new(tailrace::load::machine(), cases.into_iter().zip(found));
    println!("{table}");
    if let Some(path) = &arguments.json {
        std::fs::write(path, table.json()?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
