//! Text of others, made harmless for a terminal.
//!
//! A model, or whoever writes what it reads, could send escape sequences: to rename the window, to fill
//! the clipboard, to hide what was said. So nothing that a terminal obeys is passed on to it; a picture
//! of the character stands in its place. What goes into a file or a pipe is left as it is.

use std::fmt;

use unicode_width::UnicodeWidthChar as _;

/// What a terminal is given for this character. Line feeds are for the caller to see to.
pub(super) const fn visible(c: char) -> char {
    match c {
        // The block of pictures of the control characters is in their order.
        '\0'..='\x1f' => match char::from_u32(0x2400 + c as u32) {
            Some(picture) => picture,
            None => char::REPLACEMENT_CHARACTER,
        },
        '\x7f' => '\u{2421}',
        // C1 controls, some of which begin a sequence as ESC does.
        '\u{80}'..='\u{9f}'
        // What turns the direction of what follows, and so shows another text than is there.
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        // Separators of lines and paragraphs, at which some terminals go on below.
        | '\u{2028}'
        | '\u{2029}' => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}

/// A text on one line, or on several, as a terminal may be given it.
pub(super) struct Visible<'a>(pub(super) &'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.0.chars().try_for_each(|c| {
            formatter.write_char(if matches!(c, '\n' | '\t') {
                c
            } else {
                visible(c)
            })
        })
    }
}

/// A text of others within a line of ours.
pub(super) struct OneLine<'a>(pub(super) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.0
            .chars()
            .try_for_each(|c| formatter.write_char(visible(c)))
    }
}

impl OneLine<'_> {
    /// As much of it as has room in so many columns; what is missing is told by a mark.
    pub(super) fn cut(&self, columns: usize) -> String {
        let all = self.first(columns);
        if all.chars().count() == self.0.chars().count() {
            return all;
        }
        let room = columns.checked_sub(1);
        room.map_or_else(String::new, |room| self.first(room) + "…")
    }

    fn first(&self, columns: usize) -> String {
        let mut left = columns;
        let fits = |c: &char| {
            let rest = left.checked_sub(c.width().unwrap_or(0));
            left = rest.unwrap_or(left);
            rest.is_some()
        };
        self.0.chars().map(visible).take_while(fits).collect()
    }
}

/// JSON of others on one line.
///
/// Outside of strings, control characters are but blanks, and inside none can stand as they are. Where
/// it goes to a terminal, what that would obey is escaped, so that it is the same JSON.
pub(super) struct JsonLine<'a> {
    json: &'a str,
    terminal: bool,
}

impl<'a> JsonLine<'a> {
    pub(super) const fn of(json: &'a str, terminal: bool) -> Self {
        Self { json, terminal }
    }
}

impl fmt::Display for JsonLine<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        self.json.chars().try_for_each(|c| match c {
            '\0'..='\x1f' => formatter.write_char(' '),
            // None of them is beyond U+FFFF, where it would take two escapes.
            _ if self.terminal && visible(c) != c => write!(formatter, "\\u{:04x}", c as u32),
            _ => formatter.write_char(c),
        })
    }
}

/// In which column the cursor stands after this text, on a terminal of this width.
pub(super) fn columns(text: &str, from: usize, width: usize) -> usize {
    text.chars().fold(from, |at, c| match c {
        '\n' => 0,
        '\t' => (at / 8 + 1) * 8,
        _ => {
            let size = c.width().unwrap_or(0);
            if at + size > width { size } else { at + size }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_obeys_is_shown_instead() {
        let attack = "a\x1b]8;;http://evil/\x07b\u{9b}31m\r\x08\x7f\u{202e}c\n\td";
        assert_eq!(
            Visible(attack).to_string(),
            "a␛]8;;http://evil/␇b\u{fffd}31m␍␈␡\u{fffd}c\n\td"
        );
    }

    #[test]
    fn words_of_others_stay_on_their_line() {
        assert_eq!(OneLine("a\n\tb\r").to_string(), "a␊␉b␍");
        assert_eq!(OneLine("ab\ncd").cut(5), "ab␊cd");
        assert_eq!(OneLine("ab\ncd").cut(4), "ab␊…");
        assert_eq!(OneLine("ab").cut(0), "");
        // Each of these is two columns wide, and the last letter sets none of its own.
        assert_eq!(
            OneLine("\u{6f22}\u{5b57}\u{6f22}").cut(5),
            "\u{6f22}\u{5b57}…"
        );
        assert_eq!(OneLine("e\u{301}").cut(1), "e\u{301}");
        assert_eq!(OneLine("").cut(0), "");
    }

    #[test]
    fn json_for_a_terminal_has_escapes_and_says_the_same() {
        let json = "{\"a\":\r\n\t\"x\u{9b}\u{202e}\u{7f}\u{1f600}\\u0007\"}";
        let shown = JsonLine::of(json, true).to_string();
        assert_eq!(
            shown,
            "{\"a\":   \"x\\u009b\\u202e\\u007f\u{1f600}\\u0007\"}"
        );
        let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(read(&shown), read(json));
        let piped = JsonLine::of(json, false).to_string();
        assert!(piped.contains('\u{9b}') && !piped.contains('\n'));
    }

    proptest! {
        #[test]
        fn no_control_is_left(text: String) {
            let shown = Visible(&text).to_string();
            prop_assert!(shown.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t')));
            prop_assert_eq!(shown.chars().count(), text.chars().count());
            prop_assert!(!OneLine(&text).to_string().chars().any(char::is_control));
        }
    }
}
