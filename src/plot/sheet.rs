//! Charts side by side, as a picture that needs nothing but itself.

#![expect(
    clippy::cast_precision_loss,
    reason = "there are few charts, and short names"
)]

use std::fmt::{self, Display, Formatter};

use super::{Chart, HEIGHT, LOOKS, Text, WIDTH, tick};

const STYLE: &str = include_str!("sheet.css");

/// Around the charts and between them.
const MARGIN: f64 = 24.0;

/// What stands above each of them, and above all.
const HEADING: f64 = 38.0;

/// What stands beside the axes.
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 26.0;

const COLUMNS: usize = 2;

/// Charts under a title.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// What it shows.
    pub title: String,
    /// From the left to the right, then down.
    pub charts: Vec<Chart>,
}

impl Display for Sheet {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let (across, down) = (LEFT + WIDTH + MARGIN, HEADING + HEIGHT + BOTTOM + MARGIN);
        let rows = self.charts.len().div_ceil(COLUMNS);
        let width = MARGIN + COLUMNS as f64 * across;
        let height = MARGIN + HEADING + rows as f64 * down;
        let title = Text(&self.title);
        writeln!(
            to,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n<style>\n{STYLE}</style>\n\
             <rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n\
             <text class=\"title\" x=\"{MARGIN}\" y=\"{}\">{title}</text>",
            MARGIN + 8.0
        )?;
        for (number, chart) in self.charts.iter().enumerate() {
            let left = MARGIN + LEFT + (number % COLUMNS) as f64 * across;
            let top = MARGIN + 2.0 * HEADING + (number / COLUMNS) as f64 * down;
            writeln!(to, "<g transform=\"translate({left} {top})\">")?;
            self::chart(to, chart)?;
            writeln!(to, "</g>")?;
        }
        writeln!(to, "</svg>")
    }
}

/// One of them, from the upper left corner of its lines.
fn chart(to: &mut Formatter<'_>, chart: &Chart) -> fmt::Result {
    let above = -20.0;
    let heading = chart.heading();
    writeln!(
        to,
        "<text class=\"heading\" x=\"{}\" y=\"{above}\">{}</text>",
        -LEFT,
        Text(&heading)
    )?;
    let mut right = WIDTH;
    for (number, line) in chart.lines.iter().enumerate().rev() {
        writeln!(
            to,
            "<text class=\"name of-{}\" x=\"{right:.1}\" y=\"{above}\">{}</text>",
            number % LOOKS,
            Text(&line.name)
        )?;
        // About as wide as the letters are.
        right -= 8.2 * line.name.chars().count() as f64 + 14.0;
    }
    let scale = chart.scale();
    for value in scale.values() {
        writeln!(
            to,
            "<text class=\"of-y\" x=\"-6\" y=\"{:.1}\">{}</text>",
            scale.y(value) + 4.0,
            tick(value)
        )?;
    }
    for seconds in chart.seconds() {
        let unit = if seconds == 0.0 { " s" } else { "" };
        writeln!(
            to,
            "<text class=\"of-x\" x=\"{:.1}\" y=\"{}\">{}{unit}</text>",
            chart.x(seconds),
            HEIGHT + 18.0,
            tick(seconds)
        )?;
    }
    chart.drawing(to, scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Line;

    #[test]
    fn a_sheet_has_all_its_charts_and_no_markup_of_others() {
        let line = |name: &str| Line {
            name: name.to_owned(),
            values: vec![Some(1.0), None, Some(3.0)],
        };
        let chart = |title: &str| {
            let lines = vec![line("a<b"), line("c")];
            Chart::new(
                title.to_owned(),
                "MiB",
                &[1.0, 2.0, 3.0],
                &[false, true, true],
                lines,
            )
        };
        let sheet = Sheet {
            title: "1 & 2".to_owned(),
            charts: vec![chart("First"), chart("Second"), chart("Third")],
        };
        let text = sheet.to_string();
        assert_eq!(text.matches("<g ").count(), 3);
        assert_eq!(text.matches("<g ").count(), text.matches("</g>").count());
        assert!(text.contains("1 &amp; 2") && text.contains("a&lt;b") && !text.contains("a<b"));
        assert!(text.contains("Third, MiB"));
        // Each value stands alone, so that no line joins it to another: it is a dot.
        assert_eq!(text.matches("class=\"dots of-1\"").count(), 3);
    }
}
