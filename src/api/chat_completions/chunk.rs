//! Entries as the chunks of a chat completion that streams.

use serde_json::{Map, Value, json};

use crate::api::encode;
use crate::api::problem::failure_body;
use crate::stream::{Entry, FinishReason, Kind, Start, Terminal, ToolCall};

/// Makes the chunks of one stream.
#[derive(Debug)]
pub(in crate::api) struct ChunkEncoder {
    /// A chunk up to its delta.
    head: Vec<u8>,
    include_usage: bool,
}

/// What no usage chunk follows has nothing about usage; what one follows says `null`, as OpenAI does.
const NO_USAGE: &str = "";
const USAGE_LATER: &str = ",\"usage\":null";

impl ChunkEncoder {
    /// An encoder for the stream that starts so.
    pub(super) fn new(start: &Start, include_usage: bool) -> Self {
        let mut head = format!(
            "data: {{\"id\":\"{}\",\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":",
            id(start),
            start.created
        )
        .into_bytes();
        encode::value(&start.model, &mut head);
        Self {
            head,
            include_usage,
        }
    }

    /// A chunk that says nothing, to be sent when nothing has been said for long.
    pub(in crate::api) fn heartbeat(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.chunk(b"{}", None, &mut out);
        out
    }

    /// Appends what an entry means.
    pub(in crate::api) fn entry(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        match entry.kind {
            Kind::Start => self.chunk(b"{\"role\":\"assistant\",\"content\":\"\"}", None, out),
            Kind::Text => self.text("content", entry.payload, out),
            Kind::Reasoning => self.text("reasoning_content", entry.payload, out),
            Kind::Refusal => self.text("refusal", entry.payload, out),
            Kind::Logprobs => self.logprobs(entry.payload, out),
            Kind::ToolCall => {
                let Ok(call) = serde_json::from_str::<ToolCall>(entry.payload) else {
                    return;
                };
                let mut delta = Vec::new();
                encode::value(&json!({"tool_calls": [tool_call(&call)]}), &mut delta);
                self.chunk(&delta, None, out);
            }
            Kind::Done | Kind::Error => match entry.terminal() {
                Some(Terminal::Done {
                    finish_reason,
                    usage,
                    ..
                }) => {
                    self.chunk(b"{}", Some(name(finish_reason)), out);
                    if self.include_usage {
                        out.extend_from_slice(&self.head);
                        out.extend_from_slice(b",\"choices\":[],\"usage\":");
                        encode::value(&usage, out);
                        out.extend_from_slice(b"}\n\n");
                    }
                    out.extend_from_slice(b"data: [DONE]\n\n");
                }
                Some(Terminal::Error { error, .. }) => {
                    out.extend_from_slice(b"data: ");
                    encode::value(&json!({"error": failure_body(&error)}), out);
                    out.extend_from_slice(b"\n\ndata: [DONE]\n\n");
                }
                None => {}
            },
        }
    }

    fn text(&self, field: &str, text: &str, out: &mut Vec<u8>) {
        let mut delta = format!("{{\"{field}\":\"").into_bytes();
        encode::escape(text, &mut delta);
        delta.extend_from_slice(b"\"}");
        self.chunk(&delta, None, out);
    }

    /// The payload is an object with one member, which becomes one of the choice.
    fn logprobs(&self, payload: &str, out: &mut Vec<u8>) {
        let member = payload
            .strip_prefix('{')
            .and_then(|it| it.strip_suffix('}'));
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b",\"choices\":[{\"index\":0,\"delta\":{},");
        encode::escape_separators(member.unwrap_or("\"logprobs\":null"), out);
        out.extend_from_slice(b",\"finish_reason\":null}]");
        out.extend_from_slice(self.usage_later().as_bytes());
        out.extend_from_slice(b"}\n\n");
    }

    const fn usage_later(&self) -> &'static str {
        if self.include_usage {
            USAGE_LATER
        } else {
            NO_USAGE
        }
    }

    fn chunk(&self, delta: &[u8], finish: Option<&str>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b",\"choices\":[{\"index\":0,\"delta\":");
        out.extend_from_slice(delta);
        let finish = finish.map_or_else(|| "null".to_owned(), |reason| format!("\"{reason}\""));
        let usage = self.usage_later();
        out.extend_from_slice(format!(",\"finish_reason\":{finish}}}]{usage}}}\n\n").as_bytes());
    }
}

/// What OpenAI's clients call the answer of a stream.
pub(super) fn id(start: &Start) -> String {
    format!("chatcmpl-{}", start.stream)
}

/// Their word for a finish reason. They know no `cancelled`.
pub(super) const fn name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Cancelled => "stop",
        other => other.as_str(),
    }
}

pub(super) fn tool_call(call: &ToolCall) -> Value {
    let mut function = Map::new();
    if let Some(name) = &call.name {
        function.insert("name".into(), name.as_str().into());
    }
    function.insert("arguments".into(), call.arguments.as_str().into());
    let mut fragment = Map::new();
    fragment.insert("index".into(), call.index.into());
    if let Some(id) = &call.id {
        fragment.insert("id".into(), id.as_str().into());
        fragment.insert("type".into(), "function".into());
    }
    fragment.insert("function".into(), function.into());
    fragment.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stream::{Batch, Failure, FailureCode, StreamId, Timing, Usage};

    /// What breaks lines, what begins as that does, and what is nothing of the kind.
    const TEXT: &str = "[a\"\\\\\u{0}-\u{ff}\u{2020}-\u{2030}\u{1F600}]{0,20}";

    fn batch(text: &str) -> Batch {
        let mut batch = Batch::default();
        batch.push_text(text);
        batch.push_reasoning(text);
        batch.push_refusal(text);
        batch.push_tool_call(&ToolCall {
            index: 1,
            id: Some(text.to_owned()),
            name: Some(text.to_owned()),
            arguments: text.to_owned(),
        });
        batch.push_terminal(&Terminal::Done {
            finish_reason: FinishReason::Stop,
            usage: Usage::new(1, 2),
            timing: Timing {
                first_token_ms: None,
                total_ms: 3,
            },
            text_sha256: String::new(),
        });
        batch.push_terminal(&Terminal::Error {
            error: Failure::new(FailureCode::UpstreamRefused, text),
            usage: Usage::default(),
        });
        batch
    }

    proptest! {
        #[test]
        fn every_chunk_is_equal_json_and_breaks_no_line(model in TEXT, text in TEXT) {
            let start = Start { stream: StreamId::generate(), model: model.clone(), created: 17 };
            let encoder = ChunkEncoder::new(&start, true);
            let mut out = encoder.heartbeat();
            for entry in batch(&text).entries() {
                encoder.entry(&entry, &mut out);
            }
            let out = String::from_utf8(out).unwrap();
            let breaks = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
            prop_assert!(!out.contains(breaks), "{:?}", out);
            let events = out.split_terminator("\n\n").filter(|event| *event != "data: [DONE]");
            let chunks: Vec<Value> = events
                .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
                .collect();
            let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
            let mut expected = vec![json!({})];
            if !text.is_empty() {
                expected.extend(["content", "reasoning_content", "refusal"].map(|field| json!({(field): text})));
            }
            let function = json!({"name": text, "arguments": text});
            expected.push(json!({"tool_calls": [{"index": 1, "id": text, "type": "function", "function": function}]}));
            expected.push(json!({}));
            let (said, rest) = deltas.split_at(expected.len());
            prop_assert_eq!(said, expected.iter().collect::<Vec<_>>());
            prop_assert_eq!(rest.len(), 2, "usage and the error");
            let (error, chunks) = chunks.split_last().unwrap();
            let failure = Failure::new(FailureCode::UpstreamRefused, text);
            prop_assert_eq!(error, &json!({"error": failure_body(&failure)}));
            prop_assert!(chunks.iter().all(|chunk| chunk["model"] == model.as_str()));
        }
    }
}
