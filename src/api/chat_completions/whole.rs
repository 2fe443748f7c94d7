//! Entries gathered to a chat completion that is answered at once.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::chunk::{id, name, tool_call};
use crate::api::problem::ApiError;
use crate::stream::{Entry, FinishReason, Kind, Start, Terminal, ToolCall, Usage};

/// An answer, gathered from its entries.
#[derive(Default)]
pub(super) struct Whole {
    start: Option<Start>,
    text: String,
    reasoning: String,
    refusal: String,
    calls: Vec<ToolCall>,
    logprobs: Option<Logprobs>,
}

/// How likely the tokens of the whole answer were, item by item as they came.
#[derive(Default, Deserialize, Serialize)]
struct Logprobs {
    content: Option<Vec<Box<RawValue>>>,
    refusal: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
struct LogprobsPayload {
    logprobs: Logprobs,
}

/// A whole answer as OpenAI's clients read it.
#[derive(Serialize)]
pub(super) struct Completion {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    choices: [Choice; 1],
    usage: Usage,
}

#[derive(Serialize)]
struct Choice {
    index: u32,
    message: Value,
    logprobs: Option<Logprobs>,
    finish_reason: &'static str,
}

impl Whole {
    /// Adds an entry; the answer, once it is complete.
    ///
    /// # Errors
    /// The generation failed.
    pub(super) fn take(&mut self, entry: &Entry<'_>) -> Result<Option<Completion>, ApiError> {
        match entry.kind {
            Kind::Start => self.start = serde_json::from_str(entry.payload).ok(),
            Kind::Text => self.text.push_str(entry.payload),
            Kind::Reasoning => self.reasoning.push_str(entry.payload),
            Kind::Refusal => self.refusal.push_str(entry.payload),
            Kind::ToolCall => {
                if let Ok(call) = serde_json::from_str::<ToolCall>(entry.payload) {
                    self.merge(call);
                }
            }
            Kind::Logprobs => {
                if let Ok(payload) = serde_json::from_str::<LogprobsPayload>(entry.payload) {
                    let whole = self.logprobs.get_or_insert_default();
                    append(&mut whole.content, payload.logprobs.content);
                    append(&mut whole.refusal, payload.logprobs.refusal);
                }
            }
            Kind::Done | Kind::Error => match entry.terminal() {
                Some(Terminal::Error { error, .. }) => return Err(error.into()),
                Some(Terminal::Done {
                    finish_reason,
                    usage,
                    ..
                }) => return self.completion(finish_reason, usage).map(Some),
                None => return Err(ApiError::internal()),
            },
        }
        Ok(None)
    }

    fn merge(&mut self, fragment: ToolCall) {
        let known = self
            .calls
            .iter_mut()
            .find(|call| call.index == fragment.index);
        match known {
            None => self.calls.push(fragment),
            Some(call) => {
                call.id = call.id.take().or(fragment.id);
                call.name = call.name.take().or(fragment.name);
                call.arguments.push_str(&fragment.arguments);
            }
        }
    }

    fn completion(&mut self, reason: FinishReason, usage: Usage) -> Result<Completion, ApiError> {
        let start = self.start.take().ok_or_else(ApiError::internal)?;
        Ok(Completion {
            id: id(&start),
            object: "chat.completion",
            created: start.created,
            model: start.model,
            choices: [Choice {
                index: 0,
                message: self.message(),
                logprobs: self.logprobs.take(),
                finish_reason: name(reason),
            }],
            usage,
        })
    }

    fn message(&mut self) -> Value {
        let taken = |text: &mut String| {
            Some(std::mem::take(text))
                .filter(|text| !text.is_empty())
                .map(Value::from)
        };
        let refusal = taken(&mut self.refusal);
        // What calls tools or refuses has said nothing; an empty answer is an answer.
        let nothing = if self.calls.is_empty() && refusal.is_none() {
            "".into()
        } else {
            Value::Null
        };
        let mut message = json!({
            "role": "assistant",
            "content": taken(&mut self.text).unwrap_or(nothing),
            "refusal": refusal,
        });
        if let Some(reasoning) = taken(&mut self.reasoning) {
            message["reasoning_content"] = reasoning;
        }
        if !self.calls.is_empty() {
            let calls = self.calls.iter().map(|call| {
                let mut whole = tool_call(call);
                if let Some(members) = whole.as_object_mut() {
                    members.remove("index");
                }
                whole
            });
            message["tool_calls"] = calls.collect();
        }
        message
    }
}

/// A list that is there is more than none, also when it is empty.
fn append<T>(whole: &mut Option<Vec<T>>, more: Option<Vec<T>>) {
    if let Some(more) = more {
        whole.get_or_insert_default().extend(more);
    }
}
