//! The chunks of a streamed chat completion, turned into deltas.

use serde::Deserialize;
use serde_json::Value;

use crate::generator::exchange::{Reader, Reading, said};
use crate::generator::{Delta, FinishReason, GeneratorError, ToolCall, Usage};
use crate::stream::FailureCode;

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

/// Reads chunks; none needs to know of those before it.
pub(super) struct Chunks;

impl Reader for Chunks {
    const EVENT: &'static str = "a chunk of a chat completion";

    fn read(&mut self, data: &str, reading: &mut Reading) -> Result<(), serde_json::Error> {
        if data.trim() == "[DONE]" {
            reading.end_as_said();
            return Ok(());
        }
        let chunk: Chunk = serde_json::from_str(data)?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            tracing::warn!("The upstream reported an error in its stream");
            let said = said(&error).unwrap_or_else(|| "it did not say what".to_owned());
            reading.fail(GeneratorError::new(
                FailureCode::UpstreamError,
                format!("the upstream reported an error: {said}"),
            ));
            return Ok(());
        }
        if let Some(usage) = chunk.usage {
            reading.usage = Some(Usage::new(usage.prompt_tokens, usage.completion_tokens));
        }
        // We ask for one choice; whoever sends more is heard with the first.
        let choices = chunk.choices.unwrap_or_default();
        for choice in choices.into_iter().filter(|choice| choice.index == 0) {
            take_delta(choice.delta.unwrap_or_default(), reading);
            if let Some(reason) = choice.finish_reason {
                reading.finish = Some(finish_reason(&reason));
            }
        }
        Ok(())
    }
}

fn take_delta(delta: ChoiceDelta, reading: &mut Reading) {
    let reasoning = delta.reasoning_content.or(delta.reasoning);
    let texts = [
        reasoning.map(Delta::Reasoning),
        delta.content.map(Delta::Text),
        delta.refusal.map(Delta::Text),
    ];
    for text in texts.into_iter().flatten() {
        reading.push(text);
    }
    for (at, call) in (0..).zip(delta.tool_calls.unwrap_or_default()) {
        let function = call.function.unwrap_or_default();
        reading.push(Delta::ToolCall(ToolCall {
            index: call.index.unwrap_or(at),
            id: call.id,
            name: function.name,
            arguments: function.arguments.unwrap_or_default(),
        }));
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
