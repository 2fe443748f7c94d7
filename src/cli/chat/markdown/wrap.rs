//! A line that is too long for the terminal, broken between words.

use unicode_width::UnicodeWidthChar as _;

use super::Cell;

/// One row of a terminal.
pub(in crate::cli::chat) type Row = Vec<Cell>;

/// How many columns a character takes.
pub(in crate::cli::chat) fn columns(cell: Cell) -> usize {
    cell.shown.width().unwrap_or(0)
}

/// The rows of a line. Each after the first begins with `hanging`; only with `at_words` are they
/// broken between words where that is possible.
pub(super) fn wrap(hanging: Row, line: Row, at_words: bool, width: usize) -> Vec<Row> {
    let width = width.max(4);
    let hanging = if hanging.len() * 2 > width {
        Row::new()
    } else {
        hanging
    };
    let mut rows = vec![Row::new()];
    let mut used = 0;
    // Where the row may be broken, and what was used up to there.
    let mut gap: Option<usize> = None;
    for cell in line {
        let Some(row) = rows.last_mut() else { continue };
        let size = columns(cell);
        if used + size > width {
            // A row may end with the word; the space is not needed then.
            let is_gap = at_words && cell.shown == ' ';
            let moved = match gap {
                Some(at) if at_words && !is_gap => row.split_off(at + 1),
                _ => Row::new(),
            };
            while at_words && row.last().is_some_and(|cell| cell.shown == ' ') {
                row.pop();
            }
            let mut next = hanging.clone();
            next.extend(moved);
            used = next.iter().copied().map(columns).sum();
            gap = None;
            rows.push(next);
            if is_gap {
                continue;
            }
        }
        let Some(row) = rows.last_mut() else { continue };
        if cell.shown == ' ' && row.len() > hanging.len() {
            gap = Some(row.len());
        }
        used += size;
        row.push(cell);
    }
    rows
}
