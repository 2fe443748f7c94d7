//! The scenarios: each loads both servers alike, one after the other, each in a fresh process.

mod first_token;
mod idle;
mod metrics;
mod paced;
mod replay;
mod unpaced;

pub(crate) use self::replay::TOKENS as REPLAYED_TOKENS;

use std::time::Duration;

use clap::ValueEnum;
use indicatif::ProgressBar;

use crate::bench::{Found, Load, Wanted, options};
use crate::machine::Cores;
use crate::report::{Pair, Report};
use crate::server::{Kind, Server};

/// The name of a scenario on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// 20 streams as fast as they go
    Unpaced,
    /// 1,000 streams at 50 tokens/s each
    Paced,
    /// 9,000 streams that have fallen silent
    Idle,
    /// Short streams one after the other: how soon the first token is there
    FirstToken,
    /// A finished stream of 10,000 tokens, read again and again
    Replay,
    /// What metrics cost: 1,000 streams at 50 tokens/s each, with them and without. Only if it is named
    Metrics,
}

impl Scenario {
    /// All that are run unless some are named, in the order in which they run.
    pub(crate) const ALL: [Self; 5] = [
        Self::Unpaced,
        Self::Paced,
        Self::Idle,
        Self::FirstToken,
        Self::Replay,
    ];

    /// How many times a server is measured.
    pub(crate) const fn steps(self, quick: bool) -> usize {
        match self {
            Self::Paced | Self::Metrics => 2 * paced::rounds(quick),
            Self::Unpaced | Self::Idle | Self::FirstToken => 2,
            Self::Replay => 4,
        }
    }

    /// Measures both servers and reports.
    pub(crate) fn run(self, bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
        match self {
            Self::Unpaced => unpaced::run(bench, report),
            Self::Paced => paced::run(bench, report),
            Self::Idle => idle::run(bench, report),
            Self::FirstToken => first_token::run(bench, report),
            Self::Replay => replay::run(bench, report),
            Self::Metrics => metrics::run(bench, report),
        }
    }
}

/// What every scenario needs.
pub(crate) struct Bench {
    pub(crate) cores: Cores,
    pub(crate) quick: bool,
    pub(crate) progress: ProgressBar,
}

impl Bench {
    /// The full time, or that of a quick run.
    const fn time(&self, full: Duration, quick: Duration) -> Duration {
        if self.quick { quick } else { full }
    }

    /// Measures both servers, each freshly started and warm.
    fn both<T>(
        &self,
        what: &str,
        measure: impl Fn(&Server) -> anyhow::Result<T>,
    ) -> anyhow::Result<Pair<T>> {
        let bare = self.one(what, Kind::Bare, &measure)?;
        let tailrace = self.one(what, Kind::Tailrace, &measure)?;
        Ok(Pair { tailrace, bare })
    }

    /// Measures one server, freshly started and warm.
    fn one<T>(
        &self,
        what: &str,
        kind: Kind,
        measure: impl Fn(&Server) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let message = format!("{what}: {}", kind.name());
        self.progress.set_message(message);
        let server = Server::start(kind, self.cores)?;
        warm_up(&server)?;
        let measured = measure(&server)?;
        self.progress.inc(1);
        Ok(measured)
    }
}

/// What tells whether figures can be trusted: a load that is itself at its limit measures itself, and
/// other work on the machine delays both sides.
const CONDITIONS: [(&str, &str); 2] = [
    ("(CPU of the load, %)", "/client/cpu_percent"),
    ("(CPU of other programs, %)", "/others_cpu_percent"),
];

fn report_conditions(report: &mut Report, scenario: &'static str, found: &Pair<Found>) {
    for (name, pointer) in CONDITIONS {
        report.figure(scenario, name, found.each(|it| it.figure(pointer)));
    }
}

/// A time as an option.
pub(crate) fn seconds(time: Duration) -> String {
    humantime::format_duration(time)
        .to_string()
        .replace(' ', "")
}

/// Loads both servers for a moment, which measures nothing.
pub(crate) fn rehearse() -> anyhow::Result<()> {
    let cores = Cores::any()?;
    for kind in [Kind::Bare, Kind::Tailrace] {
        warm_up(&Server::start(kind, cores)?)?;
    }
    Ok(())
}

/// Lets a server load its code and fill its allocator once, so that what is measured later is not
/// the first time for anything.
fn warm_up(server: &Server) -> anyhow::Result<()> {
    let wanted = Wanted {
        tokens: 200,
        tokens_per_second: 2000,
        stall_after: None,
    };
    let load = options([
        ("streams", "20".to_owned()),
        ("ramp", "0s".to_owned()),
        ("duration", "50ms".to_owned()),
    ]);
    Load::run(server, "", &[load, wanted.options()].concat()).map(drop)
}
