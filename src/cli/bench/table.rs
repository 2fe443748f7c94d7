//! The findings for people, as a table.

use std::fmt::{self, Display, Formatter};

use super::json::Document;
use super::verdict::{first, unit, verdict};
use crate::load::{Api, Arrivals, Findings, Plan, ProcessUsage, Summary};
use crate::plot::{Count, Figure, mib};

/// Shows a document as a table.
pub(super) struct Table<'a>(pub(super) &'a Document<'a>);

impl Display for Table<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let found = self.0.findings;
        writeln!(formatter, "\n{}: {}\n", self.0.url, described(&found.plan))?;
        let facts = facts(found);
        let width = facts.iter().map(|(name, _)| name.len() + 2).max();
        let width = width.unwrap_or_default();
        for (name, text) in facts {
            writeln!(formatter, "  {name:<width$}{text}")?;
        }
        let times = times(found);
        let names = times.iter().map(|(name, _)| name.len() + 2);
        let width = names.fold(width, usize::max);
        if !times.is_empty() {
            write!(formatter, "\n  {:<width$}", "ms")?;
            for head in HEADS {
                write!(formatter, "{head:>11}")?;
            }
            writeln!(formatter)?;
            for (name, summary) in times {
                write!(formatter, "  {name:<width$}")?;
                for time in of(&summary) {
                    write!(formatter, "{:>11}", Figure(time).to_string())?;
                }
                writeln!(formatter)?;
            }
        }
        for warning in &found.warnings {
            writeln!(formatter, "\n  {warning}")?;
        }
        writeln!(formatter, "\n{}", verdict(found).text)
    }
}

/// The load, in a few words.
pub(super) fn described(plan: &Plan) -> String {
    let arrivals = match plan.arrivals {
        Arrivals::Streams(1) => "1 stream at a time".to_owned(),
        Arrivals::Streams(streams) => format!("{streams} streams at a time"),
        Arrivals::Rate(rate) => format!("{} streams started a second", Figure(rate)),
    };
    let duration = humantime::format_duration(plan.duration);
    let mut parts = vec![arrivals, format!("for {duration}")];
    if let Some(fan) = plan.fan {
        parts.push(format!("{} readers of each", fan.readers));
    }
    let shares = [
        (plan.shares.slow, "slow"),
        (plan.shares.cut, "cut"),
        (plan.shares.cancel, "cancelled"),
        (plan.shares.bad, "bad requests"),
    ];
    for (share, name) in shares {
        if share > 0.0 {
            parts.push(format!("{} % {name}", Figure(100.0 * share)));
        }
    }
    parts.join(", ")
}

/// What is counted, each with its name.
pub(super) fn facts(found: &Findings) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, text: String| facts.push((name.to_owned(), text));
    let streams = &found.streams;
    let text = counted(
        format!(
            "{} started, {} finished",
            Count(streams.started),
            Count(streams.finished)
        ),
        &[
            (streams.failed, "failed"),
            (streams.cancelled, "cancelled"),
            (streams.lost, "lost at a cut"),
            (streams.unfinished, "under way at the end"),
        ],
    );
    fact("streams", text);
    for (code, times) in &found.failures {
        let text = found.failure_texts.get(code);
        let text = text.map_or_else(String::new, |text| format!(": {text}"));
        fact("  failed", format!("{} x {code}{text}", Count(*times)));
    }
    let tokens = &found.tokens;
    let bytes = tokens.bytes_each.map_or_else(String::new, |bytes| {
        format!(", {} bytes each", Figure(bytes))
    });
    fact(
        unit(&found.plan),
        format!(
            "{} in {} s: {} a second{bytes}; {} streams a second",
            Count(tokens.count),
            Figure(found.measured_seconds),
            Figure(tokens.per_second),
            Figure(tokens.streams_per_second),
        ),
    );
    let counts = &found.counts;
    let text = counted(
        format!("{} made", Count(counts.connections)),
        &[
            (counts.cuts, "cut"),
            (counts.broken, "broken by others"),
            (counts.resumed, "resumed"),
        ],
    );
    fact("connections", text);
    if counts.bad_requests > 0 {
        fact("bad requests", Count(counts.bad_requests).to_string());
    }
    if found.plan.api == Api::Native && found.plan.checked {
        fact(
            "events",
            format!(
                "{} lost, {} twice, of {}",
                Count(counts.events_lost),
                Count(counts.events_doubled),
                Count(counts.events),
            ),
        );
    }
    for process in &found.processes {
        fact(&format!("{} {}", process.name, process.pid), usage(process));
    }
    let others = found.others_cpu_percent.map_or_else(String::new, |others| {
        format!("; all others on this machine {} %", Figure(others))
    });
    fact(
        "this program",
        format!(
            "{} % of a core{}{others}",
            Figure(found.client.cpu_percent),
            per_token(found.client.cpu_us_per_token)
        ),
    );
    facts
}

/// What there is of some things, after the first.
fn counted(first: String, others: &[(u64, &str)]) -> String {
    let others = others.iter().filter(|(number, _)| *number > 0);
    let others = others.map(|(number, what)| format!("{} {what}", Count(*number)));
    let parts: Vec<String> = std::iter::once(first).chain(others).collect();
    parts.join(", ")
}

fn per_token(cpu: Option<f64>) -> String {
    cpu.map_or_else(String::new, |cpu| format!(", {} us per token", Figure(cpu)))
}

fn usage(process: &ProcessUsage) -> String {
    let memory = &process.memory;
    let each = memory
        .resident_per_stream()
        .map_or_else(String::new, |bytes| {
            format!(", {} KiB per open stream", Figure(bytes / 1024.0))
        });
    format!(
        "{} % of a core{}; memory {} MiB{each}",
        Figure(process.cpu_percent),
        per_token(process.cpu_us_per_token),
        Figure(mib(memory.resident)),
    )
}

/// The times that there are, each with its name.
pub(super) fn times(found: &Findings) -> Vec<(&'static str, Summary)> {
    let whole = if found.plan.shares.slow > 0.0 {
        "whole stream, slow ones too"
    } else {
        "whole stream"
    };
    let all = [
        (first(&found.plan), found.first_token_ms),
        ("gap", found.gap_ms),
        (whole, found.stream_ms),
        ("lateness", found.lateness_ms),
        ("age of tokens", found.age_ms),
        ("resume", found.resume_ms),
    ];
    let there = all
        .into_iter()
        .filter_map(|(name, summary)| Some((name, summary?)));
    there.collect()
}

/// What stands above the columns of a summary.
pub(super) const HEADS: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];

/// The columns of a summary.
pub(super) const fn of(summary: &Summary) -> [f64; 5] {
    let Summary {
        p50,
        p90,
        p99,
        p999,
        max,
        ..
    } = *summary;
    [p50, p90, p99, p999, max]
}
