//! Messages of a conversation, as both ways of asking have them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::problem::ApiError;
use crate::api::strict;
use crate::generator::{self, Role};

/// One message of a conversation, as OpenAI's chat completions have it. What stands in its objects
/// goes to the model's server untouched.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Message {
    /// Who speaks.
    #[serde(deserialize_with = "strict::name")]
    role: Role,
    /// What they say; an assistant that only called tools has said nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
    /// The participant's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The tool calls of an assistant: objects with `id`, `type` and `function`.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<Vec<BTreeMap<String, Value>>>,
    /// The id of the call that a message of the role `tool` answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<String>,
    /// What an assistant said instead of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
    /// An assistant's reasoning, for servers that want it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
}

/// A text, or parts.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(untagged, expecting = "expected a string or an array of parts")]
pub(in crate::api) enum Content {
    /// A text.
    Text(String),
    /// Texts, images and other parts: objects with a `type`, such as
    /// `{"type": "image_url", "image_url": {"url": "https://..."}}`.
    Parts(Vec<BTreeMap<String, Value>>),
}

impl Message {
    /// The message at this place, for a generator.
    ///
    /// # Errors
    /// Names what is missing.
    pub(super) fn into_prompt(self, at: usize) -> Result<generator::Message, ApiError> {
        let calls = self.tool_calls;
        let more = [
            ("name", self.name.map(Value::from)),
            (
                "tool_calls",
                calls.map(|it| it.into_iter().map(object).collect()),
            ),
            ("tool_call_id", self.tool_call_id.map(Value::from)),
            ("refusal", self.refusal.map(Value::from)),
            ("reasoning_content", self.reasoning_content.map(Value::from)),
        ];
        let more = more
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        message(at, self.role, self.content, more.collect())
    }
}

/// The message at this place, whose other members go on untouched.
///
/// # Errors
/// Names what is wrong.
pub(in crate::api) fn open_message(
    at: usize,
    value: Value,
) -> Result<generator::Message, ApiError> {
    let field = |name: &str| format!("messages[{at}]{name}");
    let Value::Object(mut more) = value else {
        return Err(ApiError::field(field(""), "expected an object"));
    };
    let role = more.remove("role").unwrap_or_default();
    let role: Role = serde_json::from_value(role).map_err(|_| {
        ApiError::field(
            field(".role"),
            "expected system, developer, user, assistant or tool",
        )
    })?;
    let content = more.remove("content").unwrap_or_default();
    let content: Option<Content> = serde_json::from_value(content)
        .map_err(|error| ApiError::field(field(".content"), error.to_string()))?;
    message(at, role, content, more)
}

fn message(
    at: usize,
    role: Role,
    content: Option<Content>,
    more: Map<String, Value>,
) -> Result<generator::Message, ApiError> {
    let content = match content {
        Some(Content::Text(text)) => generator::Content::Text(text),
        Some(Content::Parts(parts)) => {
            generator::Content::Parts(Some(parts.into_iter().map(object).collect()))
        }
        None if role == Role::Assistant => generator::Content::Parts(None),
        None => {
            return Err(ApiError::field(
                format!("messages[{at}].content"),
                "expected a string or an array of parts",
            ));
        }
    };
    Ok(generator::Message {
        role,
        content,
        more,
    })
}

pub(super) fn object(members: BTreeMap<String, Value>) -> Value {
    Value::Object(members.into_iter().collect())
}
