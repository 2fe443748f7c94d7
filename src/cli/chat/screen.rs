//! What a person sees: the answer on standard output, and on standard error what becomes of the
//! connection.

use std::io::{self, Write as _};

use super::event::{Event, Said};
use super::look::Look;
use super::painter::Painter;
use super::style::Style;
use super::visible::{OneLine, Visible, columns};

/// What is being said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Reasoning,
    Answer,
    Refusal,
    Call,
}

/// Shows one answer.
pub(super) struct Screen {
    look: Look,
    shows_reasoning: bool,
    part: Option<Part>,
    painter: Painter,
    /// Whether what was shown last ended a line, or nothing was.
    at_start: bool,
    /// In which column the cursor stands, where Markdown is not rendered.
    column: usize,
    call: Option<Call>,
    /// What is told of the connection until it is otherwise, and whether it stands below text.
    status: Option<bool>,
    /// What is told at the end.
    notes: Vec<String>,
}

/// A tool that the model calls, as far as it has come.
struct Call {
    index: u64,
    name: String,
    arguments: String,
}

impl Screen {
    pub(super) fn new(look: Look, shows_reasoning: bool) -> Self {
        Self {
            look,
            shows_reasoning,
            part: None,
            painter: Painter::default(),
            at_start: true,
            column: 0,
            call: None,
            status: None,
            notes: Vec::new(),
        }
    }

    /// Shows what an event says.
    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        match &event.said {
            Said::Token { text } => self.say(Part::Answer, text),
            Said::Reasoning { text } if self.shows_reasoning => self.say(Part::Reasoning, text),
            Said::Refusal { text } => self.say(Part::Refusal, text),
            Said::ToolCall {
                index,
                name,
                arguments,
            } => self.call(*index, name.as_deref(), arguments.as_deref()),
            Said::Start { .. }
            | Said::Reasoning { .. }
            | Said::Done { .. }
            | Said::Error { .. }
            | Said::Other => Ok(()),
        }
    }

    /// Says how it stands with the connection, until it is otherwise.
    pub(super) fn status(&mut self, text: &str) -> io::Result<()> {
        if !self.look.tells {
            return Ok(());
        }
        self.clear_status()?;
        let is_below = self.look.terminal && !self.at_start;
        let before = if is_below { "\n" } else { "" };
        // What is wiped off again has one row.
        let room = if self.look.moves {
            self.look.told_columns().saturating_sub(1)
        } else {
            usize::MAX
        };
        let text = self.dim(&OneLine(text).cut(room));
        io::stdout().flush()?;
        if self.look.moves {
            write!(io::stderr(), "{before}{text}")?;
            self.status = Some(is_below);
        } else {
            writeln!(io::stderr(), "{before}{text}")?;
            self.at_start |= is_below;
        }
        Ok(())
    }

    /// Keeps something to be told at the end.
    pub(super) fn note(&mut self, text: String) -> io::Result<()> {
        self.notes.push(text);
        self.clear_status()
    }

    fn clear_status(&mut self) -> io::Result<()> {
        let Some(is_below) = self.status.take() else {
            return Ok(());
        };
        let mut out = "\r\x1b[2K".to_owned();
        let canvas = self.look.canvas();
        let column = if self.look.markdown {
            self.painter.column()
        } else {
            self.column
        };
        // Where a row is full, the next character comes below anyway; but a row of Markdown may still
        // be painted over.
        if is_below && (self.look.markdown || column < canvas.columns) {
            out.push_str("\x1b[A");
            if column > 0 {
                use std::fmt::Write as _;
                let _infallible = write!(out, "\x1b[{column}C");
            }
        }
        io::stderr().write_all(out.as_bytes())
    }

    /// The answer is over. Its last line ends, and what there was to note is told.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.end_part()?;
        io::stdout().flush()?;
        for note in std::mem::take(&mut self.notes) {
            self.tell(&note)?;
        }
        Ok(())
    }

    /// Tells something beside the answer, if anybody sees it.
    pub(super) fn tell(&self, text: &str) -> io::Result<()> {
        if self.look.tells {
            writeln!(io::stderr(), "{}", self.dim(&OneLine(text).to_string()))?;
        }
        Ok(())
    }

    fn dim(&self, text: &str) -> String {
        if !self.look.dims {
            return text.to_owned();
        }
        let mut out = String::new();
        Style::DIM.write(&mut out);
        out.push_str(text);
        Style::PLAIN.write(&mut out);
        out
    }

    fn say(&mut self, part: Part, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.begin(part)?;
        self.at_start = text.ends_with('\n');
        if self.look.markdown && part == Part::Answer {
            let mut out = String::new();
            self.painter.push(text, self.look.canvas(), &mut out);
            return io::stdout().write_all(out.as_bytes());
        }
        if !self.look.terminal {
            return io::stdout().write_all(text.as_bytes());
        }
        let shown = Visible(text).to_string();
        self.column = columns(&shown, self.column, self.look.canvas().columns);
        let beside = part == Part::Reasoning && self.look.styled;
        let shown = if beside { self.dim(&shown) } else { shown };
        io::stdout().write_all(shown.as_bytes())
    }

    /// Another part begins with a blank line between.
    fn begin(&mut self, part: Part) -> io::Result<()> {
        self.clear_status()?;
        if self.part == Some(part) {
            return Ok(());
        }
        if self.part.is_some() {
            self.end_part()?;
            io::stdout().write_all(b"\n")?;
        }
        self.part = Some(part);
        Ok(())
    }

    fn end_part(&mut self) -> io::Result<()> {
        self.clear_status()?;
        if let Some(call) = self.call.take() {
            self.show(&call)?;
        }
        let mut out = String::new();
        if self.part == Some(Part::Answer) && self.look.markdown {
            self.painter.finish(self.look.canvas(), &mut out);
            self.painter = Painter::default();
        }
        if !self.at_start {
            out.push('\n');
        }
        self.at_start = true;
        self.column = 0;
        io::stdout().write_all(out.as_bytes())
    }

    fn call(&mut self, index: u64, name: Option<&str>, arguments: Option<&str>) -> io::Result<()> {
        self.begin(Part::Call)?;
        if let Some(call) = self.call.take_if(|call| call.index != index) {
            self.show(&call)?;
        }
        let call = self.call.get_or_insert_with(|| Call {
            index,
            name: String::new(),
            arguments: String::new(),
        });
        call.name.push_str(name.unwrap_or_default());
        call.arguments.push_str(arguments.unwrap_or_default());
        Ok(())
    }

    /// A call is shown when all of it has come.
    fn show(&self, call: &Call) -> io::Result<()> {
        let text = format!("→ {}({})", call.name, call.arguments);
        if self.look.terminal {
            writeln!(io::stdout(), "{}", Visible(&text))
        } else {
            writeln!(io::stdout(), "{text}")
        }
    }
}
