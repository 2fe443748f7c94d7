//! What a comparison found: a Markdown table for people, JSON for programs.

use std::fmt;

use serde::Serialize;

use super::peers::Kind;
use crate::median::median;

/// What one measurement found, or the medians of several.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Figures {
    pub(super) cpu_us_per_token: f64,
    pub(super) kernel_us_per_token: f64,
    pub(super) age_p50_ms: f64,
    pub(super) age_p99_ms: f64,
    pub(super) age_p999_ms: f64,
    pub(super) kib_per_stream: f64,
    pub(super) arrived_percent: f64,
    pub(super) server_core_percent: f64,
    pub(super) load_core_percent: f64,
}

impl Figures {
    fn median(all: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(all.iter().map(figure));
        Self {
            cpu_us_per_token: of(|it| it.cpu_us_per_token),
            kernel_us_per_token: of(|it| it.kernel_us_per_token),
            age_p50_ms: of(|it| it.age_p50_ms),
            age_p99_ms: of(|it| it.age_p99_ms),
            age_p999_ms: of(|it| it.age_p999_ms),
            kib_per_stream: of(|it| it.kib_per_stream),
            arrived_percent: of(|it| it.arrived_percent),
            server_core_percent: of(|it| it.server_core_percent),
            load_core_percent: of(|it| it.load_core_percent),
        }
    }
}

#[derive(Debug, Serialize)]
struct Row {
    server: &'static str,
    streams: usize,
    /// CPU per token in times of nginx's at as many streams.
    cpu_times_nginx: Option<f64>,
    #[serde(flatten)]
    median: Figures,
    rounds: Vec<Figures>,
}

/// All that a run found.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    machine: String,
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn new(
        machine: String,
        found: impl Iterator<Item = (Kind, usize, Vec<Figures>)>,
    ) -> Self {
        let found: Vec<_> = found
            .map(|(kind, streams, rounds)| (kind, streams, Figures::median(&rounds), rounds))
            .collect();
        let nginx = |streams| {
            let found = found
                .iter()
                .find(|(kind, at, ..)| (*kind, *at) == (Kind::Nginx, streams));
            found.map(|(.., median, _)| median.cpu_us_per_token)
        };
        let rows = found
            .iter()
            .map(|(kind, streams, median, rounds)| Row {
                server: kind.name(),
                streams: *streams,
                cpu_times_nginx: nginx(*streams)
                    .filter(|_| *kind != Kind::Direct)
                    .map(|nginx| median.cpu_us_per_token / nginx),
                median: *median,
                rounds: rounds.clone(),
            })
            .collect();
        Self { machine, rows }
    }

    pub(super) fn json(&self) -> serde_json::Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "| streams | server | CPU per token, us | of it kernel | times nginx | age p50, ms | p99 | p99.9 | memory per stream, KiB | arrived, % | server's core, % | load's core, % |"
        )?;
        writeln!(
            formatter,
            "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
        )?;
        for row in &self.rows {
            let it = &row.median;
            // Of what is not there between client and upstream, only the ages mean something.
            let own = |text: String| {
                if row.server == Kind::Direct.name() {
                    "-".to_owned()
                } else {
                    text
                }
            };
            writeln!(
                formatter,
                "| {} | {} | {} | {} | {} | {:.2} | {:.2} | {:.2} | {} | {:.1} | {} | {:.0} |",
                row.streams,
                row.server,
                own(format!("{:.2}", it.cpu_us_per_token)),
                own(format!("{:.2}", it.kernel_us_per_token)),
                row.cpu_times_nginx
                    .map_or("-".to_owned(), |times| format!("{times:.2}")),
                it.age_p50_ms,
                it.age_p99_ms,
                it.age_p999_ms,
                own(format!("{:.1}", it.kib_per_stream)),
                it.arrived_percent,
                own(format!("{:.0}", it.server_core_percent)),
                it.load_core_percent,
            )?;
        }
        writeln!(
            formatter,
            "\nMedians of the rounds. A token's age is the time from the upstream's write to the client's read.\nMachine: {}.",
            self.machine
        )
    }
}
