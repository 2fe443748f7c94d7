//! What a load has found. It is written as JSON as it stands here: docs/bench.md explains each member.

use std::collections::BTreeMap;

use serde::Serialize;

use super::plan::Plan;
use super::quantiles::Summary;
use super::refusal::Refused;
use super::timeline::Moment;

/// All that a load has found.
#[derive(Debug, Clone, Serialize)]
pub struct Findings {
    /// The load that was wanted.
    pub plan: Plan,
    /// The machine on which the client ran.
    pub machine: String,
    /// Whether it was ended before its time.
    pub interrupted: bool,
    /// Whether anything is not as it should be.
    pub wrong: bool,
    /// What to know before believing the figures, in sentences.
    pub warnings: Vec<String>,
    /// How long it ran, with ramp, warm-up and drain.
    pub seconds: f64,
    /// How long of that was measured.
    pub measured_seconds: f64,
    /// What became of the streams of the whole run.
    pub streams: Streams,
    /// What failed, by its code.
    pub failures: BTreeMap<String, u64>,
    /// What was said of one of each, where anything was.
    pub failure_texts: BTreeMap<String, String>,
    /// What the server said of its latest refusal.
    pub refused: Option<Refused>,
    /// What arrived and what happened, in the whole run.
    pub counts: Counts,
    /// Tokens of what was measured.
    pub tokens: Tokens,
    /// From the moment at which a stream should have been asked for to its first token.
    pub first_token_ms: Option<Summary>,
    /// From one token of a stream to the next.
    pub gap_ms: Option<Summary>,
    /// From that moment to the end of a stream.
    pub stream_ms: Option<Summary>,
    /// How much after its time a token came, if the pace is known.
    pub lateness_ms: Option<Summary>,
    /// How old tokens were that say when they were made.
    pub age_ms: Option<Summary>,
    /// From asking to go on with a stream to the first event that was missing.
    pub resume_ms: Option<Summary>,
    /// The processes that were watched.
    pub processes: Vec<ProcessUsage>,
    /// This program.
    pub client: Client,
    /// CPU of all others on the machine, in percent of one core.
    pub others_cpu_percent: Option<f64>,
    /// Second by second.
    pub timeline: Vec<Moment>,
}

impl Findings {
    /// Whether a stream or a request has failed, an event was lost or came twice, or a process has ended that was
    /// watched.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let Counts {
            events_lost,
            events_doubled,
            ..
        } = self.counts;
        let has_ended = self.processes.iter().any(|process| process.ended);
        has_ended || self.streams.failed + events_lost + events_doubled > 0
    }
}

/// What became of streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Streams {
    /// How many were asked for.
    pub started: u64,
    /// How many came to their ends.
    pub finished: u64,
    /// How many we have cancelled.
    pub cancelled: u64,
    /// How many were refused or failed, bad requests that were not refused included.
    pub failed: u64,
    /// How many were cut by us where there is no way back.
    pub lost: u64,
    /// How many were under way when the load ended.
    pub unfinished: u64,
}

impl Streams {
    /// How many have come to an end: their own, or the one that we wanted.
    #[must_use]
    pub const fn ended(&self) -> u64 {
        self.finished + self.cancelled
    }

    /// Whether there is nothing to measure: so many tokens came of all of them, which is none, though some were
    /// neither cancelled nor failed.
    #[must_use]
    pub const fn are_void(&self, tokens: u64) -> bool {
        tokens == 0 && self.finished + self.lost + self.unfinished > 0
    }
}

/// What arrived and what happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Connections that were made.
    pub connections: u64,
    /// Connections that we have cut.
    pub cuts: u64,
    /// Connections that somebody else has cut.
    pub broken: u64,
    /// How often a stream went on after that.
    pub resumed: u64,
    /// Requests that had to be refused.
    pub bad_requests: u64,
    /// Events that arrived.
    pub events: u64,
    /// Events that never came, by their numbers.
    pub events_lost: u64,
    /// Events that came again.
    pub events_doubled: u64,
    /// Tokens that arrived.
    pub tokens: u64,
    /// Bytes of bodies that arrived.
    pub bytes: u64,
}

/// Tokens of what was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Tokens {
    /// How many.
    pub count: u64,
    /// How many in a second.
    pub per_second: f64,
    /// How many bytes of bodies for each.
    pub bytes_each: Option<f64>,
    /// How many streams finished in a second.
    pub streams_per_second: f64,
}

/// What a process has used while it was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProcessUsage {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Whether it has ended during the run.
    pub ended: bool,
    /// CPU seconds.
    pub cpu_seconds: f64,
    /// Those of them that the kernel spent for it.
    pub kernel_seconds: f64,
    /// CPU in percent of one core.
    pub cpu_percent: f64,
    /// CPU for each token, in microseconds.
    pub cpu_us_per_token: Option<f64>,
    /// Its memory.
    pub memory: Memory,
}

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Resident, before the first stream.
    pub resident_before: u64,
    /// Resident, at the end of what is measured.
    pub resident: u64,
    /// The most of any second.
    pub resident_most: u64,
    /// Proportional, before the first stream.
    pub proportional_before: Option<u64>,
    /// Proportional, at the end of what is measured.
    pub proportional: Option<u64>,
    /// How many streams were open then.
    pub streams: u64,
}

impl Memory {
    /// How many bytes more are resident for each open stream.
    #[must_use]
    pub fn resident_per_stream(&self) -> Option<f64> {
        self.per_stream(self.resident, self.resident_before)
    }

    /// How many bytes more are proportional for each open stream.
    #[must_use]
    pub fn proportional_per_stream(&self) -> Option<f64> {
        self.per_stream(self.proportional?, self.proportional_before?)
    }

    fn per_stream(&self, now: u64, before: u64) -> Option<f64> {
        (self.streams > 0).then(|| (now as f64 - before as f64) / self.streams as f64)
    }
}

/// What this program used, and whether that was too much for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Client {
    /// CPU in percent of one core. It is one thread: 100 is all that it can have.
    pub cpu_percent: f64,
    /// CPU for each token, in microseconds.
    pub cpu_us_per_token: Option<f64>,
    /// The most that it was held up, in milliseconds: what it sees then is seen late.
    pub lag_ms: f64,
    /// Whether its CPU was so full that it may have measured itself.
    pub saturated: bool,
}
