//! The findings for people, as a table.

use std::fmt::{self, Display, Formatter};

use super::json::Document;
use crate::load::{Api, Arrivals, Findings, Plan, ProcessUsage, Summary};

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
        if !times.is_empty() {
            let heads = ["p50", "p90", "p99", "p99.9", "max"];
            write!(formatter, "\n  {:<width$}", "ms")?;
            for head in heads {
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
        let verdict = if found.wrong {
            "Something was wrong."
        } else {
            "Nothing was wrong."
        };
        let ended = if found.interrupted {
            " Ended before its time."
        } else {
            ""
        };
        writeln!(formatter, "\n{verdict}{ended}")
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
    let mut text = format!("{arrivals}, for {duration}");
    if let Some(fan) = plan.fan {
        text.push_str(&format!(", {} readers of each", fan.readers));
    }
    let shares = [
        (plan.shares.slow, "slow"),
        (plan.shares.cut, "cut"),
        (plan.shares.cancel, "cancelled"),
        (plan.shares.bad, "bad requests"),
    ];
    for (share, name) in shares {
        if share > 0.0 {
            text.push_str(&format!(", {} % {name}", Figure(100.0 * share)));
        }
    }
    text
}

/// What is counted, each with its name.
pub(super) fn facts(found: &Findings) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, text: String| facts.push((name.to_owned(), text));
    let streams = &found.streams;
    let mut text = format!("{} started", Count(streams.started));
    for (number, what) in [
        (streams.finished, "finished"),
        (streams.failed, "failed"),
        (streams.cancelled, "cancelled"),
        (streams.lost, "lost at a cut"),
        (streams.unfinished, "under way at the end"),
    ] {
        if number > 0 || what == "finished" {
            text.push_str(&format!(", {} {what}", Count(number)));
        }
    }
    fact("streams", text);
    for (code, times) in &found.failures {
        fact("  failed", format!("{} x {code}", Count(*times)));
    }
    let (tokens, word) = (
        &found.tokens,
        if found.plan.api == Api::Sse {
            "events"
        } else {
            "tokens"
        },
    );
    let bytes = tokens.bytes_each.map_or_else(String::new, |bytes| {
        format!(", {} bytes each", Figure(bytes))
    });
    fact(
        word,
        format!(
            "{} in {} s: {} a second{bytes}; {} streams a second",
            Count(tokens.count),
            Figure(found.measured_seconds),
            Figure(tokens.per_second),
            Figure(tokens.streams_per_second),
        ),
    );
    let counts = &found.counts;
    let mut text = format!("{} made", Count(counts.connections));
    for (number, what) in [
        (counts.cuts, "cut"),
        (counts.broken, "broken by others"),
        (counts.resumed, "resumed"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {} {what}", Count(number)));
        }
    }
    fact("connections", text);
    if counts.bad_requests > 0 {
        fact("bad requests", Count(counts.bad_requests).to_string());
    }
    if found.plan.api == Api::Native {
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

fn per_token(cpu: Option<f64>) -> String {
    cpu.map_or_else(String::new, |cpu| format!(", {} us per token", Figure(cpu)))
}

fn usage(process: &ProcessUsage) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    let memory = &process.memory;
    let mut text = format!(
        "{} % of a core{}; memory {} MiB",
        Figure(process.cpu_percent),
        per_token(process.cpu_us_per_token),
        Figure(memory.resident as f64 / MIB),
    );
    if let Some(bytes) = memory.resident_per_stream() {
        text.push_str(&format!(", {} KiB per open stream", Figure(bytes / 1024.0)));
    }
    text
}

/// The times that there are, each with its name.
pub(super) fn times(found: &Findings) -> Vec<(&'static str, Summary)> {
    let all = [
        ("first token", found.first_token_ms),
        ("gap", found.gap_ms),
        ("whole stream", found.stream_ms),
        ("lateness", found.lateness_ms),
        ("age of tokens", found.age_ms),
        ("resume", found.resume_ms),
    ];
    let there = all
        .into_iter()
        .filter_map(|(name, summary)| Some((name, summary?)));
    there.collect()
}

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

/// A whole number, in groups of three digits.
pub(super) struct Count(pub(super) u64);

impl Display for Count {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                formatter.write_str(",")?;
            }
            write!(formatter, "{digit}")?;
        }
        Ok(())
    }
}

/// A number with three or four digits that mean something.
pub(super) struct Figure(pub(super) f64);

impl Display for Figure {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "its size, and it is below 2^53"
    )]
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let (number, size) = (self.0, self.0.abs());
        if !number.is_finite() {
            return formatter.write_str("-");
        }
        if size >= 999.5 {
            let sign = if number < 0.0 { "-" } else { "" };
            return write!(formatter, "{sign}{}", Count(size.round() as u64));
        }
        let decimals = match size {
            size if size >= 99.95 => 0,
            size if size >= 9.995 => 1,
            _ => 2,
        };
        let text = format!("{number:.decimals$}");
        // A whole number says no more with zeros.
        formatter.write_str(match text.split_once('.') {
            Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
            _ => &text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_mean_something() {
        for (number, expected) in [
            (0.0, "0"),
            (0.123, "0.12"),
            (9.999, "10.0"),
            (25.0, "25"),
            (25.04, "25"),
            (25.06, "25.1"),
            (123.4, "123"),
            (999.7, "1,000"),
            (1_234_567.8, "1,234,568"),
            (-1500.0, "-1,500"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(Figure(number).to_string(), expected);
        }
    }
}
