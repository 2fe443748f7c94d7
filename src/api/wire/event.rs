//! The JSON shapes of events: what `encode` writes, as clients may rely on it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::stream::{Failure, FinishReason, Timing, Usage};

/// One event of a stream; `type` tells which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(discriminator(property_name = "type", mapping(
    ("start" = "#/components/schemas/StartEvent"),
    ("token" = "#/components/schemas/TokenEvent"),
    ("reasoning" = "#/components/schemas/ReasoningEvent"),
    ("refusal" = "#/components/schemas/RefusalEvent"),
    ("tool_call" = "#/components/schemas/ToolCallEvent"),
    ("logprobs" = "#/components/schemas/LogprobsEvent"),
    ("done" = "#/components/schemas/DoneEvent"),
    ("error" = "#/components/schemas/ErrorEvent"),
)))]
pub enum Event {
    /// The first.
    Start(StartEvent),
    /// Answer text.
    Token(TokenEvent),
    /// Reasoning text.
    Reasoning(ReasoningEvent),
    /// The text of a refusal.
    Refusal(RefusalEvent),
    /// A fragment of a tool call.
    ToolCall(ToolCallEvent),
    /// How likely tokens were.
    Logprobs(LogprobsEvent),
    /// The last of a stream that went well.
    Done(DoneEvent),
    /// The last of a stream that failed.
    Error(ErrorEvent),
}

// The one-valued types of each event's `type`, on which generated clients narrow.

/// Always `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartType {
    /// The only value.
    Start,
}

/// Always `token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenType {
    /// The only value.
    Token,
}

/// Always `reasoning`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningType {
    /// The only value.
    Reasoning,
}

/// Always `refusal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusalType {
    /// The only value.
    Refusal,
}

/// Always `tool_call`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolCallType {
    /// The only value.
    ToolCall,
}

/// Always `logprobs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogprobsType {
    /// The only value.
    Logprobs,
}

/// Always `done`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DoneType {
    /// The only value.
    Done,
}

/// Always `error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorType {
    /// The only value.
    Error,
}

/// The first event of every stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartEvent {
    #[serde(rename = "type")]
    #[schema(inline)]
    pub kind: StartType,
    /// Always 0.
    pub seq: u64,
    /// The stream's id.
    pub stream: String,
    /// The public name of the model.
    pub model: String,
    /// Seconds since the Unix epoch.
    pub created: u64,
}

/// The next piece of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenEvent {
    #[serde(rename = "type")]
    #[schema(inline)]
    pub kind: TokenType,
    /// Its position in the stream.
    pub seq: u64,
    /// The text to append.
    pub text: String,
}

/// The next piece of the reasoning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasoningEvent {
    #[serde(rename = "type")]
    #[schema(inline)]
    pub kind: ReasoningType,
    /// Its position in the stream.
    pub seq: u64,
    /// The text to append.
    pub text: String,
}

/// The next piece of what the model says instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefusalEvent {
    #[serde(rename = "type")]
    #[schema(inline)]
    pub kind: RefusalType,
    /// Its position in the stream.
    pub seq: u64,
    /// The text to append.
    pub text: String,
}

/// A fragment of a tool call. Fragments of one `index` belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolCallEvent {
    #[serde(rename = "type")]
    #[schema(inline)]
    pub kind: ToolCallType,
    /// Its position in the stream.
    pub seq: u64,
    /// Which call it belongs to, from 0.
    pub index: u32,
    /// The call's id, on its first fragment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// The function's name, on its first fragment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// The next piece of the JSON text of the arguments.
    pub arguments: String,
}

/// How likely the tokens just before were, if the request asks for `logprobs` and the model's server
/// tells. One that would be too long for an event comes as several with parts of its lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogprobsEvent {
    #[serde(rename = "type")]
    #[schema(inline)]
    pub kind: LogprobsType,
    /// Its position in the stream.
    pub seq: u64,
    /// What the server says, as OpenAI's chat completions have it: `content` and `refusal` are null
    /// or lists with an object for each token.
    pub logprobs: BTreeMap<String, Value>,
}

/// The last event of a stream that went well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DoneEvent {
    #[serde(rename = "type")]
    #[schema(inline)]
    pub kind: DoneType,
    /// Its position in the stream.
    pub seq: u64,
    /// Why the generation stopped.
    pub finish_reason: FinishReason,
    /// What it used.
    pub usage: Usage,
    /// What it took.
    pub timing: Timing,
    /// SHA-256 over the UTF-8 of all token texts in order, in lower-case hexadecimal.
    pub text_sha256: String,
}

/// The last event of a stream that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorEvent {
    #[serde(rename = "type")]
    #[schema(inline)]
    pub kind: ErrorType,
    /// Its position in the stream.
    pub seq: u64,
    /// What went wrong.
    pub error: Failure,
    /// What it used until then.
    pub usage: Usage,
}
