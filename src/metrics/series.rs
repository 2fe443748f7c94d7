//! Some metrics as numbers, for who shows them inside the program: read from what the page would say, since
//! the vendor's families cannot be looked through.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::Metrics;
use super::catalogue::{Description, Kind};

/// A counter or gauge with its labels' values in the order of its description; of a histogram, how often
/// something was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Which metric it is of.
    pub about: &'static Description,
    /// The values of its labels.
    pub labels: Vec<String>,
    /// Its value now.
    pub value: f64,
}

impl Metrics {
    /// All series of these metrics, of those that are counted and not merely known.
    #[must_use]
    pub fn series(&self, wanted: &'static [&'static Description]) -> Vec<Series> {
        let mut registry = Registry::default();
        let metrics = self.clone();
        registry.register_collector(Box::new(Chosen { metrics, wanted }));
        let mut page = String::new();
        if encode(&mut page, &registry).is_err() {
            return Vec::new();
        }
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| read(line, wanted)).collect()
    }
}

struct Chosen {
    metrics: Metrics,
    wanted: &'static [&'static Description],
}

impl fmt::Debug for Chosen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Series")
    }
}

impl Collector for Chosen {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in self.metrics.0.all() {
            if self.wanted.contains(&family.about()) {
                family.encode(&mut encoder)?;
            }
        }
        Ok(())
    }
}

/// `name{label="value",...} 1`
fn read(line: &str, wanted: &[&'static Description]) -> Option<Series> {
    let name_ends = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(name_ends);
    let about = wanted.iter().find(|about| match about.kind {
        Kind::Counter | Kind::Gauge => about.name == name,
        Kind::Histogram => name.strip_suffix("_count") == Some(about.name),
    })?;
    let mut labels = Vec::new();
    let mut rest = rest.strip_prefix('{').unwrap_or(rest);
    while let Some((_, after)) = rest.split_once("=\"") {
        let (value, after) = quoted(after)?;
        labels.push(value);
        rest = after;
    }
    let value = rest.trim_start_matches('}').trim().parse().ok()?;
    Some(Series {
        about,
        labels,
        value,
    })
}

/// What stands before the closing quotation mark, and what after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, found)) = chars.next() {
        match found {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::metrics::{Scope, catalogue};

    #[test]
    fn series_are_what_was_counted() {
        let odd = "a \"model\" with \\ = {all}, and\na line";
        let metrics = Metrics::new(Scope {
            models: BTreeSet::from([odd.to_owned()]),
            default_plan: "default".to_owned(),
            ..Scope::default()
        });
        metrics.rejected("tokens", None);
        metrics.rejected("tokens", None);
        metrics.answered("GET", Some("/livez"), 200, Duration::from_millis(1));
        let _running = metrics.generating(odd);
        let of = |about: &'static Description, labels: &[&str], value: f64| Series {
            about,
            labels: labels.iter().map(|it| (*it).to_owned()).collect(),
            value,
        };
        let found = metrics.series(&[
            catalogue::REJECTIONS,
            catalogue::HTTP_DURATION,
            catalogue::GENERATING,
            catalogue::GENERATIONS,
            catalogue::REPLAYED,
        ]);
        assert_eq!(found.len(), 5, "{found:?}");
        for expected in [
            of(catalogue::REJECTIONS, &["tokens", "default"], 2.0),
            of(catalogue::HTTP_DURATION, &["GET", "/livez", "200"], 1.0),
            of(catalogue::GENERATING, &[odd], 1.0),
            // Of a counter that is not there Prometheus does not see the first.
            of(catalogue::GENERATIONS, &[odd, "", "internal_error"], 0.0),
            of(catalogue::REPLAYED, &[], 0.0),
        ] {
            assert!(found.contains(&expected), "{expected:?} in {found:?}");
        }
    }
}
