//! What a comparison found: Markdown tables for people, JSON for programs.

use std::fmt;

use serde::Serialize;

use super::transport::Transport;
use super::{cuts, paced};
use crate::median::median;

/// CPU times are told in hundredths of a second; with fewer of them, a token's share says nothing.
const LEAST_CPU_SECONDS: f64 = 0.1;

/// With fewer readers, segments are not told.
const FEW: u32 = 100;

/// One case, measured in several rounds.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    pub(super) case: paced::Case,
    pub(super) rounds: Vec<paced::Figures>,
}

impl Row {
    fn median(&self, of: impl Fn(&paced::Figures) -> f64) -> f64 {
        median(self.rounds.iter().map(of))
    }

    /// A figure of CPU time, if there was enough of it.
    fn cpu(&self, of: impl Fn(&paced::Figures) -> f64) -> f64 {
        if self.median(|it| it.cpu_seconds) < LEAST_CPU_SECONDS {
            return f64::NAN;
        }
        self.median(of)
    }
}

/// All that a run found.
#[derive(Debug, Serialize)]
pub(super) struct Tables {
    pub(super) machine: String,
    /// How long a bearer token is: it is in every request.
    pub(super) token_bytes: usize,
    pub(super) paced: Vec<Row>,
    pub(super) cuts: Vec<cuts::Figures>,
}

impl Tables {
    pub(super) fn json(&self) -> serde_json::Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }

    /// The same streams with nobody who reads them.
    fn unread(&self, row: &Row) -> Option<&Row> {
        self.paced.iter().find(|other| {
            other.case.transport == Transport::Nobody && other.case.streams == row.case.streams
        })
    }

    /// What the transport adds to this figure of a generation that nobody reads.
    fn added(&self, row: &Row, found: f64, of: impl Fn(&paced::Figures) -> f64) -> f64 {
        let share = f64::from(row.case.readers_of_each);
        let unread = self.unread(row).map(|unread| unread.median(of));
        unread.map_or(f64::NAN, |unread| found - unread / share)
    }

    fn paced(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "| streams | readers of each | transport | bytes down per token | bytes up per token | requests per token | TCP segments per token | age p50, ms | p99 | server CPU per token, us | of it the transport's | its kernel | its own | memory per reader, KiB | arrived, % | server's core, % | load's core, % |"
        )?;
        writeln!(
            formatter,
            "|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
        )?;
        for row in &self.paced {
            let is_read = row.case.transport != Transport::Nobody;
            let of = |of: fn(&paced::Figures) -> f64| row.median(of);
            let read = |of: fn(&paced::Figures) -> f64| {
                let found = if is_read { row.median(of) } else { f64::NAN };
                figure(found, 2)
            };
            let added = |of: fn(&paced::Figures) -> f64| {
                let found = self.added(row, row.cpu(of), of);
                figure(if is_read { found } else { f64::NAN }, 1)
            };
            // With few readers, what else this machine sends is more.
            let segments = match row.case.readers() {
                0..FEW => f64::NAN,
                _ => self.added(row, of(|it| it.segments_per_token), |it| {
                    it.segments_per_token
                }),
            };
            writeln!(
                formatter,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} | {} | {:.0} | {:.0} |",
                row.case.streams,
                row.case.readers_of_each,
                row.case.transport.name(),
                figure(
                    if is_read {
                        of(|it| it.bytes_down_per_token)
                    } else {
                        f64::NAN
                    },
                    0
                ),
                figure(
                    if is_read {
                        of(|it| it.bytes_up_per_token)
                    } else {
                        f64::NAN
                    },
                    0
                ),
                read(|it| it.requests_per_token),
                figure(if is_read { segments } else { f64::NAN }, 2),
                read(|it| it.age_p50_ms),
                read(|it| it.age_p99_ms),
                figure(row.cpu(|it| it.cpu_us_per_token), 1),
                added(|it| it.cpu_us_per_token),
                added(|it| it.kernel_us_per_token),
                added(|it| it.cpu_us_per_token - it.kernel_us_per_token),
                of(|it| it.kib_per_reader),
                read(|it| it.arrived_percent),
                of(|it| it.server_core_percent),
                of(|it| it.load_core_percent),
            )?;
        }
        Ok(())
    }

    fn cuts(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "| reader | cuts | events | lost | doubled | caught up after p50, ms | p99 | request per cut, bytes | head of the answer, bytes | thrown away per cut, bytes |"
        )?;
        writeln!(formatter, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        for it in &self.cuts {
            writeln!(
                formatter,
                "| {} | {} | {} | {} | {} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} |",
                it.reader,
                it.cuts,
                it.events,
                it.lost,
                it.doubled,
                it.catching_up_p50_ms,
                it.catching_up_p99_ms,
                it.bytes_up_per_cut,
                it.bytes_down_per_cut,
                it.thrown_away_per_cut,
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Tables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.paced(formatter)?;
        writeln!(formatter)?;
        self.cuts(formatter)?;
        let noise: Vec<f64> = self
            .paced
            .iter()
            .flat_map(|row| row.rounds.iter().map(|it| it.others_percent))
            .collect();
        let most = noise.iter().copied().fold(0.0, f64::max);
        writeln!(
            formatter,
            "\nMedians of the rounds. Every request carries a bearer token of {} bytes. A token's age is the time \
             from the upstream's write to the reader's read. What is a transport's is what its readers add to \
             the same streams with nobody who reads.\n\
             Machine: {}. Other programs used {:.1} % of one core in half of the measurements, and {most:.1} % in \
             the worst.",
            self.token_bytes,
            self.machine,
            median(noise.iter().copied()),
        )
    }
}

/// A number, if it is one.
fn figure(number: f64, digits: usize) -> String {
    if number.is_finite() {
        format!("{number:.digits$}")
    } else {
        "-".to_owned()
    }
}
