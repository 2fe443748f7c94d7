//! Nothing is lost between what is pushed, split and copied, and what comes out.

use super::*;
use proptest::prelude::*;

#[test]
fn an_entry_takes_four_bytes_beside_its_payload() {
    assert_eq!(size_of::<Mark>(), 4);
    for kind in Mark::KINDS {
        let mark = Mark::new(kind, 60 * 1024);
        assert_eq!((mark.kind(), mark.end()), (kind, 60 * 1024));
    }
}

#[test]
fn long_arguments_are_split_and_named_once() {
    let mut batch = Batch::default();
    batch.push_tool_call(&ToolCall {
        index: 2,
        id: Some("call_1".into()),
        name: Some("search".into()),
        arguments: "\"".repeat(30_000),
    });
    assert!(batch.len() > 1);
    let calls: Vec<ToolCall> = batch
        .entries()
        .map(|entry| serde_json::from_str(entry.payload).unwrap())
        .collect();
    assert_eq!(calls.iter().filter(|call| call.id.is_some()).count(), 1);
    let joined: String = calls.iter().map(|call| call.arguments.as_str()).collect();
    assert_eq!(joined, "\"".repeat(30_000));
}

#[test]
fn a_tool_call_without_arguments_is_one_entry() {
    let mut batch = Batch::default();
    batch.push_tool_call(&ToolCall {
        index: 0,
        id: Some("a".into()),
        name: Some("b".into()),
        arguments: String::new(),
    });
    assert_eq!(batch.len(), 1);
}

proptest! {
    #[test]
    fn text_comes_back_whole(texts in prop::collection::vec("\\PC{0,40}|[\u{0}-\u{a0}\u{2028}]{9000,12000}", 0..12)) {
        let mut batch = Batch::starting_at(7);
        for text in &texts {
            batch.push_text(text);
        }
        let joined: String = batch.entries().map(|entry| entry.payload).collect();
        prop_assert_eq!(joined, texts.concat());
        for (at, entry) in batch.entries().enumerate() {
            prop_assert_eq!(entry.seq, 7 + at as u64);
            let escaped = serde_json::to_string(entry.payload).unwrap();
            prop_assert!(escaped.len() + ENVELOPE_BYTES <= MAX_EVENT_BYTES + 2);
        }
    }

    #[test]
    fn copying_in_bounded_steps_loses_nothing(
        texts in prop::collection::vec("[a-z]{1,30}", 1..60),
        step in 1_usize..200,
    ) {
        let mut source = Batch::starting_at(3);
        for text in &texts {
            source.push_text(text);
        }
        let mut next = 3;
        let mut joined = String::new();
        while next < source.next_seq() {
            let mut copy = Batch::starting_at(next);
            let taken = copy.extend_from(&source, next, step);
            prop_assert!(taken > 0);
            joined.extend(copy.entries().map(|entry| entry.payload));
            prop_assert_eq!(copy.next_seq(), next + taken as u64);
            next = copy.next_seq();
        }
        prop_assert_eq!(joined, texts.concat());
    }
}
