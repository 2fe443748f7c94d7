//! A run second by second.

use serde::Serialize;

use super::quantiles::Quantiles;

/// One second of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moment {
    /// Its end, in seconds from the beginning of the load.
    pub at: f64,
    /// Whether it belongs to what is measured.
    pub measured: bool,
    /// How many streams were open at its end.
    pub open: u64,
    /// How many streams started.
    pub started: u64,
    /// How many came to their ends, as they should.
    pub finished: u64,
    /// How many were refused or failed.
    pub failed: u64,
    /// How many connections were cut by us.
    pub cut: u64,
    /// How many connections were broken by others.
    pub broken: u64,
    /// How many tokens arrived.
    pub tokens: u64,
    /// How many bytes of bodies arrived.
    pub bytes: u64,
    /// Of the first tokens that arrived, how long half of them took.
    pub first_token_p50_ms: Option<f64>,
    /// And 99 of a hundred.
    pub first_token_p99_ms: Option<f64>,
    /// From one token to the next: half of them at most so long.
    pub gap_p50_ms: Option<f64>,
    /// And 99 of a hundred.
    pub gap_p99_ms: Option<f64>,
    /// What the processes that we watch used, in the order in which they were named; nothing of one that has ended.
    pub processes: Vec<Option<Seen>>,
    /// CPU of this program, in percent of one core.
    pub client_cpu_percent: f64,
}

/// What a process used in one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Seen {
    /// CPU, in percent of one core.
    pub cpu_percent: f64,
    /// Resident memory.
    pub resident_bytes: u64,
    /// Open files and sockets.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
}

/// What is counted of the second under way.
pub(super) struct Second {
    pub(super) started: u64,
    pub(super) finished: u64,
    pub(super) failed: u64,
    pub(super) cut: u64,
    pub(super) broken: u64,
    pub(super) tokens: u64,
    pub(super) bytes: u64,
    pub(super) first_token: Quantiles,
    pub(super) gap: Quantiles,
}

impl Second {
    pub(super) fn new() -> Self {
        Self {
            started: 0,
            finished: 0,
            failed: 0,
            cut: 0,
            broken: 0,
            tokens: 0,
            bytes: 0,
            first_token: Quantiles::coarse(),
            gap: Quantiles::coarse(),
        }
    }

    /// Ends it, and begins the next one.
    pub(super) fn take(
        &mut self,
        at: f64,
        measured: bool,
        open: u64,
        processes: Vec<Option<Seen>>,
        client_cpu_percent: f64,
    ) -> Moment {
        let moment = Moment {
            at,
            measured,
            open,
            started: std::mem::take(&mut self.started),
            finished: std::mem::take(&mut self.finished),
            failed: std::mem::take(&mut self.failed),
            cut: std::mem::take(&mut self.cut),
            broken: std::mem::take(&mut self.broken),
            tokens: std::mem::take(&mut self.tokens),
            bytes: std::mem::take(&mut self.bytes),
            first_token_p50_ms: self.first_token.ms(0.5),
            first_token_p99_ms: self.first_token.ms(0.99),
            gap_p50_ms: self.gap.ms(0.5),
            gap_p99_ms: self.gap.ms(0.99),
            processes,
            client_cpu_percent,
        };
        self.first_token.clear();
        self.gap.clear();
        moment
    }
}
