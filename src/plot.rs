//! Lines over time, as SVG: for a page, or as a picture of its own.

mod figure;
mod sheet;
mod text;

pub use self::figure::{Count, Figure, mib};
pub use self::sheet::Sheet;
pub use self::text::Text;

use std::fmt::{self, Display, Formatter, Write as _};

/// The picture, with room for what stands beside the axes.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;

/// More moments than this are drawn together: nobody could tell them apart.
const MOST: usize = 400;

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
        LEFT + (WIDTH - LEFT - RIGHT) * seconds / self.end()
    }

    /// The span of each moment.
    fn spans(&self) -> impl Iterator<Item = (f64, f64)> {
        let begins = std::iter::once(0.0).chain(self.at.iter().copied());
        begins.zip(self.at.iter().copied())
    }

    fn axes(&self, to: &mut Formatter<'_>, step: f64, most: f64) -> fmt::Result {
        let floor = y(0.0, most);
        // What is not measured stands on grey.
        for ((from, until), _) in self
            .spans()
            .zip(&self.measured)
            .filter(|(_, measured)| !**measured)
        {
            let (left, right) = (self.x(from), self.x(until));
            writeln!(
                to,
                "<rect class=\"aside\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                right - left,
                floor - TOP
            )?;
        }
        for value in steps(step, most) {
            let at = y(value, most);
            writeln!(
                to,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"of-y\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                Figure(value)
            )?;
        }
        for seconds in steps(nice(self.end() / 6.0).max(1.0), self.end()) {
            let unit = if seconds == 0.0 { " s" } else { "" };
            writeln!(
                to,
                "<text class=\"of-x\" x=\"{:.1}\" y=\"{:.1}\">{}{unit}</text>",
                self.x(seconds),
                HEIGHT - 8.0,
                Figure(seconds)
            )?;
        }
        Ok(())
    }

    fn line(&self, to: &mut Formatter<'_>, number: usize, line: &Line, most: f64) -> fmt::Result {
        let points = self.at.iter().zip(&line.values);
        let mut path = String::new();
        let mut is_on = false;
        let mut lonely = Vec::new();
        let points: Vec<Option<(f64, f64)>> = points
            .map(|(at, value)| Some((self.x(*at), y((*value)?, most))))
            .collect();
        for (at, point) in points.iter().enumerate() {
            let Some((x, y)) = point else {
                is_on = false;
                continue;
            };
            let follows = points.get(at + 1).is_some_and(Option::is_some);
            if !is_on && !follows {
                lonely.push((*x, *y));
            }
            let command = if is_on { 'L' } else { 'M' };
            let _infallible = write!(path, "{command}{x:.1} {y:.1}");
            is_on = true;
        }
        writeln!(to, "<path class=\"line of-{number}\" d=\"{path}\"/>")?;
        for (x, y) in lonely {
            writeln!(
                to,
                "<circle class=\"dot of-{number}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>"
            )?;
        }
        Ok(())
    }

    /// What each moment says, for who points at it.
    fn hints(&self, to: &mut Formatter<'_>) -> fmt::Result {
        for (at, (from, until)) in self.spans().enumerate() {
            let values = self.lines.iter().filter_map(|line| {
                let value = Figure((*line.values.get(at)?)?);
                Some(format!("{} {value} {}", line.name, self.unit))
            });
            let values: Vec<String> = values.map(|text| text.trim().to_owned()).collect();
            let (left, right) = (self.x(from), self.x(until));
            writeln!(
                to,
                "<rect class=\"hint\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\">\
                 <title>{} s: {}</title></rect>",
                right - left,
                HEIGHT - TOP - BOTTOM,
                Figure(until),
                Text(&values.join(", "))
            )?;
        }
        Ok(())
    }

    /// The title with its unit.
    fn heading(&self) -> String {
        match self.unit {
            "" => self.title.clone(),
            unit => format!("{}, {unit}", self.title),
        }
    }

    /// What is drawn.
    fn drawing(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let values = self.lines.iter().flat_map(|line| line.values.iter());
        let highest = values.flatten().copied().fold(0.0, f64::max);
        let step = nice(if highest > 0.0 { highest / 4.0 } else { 0.25 });
        let most = step * (highest / step).ceil().max(1.0);
        self.axes(to, step, most)?;
        for (number, line) in self.lines.iter().enumerate() {
            self.line(to, number, line, most)?;
        }
        Ok(())
    }
}

/// As a figure of a page.
impl Display for Chart {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let heading = self.heading();
        let heading = Text(&heading);
        writeln!(to, "<figure>\n<figcaption>{heading}<span>")?;
        if self.lines.len() > 1 {
            for (number, line) in self.lines.iter().enumerate() {
                writeln!(
                    to,
                    "<i class=\"of-{number}\"><svg viewBox=\"0 0 24 6\"><path class=\"line of-{number}\" d=\"M0 3L24 3\"/></svg>{}</i>",
                    Text(&line.name)
                )?;
            }
        }
        writeln!(
            to,
            "</span></figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{heading}, over time\">"
        )?;
        self.drawing(to)?;
        self.hints(to)?;
        to.write_str("</svg>\n</figure>\n")
    }
}

fn y(value: f64, most: f64) -> f64 {
    TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value / most)
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
        assert_eq!(steps(2.5, 7.5).collect::<Vec<_>>(), [0.0, 2.5, 5.0, 7.5]);
    }
}
