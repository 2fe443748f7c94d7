//! What the events of a message become.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::event_stream::EventStream;
use crate::generator::GeneratorError;
use crate::stream::FailureCode;

type Read = Result<Delta, GeneratorError>;

/// The deltas of these events, and then of the end of the body.
fn read(events: &[Value]) -> Vec<Read> {
    let mut reading = Reading::default();
    let mut reader = Events::default();
    for event in events {
        reading.take(&mut reader, &event.to_string());
    }
    reading.end();
    std::iter::from_fn(|| reading.next()).collect()
}

fn read_bytes<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Read> {
    let mut reading = Reading::default();
    let (mut reader, mut events) = (Events::default(), EventStream::new(10_000));
    for piece in pieces {
        let taken = events.push(piece, |event| reading.take(&mut reader, event.data));
        taken.unwrap();
    }
    reading.end();
    std::iter::from_fn(|| reading.next()).collect()
}

fn start(index: u32, block: Value) -> Value {
    let mut event = json!({"type": "content_block_start", "index": index});
    event["content_block"] = block;
    event
}

fn delta(index: u32, delta: Value) -> Value {
    let mut event = json!({"type": "content_block_delta", "index": index});
    event["delta"] = delta;
    event
}

fn stop(index: u32) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn reason(reason: &str) -> Value {
    json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 7}})
}

/// A message with everything in it.
fn message() -> Vec<Value> {
    let tool = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let input = |json: &str| json!({"type": "input_json_delta", "partial_json": json});
    vec![
        json!({"type": "message_start", "message": {"id": "m", "content": [], "stop_reason": null,
            "usage": {"input_tokens": 3, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 1}}}),
        json!({"type": "ping"}),
        start(
            0,
            json!({"type": "thinking", "thinking": "", "signature": ""}),
        ),
        delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
        delta(0, json!({"type": "signature_delta", "signature": "c2ln"})),
        stop(0),
        start(1, json!({"type": "redacted_thinking", "data": "eA=="})),
        stop(1),
        start(2, json!({"type": "text", "text": ""})),
        delta(
            2,
            json!({"type": "text_delta", "text": "caf\u{e9} \u{1F600}"}),
        ),
        delta(
            2,
            json!({"type": "citations_delta", "citation": {"type": "x"}}),
        ),
        stop(2),
        start(
            3,
            json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
        ),
        delta(3, input("{\"query\"")),
        stop(3),
        start(
            4,
            json!({"type": "web_search_tool_result", "content": [{"text": 1}], "name": {}}),
        ),
        stop(4),
        start(5, tool("a")),
        start(6, tool("b")),
        delta(5, input("")),
        delta(5, input("{\"x\"")),
        delta(6, input("{}")),
        delta(5, input(":1}")),
        stop(5),
        stop(6),
        start(7, tool("c")),
        stop(7),
        json!({"type": "something_new", "delta": "of another shape", "index": {}}),
        delta(8, json!({"type": "new_delta", "text": {"deep": 1}})),
        reason("tool_use"),
        json!({"type": "message_stop"}),
    ]
}

fn expected() -> Vec<Read> {
    let call = |index: u32, id: Option<&str>, arguments: &str| {
        Delta::ToolCall(ToolCall {
            index,
            id: id.map(str::to_owned),
            name: id.map(|_| "f".to_owned()),
            arguments: arguments.to_owned(),
        })
    };
    let deltas = [
        Delta::Reasoning("hm".to_owned()),
        Delta::Text("caf\u{e9} \u{1F600}".to_owned()),
        call(0, Some("a"), ""),
        call(1, Some("b"), ""),
        call(0, None, "{\"x\""),
        call(1, None, "{}"),
        call(0, None, ":1}"),
        call(2, Some("c"), ""),
        call(2, None, "{}"),
        Delta::Finish {
            reason: FinishReason::ToolCalls,
            usage: Some(Usage::new(113, 7)),
        },
    ];
    deltas.into_iter().map(Ok).collect()
}

#[test]
fn everything_of_a_message() {
    assert_eq!(read(&message()), expected());
}

fn as_bytes(events: &[Value]) -> Vec<u8> {
    let events = events.iter().map(|event| {
        let kind = event["type"].as_str().unwrap();
        format!("event: {kind}\ndata: {event}\n\n")
    });
    events.collect::<String>().into_bytes()
}

proptest! {
    /// However the body is cut, it means the same.
    #[test]
    fn cuts_change_nothing(cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40)) {
        let body = as_bytes(&message());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&body[from..cut]);
            from = cut;
        }
        pieces.push(&body[from..]);
        prop_assert_eq!(read_bytes(pieces), expected());
    }

    /// What is cut off is an error or the whole, never a part that looks like the whole.
    #[test]
    fn a_part_is_not_the_whole(events in 0_usize..31) {
        let read = read(&message()[..events]);
        let has_reason = events > 29;
        prop_assert_eq!(read.last().unwrap().is_ok(), has_reason);
    }

    #[test]
    fn garbage_never_panics(data in "\\PC*") {
        let mut reading = Reading::default();
        reading.take(&mut Events::default(), &data);
    }
}

#[test]
fn cut_at_each_byte() {
    let body = as_bytes(&message());
    assert_eq!(read_bytes(body.chunks(1)), expected());
}

#[test]
fn every_stop_reason() {
    for (said, expected) in [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("pause_turn", FinishReason::Stop),
        ("something_new", FinishReason::Stop),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("tool_use", FinishReason::ToolCalls),
        ("refusal", FinishReason::ContentFilter),
    ] {
        let finish = Delta::Finish {
            reason: expected,
            usage: Some(Usage::new(0, 7)),
        };
        assert_eq!(read(&[reason(said)]), [Ok(finish)], "{said}");
    }
    let said = delta(0, json!({"type": "text_delta", "text": "x"}));
    let unsaid = json!({"type": "message_stop"});
    let finish = Delta::Finish {
        reason: FinishReason::Stop,
        usage: None,
    };
    assert_eq!(read(&[said, unsaid.clone()])[1..], [Ok(finish)]);
    assert!(read(&[unsaid])[0].is_err(), "nothing at all was said");
}

/// Servers that are like Anthropic's may not stream a tool's input, or not end its block.
#[test]
fn arguments_are_whole_however_they_come() {
    let tool = json!({"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}});
    for events in [
        vec![start(0, tool.clone()), stop(0), reason("tool_use")],
        vec![start(0, tool.clone()), reason("tool_use")],
        vec![
            start(0, tool.clone()),
            delta(
                0,
                json!({"type": "input_json_delta", "partial_json": "{\"x\":1}"}),
            ),
            reason("tool_use"),
        ],
    ] {
        let arguments: String = read(&events)
            .into_iter()
            .filter_map(|delta| match delta {
                Ok(Delta::ToolCall(call)) => Some(call.arguments),
                _ => None,
            })
            .collect();
        assert_eq!(arguments, "{\"x\":1}");
    }
}

#[test]
fn errors_have_codes() {
    for (kind, code, retryable) in [
        ("overloaded_error", FailureCode::UpstreamError, true),
        ("api_error", FailureCode::UpstreamError, true),
        ("timeout_error", FailureCode::UpstreamError, true),
        ("something_new", FailureCode::UpstreamError, true),
        ("rate_limit_error", FailureCode::UpstreamRateLimited, true),
        ("invalid_request_error", FailureCode::UpstreamRefused, false),
        ("not_found_error", FailureCode::UpstreamError, false),
        ("authentication_error", FailureCode::UpstreamError, false),
    ] {
        let event = json!({"type": "error", "error": {"type": kind, "message": "said"}});
        let read = read(&[event]);
        let [Err(error)] = read.as_slice() else {
            panic!("{read:?}")
        };
        assert_eq!((error.code, error.retryable), (code, retryable), "{kind}");
        let is_about_the_request = code == FailureCode::UpstreamRefused;
        assert_eq!(
            error.message.contains("said"),
            is_about_the_request,
            "{kind}"
        );
    }
    assert!(read(&[json!({"type": "error"})])[0].is_err());
}

#[test]
fn what_is_no_event_is_invalid() {
    for event in [
        json!("geheim"),
        json!({"choices": []}),
        json!({"type": 7}),
        json!({"type": "content_block_delta", "delta": "geheim"}),
        json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": 7}}),
        json!({"type": "message_start", "message": 7}),
    ] {
        let read = read(std::slice::from_ref(&event));
        let error = read[0].clone().unwrap_err();
        assert_eq!(error.code, FailureCode::UpstreamInvalid, "{event}");
        assert!(!error.message.contains("geheim"));
    }
}
