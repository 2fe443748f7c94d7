//! Charts side by side, as a picture that needs nothing but itself.

#![expect(
    clippy::cast_precision_loss,
    reason = "there are few charts, and short names"
)]

use std::fmt::{self, Display, Formatter};

use super::{Chart, HEIGHT, Text, WIDTH};

const STYLE: &str = include_str!("sheet.css");

/// Around the charts and between them.
const MARGIN: f64 = 24.0;

/// What stands above each of them, and above all.
const HEADING: f64 = 28.0;

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
        let place = |number: usize| {
            let across = (number % COLUMNS) as f64;
            let down = (number / COLUMNS) as f64;
            (
                MARGIN + across * (WIDTH + MARGIN),
                MARGIN + HEADING + down * (HEIGHT + HEADING + MARGIN),
            )
        };
        let (width, _) = place(COLUMNS);
        let width = width + COLUMNS as f64 * (WIDTH + MARGIN);
        let (_, height) = place(self.charts.len().next_multiple_of(COLUMNS));
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
            let (left, top) = place(number);
            let heading = chart.heading();
            writeln!(
                to,
                "<text class=\"heading\" x=\"{left}\" y=\"{}\">{}</text>",
                top + HEADING - 10.0,
                Text(&heading)
            )?;
            let lines = chart.lines.iter().enumerate();
            let mut right = left + WIDTH;
            for (number, line) in lines.rev().filter(|_| chart.lines.len() > 1) {
                let at = top + HEADING - 10.0;
                writeln!(
                    to,
                    "<text class=\"name of-{number}\" x=\"{right:.1}\" y=\"{at}\">{}</text>",
                    Text(&line.name)
                )?;
                // About as wide as the letters are.
                right -= 8.2 * line.name.chars().count() as f64 + 14.0;
            }
            writeln!(
                to,
                "<svg x=\"{left}\" y=\"{}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\">",
                top + HEADING
            )?;
            chart.drawing(to)?;
            writeln!(to, "</svg>")?;
        }
        writeln!(to, "</svg>")
    }
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
        assert_eq!(text.matches("<svg").count(), text.matches("</svg>").count());
        assert_eq!(text.matches("<svg").count(), 4);
        assert!(text.contains("1 &amp; 2") && text.contains("a&lt;b") && !text.contains("a<b"));
        assert!(text.contains("Third, MiB"));
    }
}
