//! Tailrace before a model's server, beside others that can stand there: the same client asks the
//! same upstream through each of them.
//!
//! `cargo bench --bench load -- proxied --peer nginx=/usr/sbin/nginx`; `scripts/compare` installs the
//! peers and runs all of it. The upstream says in each token when it wrote it, so that what a server
//! adds to a token's age can be told from what the machine does.

mod peers;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;

use self::peers::{Kind, Peer};
use self::table::{Figures, Table};
use crate::bench::{Found, Load, options};
use crate::machine::{self, Cores};
use crate::scenario::seconds;
use crate::server::Server;
use crate::upstream::{self, TOKENS_PER_SECOND};

/// The argument that makes this program compare.
pub(crate) const ARGUMENT: &str = "proxied";

/// How many streams are open at once, and how many a gateway in Python is given besides: with more
/// it cannot keep up, and what a token costs it could not be told.
const STREAMS: [usize; 2] = [500, 1_500];
const FEW_STREAMS: usize = 20;

/// Over how long they start: not a multiple of the interval of their tokens, or many would have theirs in
/// the same moment.
const START: Duration = Duration::from_millis(2020);

/// How long all of them run before anything counts.
const SETTLE: Duration = Duration::from_secs(1);

/// Compares Tailrace with other servers before the same upstream.
#[derive(Debug, Parser)]
#[command(name = "load proxied")]
struct Arguments {
    /// A server to compare with, as name=program: nginx, smg or litellm
    #[arg(long = "peer", value_name = "NAME=PROGRAM")]
    peers: Vec<Peer>,

    /// How often each is measured, in turns; the figures are medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// How long one measurement takes, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,

    /// Also write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// One thing to measure, again and again.
struct Case {
    peer: Peer,
    streams: usize,
    found: Vec<Figures>,
}

/// Compares, and prints a table.
pub(crate) fn run() -> anyhow::Result<()> {
    let arguments = Arguments::parse_from(std::env::args_os().skip(1));
    machine::raise_file_limit()?;
    let cores = Cores::choose()?;
    machine::pin(cores.load)?;

    let mut all = vec![Peer::own(Kind::Direct), Peer::own(Kind::Tailrace)];
    all.extend(arguments.peers);
    let mut cases = Vec::new();
    for streams in STREAMS {
        cases.extend(all.iter().map(|peer| Case {
            peer: peer.clone(),
            streams,
            found: Vec::new(),
        }));
    }
    cases.extend(
        all.iter()
            .filter(|peer| matches!(peer.kind, Kind::Litellm))
            .map(|peer| Case {
                peer: peer.clone(),
                streams: FEW_STREAMS,
                found: Vec::new(),
            }),
    );
    // What cannot keep up says nothing new when it is asked again.
    let rounds = |case: &Case| match case.peer.kind {
        Kind::Litellm if case.streams != FEW_STREAMS => 1,
        _ => arguments.rounds,
    };
    let bar = crate::progress(cases.iter().map(rounds).sum());
    for round in 0..arguments.rounds {
        for case in cases.iter_mut().filter(|case| round < rounds(case)) {
            let name = case.peer.kind.name();
            bar.set_message(format!("{} streams: {name}", case.streams));
            let window = Duration::from_secs(arguments.seconds);
            let found = measure(&case.peer, case.streams, window, cores)
                .with_context(|| format!("{name}, {} streams", case.streams))?;
            case.found.push(found);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let table = Table::new(
        tailrace::load::machine(),
        cases
            .into_iter()
            .map(|case| (case.peer.kind, case.streams, case.found)),
    );
    println!("{table}");
    if let Some(path) = &arguments.json {
        std::fs::write(path, table.json()?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn measure(peer: &Peer, streams: usize, window: Duration, cores: Cores) -> anyhow::Result<Figures> {
    let upstream = upstream::start(cores)?;
    let started = match peer.kind {
        Kind::Direct => None,
        _ => Some(peer.start(upstream.address(), cores)?),
    };
    let server = started.as_ref().unwrap_or(&upstream);
    warm_up(server)?;
    let found = load(
        server,
        options([
            ("max-tokens", "100000".to_owned()),
            ("streams", streams.to_string()),
            ("ramp", seconds(START)),
            ("warm-up", seconds(START + SETTLE)),
            ("duration", seconds(window)),
            ("drain", "0s".to_owned()),
        ]),
    )?;
    let age = |member: &str| found.figure(&format!("/age_ms/{member}"));
    Ok(Figures {
        cpu_us_per_token: found.cpu_us_per_token(0),
        kernel_us_per_token: found.kernel_us_per_token(0),
        age_p50_ms: age("p50"),
        age_p99_ms: age("p99"),
        age_p999_ms: age("p999"),
        kib_per_stream: found.kib_per_stream("resident"),
        arrived_percent: found.arrived_percent(streams, TOKENS_PER_SECOND),
        server_core_percent: found.figure("/processes/0/cpu_percent"),
        load_core_percent: found.figure("/client/cpu_percent")
            + found.figure("/others_cpu_percent"),
    })
}

/// Lets a server load its code and fill its allocator once.
fn warm_up(server: &Server) -> anyhow::Result<()> {
    load(
        server,
        options([
            ("max-tokens", TOKENS_PER_SECOND.to_string()),
            ("streams", "20".to_owned()),
            ("ramp", "0s".to_owned()),
            ("duration", "100ms".to_owned()),
        ]),
    )
    .map(drop)
}

/// Asks for completions. What a server does not bear is seen in the figures.
fn load(server: &Server, mut more: Vec<String>) -> anyhow::Result<Found> {
    more.extend(options([
        ("api", "openai".to_owned()),
        ("model", upstream::MODEL.to_owned()),
    ]));
    more.push("--stamped".to_owned());
    let (address, pids) = (server.address(), [server.pid()]);
    Load::start(address, "/v1", server.token(), &pids, &more)?.wait()
}
