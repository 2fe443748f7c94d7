//! Entries of a stream and the compact run of them that moves between producer, log and reader.

use serde::Serialize;

use super::{Logprobs, Start, Terminal, ToolCall};

/// The largest event we send, in bytes. Several clients and proxies have line limits of 64 KiB.
pub const MAX_EVENT_BYTES: usize = 60 * 1024;

/// Room in an event for everything but its escaped text.
const ENVELOPE_BYTES: usize = 512;

/// What kind of entry it is, which decides how its payload is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The first entry. Payload: [`Start`] as JSON.
    Start,
    /// Answer text. Payload: the text itself.
    Text,
    /// Reasoning text. Payload: the text itself.
    Reasoning,
    /// The text of a refusal. Payload: the text itself.
    Refusal,
    /// A fragment of a tool call. Payload: [`ToolCall`] as JSON.
    ToolCall,
    /// How likely tokens were. Payload: an object whose `logprobs` is [`Logprobs`].
    Logprobs,
    /// The terminal entry of a stream that went well. Payload: [`Terminal`] as JSON.
    Done,
    /// The terminal entry of a stream that failed. Payload: [`Terminal`] as JSON.
    Error,
}

impl Kind {
    /// Whether nothing can follow an entry of this kind.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Error)
    }
}

/// One entry of a stream, borrowed from a [`Batch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its position in the stream, contiguous from 0.
    pub seq: u64,
    /// How to read the payload.
    pub kind: Kind,
    /// Text or a JSON object, as the kind says.
    pub payload: &'a str,
}

impl Entry<'_> {
    /// The terminal, if this is the terminal entry.
    #[must_use]
    pub fn terminal(&self) -> Option<Terminal> {
        self.kind
            .is_terminal()
            .then(|| serde_json::from_str(self.payload).ok())
            .flatten()
    }
}

/// Where an entry's payload ends in the arena, and its kind above that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark(u32);

impl Mark {
    /// How many bits say where the payload ends: a batch holds at most 512 MiB, and has some KiB.
    const END_BITS: u32 = 29;

    /// The kinds in the order of their numbers.
    const KINDS: [Kind; 8] = [
        Kind::Start,
        Kind::Text,
        Kind::Reasoning,
        Kind::Refusal,
        Kind::ToolCall,
        Kind::Logprobs,
        Kind::Done,
        Kind::Error,
    ];

    fn new(kind: Kind, end: usize) -> Self {
        debug_assert!(end >> Self::END_BITS == 0, "a batch is bounded far below");
        Self((kind as u32) << Self::END_BITS | u32::try_from(end).unwrap_or_default())
    }

    const fn kind(self) -> Kind {
        Self::KINDS[(self.0 >> Self::END_BITS) as usize % Self::KINDS.len()]
    }

    const fn end(self) -> usize {
        (self.0 & ((1 << Self::END_BITS) - 1)) as usize
    }
}

/// A run of consecutive entries: their payloads lie end to end in one string.
///
/// An entry costs its payload and four bytes; a batch that is cleared and filled again allocates
/// nothing. A batch that a producer fills starts at 0; the log gives the real sequence numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    first: u64,
    payloads: String,
    marks: Vec<Mark>,
}

impl Batch {
    /// An empty batch whose first entry will have the sequence number `first`.
    #[must_use]
    pub const fn starting_at(first: u64) -> Self {
        Self {
            first,
            payloads: String::new(),
            marks: Vec::new(),
        }
    }

    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The bytes of memory that its entries take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.payloads.len() + self.marks.len() * size_of::<Mark>()
    }

    /// The sequence number of its first entry.
    #[must_use]
    pub const fn first_seq(&self) -> u64 {
        self.first
    }

    /// The sequence number after its last entry.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.first + self.marks.len() as u64
    }

    /// Forgets the entries, keeps a modest allocation, and starts again at `first`.
    pub fn reset(&mut self, first: u64) {
        const KEEP: usize = 4096;
        self.first = first;
        self.payloads.clear();
        self.marks.clear();
        self.payloads.shrink_to(KEEP);
        self.marks.shrink_to(KEEP / size_of::<Mark>());
    }

    /// Gives back memory that no entry uses.
    pub fn shrink_to_fit(&mut self) {
        self.payloads.shrink_to_fit();
        self.marks.shrink_to_fit();
    }

    /// Adds an entry as it is: for a log that reads back what it was given.
    pub fn push(&mut self, kind: Kind, payload: &str) {
        // Many streams grow at once: each keeps an eighth in reserve, and not as much again.
        let (bytes, entries) = (self.payloads.len(), self.marks.len());
        if self.payloads.capacity() - bytes < payload.len() {
            self.payloads
                .reserve_exact(payload.len().max(bytes / 8).max(128));
        }
        if self.marks.capacity() == entries {
            self.marks.reserve_exact((entries / 8).max(32));
        }
        self.payloads.push_str(payload);
        self.marks.push(Mark::new(kind, self.payloads.len()));
    }

    fn push_json(&mut self, kind: Kind, payload: &impl Serialize) {
        // Our payloads are plain structs with string keys, for which serialisation cannot fail.
        let json = serde_json::to_string(payload).unwrap_or_else(|_| "{}".to_owned());
        self.push(kind, &json);
    }

    /// Adds the start entry.
    pub fn push_start(&mut self, start: &Start) {
        self.push_json(Kind::Start, start);
    }

    /// Adds answer text: one entry, or as many as keep each event under [`MAX_EVENT_BYTES`].
    pub fn push_text(&mut self, text: &str) {
        for piece in pieces(text) {
            self.push(Kind::Text, piece);
        }
    }

    /// Adds reasoning text, split as answer text is.
    pub fn push_reasoning(&mut self, text: &str) {
        for piece in pieces(text) {
            self.push(Kind::Reasoning, piece);
        }
    }

    /// Adds the text of a refusal, split as answer text is.
    pub fn push_refusal(&mut self, text: &str) {
        for piece in pieces(text) {
            self.push(Kind::Refusal, piece);
        }
    }

    /// Adds a fragment of a tool call; long arguments are split over several fragments.
    pub fn push_tool_call(&mut self, call: &ToolCall) {
        let mut id = call.id.clone();
        let mut name = call.name.clone();
        let mut rest = pieces(&call.arguments);
        let mut piece = rest.next().unwrap_or_default();
        loop {
            self.push_json(
                Kind::ToolCall,
                &ToolCall {
                    index: call.index,
                    id: id.take(),
                    name: name.take(),
                    arguments: piece.to_owned(),
                },
            );
            match rest.next() {
                Some(next) => piece = next,
                None => return,
            }
        }
    }

    /// Adds how likely tokens were, in as many entries as keep each event under [`MAX_EVENT_BYTES`].
    pub fn push_logprobs(&mut self, logprobs: &Logprobs) {
        for piece in logprobs.pieces(MAX_EVENT_BYTES - ENVELOPE_BYTES) {
            self.push(Kind::Logprobs, &format!("{{\"logprobs\":{piece}}}"));
        }
    }

    /// Adds the terminal entry.
    pub fn push_terminal(&mut self, terminal: &Terminal) {
        let kind = match terminal {
            Terminal::Done { .. } => Kind::Done,
            Terminal::Error { .. } => Kind::Error,
        };
        self.push_json(kind, terminal);
    }

    /// Appends entries of `other` from sequence number `from` on, until this batch holds
    /// `max_bytes`; at least one if there is one. Answers how many it took.
    pub fn extend_from(&mut self, other: &Self, from: u64, max_bytes: usize) -> usize {
        let skip = usize::try_from(from.saturating_sub(other.first)).unwrap_or(usize::MAX);
        let mut taken = 0;
        for entry in other.entries_from(skip) {
            if !self.is_empty() && self.bytes() + entry.payload.len() > max_bytes {
                break;
            }
            self.push(entry.kind, entry.payload);
            taken += 1;
        }
        taken
    }

    /// The entries in order.
    #[must_use]
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = Entry<'_>> + ExactSizeIterator {
        self.entries_from(0)
    }

    /// The entries from the one at this place on, which is found at once.
    fn entries_from(
        &self,
        first: usize,
    ) -> impl DoubleEndedIterator<Item = Entry<'_>> + ExactSizeIterator {
        (first.min(self.marks.len())..self.marks.len()).map(|at| {
            let start = match at {
                0 => 0,
                _ => self.marks[at - 1].end(),
            };
            let mark = self.marks[at];
            Entry {
                seq: self.first + at as u64,
                kind: mark.kind(),
                payload: &self.payloads[start..mark.end()],
            }
        })
    }
}

/// Splits a text so that each piece fits an event however it must be escaped. An empty text is no
/// piece at all: an empty token says nothing.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(piece_end(rest));
        rest = after;
        Some(piece)
    })
}

/// Where the longest prefix ends whose escaped form fits an event.
fn piece_end(text: &str) -> usize {
    // The worst character takes six bytes for one (`\u0000`).
    const ROOM: usize = MAX_EVENT_BYTES - ENVELOPE_BYTES;
    // JSON within JSON: a payload that is a JSON object is escaped once, like text.
    if text.len() <= ROOM / 6 {
        return text.len();
    }
    let mut room = ROOM;
    for (at, character) in text.char_indices() {
        let cost = match character {
            '\u{0}'..='\u{1f}' | '"' | '\\' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => 6,
            other => other.len_utf8(),
        };
        match room.checked_sub(cost) {
            Some(left) => room = left,
            None => return at,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests;
