//! The chunks of a streamed chat completion, turned into deltas.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::Value;

use crate::generator::{Delta, FinishReason, GeneratorError, ToolCall, Usage};
use crate::stream::FailureCode;

/// The most that is passed on of what an upstream says, in characters.
const MAX_SAID: usize = 300;

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    usage: Option<UsageChunk>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    #[serde(default)]
    delta: Option<ChoiceDelta>,
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
    /// Some servers send each call whole and leave it out.
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
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

/// An answer as far as it has been read.
#[derive(Default)]
pub(super) struct Reading {
    ready: VecDeque<Result<Delta, GeneratorError>>,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    over: bool,
}

impl Reading {
    /// Whether nothing more is to be read.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Whether the answer is complete, and only usage and the end may follow.
    pub(super) const fn has_finish_reason(&self) -> bool {
        self.finish.is_some()
    }

    /// The next delta.
    pub(super) fn next(&mut self) -> Option<Result<Delta, GeneratorError>> {
        self.ready.pop_front()
    }

    /// It failed, and is over.
    pub(super) fn fail(&mut self, error: GeneratorError) {
        if !self.over {
            self.over = true;
            self.ready.push_back(Err(error));
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self) {
        match self.finish {
            Some(reason) if !self.over => {
                self.over = true;
                let usage = self.usage;
                self.ready.push_back(Ok(Delta::Finish { reason, usage }));
            }
            _ => self.fail(GeneratorError::new(
                FailureCode::UpstreamIncomplete,
                "the upstream's answer ended before it was complete",
            )),
        }
    }

    /// Reads the data of one event.
    pub(super) fn take(&mut self, data: &str) {
        if self.over {
            return;
        }
        if data.trim() == "[DONE]" {
            // A server that says so has finished, whether or not it said why.
            self.finish.get_or_insert(FinishReason::Stop);
            self.end();
            return;
        }
        let Ok(chunk) = serde_json::from_str::<Chunk>(data) else {
            self.fail(GeneratorError::new(
                FailureCode::UpstreamInvalid,
                "the upstream sent an event that is not a chunk of a chat completion",
            ));
            return;
        };
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            tracing::warn!("The upstream reported an error in its stream");
            let said = said(&error).unwrap_or_else(|| "it did not say what".to_owned());
            self.fail(GeneratorError::new(
                FailureCode::UpstreamError,
                format!("the upstream reported an error: {said}"),
            ));
            return;
        }
        if let Some(usage) = chunk.usage {
            self.usage = Some(Usage::new(usage.prompt_tokens, usage.completion_tokens));
        }
        // We ask for one choice; whoever sends more is heard with the first.
        let choices = chunk.choices.unwrap_or_default();
        for choice in choices.into_iter().filter(|choice| choice.index == 0) {
            self.take_delta(choice.delta.unwrap_or_default());
            if let Some(reason) = choice.finish_reason {
                self.finish = Some(finish_reason(&reason));
            }
        }
    }

    fn take_delta(&mut self, delta: ChoiceDelta) {
        let reasoning = delta.reasoning_content.or(delta.reasoning);
        let texts = [
            reasoning.map(Delta::Reasoning),
            delta.content.map(Delta::Text),
            delta.refusal.map(Delta::Text),
        ];
        self.ready.extend(texts.into_iter().flatten().map(Ok));
        for (at, call) in (0..).zip(delta.tool_calls.unwrap_or_default()) {
            let function = call.function.unwrap_or_default();
            self.ready.push_back(Ok(Delta::ToolCall(ToolCall {
                index: call.index.unwrap_or(at),
                id: call.id,
                name: function.name,
                arguments: function.arguments.unwrap_or_default(),
            })));
        }
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

/// What an error body says.
pub(super) fn message_of(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    said(body.get("error").unwrap_or(&body))
}

/// The names in a list of models.
pub(super) fn model_names(body: &str) -> Option<Vec<String>> {
    let body: Value = serde_json::from_str(body).ok()?;
    let models = body.get("data")?.as_array()?;
    let names = models.iter().filter_map(|model| model.get("id")?.as_str());
    Some(names.map(str::to_owned).collect())
}

/// The sentence of an error, in the forms that servers give it.
fn said(error: &Value) -> Option<String> {
    let text = error
        .as_str()
        .or_else(|| error.get("message")?.as_str())
        .or_else(|| error.get("detail")?.as_str())?;
    Some(text.chars().take(MAX_SAID).collect())
}
