//! The chunks of a streamed chat completion, turned into deltas.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::generator::exchange::{Reader, Reading, reported};
use crate::generator::{Delta, FinishReason, Logprobs, Prompt, ToolCall, Usage};

#[derive(Deserialize)]
struct Chunk<'a> {
    /// Absent only if the event has none at all; `null` is an empty list.
    #[serde(borrow, default, deserialize_with = "present")]
    choices: Option<Vec<Choice<'a>>>,
    usage: Option<UsageChunk>,
    error: Option<Value>,
}

fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    let list = Option::<T>::deserialize(deserializer)?;
    Ok(Some(list.unwrap_or_default()))
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(default)]
    delta: Option<ChoiceDelta>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct ChoiceDelta {
    content: Option<String>,
    /// vLLM, llama.cpp, SGLang, DeepSeek.
    reasoning_content: Option<String>,
    /// Ollama, OpenRouter, newer vLLM.
    reasoning: Option<String>,
    refusal: Option<String>,
    tool_calls: Option<Vec<ToolCallChunk>>,
}

#[derive(Deserialize)]
struct ToolCallChunk {
    /// Some servers leave it out.
    index: Option<u32>,
    id: Option<String>,
    function: Option<FunctionChunk>,
}

#[derive(Default, Deserialize)]
struct FunctionChunk {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct UsageChunk {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

impl UsageChunk {
    /// Some servers say in every chunk but the last that nothing was used.
    fn usage(self) -> Option<Usage> {
        let prompt = self.prompt_tokens.unwrap_or_default();
        let completion = self.completion_tokens.unwrap_or_default();
        (prompt > 0 || completion > 0).then(|| Usage::new(prompt, completion))
    }
}

/// Reads the chunks of one answer.
pub(super) struct Chunks {
    calls: Calls,
    /// Whether the client asked for them: some servers send them to everybody.
    wants_logprobs: bool,
}

impl Reader for Chunks {
    const EVENT: &'static str = "a chunk of a chat completion";

    fn read(&mut self, data: &str, reading: &mut Reading) -> Result<(), serde_json::Error> {
        if data.trim() == "[DONE]" {
            reading.end_as_said();
            return Ok(());
        }
        let chunk: Chunk<'_> = serde_json::from_str(data)?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            reading.fail(reported(&error));
            return Ok(());
        }
        // After the answer some send things of their own; before, it is not what was asked for.
        if chunk.choices.is_none() && chunk.usage.is_none() && reading.finish.is_none() {
            return Err(serde_json::Error::custom("no choices"));
        }
        if let Some(usage) = chunk.usage.and_then(UsageChunk::usage) {
            reading.usage = Some(usage);
        }
        // We ask for one choice; whoever sends more is heard with the first.
        let choices = chunk.choices.unwrap_or_default();
        for choice in choices.into_iter().filter(|choice| choice.index == 0) {
            self.take_delta(choice.delta.unwrap_or_default(), reading);
            let logprobs = choice.logprobs.filter(|_| self.wants_logprobs);
            if let Some(logprobs) = logprobs.and_then(Logprobs::new) {
                reading.push(Delta::Logprobs(logprobs));
            }
            match choice.finish_reason.as_deref() {
                // Some servers name none so, in every chunk.
                None | Some("" | "null") => {}
                Some("error") => reading.fail(reported(&Value::Null)),
                Some(reason) => reading.finish = Some(finish_reason(reason)),
            }
        }
        Ok(())
    }
}

impl Chunks {
    /// For the answer to this prompt.
    pub(super) fn new(prompt: &Prompt) -> Self {
        let logprobs = prompt.more.get("logprobs");
        Self {
            calls: Calls::default(),
            wants_logprobs: !matches!(logprobs, None | Some(Value::Null | Value::Bool(false))),
        }
    }

    fn take_delta(&mut self, delta: ChoiceDelta, reading: &mut Reading) {
        let reasoning = delta.reasoning_content.or(delta.reasoning);
        let texts = [
            reasoning.map(Delta::Reasoning),
            delta.content.map(Delta::Text),
            delta.refusal.map(Delta::Refusal),
        ];
        for text in texts.into_iter().flatten() {
            reading.push(text);
        }
        for call in delta.tool_calls.into_iter().flatten() {
            reading.push(Delta::ToolCall(self.calls.fragment(call)));
        }
    }
}

/// Which tool call a fragment belongs to, where its server does not say.
#[derive(Default)]
struct Calls {
    /// The calls that were told apart by their ids.
    known: Vec<(String, u32)>,
    current: u32,
    next: u32,
}

impl Calls {
    fn fragment(&mut self, chunk: ToolCallChunk) -> ToolCall {
        let function = chunk.function.unwrap_or_default();
        // Some servers repeat both, empty, in each fragment.
        let id = chunk.id.filter(|id| !id.is_empty());
        let name = function.name.filter(|name| !name.is_empty());
        let index = chunk
            .index
            .unwrap_or_else(|| self.index(id.as_deref(), name.is_some()));
        self.current = index;
        self.next = self.next.max(index.saturating_add(1));
        ToolCall {
            index,
            id,
            name,
            arguments: function.arguments.unwrap_or_default(),
        }
    }

    /// A new id begins a call, and so does a name without an id; the rest goes on with one.
    fn index(&mut self, id: Option<&str>, is_named: bool) -> u32 {
        let Some(id) = id else {
            return if is_named { self.next } else { self.current };
        };
        if let Some((_, index)) = self.known.iter().find(|(known, _)| known == id) {
            return *index;
        }
        self.known.push((id.to_owned(), self.next));
        self.next
    }
}

fn finish_reason(name: &str) -> FinishReason {
    match name {
        "length" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        // `stop`, and what some servers call it: `eos`, `end_turn`, `stop_sequence`.
        _ => FinishReason::Stop,
    }
}

/// The names in a list of models.
pub(super) fn model_names(body: &str) -> Option<Vec<String>> {
    let body: Value = serde_json::from_str(body).ok()?;
    let models = body.get("data")?.as_array()?;
    let names = models.iter().filter_map(|model| model.get("id")?.as_str());
    Some(names.map(str::to_owned).collect())
}
