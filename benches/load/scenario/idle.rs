//! Very many streams that have said something and fallen silent: what an open stream weighs.

use std::time::{Duration, Instant};

use super::Bench;
use crate::fleet::{Audience, Connection, Fleet};
use crate::report::{Bar, Report};
use crate::request::{self, Wanted};
use crate::server::Server;
use crate::usage::{Memory, Meter};

const NAME: &str = "idle";

/// What we may weigh above the bare handler, in KiB for each stream.
const BAR: Bar = Bar::AboveAtMost(8.0);

/// The start event and the first token.
const EVENTS_BEFORE_SILENCE: u64 = 2;

struct Measured {
    memory: Memory,
    cpu_percent: f64,
}

pub(super) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let streams = if bench.quick { 4_000 } else { 9_000 };
    let what = format!("{streams} idle streams");
    let found = bench.both(&what, |server| measure(server, streams))?;
    let metric = |of: &str| format!("memory per stream of {streams}, KiB {of}");
    report.barred(NAME, metric("RSS"), found.each(|it| it.memory.rss), BAR);
    report.figure(NAME, metric("PSS"), found.each(|it| it.memory.pss));
    report.figure(NAME, "CPU while silent, %", found.each(|it| it.cpu_percent));
    Ok(())
}

fn measure(server: &Server, streams: usize) -> anyhow::Result<Measured> {
    let wanted = Wanted {
        tokens: 1_000,
        tokens_per_second: 50,
        stall_after: Some(1),
    };
    let request = request::create(server, wanted);
    let mut fleet = Fleet::new(server.address())?;
    let before = Memory::of(server.pid())?;
    let mut silent = Silent::default();
    let start = Duration::from_micros(400) * u32::try_from(streams)?;
    fleet.open_evenly(&vec![request; streams], start, &mut silent)?;
    fleet.run_until(&mut silent, |silent| silent.streams == streams)?;
    let meter = Meter::start(server)?;
    fleet.run(Duration::from_secs(2), &mut silent)?;
    let used = meter.stop()?;
    Ok(Measured {
        memory: Memory::of(server.pid())?.per_stream(before, streams),
        cpu_percent: 100.0 * used.server_seconds / used.seconds,
    })
}

/// Counts the streams that have said what they had to say.
#[derive(Default)]
struct Silent {
    streams: usize,
}

impl Audience for Silent {
    fn events(&mut self, connection: &Connection, more: u64, _: Instant) {
        let events = connection.response.events();
        if events >= EVENTS_BEFORE_SILENCE && events - more < EVENTS_BEFORE_SILENCE {
            self.streams += 1;
        }
    }
}
