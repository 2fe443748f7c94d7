//! How a character looks on a terminal, and the escape sequence that makes the terminal show it so.

use std::fmt::Write as _;

/// How a character looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an attribute of a terminal's character"
)]
pub(super) struct Style {
    pub(super) bold: bool,
    pub(super) dim: bool,
    pub(super) italic: bool,
    pub(super) underlined: bool,
    pub(super) struck: bool,
    /// Code: in another colour.
    pub(super) code: bool,
}

impl Style {
    /// As the terminal shows it by itself.
    pub(super) const PLAIN: Self = Self {
        bold: false,
        dim: false,
        italic: false,
        underlined: false,
        struck: false,
        code: false,
    };

    /// What is beside the point.
    pub(super) const DIM: Self = Self {
        dim: true,
        ..Self::PLAIN
    };

    /// Code.
    pub(super) const CODE: Self = Self {
        code: true,
        ..Self::PLAIN
    };

    /// Goes from any style to this one.
    pub(super) fn write(self, out: &mut String) {
        out.push_str("\x1b[0");
        for (on, number) in [
            (self.bold, 1),
            (self.dim, 2),
            (self.italic, 3),
            (self.underlined, 4),
            (self.struck, 9),
            (self.code, 36),
        ] {
            if on {
                let _infallible = write!(out, ";{number}");
            }
        }
        out.push('m');
    }
}
