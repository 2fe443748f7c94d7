//! What a soak has found: a picture, a file for programs, and a table.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tailrace::plot::{Chart, Figure, Line, Sheet};

use crate::growth::{Growth, judge};
use crate::sample::{JUDGED, Judged, Sample};

pub struct Report {
    pub minutes: f64,
    pub settings: String,
    pub warm_up: Duration,
    /// How many connections came that meant no good.
    pub hostile: u64,
    pub before: Sample,
    /// Once it was over; none if it came to no good end.
    pub after: Option<Sample>,
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

    /// What is not as it should be, in sentences.
    pub fn wrong(&self) -> Vec<String> {
        let findings = self.findings();
        let judged = || JUDGED.iter().zip(&findings);
        let grown: Vec<&str> = judged()
            .filter(|(_, found)| found.grows)
            .map(|(it, _)| it.name)
            .collect();
        let is_left = |(it, found): &(&Judged, &Growth)| {
            let most = match it.left {
                Some(more) => (it.of)(&self.before) + more,
                None => found.level + found.allowed,
            };
            self.after.is_none_or(|after| (it.of)(&after) > most)
        };
        let left: Vec<&str> = judged().filter(is_left).map(|(it, _)| it.name).collect();
        let mut wrong = Vec::new();
        if !grown.is_empty() {
            wrong.push(format!("it grows: {grown:?}"));
        }
        if !left.is_empty() {
            wrong.push(format!("it is over, and there are still {left:?}"));
        }
        wrong
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

    pub fn print(&self, out: &Path) {
        println!(
            "{:<22} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
            "since the warm-up", "level", "growth", "late", "allowed", "before", "after"
        );
        for (it, found) in JUDGED.iter().zip(&self.findings()) {
            let after = self.after.map(|after| Figure((it.of)(&after)).to_string());
            println!(
                "{:<22} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}  {}",
                format!("{} {}", it.name, it.unit),
                Figure(found.level).to_string(),
                Figure(found.by).to_string(),
                Figure(found.late).to_string(),
                Figure(found.allowed).to_string(),
                Figure((it.of)(&self.before)).to_string(),
                after.unwrap_or_default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn report(after: Option<Sample>) -> Report {
        let level = Sample {
            resident_mib: 33.0,
            anonymous_mib: 18.0,
            threads: 7.0,
            ..Sample::default()
        };
        let at = |seconds: u32| Sample {
            seconds: f64::from(seconds),
            ..level
        };
        Report {
            minutes: 1.0,
            settings: String::new(),
            warm_up: Duration::from_secs(20),
            hostile: 0,
            before: Sample {
                resident_mib: 19.0,
                anonymous_mib: 4.0,
                ..level
            },
            after: after.map(|after| Sample {
                threads: after.threads + 7.0,
                resident_mib: after.resident_mib + 33.0,
                anonymous_mib: after.anonymous_mib + 18.0,
                ..after
            }),
            samples: (0..60).map(at).collect(),
        }
    }

    #[test]
    fn what_is_left_is_told() {
        let nothing = Sample::default();
        assert_eq!(report(Some(nothing)).wrong(), [] as [&str; 0]);
        let threads = Sample {
            threads: 1.0,
            ..nothing
        };
        let resident = Sample {
            resident_mib: 5.0,
            ..nothing
        };
        let anonymous = Sample {
            anonymous_mib: 5.0,
            ..nothing
        };
        let sockets = Sample {
            sockets: 3.0,
            ..nothing
        };
        for (after, name) in [
            (threads, "threads"),
            (resident, "resident memory"),
            (anonymous, "anonymous memory"),
            (sockets, "sockets"),
        ] {
            let expected = format!("it is over, and there are still [\"{name}\"]");
            assert_eq!(report(Some(after)).wrong(), [expected]);
        }
    }

    #[test]
    fn a_run_that_was_broken_off_has_its_report_too() {
        let out = tempfile::tempdir().unwrap();
        for samples in [0, 1, 60] {
            let mut report = report(None);
            report.samples.truncate(samples);
            report.write(out.path());
            report.print(out.path());
            let json = std::fs::read(out.path().join("soak.json")).unwrap();
            let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
            assert_eq!(json["samples"].as_array().unwrap().len(), samples);
            assert!(json["after"].is_null() && out.path().join("soak.svg").exists());
        }
    }
}
