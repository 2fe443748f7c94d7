//! What a soak has found: a picture, a file for programs, and a table.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tailrace::plot::{Chart, Figure, Line, Sheet};

use crate::growth::{Growth, judge};
use crate::sample::{JUDGED, Sample};

pub struct Report {
    pub minutes: f64,
    pub settings: String,
    pub warm_up: Duration,
    /// How many connections came that meant no good.
    pub hostile: u64,
    pub before: Sample,
    pub after: Sample,
    pub samples: Vec<Sample>,
}

impl Report {
    /// How each of what is judged has grown since the warm-up.
    pub fn findings(&self) -> Vec<Growth> {
        let judged = |it: &&Sample| it.seconds >= self.warm_up.as_secs_f64();
        let samples: Vec<&Sample> = self.samples.iter().filter(judged).collect();
        let of = |value: fn(&Sample) -> f64| -> Vec<(f64, f64)> {
            samples.iter().map(|it| (it.seconds, value(it))).collect()
        };
        JUDGED
            .iter()
            .map(|it| judge(&of(it.of), it.bound))
            .collect()
    }

    /// Writes `soak.svg` and `soak.json`.
    pub fn write(&self, out: &Path) {
        std::fs::write(out.join("soak.svg"), self.picture().to_string()).unwrap();
        let findings = self.findings();
        let growth = JUDGED.iter().zip(&findings);
        let growth: serde_json::Map<_, _> = growth
            .map(|(it, found)| (it.name.to_owned(), json!(found)))
            .collect();
        let document = json!({
            "minutes": self.minutes,
            "settings": self.settings,
            "warm_up_seconds": self.warm_up.as_secs(),
            "hostile_connections": self.hostile,
            "before": self.before,
            "after": self.after,
            "growth": growth,
            "samples": self.samples,
        });
        std::fs::write(out.join("soak.json"), document.to_string()).unwrap();
    }

    pub fn print(&self, findings: &[Growth], out: &Path) {
        println!(
            "{:<22} {:>10} {:>10} {:>10} {:>10} {:>10}",
            "since the warm-up", "level", "growth", "allowed", "before", "after"
        );
        for (it, found) in JUDGED.iter().zip(findings) {
            println!(
                "{:<22} {:>10} {:>10} {:>10} {:>10} {:>10}  {}",
                format!("{} {}", it.name, it.unit),
                Figure(found.level).to_string(),
                Figure(found.by).to_string(),
                Figure(found.allowed).to_string(),
                Figure((it.of)(&self.before)).to_string(),
                Figure((it.of)(&self.after)).to_string(),
                if found.grows { "GROWS" } else { "" }
            );
        }
        println!(
            "{} hostile connections; the findings are in {}",
            self.hostile,
            out.display()
        );
    }

    fn picture(&self) -> Sheet {
        let samples = &self.samples;
        let warm_up = self.warm_up.as_secs_f64();
        let measured: Vec<bool> = samples.iter().map(|it| it.seconds >= warm_up).collect();
        let title = format!(
            "scripts/soak, {} minutes: tailrace {}",
            self.minutes,
            env!("CARGO_PKG_VERSION")
        );
        let at: Vec<f64> = samples.iter().map(|it| it.seconds.max(0.001)).collect();
        let line = |name: &str, of: fn(&Sample) -> f64| Line {
            name: name.to_owned(),
            values: samples.iter().map(|it| Some(of(it))).collect(),
        };
        let chart = |title: &str, unit: &'static str, lines: Vec<Line>| {
            Chart::new(title.to_owned(), unit, &at, &measured, lines)
        };
        Sheet {
            title,
            charts: vec![
                chart(
                    "Memory of the server",
                    "MiB",
                    vec![
                        line("resident", |it| it.resident_mib),
                        line("anonymous", |it| it.anonymous_mib),
                        line("log", |it| it.log_mib),
                    ],
                ),
                chart(
                    "Descriptors",
                    "",
                    vec![
                        line("all", |it| it.descriptors),
                        line("sockets", |it| it.sockets),
                    ],
                ),
                chart(
                    "Generations and readers",
                    "",
                    vec![
                        line("generations", |it| it.generations),
                        line("readers", |it| it.readers),
                    ],
                ),
                chart(
                    "Streams in the log",
                    "",
                    vec![line("streams", |it| it.log_streams)],
                ),
                chart("Threads", "", vec![line("threads", |it| it.threads)]),
            ],
        }
    }
}
