//! One event of our streams, parsed strictly: any breach of the contract's framing rules is a panic.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: String,
    pub seq: u64,
    pub kind: String,
    pub data: Value,
}

/// Parses the lines of an event; the first one of a response says how soon to come back.
pub fn parse_block(block: &str, first: bool) -> Event {
    let mut lines = block.split('\n');
    let mut field = |name: &str| {
        let line = lines
            .next()
            .unwrap_or_else(|| panic!("no {name} in {block:?}"));
        let value = line
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(": "));
        value
            .unwrap_or_else(|| panic!("{name} expected, found {line:?}"))
            .to_owned()
    };
    let text = field("data");
    if first {
        assert_eq!(field("retry"), "1000");
    }
    let kind = field("event");
    let id = field("id");
    assert_eq!(lines.next(), None, "the id is the last line: {block:?}");
    let awkward =
        |c: char| matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}');
    assert!(!text.contains(awkward), "unescaped: {text:?}");
    assert!(
        id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic() && b != b':'),
        "{id}"
    );
    let data: Value = serde_json::from_str(&text).unwrap();
    let typed: Result<tailrace::api::Event, _> = serde_json::from_value(data.clone());
    assert!(typed.is_ok(), "not a documented event: {text}");
    assert_eq!(data["type"], kind.as_str());
    let seq = data["seq"].as_u64().unwrap();
    let (_, number) = id.rsplit_once('.').unwrap();
    assert_eq!(number, seq.to_string());
    if kind == "start" {
        assert_eq!(format!("{}.0", data["stream"].as_str().unwrap()), id);
    }
    Event {
        id,
        seq,
        kind,
        data,
    }
}
