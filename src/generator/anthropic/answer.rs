//! The events of a streamed message, turned into deltas.
//!
//! An event says itself what it is, in the `type` of its data. Events, blocks and deltas of types
//! that are not known are left out, as Anthropic asks of its clients: it adds new ones at any time.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::generator::exchange::{Reader, Reading, reported};
use crate::generator::{Delta, FinishReason, ToolCall, Usage};

/// One shape for all events: one with a variant for each would read every token twice.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    /// Which block it is about.
    #[serde(default)]
    index: u32,
    #[serde(borrow)]
    delta: Option<EventDelta<'a>>,
    content_block: Option<Block>,
    message: Option<Message>,
    usage: Option<Counts>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct EventDelta<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    thinking: Option<String>,
    id: Option<String>,
    name: Option<String>,
    input: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    usage: Option<Counts>,
}

/// What was counted so far. The first event has the prompt's tokens, the last the answer's; a count
/// that an event repeats has only grown.
#[derive(Clone, Copy, Default, Deserialize)]
struct Counts {
    #[serde(rename = "input_tokens")]
    input: Option<u64>,
    #[serde(rename = "cache_creation_input_tokens")]
    cache_creation: Option<u64>,
    #[serde(rename = "cache_read_input_tokens")]
    cache_read: Option<u64>,
    #[serde(rename = "output_tokens")]
    output: Option<u64>,
}

/// Reads the events of one message.
#[derive(Default)]
pub(super) struct Events {
    counts: Counts,
    /// The tool calls whose blocks have not ended.
    open: Vec<Call>,
    /// How many tool calls there were.
    calls: u32,
}

struct Call {
    /// The index of its block, among blocks of all kinds.
    block: u32,
    /// Its index among tool calls.
    index: u32,
    /// What its arguments are if no fragment of them comes.
    otherwise: Option<String>,
}

impl Reader for Events {
    const EVENT: &'static str = "an event of a message";

    fn read(&mut self, data: &str, reading: &mut Reading) -> Result<(), serde_json::Error> {
        let event: Event<'_> = match serde_json::from_str(data) {
            Ok(event) => event,
            Err(_) if is_of_a_new_kind(data) => return Ok(()),
            Err(error) => return Err(error),
        };
        match (&*event.kind, event.delta) {
            ("content_block_delta", Some(delta)) => self.take_delta(event.index, delta, reading),
            ("content_block_start", _) => {
                if let Some(block) = event.content_block {
                    self.start(event.index, block, reading);
                }
            }
            ("content_block_stop", _) => {
                let ended = self.open.iter().position(|call| call.block == event.index);
                if let Some(at) = ended {
                    self.open.swap_remove(at).end(reading);
                }
            }
            ("message_start", _) => {
                self.count(event.message.and_then(|message| message.usage), reading);
            }
            ("message_delta", delta) => {
                self.count(event.usage, reading);
                if let Some(reason) = delta.and_then(|delta| delta.stop_reason) {
                    self.end_calls(reading);
                    reading.finish = Some(finish_reason(&reason));
                }
            }
            ("message_stop", _) => {
                self.end_calls(reading);
                reading.end_as_said();
            }
            ("error", _) => reading.fail(reported(&event.error.unwrap_or_default())),
            // `ping`, and what is new.
            _ => {}
        }
        Ok(())
    }
}

impl Events {
    fn start(&mut self, at: u32, block: Block, reading: &mut Reading) {
        match block.kind.as_str() {
            "text" => reading.push(Delta::Text(block.text.unwrap_or_default())),
            "thinking" => reading.push(Delta::Reasoning(block.thinking.unwrap_or_default())),
            "tool_use" => {
                let index = self.calls;
                self.calls += 1;
                reading.push(Delta::ToolCall(ToolCall {
                    index,
                    id: block.id,
                    name: block.name,
                    arguments: String::new(),
                }));
                // Whoever does not stream the input has it here; others have an empty object.
                let input = block.input.filter(Value::is_object);
                self.open.push(Call {
                    block: at,
                    index,
                    otherwise: Some(input.map_or_else(|| "{}".to_owned(), |it| it.to_string())),
                });
            }
            // Tools that the upstream itself uses, what they found, and redacted thinking.
            _ => {}
        }
    }

    fn take_delta(&mut self, at: u32, delta: EventDelta<'_>, reading: &mut Reading) {
        match &*delta.kind {
            "text_delta" => reading.push(Delta::Text(delta.text.unwrap_or_default())),
            "thinking_delta" => {
                reading.push(Delta::Reasoning(delta.thinking.unwrap_or_default()));
            }
            "input_json_delta" => {
                let arguments = delta.partial_json.unwrap_or_default();
                // A tool that the upstream itself uses has input too.
                let call = self.open.iter_mut().find(|call| call.block == at);
                if let Some(call) = call.filter(|_| !arguments.is_empty()) {
                    call.otherwise = None;
                    reading.push(fragment(call.index, arguments));
                }
            }
            // Signatures and citations.
            _ => {}
        }
    }

    fn count(&mut self, counts: Option<Counts>, reading: &mut Reading) {
        let (so_far, counts) = (self.counts, counts.unwrap_or_default());
        // Nothing is less than any number.
        self.counts = Counts {
            input: so_far.input.max(counts.input),
            cache_creation: so_far.cache_creation.max(counts.cache_creation),
            cache_read: so_far.cache_read.max(counts.cache_read),
            output: so_far.output.max(counts.output),
        };
        reading.usage = self.counts.usage();
    }

    fn end_calls(&mut self, reading: &mut Reading) {
        for call in self.open.drain(..) {
            call.end(reading);
        }
    }
}

impl Counts {
    /// What is read from a cache or written to it is not among Anthropic's input tokens.
    fn usage(self) -> Option<Usage> {
        let prompt = [self.input, self.cache_creation, self.cache_read];
        let is_known = prompt.iter().flatten().next().is_some() || self.output.is_some();
        let prompt = prompt.into_iter().flatten().fold(0, u64::saturating_add);
        is_known.then(|| Usage::new(prompt, self.output.unwrap_or_default()))
    }
}

impl Call {
    fn end(self, reading: &mut Reading) {
        if let Some(arguments) = self.otherwise {
            reading.push(fragment(self.index, arguments));
        }
    }
}

fn fragment(index: u32, arguments: String) -> Delta {
    Delta::ToolCall(ToolCall {
        index,
        id: None,
        name: None,
        arguments,
    })
}

fn finish_reason(name: &str) -> FinishReason {
    match name {
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        // `end_turn` and `stop_sequence`; and `pause_turn`, where a long turn with the upstream's own
        // tools was cut into several: the client sees an answer that it may have continued.
        _ => FinishReason::Stop,
    }
}

/// Whether an event that cannot be read is of a kind that need not be.
fn is_of_a_new_kind(data: &str) -> bool {
    let event: Value = serde_json::from_str(data).unwrap_or_default();
    let is_new =
        |kind: &Value, known: &[&str]| kind.as_str().is_some_and(|it| !known.contains(&it));
    match event["type"].as_str() {
        Some("content_block_start") => is_new(
            &event["content_block"]["type"],
            &["text", "thinking", "tool_use"],
        ),
        Some("content_block_delta") => is_new(
            &event["delta"]["type"],
            &["text_delta", "thinking_delta", "input_json_delta"],
        ),
        _ => is_new(
            &event["type"],
            &[
                "content_block_stop",
                "message_start",
                "message_delta",
                "message_stop",
                "error",
            ],
        ),
    }
}

#[cfg(test)]
mod tests;
