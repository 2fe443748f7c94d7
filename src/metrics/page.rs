//! The page: what was counted, what the parts of the program say now, and what the process uses, in the
//! format that was asked for.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet,
};
use prometheus_client::registry::Registry;

use super::catalogue::{self, Description, Kind};
use super::family::{Labels, Timing, describe, labels};
use super::{Families, Metrics, OPERATION, process};

/// How the page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own, 0.0.4.
    Prometheus,
    /// `OpenMetrics` 1.0.
    OpenMetrics,
}

impl Format {
    /// What the answer's header calls it.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What is not counted but known: given with each page.
#[derive(Default)]
pub struct Samples(Vec<Sample>);

struct Sample {
    about: &'static Description,
    labels: Labels,
    value: Value,
}

enum Value {
    Number(f64),
    Timing(Timing),
}

impl Samples {
    /// A number that stands so now, or has grown to that.
    pub fn set(&mut self, about: &'static Description, values: &[&str], value: f64) {
        self.push(about, values, Value::Number(value));
    }

    /// As [`Samples::set`], of a count.
    #[expect(
        clippy::cast_precision_loss,
        reason = "Prometheus keeps all numbers as doubles"
    )]
    pub fn count(&mut self, about: &'static Description, values: &[&str], value: u64) {
        self.set(about, values, value as f64);
    }

    /// What was measured elsewhere.
    pub fn timing(&mut self, about: &'static Description, values: &[&str], timing: &Timing) {
        self.push(about, values, Value::Timing(timing.clone()));
    }

    /// Adds what the kernel says of this process.
    pub fn look_at_process(&mut self) {
        process::look(self);
    }

    /// The number of this metric, whatever its labels, if it is known.
    #[must_use]
    pub fn number(&self, about: &'static Description) -> Option<f64> {
        self.numbers(about).next().map(|(_, number)| number)
    }

    /// The numbers of this metric, with the values of their labels.
    pub fn numbers(&self, about: &'static Description) -> impl Iterator<Item = (Vec<&str>, f64)> {
        let samples = self.0.iter().filter(move |sample| sample.about == about);
        samples.filter_map(|sample| match sample.value {
            Value::Number(number) => {
                let labels = sample.labels.iter().map(|(_, value)| value.as_str());
                Some((labels.collect(), number))
            }
            Value::Timing(_) => None,
        })
    }

    fn push(&mut self, about: &'static Description, values: &[&str], value: Value) {
        let labels = labels(about, values);
        self.0.push(Sample {
            about,
            labels,
            value,
        });
    }
}

impl Metrics {
    /// The page, with what else is known now.
    ///
    /// # Errors
    /// It could not be written.
    pub fn page(&self, mut samples: Samples, format: Format) -> Result<String, fmt::Error> {
        samples.look_at_process();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape {
            metrics: self.clone(),
            samples,
        }));
        let mut page = String::new();
        encode(&mut page, &registry)?;
        Ok(match format {
            Format::OpenMetrics => page,
            Format::Prometheus => as_prometheus(&page),
        })
    }
}

struct Scrape {
    metrics: Metrics,
    samples: Samples,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Scrape")
    }
}

impl Collector for Scrape {
    /// Each metric once, described even if there is nothing of it yet.
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let families = self.metrics.0.all();
        for about in catalogue::ALL {
            match families.iter().find(|family| family.about() == *about) {
                Some(family) => family.encode(&mut encoder)?,
                None if *about == catalogue::GAPS => self.metrics.0.gaps(&mut encoder)?,
                None => self.samples.encode(about, &mut encoder)?,
            }
        }
        Ok(())
    }
}

impl Families {
    fn gaps(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let about = catalogue::GAPS;
        let (_, unit) = about.stem();
        let mut encoder = describe(encoder, about, unit.as_ref())?;
        let paces = self.paces.all();
        for of_model in paces.chunk_by(|one, next| one.model == next.model) {
            let mut counted = of_model[0].gaps();
            for pace in &of_model[1..] {
                counted.add(&pace.gaps());
            }
            if counted.count == 0 {
                continue;
            }
            let labels = labels(about, &[OPERATION, &of_model[0].model]);
            let mut series = encoder.encode_family(&labels)?;
            let (sum, count) = (counted.seconds, counted.count);
            series.encode_histogram::<NoLabelSet>(sum, count, &counted.buckets, None)?;
        }
        Ok(())
    }
}

impl Samples {
    fn encode(&self, about: &Description, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (_, unit) = about.stem();
        let mut encoder = describe(encoder, about, unit.as_ref())?;
        for sample in self.0.iter().filter(|sample| sample.about == about) {
            let series = encoder.encode_family(&sample.labels)?;
            sample.value.encode(about.kind, series)?;
        }
        Ok(())
    }
}

impl Value {
    fn encode(&self, kind: Kind, mut series: MetricEncoder<'_>) -> fmt::Result {
        match (self, kind) {
            (Self::Timing(timing), _) => timing.encode(series),
            (Self::Number(number), Kind::Counter) => {
                series.encode_counter::<NoLabelSet, f64, f64>(number, None)
            }
            (Self::Number(number), Kind::Gauge | Kind::Histogram) => series.encode_gauge(number),
        }
    }
}

/// The same page in Prometheus' own format: its counters are called in full, and it knows neither units
/// nor an end. Else the two are one for what we have: no timestamps, no exemplars, no quotes in the help.
fn as_prometheus(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    for line in page.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let (Some(what), Some(family), Some(rest)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        if what == "UNIT" {
            continue;
        }
        let about = catalogue::ALL.iter().find(|it| it.family() == family);
        let name = about.map_or(family, |about| about.name);
        for part in ["# ", what, " ", name, " ", rest, "\n"] {
            text.push_str(part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_formats_differ_in_their_comments_only() {
        let metrics = Metrics::default();
        metrics.problem("invalid_json");
        let mut samples = Samples::default();
        samples.count(catalogue::EVICTIONS, &[], 3);
        let open = metrics.page(samples, Format::OpenMetrics).unwrap();
        let plain = as_prometheus(&open);
        let of = |page: &str| -> Vec<String> {
            let lines = page.lines().filter(|line| !line.starts_with('#'));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(of(&open), of(&plain));
        assert!(open.contains("# TYPE tailrace_problems counter\n"));
        assert!(open.ends_with("# EOF\n"));
        assert!(open.contains("# UNIT process_cpu_seconds seconds\n"));
        assert!(plain.contains("# TYPE tailrace_problems_total counter\n"));
        assert!(plain.contains("tailrace_problems_total{code=\"invalid_json\"} 1\n"));
        assert!(plain.contains("tailrace_log_evictions_total{} 3.0\n"));
        assert!(plain.contains("# TYPE process_cpu_seconds_total counter\n"));
        assert!(!plain.contains("EOF") && !plain.contains("# UNIT"));
    }

    #[test]
    fn every_metric_is_described_once() {
        let page = Metrics::default().page(Samples::default(), Format::Prometheus);
        let page = page.unwrap();
        for about in catalogue::ALL {
            let line = format!("# TYPE {} {}\n", about.name, about.kind.name());
            assert_eq!(page.matches(&line).count(), 1, "{line}");
            assert!(!about.help.contains(['"', '\\', '\n']), "{}", about.name);
        }
    }
}
