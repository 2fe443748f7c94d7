//! Where an answer goes: to a person, or line by line to a program.

use std::io::{self, Write as _};

use super::event::Event;
use super::screen::Screen;
use super::visible::{JsonLine, OneLine};

/// Where an answer goes.
pub(super) enum Output {
    Screen(Box<Screen>),
    /// Each event is a line of JSON on standard output, and there is nothing else.
    Json {
        /// Whether a terminal would obey what is in it.
        terminal: bool,
    },
}

impl Output {
    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        match self {
            Self::Screen(screen) => screen.event(event),
            Self::Json { terminal } => {
                writeln!(io::stdout(), "{}", JsonLine::of(&event.json, *terminal))
            }
        }
    }

    /// What is told of the connection goes to standard error, and is not worth failing for.
    pub(super) fn status(&mut self, text: &str) {
        if let Self::Screen(screen) = self {
            let _unseen = screen.status(text);
        }
    }

    pub(super) fn note(&mut self, text: String) {
        if let Self::Screen(screen) = self {
            let _unseen = screen.note(text);
        }
    }

    pub(super) fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Screen(screen) => screen.finish(),
            Self::Json { .. } => io::stdout().flush(),
        }
    }
}

/// Says what went wrong, on a line of its own, also when it is to be quiet. Nobody whose words are in it
/// can begin another line, which would look like ours.
pub(super) fn complain(text: &str) {
    let _unseen = writeln!(io::stderr(), "tailrace: {}", OneLine(text));
}
