//! The same generation over Server-Sent Events, NDJSON, WebSocket and long polling.
//!
//! `cargo bench --bench load -- transports` measures all of them on one server that differs in nothing
//! else (see [`embedded`]), before the upstream that says in each token when it wrote it: bytes, requests,
//! TCP segments, age, CPU and memory, and what a cut connection costs. `cargo test --benches` runs a
//! [rehearsal](rehearse) of it, which measures nothing and fails if a reader with a cursor loses an event.

pub(crate) mod embedded;

mod cuts;
mod meter;
mod paced;
mod reader;
mod scene;
mod seen;
mod table;
mod transport;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;

use self::table::{Row, Tables};
use self::transport::{Resume, Transport};
use crate::machine::{self, Cores};

/// The argument that makes this program compare.
pub(crate) const ARGUMENT: &str = "transports";

/// How many streams there are, and how many read each.
const SIZES: [(u32, u32); 4] = [(1, 1), (100, 1), (500, 1), (1, 500)];

/// What is cut: streams, and tokens of each.
const CUT: (u32, u32) = (50, 300);

/// Compares SSE, NDJSON, WebSocket and long polling on the same server.
#[derive(Debug, Parser)]
#[command(name = "load transports")]
struct Arguments {
    /// How often each is measured, in turns; the figures are medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// How long one measurement takes, in seconds
    #[arg(long, default_value_t = 3)]
    seconds: u64,

    /// Also write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// Compares, and prints tables.
pub(crate) fn run() -> anyhow::Result<()> {
    let arguments = Arguments::parse_from(std::env::args_os().skip(1));
    machine::raise_file_limit()?;
    let cores = Cores::choose()?;
    machine::pin(cores.load)?;

    let mut rows: Vec<Row> = Vec::new();
    for (streams, readers_of_each) in SIZES {
        for transport in Transport::ALL {
            let case = paced::Case {
                streams,
                readers_of_each,
                transport,
            };
            let is_known = transport == Transport::Nobody && readers_of_each > 1;
            if !is_known {
                let rounds = Vec::new();
                rows.push(Row { case, rounds });
            }
        }
    }
    let window = Duration::from_secs(arguments.seconds);
    let bar = crate::progress(arguments.rounds * rows.len() + cuts::Case::ALL.len());
    for _ in 0..arguments.rounds {
        for row in &mut rows {
            let (name, readers) = (row.case.transport.name(), row.case.readers());
            bar.set_message(format!("{readers} readers: {name}"));
            let found = paced::measure(row.case, window, cores);
            row.rounds
                .push(found.with_context(|| format!("{name}, {readers} readers"))?);
            bar.inc(1);
        }
    }
    let mut cut = Vec::new();
    for case in cuts::Case::ALL {
        bar.set_message(format!("cuts: {}", case.name()));
        let (streams, tokens) = CUT;
        let found = cuts::measure(case, streams, tokens, cores);
        cut.push(found.with_context(|| format!("cuts, {}", case.name()))?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let tables = Tables {
        machine: tailrace::load::machine(),
        token_bytes: scene::Scene::start(cores)?.site.token.len(),
        paced: rows,
        cuts: cut,
    };
    println!("{tables}");
    if let Some(path) = &arguments.json {
        std::fs::write(path, tables.json()?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Runs everything once and shortly, on whatever cores there are. Its figures mean nothing; what must
/// hold is that nothing fails, that cursors lose nothing, and that without one something is lost or doubled.
pub(crate) fn rehearse() -> anyhow::Result<()> {
    const STREAMS: u32 = 4;
    const TOKENS: u32 = 120;
    let cores = Cores::any()?;
    for transport in Transport::ALL {
        let case = paced::Case {
            streams: STREAMS,
            readers_of_each: 1,
            transport,
        };
        let found = paced::measure(case, Duration::from_millis(200), cores)
            .with_context(|| transport.name())?;
        ensure!(
            found.arrived_percent > 0.0,
            "{}: no token came",
            transport.name()
        );
    }
    for case in cuts::Case::ALL {
        let found = cuts::measure(case, STREAMS, TOKENS, cores).with_context(|| case.name())?;
        let is_told = match case.resume {
            Resume::Cursor => true,
            Resume::Live => found.lost > 0,
            Resume::Start => found.doubled > 0,
        };
        ensure!(is_told, "{}: {found:?}", case.name());
        println!(
            "{}: {} cuts, {} of {} events lost, {} doubled",
            case.name(),
            found.cuts,
            found.lost,
            found.events,
            found.doubled
        );
    }
    Ok(())
}
