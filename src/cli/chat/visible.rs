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

    proptest! {
        #[test]
        fn no_control_is_left(text: String) {
            let shown = Visible(&text).to_string();
            prop_assert!(shown.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t')));
            prop_assert_eq!(shown.chars().count(), text.chars().count());
        }
    }
}
