//! What a comparison found: a Markdown table for people, JSON for programs.

use std::fmt;

use serde::Serialize;

use super::cases::{Case, Kind};
use super::measure::Figures;
use crate::median::median;

impl Figures {
    fn median(all: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(all.iter().map(figure));
        Self {
            age_p50_ms: of(|it| it.age_p50_ms),
            age_p99_ms: of(|it| it.age_p99_ms),
            age_p999_ms: of(|it| it.age_p999_ms),
            nodes_cpu_us_per_delivery: of(|it| it.nodes_cpu_us_per_delivery),
            redis_cpu_us_per_token: of(|it| it.redis_cpu_us_per_token),
            redis_commands_per_token: of(|it| it.redis_commands_per_token),
            redis_cpu_us_per_append: of(|it| it.redis_cpu_us_per_append),
            redis_script_us_per_append: of(|it| it.redis_script_us_per_append),
            appends_per_second_per_stream: of(|it| it.appends_per_second_per_stream),
            arrived_percent: of(|it| it.arrived_percent),
            nodes_core_percent: of(|it| it.nodes_core_percent),
            load_core_percent: of(|it| it.load_core_percent),
        }
    }
}

#[derive(Debug, Serialize)]
struct Row {
    #[serde(skip)]
    case: Case,
    server: &'static str,
    streams: usize,
    readers: String,
    /// How much older half of the tokens are than with the same program without Redis.
    added_p50_ms: Option<f64>,
    #[serde(flatten)]
    median: Figures,
    rounds: Vec<Figures>,
}

/// What was demanded, and what was found.
#[derive(Debug, Serialize)]
struct Bar {
    demanded: String,
    found: f64,
    met: bool,
}

/// All that a run found.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    machine: String,
    rows: Vec<Row>,
    bars: Vec<Bar>,
}

impl Table {
    pub(super) fn new(machine: String, found: impl Iterator<Item = (Case, Vec<Figures>)>) -> Self {
        let found: Vec<_> = found
            .map(|(case, rounds)| (case, Figures::median(&rounds), rounds))
            .collect();
        let floor = |case: Case| {
            let is_floor = |other: &Case| {
                other.kind == case.kind.floor()
                    && other.streams == case.streams
                    && other.readers.count() == case.readers.count()
            };
            let found = found.iter().find(|(other, ..)| is_floor(other));
            found.map(|(_, floor, _)| floor.age_p50_ms)
        };
        let rows: Vec<Row> = found
            .iter()
            .map(|(case, median, rounds)| Row {
                case: *case,
                server: case.kind.name(),
                streams: case.streams,
                readers: case.readers.to_string(),
                added_p50_ms: floor(*case)
                    .filter(|_| case.kind != case.kind.floor())
                    .map(|floor| median.age_p50_ms - floor),
                median: *median,
                rounds: rounds.clone(),
            })
            .collect();
        Self {
            machine,
            bars: bars(&rows),
            rows,
        }
    }

    pub(super) fn json(&self) -> serde_json::Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }
}

/// What we demand of the log in Redis.
fn bars(rows: &[Row]) -> Vec<Bar> {
    const ADDED_MS: f64 = 3.0;
    const APPENDS: f64 = 25.0;
    let mut bars = Vec::new();
    for row in rows.iter().filter(|row| row.case.kind == Kind::Redis) {
        let (streams, readers) = (row.streams, &row.readers);
        if let (100, Some(found)) = (streams, row.added_p50_ms) {
            bars.push(Bar {
                demanded: format!("{streams} streams, {readers}: added p50 at most {ADDED_MS} ms"),
                found,
                met: found <= ADDED_MS,
            });
        }
        if streams == 1_000 {
            let found = row.median.appends_per_second_per_stream;
            bars.push(Bar {
                demanded: format!(
                    "{streams} streams, {readers}: at most {APPENDS} appends/s for each stream"
                ),
                found,
                met: found <= APPENDS,
            });
        }
        let peer = Case {
            kind: Kind::ResumableStream,
            ..row.case
        };
        if let Some(peer) = rows.iter().find(|row| row.case == peer) {
            let found = row.median.redis_cpu_us_per_token;
            let most = peer.median.redis_cpu_us_per_token;
            bars.push(Bar {
                demanded: format!(
                    "{streams} streams, {readers}: less Redis CPU per token than resumable-stream's {most:.2} us"
                ),
                found,
                met: found < most,
            });
        }
    }
    bars
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "| streams | readers of each | server | age p50, ms | p99 | p99.9 | added p50 | nodes' CPU per delivery, us | Redis CPU per token, us | commands per token | appends/s per stream | Redis CPU per append, us | of it in the script | arrived, % | nodes' core, % | other core, % |"
        )?;
        writeln!(
            formatter,
            "|--:|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
        )?;
        for row in &self.rows {
            let it = &row.median;
            writeln!(
                formatter,
                "| {} | {} | {} | {:.2} | {:.2} | {:.2} | {} | {:.1} | {} | {} | {} | {} | {} | {:.1} | {:.0} | {:.0} |",
                row.streams,
                row.readers,
                row.server,
                it.age_p50_ms,
                it.age_p99_ms,
                it.age_p999_ms,
                figure(row.added_p50_ms.unwrap_or(f64::NAN)),
                it.nodes_cpu_us_per_delivery,
                figure(it.redis_cpu_us_per_token),
                figure(it.redis_commands_per_token),
                figure(it.appends_per_second_per_stream),
                figure(it.redis_cpu_us_per_append),
                figure(it.redis_script_us_per_append),
                it.arrived_percent,
                it.nodes_core_percent,
                it.load_core_percent,
            )?;
        }
        writeln!(formatter)?;
        for bar in &self.bars {
            let met = if bar.met { "met" } else { "**not met**" };
            writeln!(formatter, "- {}: {:.2}, {met}", bar.demanded, bar.found)?;
        }
        writeln!(
            formatter,
            "\nMedians of the rounds. A token's age is the time from its making to the client's read; what is \
             added is told against the same program without Redis. A token that many read is delivered often \
             and counts once for Redis. resumable-stream keeps nothing in Redis: it sends a token there once \
             for each reader but the asker, so that a stream nobody else reads costs no more than its start. Where a core \
             is full or less than all arrived, ages and costs are those of a server that cannot keep up.\n\
             Machine: {}.",
            self.machine
        )
    }
}

/// A number, if it is one.
fn figure(number: f64) -> String {
    if number.is_finite() {
        format!("{number:.2}")
    } else {
        "-".to_owned()
    }
}
