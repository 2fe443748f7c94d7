//! What stands in a line of Markdown: emphasis, code, links.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::{Row, cells};
use crate::cli::chat::style::Style;

/// It keeps a line from being read as anything but a paragraph, and is taken away again.
const LEAD: &str = "x ";

/// The text of a line. In one that is not complete, what was opened counts as closed at its end.
pub(super) fn inline(text: &str, base: Style, is_complete: bool) -> Row {
    let mut source = format!("{LEAD}{text}");
    if !is_complete {
        close(&mut source, LEAD.len());
    }
    let mut shown = Shown {
        row: Row::new(),
        base,
        depths: Depths::default(),
        links: Vec::new(),
    };
    for event in Parser::new_ext(&source, Options::ENABLE_STRIKETHROUGH) {
        shown.take(event);
    }
    shown.row.drain(..LEAD.len().min(shown.row.len()));
    shown.row
}

struct Shown {
    row: Row,
    base: Style,
    depths: Depths,
    /// Where the links that are open lead to.
    links: Vec<(String, usize)>,
}

/// How often each kind of emphasis is open.
#[derive(Default)]
struct Depths {
    strong: usize,
    emphasis: usize,
    struck: usize,
}

impl Shown {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(Tag::Strong) => self.depths.strong += 1,
            Event::End(TagEnd::Strong) => self.depths.strong -= 1,
            Event::Start(Tag::Emphasis) => self.depths.emphasis += 1,
            Event::End(TagEnd::Emphasis) => self.depths.emphasis -= 1,
            Event::Start(Tag::Strikethrough) => self.depths.struck += 1,
            Event::End(TagEnd::Strikethrough) => self.depths.struck -= 1,
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                self.links.push((dest_url.into_string(), self.row.len()));
            }
            Event::End(TagEnd::Link | TagEnd::Image) => self.end_link(),
            Event::Text(text) | Event::InlineHtml(text) | Event::Html(text) => {
                self.add(&text, self.style());
            }
            Event::Code(code) => {
                let style = Style {
                    code: true,
                    ..self.style()
                };
                self.add(&code, style);
            }
            Event::SoftBreak | Event::HardBreak => self.add(" ", self.style()),
            _ => {}
        }
    }

    fn add(&mut self, text: &str, style: Style) {
        self.row.extend(cells(text, style));
    }

    fn style(&self) -> Style {
        Style {
            bold: self.base.bold || self.depths.strong > 0,
            italic: self.depths.emphasis > 0,
            struck: self.depths.struck > 0,
            underlined: !self.links.is_empty(),
            ..self.base
        }
    }

    /// Where a link leads must be seen: it is written behind its text, unless that says the same.
    fn end_link(&mut self) {
        let Some((address, begin)) = self.links.pop() else {
            return;
        };
        let text: String = self.row[begin..].iter().map(|cell| cell.shown).collect();
        if address != text && address != format!("mailto:{text}") {
            let dim = Style {
                dim: true,
                ..self.base
            };
            self.add(&format!(" ({address})"), dim);
        }
    }
}

/// Closes what seems to be open in the text after `begin`. It need not be right: when more has come,
/// the line is read again.
fn close(text: &mut String, begin: usize) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = &text[begin..];
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let run = rest.chars().take_while(|other| *other == c).count() * c.len_utf8();
        let marker = match (c, run) {
            ('\\', _) => {
                let skip = rest.chars().take(2).map(char::len_utf8).sum();
                rest = &rest[skip..];
                before = 'x';
                continue;
            }
            ('`' | '*', _) | ('_', 1..=3) | ('~', 2) => &rest[..run],
            _ => "",
        };
        let after = rest[run..].chars().next();
        if marker.starts_with('`') {
            // Code hides everything up to its end.
            if let Some(end) = rest[run..].find(marker) {
                rest = &rest[run + end + run..];
                before = '`';
                continue;
            }
            if after.is_some() {
                open.push(marker);
            }
            break;
        }
        if !marker.is_empty() {
            if open.last() == Some(&marker) && !before.is_whitespace() {
                open.pop();
            } else if after.is_some_and(|c| !c.is_whitespace())
                && !(c == '_' && before.is_alphanumeric())
            {
                open.push(marker);
            }
        }
        before = c;
        rest = &rest[run..];
    }
    let closing: String = open.iter().rev().copied().collect();
    if !closing.is_empty() {
        // Emphasis does not end after a space.
        let code = open.last().is_some_and(|marker| marker.starts_with('`'));
        if !code {
            text.truncate(text.trim_end().len().max(begin));
        }
        text.push_str(&closing);
    }
}
