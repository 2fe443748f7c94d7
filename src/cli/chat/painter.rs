//! Shows Markdown on a terminal while it comes: what is already there stays, and only what has turned
//! out otherwise is painted over.
//!
//! Its output is text with escape sequences; who writes it is not its affair.

use std::fmt::Write as _;

use super::markdown::{Cell, Document, Row, columns};
use super::style::Style;
use super::visible::Visible;

/// A line that is longer is no longer read as Markdown: it would be read again for each word.
const MAX_LINE: usize = 16 * 1024;

/// How a document is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Canvas {
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// Whether the cursor may be moved. If not, a line is shown when it is complete.
    pub(super) moves: bool,
    /// Whether there are styles.
    pub(super) styled: bool,
}

/// Paints one document.
#[derive(Debug, Default)]
pub(super) struct Painter {
    document: Document,
    /// The line that is not complete yet.
    line: String,
    /// Its rows as they are on the terminal.
    painted: Vec<Row>,
    /// The line is too long: what comes is shown as it is.
    is_long: bool,
}

impl Painter {
    /// Takes the next piece of the text.
    pub(super) fn push(&mut self, text: &str, canvas: Canvas, out: &mut String) {
        let mut pieces = text.split('\n');
        if let Some(first) = pieces.next() {
            self.add(first);
        }
        for piece in pieces {
            self.end_line(canvas, out);
            self.add(piece);
        }
        if canvas.moves {
            self.paint(false, canvas, out);
        }
    }

    fn add(&mut self, piece: &str) {
        self.line.push_str(piece);
    }

    /// Paints the line that is not complete as if it were: nothing more comes.
    pub(super) fn finish(&mut self, canvas: Canvas, out: &mut String) {
        self.paint(true, canvas, out);
    }

    /// In which column the cursor stands.
    pub(super) fn column(&self) -> usize {
        match self.painted.last() {
            Some(row) => width(row),
            None => 0,
        }
    }

    fn end_line(&mut self, canvas: Canvas, out: &mut String) {
        self.paint(true, canvas, out);
        out.push('\n');
        self.document.end_line(&self.line);
        self.line.clear();
        self.painted.clear();
        self.is_long = false;
    }

    fn paint(&mut self, is_complete: bool, canvas: Canvas, out: &mut String) {
        if self.is_long {
            let _infallible = write!(out, "{}", Visible(&self.line));
            self.line.clear();
            return;
        }
        let rows = self.document.rows(&self.line, is_complete, canvas.columns);
        repaint(&self.painted, &rows, canvas, out);
        self.painted = rows;
        if !is_complete && self.line.len() > MAX_LINE {
            self.is_long = true;
            self.line.clear();
        }
    }
}

fn width(row: &[Cell]) -> usize {
    row.iter().copied().map(columns).sum()
}

/// Goes from what is there to what should be, from the end of the one to the end of the other.
fn repaint(old: &[Row], new: &[Row], canvas: Canvas, out: &mut String) {
    let last = old.len().saturating_sub(1);
    let same_rows = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let mut row = same_rows.min(last).min(new.len().saturating_sub(1));
    let empty = Row::new();
    let was = old.get(row).unwrap_or(&empty);
    let is = new.get(row).unwrap_or(&empty);
    let mut column = was.iter().zip(is).take_while(|(a, b)| a == b).count();
    let goes_on = row == last && column == was.len();
    if !goes_on {
        let reach = canvas.rows.max(2) - 1;
        if last - row > reach {
            // What has left the screen cannot be changed any more.
            row = last - reach;
            column = 0;
        }
        let is = new.get(row).unwrap_or(&empty);
        if is.iter().chain(was).any(|cell| columns(*cell) == 0) {
            // What terminals make of composed characters differs: the column is not known.
            column = 0;
        }
        if last > row {
            let _infallible = write!(out, "\x1b[{}A", last - row);
        }
        out.push('\r');
        let mut at = width(&is[..column.min(is.len())]);
        if at >= canvas.columns {
            // Behind the end of a full row the cursor cannot be put: its last character comes anew.
            column = column.saturating_sub(1);
            at = width(&is[..column]);
        }
        if at > 0 {
            let _infallible = write!(out, "\x1b[{at}C");
        }
        out.push_str("\x1b[J");
    }
    let mut style = Style::PLAIN;
    for (index, cells) in new.iter().enumerate().skip(row) {
        if index > row {
            out.push('\n');
        }
        let from = if index == row { column } else { 0 };
        for cell in &cells[from.min(cells.len())..] {
            if canvas.styled && cell.style != style {
                style = cell.style;
                style.write(out);
            }
            out.push(cell.shown);
        }
    }
    if style != Style::PLAIN {
        Style::PLAIN.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A terminal that knows what the painter uses, without a margin at the bottom.
    #[derive(Default)]
    struct Terminal {
        rows: Vec<Vec<(char, String)>>,
        at: (usize, usize),
        style: String,
    }

    impl Terminal {
        fn write(&mut self, text: &str) {
            let mut rest = text;
            while let Some(c) = rest.chars().next() {
                rest = &rest[c.len_utf8()..];
                while self.rows.len() <= self.at.0 {
                    self.rows.push(Vec::new());
                }
                match c {
                    '\n' => self.at = (self.at.0 + 1, 0),
                    '\r' => self.at.1 = 0,
                    '\x1b' => {
                        let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                        let number = rest[1..end].parse().unwrap_or(0);
                        match &rest[end..=end] {
                            "A" => self.at.0 -= number,
                            "C" => self.at.1 += number,
                            "J" => {
                                self.rows.truncate(self.at.0 + 1);
                                self.rows[self.at.0].truncate(self.at.1);
                            }
                            "m" => self.style = rest[1..end].to_owned(),
                            other => panic!("unknown: {other}"),
                        }
                        rest = &rest[end + 1..];
                    }
                    c => {
                        let row = &mut self.rows[self.at.0];
                        assert_eq!(row.len(), self.at.1, "it writes over what is there");
                        row.push((c, self.style.replace("0;", "").replace('0', "")));
                        self.at.1 += 1;
                    }
                }
            }
        }
    }

    const CANVAS: Canvas = Canvas {
        columns: 20,
        rows: 1000,
        moves: true,
        styled: true,
    };

    fn painted(pieces: &[String], canvas: Canvas) -> Vec<Vec<(char, String)>> {
        let (mut painter, mut terminal) = (Painter::default(), Terminal::default());
        let mut out = String::new();
        for piece in pieces {
            painter.push(piece, canvas, &mut out);
        }
        painter.finish(canvas, &mut out);
        terminal.write(&out);
        while terminal.rows.last().is_some_and(Vec::is_empty) {
            terminal.rows.pop();
        }
        terminal.rows
    }

    #[test]
    fn words_are_there_before_their_line_ends() {
        let (mut painter, mut out) = (Painter::default(), String::new());
        for (word, shown) in [
            ("Some", "Some"),
            (" words", " words"),
            (" **and", " \x1b[0;1mand\x1b[0m"),
        ] {
            out.clear();
            painter.push(word, CANVAS, &mut out);
            assert_eq!(out, shown);
        }
    }

    #[test]
    fn a_very_long_line_is_shown_whole() {
        let pieces: Vec<String> = (0..9000).map(|number| format!("{number} ")).collect();
        let wide = Canvas {
            columns: 200,
            ..CANVAS
        };
        let rows = painted(&pieces, wide);
        let text: String = rows
            .iter()
            .flatten()
            .map(|(c, _)| *c)
            .filter(|c| *c != ' ')
            .collect();
        assert_eq!(text, pieces.concat().replace(' ', ""));
    }

    proptest! {
        /// However a text is cut, the terminal shows the same in the end.
        #[test]
        fn cuts_change_nothing(
            text in "([a-d ]{0,6}|\\*\\*|\\*|`|``|_|\\[a\\]\\(b\\)|# |- |> |```|~~|\n|\u{e9}){0,30}",
            cuts in prop::collection::vec(1_usize..6, 0..60),
        ) {
            let mut pieces = Vec::new();
            let mut rest: Vec<char> = text.chars().collect();
            for cut in cuts {
                let after = rest.split_off(cut.min(rest.len()));
                pieces.push(rest.into_iter().collect());
                rest = after;
            }
            pieces.push(rest.into_iter().collect());
            prop_assert_eq!(painted(&pieces, CANVAS), painted(std::slice::from_ref(&text), CANVAS));
            let plain = Canvas { moves: false, ..CANVAS };
            prop_assert_eq!(painted(&pieces, plain), painted(&[text], CANVAS));
        }
    }
}
