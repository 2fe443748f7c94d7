//! Tailrace before a model's server, beside others that can stand there: the same client asks the
//! same upstream through each of them.
//!
//! `cargo bench --bench load -- proxied --peer nginx=/usr/sbin/nginx`; `scripts/compare` installs the
//! peers and runs all of it. The upstream says in each token when it wrote it, so that what a server
//! adds to a token's age can be told from what the machine does.

mod peers;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use serde_json::json;

use self::peers::{Kind, Peer};
use self::table::{Figures, Table};
use crate::ages::Ages;
use crate::fleet::{Audience, Connection, Fleet};
use crate::machine::{self, Cores};
use crate::server::Server;
use crate::upstream::{self, TOKENS_PER_SECOND};
use crate::usage::{Memory, Meter};

/// The argument that makes this program compare.
pub(crate) const ARGUMENT: &str = "proxied";

/// How many streams are open at once, and how many a gateway in Python is given besides: with more
/// it cannot keep up, and what a token costs it could not be told.
const STREAMS: [usize; 2] = [500, 1_500];
const FEW_STREAMS: usize = 20;

/// Over how long they start: not a multiple of the interval of their tokens, or many would have theirs in
/// the same moment.
const START: Duration = Duration::from_millis(2020);

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
        machine::describe(),
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

/// A request for a streamed completion of so many tokens.
fn request(address: SocketAddr, token: &str, tokens: u32) -> Rc<[u8]> {
    let body = json!({
        "model": upstream::MODEL,
        "messages": [{"role": "user", "content": "Tell me about lighthouse keepers"}],
        "max_tokens": tokens,
        "stream": true,
    });
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
    .into()
}

fn measure(peer: &Peer, streams: usize, window: Duration, cores: Cores) -> anyhow::Result<Figures> {
    let upstream = upstream::start(cores)?;
    let started = match peer.kind {
        Kind::Direct => None,
        _ => Some(peer.start(upstream.address(), cores)?),
    };
    let server = started.as_ref().unwrap_or(&upstream);
    warm_up(server)?;

    let endless = request(server.address(), server.token(), 100_000);
    let mut fleet = Fleet::new(server.address())?;
    let mut ages = Ages::new(streams)?;
    let before = Memory::of(server.pid())?;
    fleet.open_evenly(&vec![endless; streams], START, &mut ages)?;
    fleet.run(Duration::from_secs(1), &mut ages)?;
    let meter = Meter::start(server)?;
    ages.begin()?;
    fleet.run(window, &mut ages)?;
    let used = meter.stop()?;
    let memory = Memory::of(server.pid())?.per_stream(before, streams);
    let tokens = ages.count() as f64;
    let due = streams as f64 * f64::from(TOKENS_PER_SECOND) * used.seconds;
    Ok(Figures {
        cpu_us_per_token: used.server_seconds * 1e6 / tokens,
        kernel_us_per_token: used.kernel_seconds * 1e6 / tokens,
        age_p50_ms: ages.quantile_ms(0.5),
        age_p99_ms: ages.quantile_ms(0.99),
        age_p999_ms: ages.quantile_ms(0.999),
        kib_per_stream: memory.rss,
        arrived_percent: 100.0 * tokens / due,
        server_core_percent: 100.0 * used.server_seconds / used.seconds,
        load_core_percent: used.load_percent + used.others_percent,
    })
}

/// Lets a server load its code and fill its allocator once.
fn warm_up(server: &Server) -> anyhow::Result<()> {
    const ANSWERS: usize = 20;
    let request = request(server.address(), server.token(), TOKENS_PER_SECOND);
    let mut fleet = Fleet::new(server.address())?;
    for _ in 0..ANSWERS {
        fleet.open(&request)?;
    }
    let mut ended = Ended(0);
    fleet.run_until(&mut ended, |ended| ended.0 >= ANSWERS)
}

struct Ended(usize);

impl Audience for Ended {
    fn ended(&mut self, _: &Connection) -> bool {
        self.0 += 1;
        false
    }
}
