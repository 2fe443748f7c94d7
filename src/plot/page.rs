//! A chart as a figure of a page: what stands beside the axes is text of the page, which is as large on a phone as
//! on a desk; only the lines are stretched. The page has the style sheet.

use std::fmt::{self, Display, Formatter};

use super::{Chart, Figure, HEIGHT, LOOKS, Scale, Text, WIDTH, tick};

impl Chart {
    /// What each line is.
    fn legend(&self, to: &mut Formatter<'_>) -> fmt::Result {
        for (number, line) in self.lines.iter().enumerate() {
            writeln!(
                to,
                "<i><svg viewBox=\"0 0 24 6\" aria-hidden=\"true\"><path class=\"line of-{}\" d=\"M0 3H24\"/></svg>{}</i>",
                number % LOOKS,
                Text(&line.name)
            )?;
        }
        Ok(())
    }

    /// What stands beside the axes: the vertical one's values are evenly spaced, from above.
    fn labels(&self, to: &mut Formatter<'_>, scale: Scale) -> fmt::Result {
        to.write_str("<div class=\"of-y\">")?;
        let values: Vec<f64> = scale.values().collect();
        for value in values.into_iter().rev() {
            write!(to, "<span>{}</span>", tick(value))?;
        }
        to.write_str("</div>\n<div class=\"of-x\">")?;
        for seconds in self.seconds() {
            let unit = if seconds == 0.0 { " s" } else { "" };
            write!(
                to,
                "<span style=\"left:{:.2}%\">{}{unit}</span>",
                100.0 * self.x(seconds) / WIDTH,
                tick(seconds)
            )?;
        }
        to.write_str("</div>\n")
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
                "<rect class=\"hint\" x=\"{left:.1}\" y=\"0\" width=\"{:.1}\" height=\"{HEIGHT}\">\
                 <title>{} s: {}</title></rect>",
                right - left,
                Figure(until),
                Text(&values.join(", "))
            )?;
        }
        Ok(())
    }
}

impl Display for Chart {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        let heading = self.heading();
        let heading = Text(&heading);
        let scale = self.scale();
        writeln!(to, "<figure>\n<figcaption>{heading}<span>")?;
        self.legend(to)?;
        to.write_str("</span></figcaption>\n<div class=\"chart\">\n")?;
        self.labels(to, scale)?;
        writeln!(
            to,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{heading}, over time\">"
        )?;
        self.drawing(to, scale)?;
        self.hints(to)?;
        to.write_str("</svg>\n</div>\n</figure>\n")
    }
}
