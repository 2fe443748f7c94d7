//! What standard output and standard error are, and so what belongs on them.

use std::io::IsTerminal as _;

use rustix::termios::tcgetwinsize;

use super::painter::Canvas;

/// When Markdown is rendered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Markdown {
    /// On a terminal that may have styles.
    #[default]
    Auto,
    /// Also into files and pipes.
    Always,
    /// Nowhere: the text as the model wrote it.
    Never,
}

/// What belongs where.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own"
)]
pub(super) struct Look {
    /// Standard output is a terminal: nothing that it obeys may come from others.
    pub(super) terminal: bool,
    /// Standard error is one, where the connection's state is shown.
    pub(super) tells: bool,
    /// The cursor may be moved.
    pub(super) moves: bool,
    /// There may be styles on standard output.
    pub(super) styled: bool,
    /// There may be styles on standard error.
    pub(super) dims: bool,
    pub(super) markdown: bool,
}

impl Look {
    pub(super) fn new(markdown: Markdown, quiet: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let tells = std::io::stderr().is_terminal();
        // https://no-color.org and http://bixense.com/clicolors
        let can = anstyle_query::term_supports_color();
        let may_be_styled = |is_terminal: bool| {
            !anstyle_query::no_color()
                && (anstyle_query::clicolor_force()
                    || (is_terminal && can && anstyle_query::clicolor() != Some(false)))
        };
        let styled = may_be_styled(terminal);
        Self {
            terminal,
            tells: tells && !quiet,
            moves: can,
            styled,
            dims: may_be_styled(tells),
            markdown: match markdown {
                Markdown::Auto => terminal && styled,
                Markdown::Always => true,
                Markdown::Never => false,
            },
        }
    }

    /// How wide the terminal is on which the connection's state is shown.
    pub(super) fn told_columns(self) -> usize {
        let size = tcgetwinsize(std::io::stderr()).ok();
        let size = size.filter(|size| self.tells && size.ws_col > 0);
        size.map_or(usize::MAX, |size| size.ws_col.into())
    }

    /// The terminal as large as it is now.
    pub(super) fn canvas(self) -> Canvas {
        let size = tcgetwinsize(std::io::stdout()).ok();
        let size = size.filter(|size| self.terminal && size.ws_col > 0 && size.ws_row > 0);
        // Where nobody knows how wide it is, whoever shows it breaks the lines.
        Canvas {
            columns: size.map_or(usize::MAX, |size| size.ws_col.into()),
            rows: size.map_or(24, |size| size.ws_row.into()),
            moves: self.terminal && self.moves,
            styled: self.styled,
        }
    }
}
