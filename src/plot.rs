//! Lines over time: as figures of a page, or as a picture of its own.

mod figure;
mod page;
mod sheet;
mod text;

pub use self::figure::{Count, Figure, mib};
pub use self::sheet::Sheet;
pub use self::text::Text;

use std::fmt::{self, Formatter, Write as _};

/// The area of the lines, without what stands beside the axes.
const WIDTH: f64 = 572.0;
const HEIGHT: f64 = 184.0;

/// More moments than this are drawn together: nobody could tell them apart.
const MOST: usize = 400;

/// So many lines are told apart by their looks, which the style sheets have; then they begin anew.
const LOOKS: usize = 6;

/// One line; it is broken where there is no value.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it is.
    pub name: String,
    /// One of each moment.
    pub values: Vec<Option<f64>>,
}

/// A chart.
#[derive(Debug, Clone)]
pub struct Chart {
    title: String,
    unit: &'static str,
    /// The ends of the moments, in seconds.
    at: Vec<f64>,
    /// Which of them are measured.
    measured: Vec<bool>,
    lines: Vec<Line>,
}

/// What the vertical axis says.
#[derive(Debug, Clone, Copy)]
struct Scale {
    step: f64,
    most: f64,
}

impl Scale {
    fn y(self, value: f64) -> f64 {
        HEIGHT * (1.0 - value / self.most)
    }

    /// The values that are named, from nothing upwards.
    fn values(self) -> impl Iterator<Item = f64> {
        steps(self.step, self.most)
    }
}

impl Chart {
    /// Values of these moments, by their ends in seconds, and whether they are measured. Of moments that are drawn together, the highest value counts: a peak is what
    /// one looks for.
    #[must_use]
    pub fn new(
        title: String,
        unit: &'static str,
        at: &[f64],
        measured: &[bool],
        lines: Vec<Line>,
    ) -> Self {
        let together = at.len().div_ceil(MOST).max(1);
        let highest = |values: &[Option<f64>]| {
            let there = values.iter().copied().flatten();
            there.reduce(f64::max)
        };
        let lines = lines
            .into_iter()
            .map(|line| Line {
                name: line.name,
                values: line.values.chunks(together).map(highest).collect(),
            })
            .collect();
        let measured = measured.chunks(together);
        Self {
            title,
            unit,
            at: at
                .chunks(together)
                .filter_map(<[f64]>::last)
                .copied()
                .collect(),
            measured: measured.filter_map(<[bool]>::last).copied().collect(),
            lines,
        }
    }

    fn end(&self) -> f64 {
        self.at.last().copied().unwrap_or(1.0).max(1.0)
    }

    fn x(&self, seconds: f64) -> f64 {
        WIDTH * seconds / self.end()
    }

    /// The seconds that are named.
    fn seconds(&self) -> impl Iterator<Item = f64> {
        steps(nice(self.end() / 6.0).max(1.0), self.end())
    }

    fn scale(&self) -> Scale {
        let values = self.lines.iter().flat_map(|line| line.values.iter());
        let highest = values.flatten().copied().fold(0.0, f64::max);
        let step = nice(if highest > 0.0 { highest / 4.0 } else { 0.25 });
        Scale {
            step,
            most: step * (highest / step).ceil().max(1.0),
        }
    }

    /// The span of each moment.
    fn spans(&self) -> impl Iterator<Item = (f64, f64)> {
        let begins = std::iter::once(0.0).chain(self.at.iter().copied());
        begins.zip(self.at.iter().copied())
    }

    /// The title with its unit.
    fn heading(&self) -> String {
        match self.unit {
            "" => self.title.clone(),
            unit => format!("{}, {unit}", self.title),
        }
    }

    /// What is drawn, within the area.
    fn drawing(&self, to: &mut Formatter<'_>, scale: Scale) -> fmt::Result {
        // What is not measured stands on grey.
        let spans = self.spans().zip(&self.measured);
        for ((from, until), _) in spans.filter(|(_, measured)| !**measured) {
            let (left, right) = (self.x(from), self.x(until));
            writeln!(
                to,
                "<rect class=\"aside\" x=\"{left:.1}\" y=\"0\" width=\"{:.1}\" height=\"{HEIGHT}\"/>",
                right - left
            )?;
        }
        for value in scale.values() {
            let y = scale.y(value);
            writeln!(to, "<path class=\"grid\" d=\"M0 {y:.1}H{WIDTH}\"/>")?;
        }
        for (number, line) in self.lines.iter().enumerate() {
            self.line(to, number % LOOKS, line, scale)?;
        }
        Ok(())
    }

    fn line(&self, to: &mut Formatter<'_>, look: usize, line: &Line, scale: Scale) -> fmt::Result {
        let points = self.at.iter().zip(&line.values);
        let mut path = String::new();
        let mut dots = String::new();
        let mut is_on = false;
        let points: Vec<Option<(f64, f64)>> = points
            .map(|(at, value)| Some((self.x(*at), scale.y((*value)?))))
            .collect();
        for (at, point) in points.iter().enumerate() {
            let Some((x, y)) = point else {
                is_on = false;
                continue;
            };
            let follows = points.get(at + 1).is_some_and(Option::is_some);
            if !is_on && !follows {
                let _infallible = write!(dots, "M{x:.1} {y:.1}h0");
            }
            let command = if is_on { 'L' } else { 'M' };
            let _infallible = write!(path, "{command}{x:.1} {y:.1}");
            is_on = true;
        }
        writeln!(to, "<path class=\"line of-{look}\" d=\"{path}\"/>")?;
        if !dots.is_empty() {
            writeln!(to, "<path class=\"dots of-{look}\" d=\"{dots}\"/>")?;
        }
        Ok(())
    }
}

/// What stands at an axis: a round number, without zeros that say nothing.
fn tick(value: f64) -> String {
    let text = Figure(value).to_string();
    if text.contains('.') {
        return text.trim_end_matches('0').to_owned();
    }
    text
}

/// From nothing to the most.
fn steps(step: f64, most: f64) -> impl Iterator<Item = f64> {
    let all = (0_u32..).map(move |number| f64::from(number) * step);
    all.take_while(move |value| *value <= most * 1.0001)
}

/// The next higher of 1, 2, 2.5, 5, 10, 20 and so on.
fn nice(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * decade);
    let fits = |step: &f64| *step >= least * 0.9999;
    steps.into_iter().find(fits).unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_numbers() {
        for (least, expected) in [
            (0.9, 1.0),
            (1.0, 1.0),
            (1.1, 2.0),
            (23.0, 25.0),
            (26.0, 50.0),
            (0.003, 0.005),
            (7000.0, 10_000.0),
        ] {
            assert!((nice(least) / expected - 1.0).abs() < 1e-9, "{least}");
        }
        let named = [0.0, 0.25, 2.5, 50.0, 2500.0].map(tick);
        assert_eq!(named, ["0", "0.25", "2.5", "50", "2,500"]);
        assert_eq!(steps(2.5, 7.5).collect::<Vec<_>>(), [0.0, 2.5, 5.0, 7.5]);
    }
}
