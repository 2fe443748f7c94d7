//! Many streams at the pace of a model: what a token costs when each is a wake-up, a write and a
//! read of its own, and how late it comes.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::Bench;
use crate::fleet::{Audience, Connection, Fleet};
use crate::median::median;
use crate::report::{Bar, Pair, Report};
use crate::request::{self, Wanted};
use crate::server::Server;
use crate::usage::{Memory, Meter, Used};

const NAME: &str = "paced";

const STREAMS: usize = 1_000;

const TOKENS_PER_SECOND: u32 = 50;

/// Over how long the streams start: not a multiple of the interval of their tokens, or many would have
/// theirs in the same moment.
const START: Duration = Duration::from_millis(2020);

/// What we may spend on a token, in times of what the bare handler spends.
const BAR: Bar = Bar::RatioAtMost(1.25);

pub(super) struct Measured {
    pub(super) used: Used,
    pub(super) tokens: f64,
    pub(super) lateness: Histogram<u64>,
    pub(super) memory: Memory,
}

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

    let per_token = |it: &Measured| it.used.server_seconds * 1e6 / it.tokens;
    let kernel = |it: &Measured| it.used.kernel_seconds * 1e6 / it.tokens;
    let own = |it: &Measured| per_token(it) - kernel(it);
    let arrived = |it: &Measured| {
        let due = STREAMS as f64 * f64::from(TOKENS_PER_SECOND) * it.used.seconds;
        100.0 * it.tokens / due
    };
    let cpu = found.each(|rounds| median(rounds.iter().map(per_token)));
    report.barred(NAME, "CPU per token, us", cpu, BAR);
    let mut figure = |name: &str, of: &dyn Fn(&Measured) -> f64| {
        report.figure(
            NAME,
            name,
            found.each(|rounds| median(rounds.iter().map(of))),
        );
    };
    figure("of it in the kernel, us", &kernel);
    figure("of it outside the kernel, us", &own);
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        figure(&format!("lateness {name}, ms"), &|it| {
            it.lateness.value_at_quantile(quantile) as f64 / 1e3
        });
    }
    figure("memory per stream, KiB RSS", &|it| it.memory.rss);
    figure("tokens that came in time, %", &arrived);
    figure("(CPU of the load, %)", &|it| it.used.load_percent);
    figure("(CPU of other programs, %)", &|it| it.used.others_percent);
    report.note("Of the paced scenario, each figure is the median of its rounds.");
    report.note(
        "Lateness: how much later than its schedule a token arrived, where a stream's schedule \
         has one token every 20 ms and begins so early that its most punctual token is 0 late. \
         Timers tick each millisecond, so up to 1 ms of it is theirs.",
    );
    Ok(())
}

pub(super) fn measure(server: &Server, window: Duration) -> anyhow::Result<Measured> {
    let wanted = Wanted {
        tokens: 1_000_000,
        tokens_per_second: TOKENS_PER_SECOND,
        stall_after: None,
    };
    let request = request::create(server, wanted);
    let mut fleet = Fleet::new(server.address())?;
    let mut arrivals = Arrivals::new();
    let before = Memory::of(server.pid())?;
    fleet.open_evenly(&vec![request; STREAMS], START, &mut arrivals)?;
    fleet.run(Duration::from_secs(1), &mut arrivals)?;
    let meter = Meter::start(server)?;
    arrivals.begin();
    fleet.run(window, &mut arrivals)?;
    let used = meter.stop()?;
    Ok(Measured {
        used,
        tokens: arrivals.tokens() as f64,
        memory: Memory::of(server.pid())?.per_stream(before, STREAMS),
        lateness: arrivals.lateness()?,
    })
}

/// When the tokens of each stream arrived.
struct Arrivals {
    began: Option<Instant>,
    /// For each stream, microseconds from the beginning, token by token.
    by_stream: Vec<Vec<u64>>,
}

impl Arrivals {
    fn new() -> Self {
        Self {
            began: None,
            by_stream: vec![Vec::new(); STREAMS],
        }
    }

    /// From now on arrivals are noted.
    fn begin(&mut self) {
        self.began = Some(Instant::now());
    }

    fn tokens(&self) -> usize {
        self.by_stream.iter().map(Vec::len).sum()
    }

    fn lateness(&self) -> anyhow::Result<Histogram<u64>> {
        const PERIOD: u64 = 1_000_000 / TOKENS_PER_SECOND as u64;
        let mut histogram = Histogram::new(3)?;
        for arrivals in &self.by_stream {
            // Later tokens may be ahead of the first one's schedule, so this is not yet lateness.
            let offset = |(number, at): (u64, &u64)| at.wrapping_sub(number * PERIOD).cast_signed();
            let offsets = || (0..).zip(arrivals).map(offset);
            let Some(earliest) = offsets().min() else {
                anyhow::bail!("a stream has stopped");
            };
            for offset in offsets() {
                histogram.record((offset - earliest).cast_unsigned())?;
            }
        }
        Ok(histogram)
    }
}

impl Audience for Arrivals {
    fn events(&mut self, connection: &Connection, more: u64, now: Instant) {
        let Some(began) = self.began else { return };
        let at = u64::try_from((now - began).as_micros()).unwrap_or(u64::MAX);
        let arrivals = &mut self.by_stream[connection.number];
        arrivals.extend((0..more).map(|_| at));
    }
}
