//! Entries as bytes: the SSE event and the JSON object, exactly as the contract has them.
//!
//! The event's lines stand in the order `data`, (`retry`), `event`, `id`: a client commits an id as
//! soon as it reads the line, so an id before its data would lose that event if the connection were
//! cut between them (WHATWG HTML, section 9.2, leaves the order free).

use serde::Serialize;

use crate::stream::{Entry, Kind, StreamId};

/// How long a browser should wait before it reconnects.
const RETRY: &[u8] = b"retry: 1000\n";

/// The name of an entry's event.
const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Start => "start",
        Kind::Text => "token",
        Kind::Reasoning => "reasoning",
        Kind::Refusal => "refusal",
        Kind::ToolCall => "tool_call",
        Kind::Logprobs => "logprobs",
        Kind::Done => "done",
        Kind::Error => "error",
    }
}

/// Encodes the entries of one stream. Made for each batch: that costs less than to keep the text of
/// the stream's id, which is cold by the next.
#[derive(Debug, Clone)]
pub struct Encoder {
    /// `id: <stream id>.`, which every event ends with but for its number.
    id_line: [u8; 37],
}

impl Encoder {
    /// An encoder for the entries of this stream.
    #[must_use]
    pub fn new(stream: StreamId) -> Self {
        let mut text = [0; 32];
        stream.encode(&mut text);
        let mut id_line = *b"id: .................................";
        id_line[4..36].copy_from_slice(&text);
        Self { id_line }
    }

    /// Appends one entry as an SSE event; the first of a response carries the retry time.
    pub fn event(&self, entry: &Entry<'_>, first: bool, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        let seq = digits.format(entry.seq);
        out.extend_from_slice(b"data: ");
        object(entry, seq, out);
        out.push(b'\n');
        if first {
            out.extend_from_slice(RETRY);
        }
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name(entry.kind).as_bytes());
        out.push(b'\n');
        out.extend_from_slice(&self.id_line);
        out.extend_from_slice(seq.as_bytes());
        out.extend_from_slice(b"\n\n");
    }
}

/// Appends one entry as a JSON object, without a line end.
pub fn json(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    object(entry, digits.format(entry.seq), out);
}

fn object(entry: &Entry<'_>, seq: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(name(entry.kind).as_bytes());
    out.extend_from_slice(b"\",\"seq\":");
    out.extend_from_slice(seq.as_bytes());
    match entry.kind {
        Kind::Text | Kind::Reasoning | Kind::Refusal => {
            out.extend_from_slice(b",\"text\":\"");
            escape(entry.payload, out);
            out.extend_from_slice(b"\"}");
        }
        Kind::Start | Kind::ToolCall | Kind::Logprobs | Kind::Done | Kind::Error => {
            // The payload is an object with at least one member: its brace becomes our comma.
            out.push(b',');
            escape_separators(entry.payload.get(1..).unwrap_or("}"), out);
        }
    }
}

/// What to do with a byte of a JSON string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// It stands for itself.
    Plain,
    /// A quote, a backslash or a C0 control: JSON demands an escape (RFC 8259, section 7).
    Json,
    /// U+007F, or it may begin U+0080 to U+009F or U+2028 and U+2029, which are legal in JSON but
    /// which naive line splitters take for line ends.
    Separator,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    let mut at = 0;
    while at < 0x20 {
        classes[at] = Class::Json;
        at += 1;
    }
    classes[b'"' as usize] = Class::Json;
    classes[b'\\' as usize] = Class::Json;
    classes[0x7f] = Class::Separator;
    classes[0xc2] = Class::Separator;
    classes[0xe2] = Class::Separator;
    classes
};

/// Appends a text as the inside of a JSON string.
pub(super) fn escape(text: &str, out: &mut Vec<u8>) {
    copy(text.as_bytes(), Class::Json, out);
}

/// Appends any value as JSON that no line splitter takes for several lines.
pub(super) fn value(value: &impl Serialize, out: &mut Vec<u8>) {
    // What we send are plain structs and values with string keys, which cannot fail.
    let json = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    escape_separators(&json, out);
}

/// Appends what is JSON already, with the separators escaped that serde leaves as they are. They
/// can only stand inside strings.
pub(super) fn escape_separators(json: &str, out: &mut Vec<u8>) {
    copy(json.as_bytes(), Class::Separator, out);
}

/// Copies runs of plain bytes, and escapes the others. With `least` at [`Class::Separator`], what
/// JSON itself escapes is copied too.
fn copy(bytes: &[u8], least: Class, out: &mut Vec<u8>) {
    let mut rest = bytes;
    loop {
        let special = |byte: &u8| match CLASSES[*byte as usize] {
            Class::Plain => false,
            Class::Json => least == Class::Json,
            Class::Separator => true,
        };
        let Some(at) = rest.iter().position(special) else {
            out.extend_from_slice(rest);
            return;
        };
        out.extend_from_slice(&rest[..at]);
        let (code, length) = match rest[at..] {
            [0xc2, second @ 0x80..=0x9f, ..] => (u16::from(second), 2),
            [0xe2, 0x80, third @ (0xa8 | 0xa9), ..] => (0x2000 + u16::from(third - 0x80), 3),
            // Another character that begins with this byte.
            [lead @ (0xc2 | 0xe2), ..] => {
                out.push(lead);
                rest = &rest[at + 1..];
                continue;
            }
            [byte, ..] => (u16::from(byte), 1),
            [] => return,
        };
        push_escape(code, out);
        rest = &rest[at + length..];
    }
}

fn push_escape(code: u16, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match code {
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        0x22 => b'"',
        0x5c => b'\\',
        _ => {
            out.extend_from_slice(b"\\u");
            for shift in [12, 8, 4, 0] {
                out.push(HEX[usize::from(code >> shift & 0xf)]);
            }
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::wire::Event;
    use crate::stream::{
        Batch, Failure, FailureCode, FinishReason, Logprobs, MAX_EVENT_BYTES, Start, Terminal,
        Timing, ToolCall, Usage,
    };
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    fn encode(batch: &Batch, stream: StreamId) -> Vec<String> {
        let encoder = Encoder::new(stream);
        let event = |(at, entry): (usize, Entry<'_>)| {
            let mut out = Vec::new();
            encoder.event(&entry, at == 0, &mut out);
            String::from_utf8(out).unwrap()
        };
        batch.entries().enumerate().map(event).collect()
    }

    #[test]
    fn events_are_as_the_contract_has_them() {
        let stream = StreamId::generate();
        let mut batch = Batch::default();
        batch.push_start(&Start {
            stream,
            model: "demo".into(),
            created: 17,
        });
        batch.push_text("He said \"hi\"\r\n");
        assert_eq!(
            encode(&batch, stream),
            [
                format!(
                    "data: {{\"type\":\"start\",\"seq\":0,\"stream\":\"{stream}\",\"model\":\"demo\",\"created\":17}}\n\
                     retry: 1000\nevent: start\nid: {stream}.0\n\n"
                ),
                format!(
                    "data: {{\"type\":\"token\",\"seq\":1,\"text\":\"He said \\\"hi\\\"\\r\\n\"}}\n\
                     event: token\nid: {stream}.1\n\n"
                ),
            ]
        );
    }

    /// What the encoder writes is what `openapi.yaml` promises.
    #[test]
    fn every_kind_reads_as_its_documented_event() {
        let stream = StreamId::generate();
        let mut batch = Batch::default();
        batch.push_start(&Start {
            stream,
            model: "m\u{2028}".into(),
            created: 17,
        });
        batch.push_text("a");
        batch.push_reasoning("b");
        batch.push_refusal("c");
        let logprobs = serde_json::json!({"content": [{"token": "\u{2028}"}]});
        let logprobs = RawValue::from_string(logprobs.to_string()).unwrap();
        batch.push_logprobs(&Logprobs::new(&logprobs).unwrap());
        batch.push_tool_call(&ToolCall {
            index: 1,
            id: Some("x".into()),
            name: None,
            arguments: "{}".into(),
        });
        batch.push_terminal(&Terminal::Done {
            finish_reason: FinishReason::ToolCalls,
            usage: Usage::new(1, 2),
            timing: Timing {
                first_token_ms: None,
                total_ms: 3,
            },
            text_sha256: "00".into(),
        });
        batch.push_terminal(&Terminal::Error {
            error: Failure::new(FailureCode::IdleTimeout, "m\u{85}"),
            usage: Usage::default(),
        });
        let mut kinds = Vec::new();
        for entry in batch.entries() {
            let mut out = Vec::new();
            json(&entry, &mut out);
            let event: Event = serde_json::from_slice(&out).unwrap();
            kinds.push(match event {
                Event::Start(_) => "start",
                Event::Token(_) => "token",
                Event::Reasoning(_) => "reasoning",
                Event::Refusal(_) => "refusal",
                Event::Logprobs(_) => "logprobs",
                Event::ToolCall(_) => "tool_call",
                Event::Done(_) => "done",
                Event::Error(_) => "error",
            });
            assert_eq!(kinds.last(), Some(&name(entry.kind)));
            assert!(
                !String::from_utf8(out)
                    .unwrap()
                    .contains(['\u{85}', '\u{2028}'])
            );
        }
        assert_eq!(kinds.len(), 8);
    }

    proptest! {
        #[test]
        fn text_survives_and_breaks_no_line(text in "[\u{0}-\u{ff}\u{2000}-\u{2040}]{0,50}|\\PC{0,50}|.{0,50}") {
            let mut out = Vec::new();
            escape(&text, &mut out);
            let inside = String::from_utf8(out).unwrap();
            let back: String = serde_json::from_str(&format!("\"{inside}\"")).unwrap();
            prop_assert_eq!(&back, &text);
            let safe = |c: char| !matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}');
            prop_assert!(inside.chars().all(safe));
        }

        #[test]
        fn json_survives_with_its_separators_escaped(text in "[\u{0}-\u{ff}\u{2020}-\u{2030}]{0,50}") {
            let whole = serde_json::to_string(&text).unwrap();
            let mut out = Vec::new();
            escape_separators(&whole, &mut out);
            let back: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(back, text);
        }

        #[test]
        fn no_event_is_too_long(character in prop::sample::select(vec!['a', '\0', '"', '\u{85}', '\u{2028}', '\u{1F680}']), count in 1_usize..100_000) {
            let stream = StreamId::generate();
            let mut batch = Batch::starting_at(u64::MAX - 1000);
            batch.push_text(&character.to_string().repeat(count));
            for event in encode(&batch, stream) {
                prop_assert!(event.len() <= MAX_EVENT_BYTES);
            }
        }
    }
}
