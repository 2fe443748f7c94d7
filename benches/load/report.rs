//! The figures of a run: a Markdown table for people, JSON for programs.

use std::fmt;

use serde::Serialize;

/// The same figure of both servers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<T> {
    pub(crate) tailrace: T,
    pub(crate) bare: T,
}

impl<T> Pair<T> {
    /// One number of each.
    pub(crate) fn each<U>(&self, number: impl Fn(&T) -> U) -> Pair<U> {
        Pair {
            tailrace: number(&self.tailrace),
            bare: number(&self.bare),
        }
    }
}

/// What we demand of a figure.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bar {
    /// At most so many times the bare handler's.
    RatioAtMost(f64),
    /// At most so much above the bare handler's.
    AboveAtMost(f64),
    /// At least so much, whatever the bare handler does.
    AtLeast(f64),
}

impl Bar {
    fn is_met(self, pair: Pair<f64>) -> bool {
        match self {
            Self::RatioAtMost(most) => pair.tailrace <= most * pair.bare,
            Self::AboveAtMost(most) => pair.tailrace - pair.bare <= most,
            Self::AtLeast(least) => pair.tailrace >= least,
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RatioAtMost(most) => write!(formatter, "at most {most} times bare"),
            Self::AboveAtMost(most) => write!(formatter, "at most {most} above bare"),
            Self::AtLeast(least) => write!(formatter, "at least {}", Figure(*least)),
        }
    }
}

#[derive(Debug, Serialize)]
struct Row {
    scenario: &'static str,
    metric: String,
    tailrace: f64,
    bare: f64,
    ratio: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bar: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bar_met: Option<bool>,
}

/// Everything that one run found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: String,
    quick: bool,
    rows: Vec<Row>,
    notes: Vec<&'static str>,
}

impl Report {
    /// Nothing found yet on this machine.
    pub(crate) const fn new(machine: String, quick: bool) -> Self {
        Self {
            machine,
            quick,
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a figure.
    pub(crate) fn figure(
        &mut self,
        scenario: &'static str,
        metric: impl Into<String>,
        pair: Pair<f64>,
    ) {
        self.push(scenario, metric.into(), pair, None);
    }

    /// Adds a figure that has a bar to meet.
    pub(crate) fn barred(
        &mut self,
        scenario: &'static str,
        metric: impl Into<String>,
        pair: Pair<f64>,
        bar: Bar,
    ) {
        self.push(scenario, metric.into(), pair, Some(bar));
    }

    fn push(&mut self, scenario: &'static str, metric: String, pair: Pair<f64>, bar: Option<Bar>) {
        self.rows.push(Row {
            scenario,
            metric,
            tailrace: pair.tailrace,
            bare: pair.bare,
            ratio: pair.tailrace / pair.bare,
            bar: bar.map(|bar| bar.to_string()),
            bar_met: bar.map(|bar| bar.is_met(pair)),
        });
    }

    /// Adds a sentence that the figures need.
    pub(crate) fn note(&mut self, sentence: &'static str) {
        self.notes.push(sentence);
    }

    /// All of it as JSON.
    pub(crate) fn json(&self) -> serde_json::Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "| scenario | metric | tailrace | bare | ratio | bar | met |"
        )?;
        writeln!(formatter, "|---|---|--:|--:|--:|---|---|")?;
        for row in &self.rows {
            let met = match row.bar_met {
                None => "",
                Some(true) => "yes",
                Some(false) => "**no**",
            };
            writeln!(
                formatter,
                "| {} | {} | {} | {} | {} | {} | {met} |",
                row.scenario,
                row.metric,
                Figure(row.tailrace),
                Figure(row.bare),
                Figure(row.ratio),
                row.bar.as_deref().unwrap_or_default(),
            )?;
        }
        let quick = if self.quick { " A quick run." } else { "" };
        writeln!(formatter, "\nMachine: {}.{quick}", self.machine)?;
        for note in &self.notes {
            writeln!(formatter, "{note}")?;
        }
        Ok(())
    }
}

/// A number with three or four digits that mean something.
struct Figure(f64);

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0;
        if !number.is_finite() {
            return formatter.write_str("-");
        }
        if number.abs() < 999.5 {
            let decimals = match number.abs() {
                size if size >= 99.95 => 0,
                size if size >= 9.995 => 1,
                _ => 2,
            };
            return write!(formatter, "{number:.decimals$}");
        }
        let digits = format!("{:.0}", number.abs());
        let sign = if number < 0.0 { "-" } else { "" };
        formatter.write_str(sign)?;
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                formatter.write_str(",")?;
            }
            write!(formatter, "{digit}")?;
        }
        Ok(())
    }
}
