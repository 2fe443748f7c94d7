//! Markdown as rows of a terminal, line by line, also while a line is still coming.
//!
//! What a line is (a heading, an item, code) is seen from its beginning and from whether it lies in
//! fenced code; what stands in it is read by a kept parser (`inline.rs`). A line that is not
//! complete is shown as it will probably be. So emphasis over several lines is not seen, and tables
//! stay as they were written.

mod inline;
mod wrap;

use self::inline::inline;
use self::wrap::wrap;
pub(super) use self::wrap::{Row, columns};
use super::style::Style;
use super::visible::visible;

/// A character as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) shown: char,
    pub(super) style: Style,
}

impl Cell {
    /// No character that a terminal obeys becomes a cell.
    fn new(c: char, style: Style) -> Self {
        Self {
            shown: visible(c),
            style,
        }
    }
}

fn cells(text: &str, style: Style) -> impl Iterator<Item = Cell> {
    text.chars().map(move |c| Cell::new(c, style))
}

/// Where in a document the next line stands.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// The fence of the code that it lies in.
    fence: Option<Fence>,
}

#[derive(Debug, Clone, Copy)]
struct Fence {
    mark: char,
    length: usize,
}

impl Document {
    /// The rows of a line without its line feed, on a terminal of this width. One that is not complete
    /// shows nothing while it can still be anything.
    pub(super) fn rows(&self, line: &str, is_complete: bool, width: usize) -> Vec<Row> {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if let Some(fence) = self.fence {
            let closes = fence.is_closed_by(line);
            let style = if closes { Style::DIM } else { Style::CODE };
            let expanded = expand_tabs(line);
            return wrap(Vec::new(), cells(&expanded, style).collect(), false, width);
        }
        if !is_complete && is_open(line) {
            return vec![Row::new()];
        }
        if Fence::opened_by(line).is_some() {
            return wrap(Vec::new(), cells(line, Style::DIM).collect(), false, width);
        }
        let line = expand_tabs(line);
        if is_rule(&line) {
            let rule = "─".repeat(width.min(40));
            return vec![cells(&rule, Style::DIM).collect()];
        }
        let block = Block::of(&line);
        let mut first = block.first;
        let style = block.style;
        let text = inline(block.text, style, is_complete);
        let hanging = block.hanging;
        first.extend(text);
        wrap(hanging, first, true, width)
    }

    /// The line has come to its end.
    pub(super) fn end_line(&mut self, line: &str) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        self.fence = match self.fence {
            Some(fence) if fence.is_closed_by(line) => None,
            Some(fence) => Some(fence),
            None => Fence::opened_by(line),
        };
    }
}

impl Fence {
    /// A fence also stands in an item of a list, and so behind any number of spaces.
    fn opened_by(line: &str) -> Option<Self> {
        let line = line.trim_start();
        let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let length = line.chars().take_while(|c| *c == mark).count();
        let info = &line[length..];
        (length >= 3 && !(mark == '`' && info.contains('`'))).then_some(Self { mark, length })
    }

    fn is_closed_by(self, line: &str) -> bool {
        let line = line.trim();
        line.chars().count() >= self.length && line.chars().all(|c| c == self.mark)
    }
}

/// Whether the beginning of a line may still become several things.
fn is_open(line: &str) -> bool {
    let text = line.trim_start();
    let is_number = text.len() <= 3 && text.chars().all(|c| c.is_ascii_digit());
    is_number
        || text
            .chars()
            .all(|c| matches!(c, '#' | '-' | '*' | '+' | '_' | '`' | '~' | ' '))
}

/// A line between two parts.
fn is_rule(line: &str) -> bool {
    let mut marks = line.chars().filter(|c| *c != ' ');
    let Some(mark @ ('-' | '*' | '_')) = marks.next() else {
        return false;
    };
    let mut count = 1;
    marks.all(|c| {
        count += 1;
        c == mark
    }) && count >= 3
}

/// A line that is taken apart.
struct Block<'a> {
    /// What stands before its text.
    first: Row,
    /// What stands before the rows that follow.
    hanging: Row,
    style: Style,
    text: &'a str,
}

impl<'a> Block<'a> {
    fn of(line: &'a str) -> Self {
        let text = line.trim_start_matches(' ');
        let indent = " ".repeat(line.len() - text.len());
        let mut first: Row = cells(&indent, Style::PLAIN).collect();
        let mut text = text;
        while let Some(quoted) = text.strip_prefix('>') {
            text = quoted.strip_prefix(' ').unwrap_or(quoted);
            first.extend(cells("│ ", Style::DIM));
        }
        let mut hanging = first.clone();
        let mut style = Style::PLAIN;
        if let Some((marker, rest)) = item(text) {
            let shown = if marker.ends_with(['.', ')']) {
                marker
            } else {
                "•"
            };
            first.extend(cells(shown, Style::DIM));
            first.extend(cells(" ", Style::PLAIN));
            let blank = " ".repeat(shown.chars().count() + 1);
            hanging.extend(cells(&blank, Style::PLAIN));
            text = rest;
        } else if let Some(heading) = heading(text) {
            style.bold = true;
            text = heading;
        }
        Self {
            first,
            hanging,
            style,
            text,
        }
    }
}

/// The marker of an item, and its text.
fn item(text: &str) -> Option<(&str, &str)> {
    let (marker, rest) = text.split_once(' ')?;
    let number = marker.trim_end_matches(['.', ')']);
    let is_number = marker.len() == number.len() + 1
        && (1..=9).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number || matches!(marker, "-" | "*" | "+")).then_some((marker, rest.trim_start()))
}

/// The text of a heading.
fn heading(text: &str) -> Option<&str> {
    let after = text.trim_start_matches('#');
    let level = text.len() - after.len();
    let heading = after.strip_prefix(' ')?;
    (1..=6)
        .contains(&level)
        .then(|| heading.trim_end_matches(['#', ' ']))
}

fn expand_tabs(line: &str) -> String {
    line.replace('\t', "    ")
}

#[cfg(test)]
mod tests;
