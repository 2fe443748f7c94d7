//! Reads `text/event-stream` as servers send it (WHATWG HTML, section 9.2.6), in any pieces.
//!
//! Only the name and the data of each event: what our own server says of an event's id stands in its
//! data too, and models' servers have none. Ids and retry times are skipped. Unlike a browser, it gives out an event whose final blank line is missing at the end of
//! the body: some upstreams forget it, and what follows from a cut is decided by the data.

/// One event, as it lies in the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerEvent<'a> {
    /// Its name; empty if it has none.
    pub name: &'a str,
    /// Its data lines, joined by line feeds.
    pub data: &'a str,
}

/// A stream that cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventStreamError {
    /// A line or an event is longer than the parser's bound.
    #[error("an event is longer than {0} bytes")]
    TooLong(usize),
    /// It is not UTF-8.
    #[error("the events are not UTF-8")]
    NotText,
}

/// An incremental parser. What it holds is bounded by the longest event that it accepts.
#[derive(Debug)]
pub struct EventStream {
    /// The most bytes that one event's lines may have together.
    max_bytes: usize,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed after it is part of the same line end.
    after_return: bool,
    /// The byte order mark, which may stand before the first line, has been looked for.
    begun: bool,
    name: String,
    data: String,
    has_data: bool,
}

/// Allocations are kept for the next event only while they are small: an idle stream holds little.
const KEPT_BYTES: usize = 1024;

/// Empties a text whose allocation may be kept.
fn forget(text: &mut String) {
    if text.capacity() > KEPT_BYTES {
        *text = String::new();
    } else {
        text.clear();
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl EventStream {
    /// A parser that accepts events of up to `max_bytes`.
    #[must_use]
    pub const fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            line: Vec::new(),
            after_return: false,
            begun: false,
            name: String::new(),
            data: String::new(),
            has_data: false,
        }
    }

    /// Takes the next piece of the body, and gives each event that it completes to `found`.
    ///
    /// # Errors
    /// An event is too long, or not text. Nothing more can be read then.
    pub fn push(
        &mut self,
        mut piece: &[u8],
        mut found: impl FnMut(ServerEvent<'_>),
    ) -> Result<(), EventStreamError> {
        if self.after_return && !piece.is_empty() {
            self.after_return = false;
            piece = piece.strip_prefix(b"\n").unwrap_or(piece);
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', piece) {
            let (head, tail) = piece.split_at(end);
            piece = &tail[1..];
            if tail[0] == b'\r' {
                match piece {
                    [b'\n', rest @ ..] => piece = rest,
                    [] => self.after_return = true,
                    _ => {}
                }
            }
            if self.line.is_empty() {
                if let Some((data, rest)) = self.whole_event(head, piece) {
                    found(ServerEvent {
                        name: &self.name,
                        data: std::str::from_utf8(data).map_err(|_| EventStreamError::NotText)?,
                    });
                    self.name.clear();
                    self.begun = true;
                    piece = rest;
                    continue;
                }
                self.end_line(head, &mut found)?;
            } else {
                self.hold(head)?;
                let line = std::mem::take(&mut self.line);
                self.end_line(&line, &mut found)?;
                if line.capacity() <= KEPT_BYTES {
                    self.line = line;
                    self.line.clear();
                }
            }
        }
        self.hold(piece)
    }

    /// The body is over: gives the event whose blank line is missing, if there is one, to `found`.
    ///
    /// # Errors
    /// It is not text.
    pub fn finish(
        &mut self,
        mut found: impl FnMut(ServerEvent<'_>),
    ) -> Result<(), EventStreamError> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.end_line(&line, &mut found)?;
        }
        self.end_line(b"", &mut found)
    }

    /// The data of an event that is one line, with the blank line after it, and what follows; most
    /// are like that, and need not be copied. `rest` is what follows the line.
    fn whole_event<'a>(&self, line: &'a [u8], rest: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        if self.has_data || self.after_return {
            return None;
        }
        let data = line.strip_prefix(b"data: ")?;
        let rest = rest.strip_prefix(b"\n")?;
        (line.len() <= self.max_bytes).then_some((data, rest))
    }

    fn hold(&mut self, piece: &[u8]) -> Result<(), EventStreamError> {
        if self.line.len() + piece.len() + self.data.len() > self.max_bytes {
            return Err(EventStreamError::TooLong(self.max_bytes));
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }

    fn end_line(
        &mut self,
        mut line: &[u8],
        found: &mut impl FnMut(ServerEvent<'_>),
    ) -> Result<(), EventStreamError> {
        // The same bound as for a line that comes in pieces: how it is cut changes nothing.
        if line.len() + self.data.len() > self.max_bytes {
            return Err(EventStreamError::TooLong(self.max_bytes));
        }
        if !self.begun {
            self.begun = true;
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            if std::mem::take(&mut self.has_data) {
                found(ServerEvent {
                    name: &self.name,
                    data: &self.data,
                });
            }
            self.name.clear();
            forget(&mut self.data);
            return Ok(());
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if field != b"data" && field != b"event" {
            // Comments, ids, retry times, and whatever else comes.
            return Ok(());
        }
        let value = std::str::from_utf8(value).map_err(|_| EventStreamError::NotText)?;
        if field == b"event" {
            value.clone_into(&mut self.name);
            return Ok(());
        }
        if self.has_data {
            self.data.push('\n');
        }
        self.has_data = true;
        self.data.push_str(value);
        Ok(())
    }
}

#[cfg(test)]
mod any_cut;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 1000;

    fn parse(pieces: &[&[u8]]) -> Result<Vec<(String, String)>, EventStreamError> {
        let mut parser = EventStream::new(MAX);
        let mut events = Vec::new();
        for piece in pieces {
            parser.push(piece, |event| events.push(owned(event)))?;
        }
        parser.finish(|event| events.push(owned(event)))?;
        Ok(events)
    }

    fn owned(event: ServerEvent<'_>) -> (String, String) {
        (event.name.to_owned(), event.data.to_owned())
    }

    fn data(body: &str) -> Vec<String> {
        let events = parse(&[body.as_bytes()]).unwrap();
        events.into_iter().map(|(_, data)| data).collect()
    }

    /// The cases that the web platform's tests ask of every implementation, told anew.
    #[test]
    fn fields_are_read_as_the_standard_says() {
        for (body, expected) in [
            ("data: a\n\n", vec!["a"]),
            ("data:a\n\n", vec!["a"]),
            ("data:  a\n\n", vec![" a"]),
            ("data:\ta\n\n", vec!["\ta"]),
            ("data\n\n", vec![""]),
            ("data:\n\n", vec![""]),
            ("data:\ndata\n\n", vec!["\n"]),
            ("data: a\ndata: b\n\n", vec!["a\nb"]),
            ("data: a:b\n\n", vec!["a:b"]),
            (" data: no field\n\n", vec![]),
            ("Data: other name\n\n", vec![]),
            ("data : other name\n\n", vec![]),
            (": comment\n\n", vec![]),
            (":\ndata: a\n:\n\n", vec!["a"]),
            ("id: 1\nretry: 5\nnonsense\ndata: a\n\n", vec!["a"]),
            ("data: a\n\n\n\ndata: b\n\n", vec!["a", "b"]),
            ("event: x\n\ndata: a\n\n", vec!["a"]),
            ("data: nul\0inside\n\n", vec!["nul\0inside"]),
            ("data: a\r\rdata: b\r\r", vec!["a", "b"]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", vec!["a", "b"]),
            ("data: a\n\r\ndata: b\r\n\n", vec!["a", "b"]),
            ("data: a\u{2028}b\u{85}c\n\n", vec!["a\u{2028}b\u{85}c"]),
            ("\u{feff}data: a\n\n", vec!["a"]),
            ("\u{feff}\u{feff}data: a\n\n", vec![]),
            ("data: a\n\n\u{feff}data: b\n\n", vec!["a"]),
            ("data: no blank line", vec!["no blank line"]),
            ("data: no blank line\n", vec!["no blank line"]),
            ("data: no blank line\r", vec!["no blank line"]),
            ("", vec![]),
        ] {
            assert_eq!(data(body), expected, "{body:?}");
        }
    }

    #[test]
    fn an_event_has_a_name_of_its_own() {
        let events =
            parse(&[b"event: one\ndata: a\n\ndata: b\n\nevent: x\nevent: two\ndata: c\n\n"]);
        let name = |name: &str, data: &str| (name.to_owned(), data.to_owned());
        let expected = vec![name("one", "a"), name("", "b"), name("two", "c")];
        assert_eq!(events, Ok(expected));
    }

    #[test]
    fn what_is_held_is_bounded() {
        let long = vec![b'x'; MAX + 1];
        assert_eq!(parse(&[&long]), Err(EventStreamError::TooLong(MAX)));
        assert_eq!(
            parse(&[b"data: ", &long, b"\n\n"]),
            Err(EventStreamError::TooLong(MAX))
        );
        let whole = [b"data: ".as_slice(), &long, b"\n\n"].concat();
        assert_eq!(parse(&[&whole]), Err(EventStreamError::TooLong(MAX)));
        let lines = b"data: 0123456789\n".repeat(MAX / 10);
        assert_eq!(parse(&[&lines]), Err(EventStreamError::TooLong(MAX)));
        let fits = [b"data: ".as_slice(), &long[..MAX - 6], b"\n\n"].concat();
        assert_eq!(parse(&[&fits]).unwrap()[0].1.len(), MAX - 6);
        for field in [b"data: ".as_slice(), b": ", b"id: "] {
            let over = [field, &long[..=MAX - field.len()], b"\n\n"].concat();
            assert_eq!(parse(&[&over]), Err(EventStreamError::TooLong(MAX)));
        }
    }

    #[test]
    fn only_text_is_accepted() {
        assert_eq!(parse(&[b"data: \xff\n\n"]), Err(EventStreamError::NotText));
        assert_eq!(parse(&[b": \xff\n\ndata: a\n\n"]).unwrap().len(), 1);
    }

    #[test]
    fn nor_in_the_seeds() {
        for seed in crate::seeds::of("event_stream") {
            let (bound, input) = seed.split_first().unwrap();
            let (sizes, body) = crate::seeds::cuts::read(input);
            any_cut::changes_nothing(body, &sizes, usize::from(*bound) * 4);
        }
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(
            lines in prop::collection::vec("(data|event|id|)(:|: |)[a-c\u{e9}\u{1F600}:]{0,6}", 0..12),
            ends in prop::collection::vec(prop::sample::select(vec!["\n", "\r", "\r\n", "\n\n", "\r\r", "\r\n\r\n"]), 12),
            mark in any::<bool>(),
            cuts in prop::collection::vec(0_usize..30, 0..20),
            max_bytes in 0_usize..60,
        ) {
            let mut body = String::from(if mark { "\u{feff}" } else { "" });
            for (line, end) in lines.iter().zip(&ends) {
                body.push_str(line);
                body.push_str(end);
            }
            any_cut::changes_nothing(body.as_bytes(), &cuts, max_bytes);
            any_cut::changes_nothing(body.as_bytes(), &cuts, MAX);
        }

        #[test]
        fn nor_in_garbage(body: Vec<u8>, cuts in prop::collection::vec(0_usize..30, 0..20), max_bytes in 0_usize..60) {
            any_cut::changes_nothing(&body, &cuts, max_bytes);
        }
    }
}
