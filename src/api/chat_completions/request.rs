//! The request of a chat completion. What we know is checked and what we do not goes on untouched.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::problem::ApiError;
use crate::api::wire::{CreateStream, Disconnect, Stop};
use crate::generation::OnDisconnect;
use crate::generator::{Content, MaxTokensField, Message, Prompt, Role};

/// What is asked, and how it wants to be answered.
pub(super) struct ChatRequest {
    pub(super) model: Option<String>,
    pub(super) stream: bool,
    /// Whether a last chunk should tell the usage.
    pub(super) include_usage: bool,
    pub(super) on_disconnect: OnDisconnect,
    /// All but the model's name.
    prompt: Prompt,
}

#[derive(Default, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

/// The members of an object, taken one by one.
struct Fields(Map<String, Value>);

impl Fields {
    /// A field that may be absent or null.
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|error| ApiError::field(name, error.to_string())),
        }
    }
}

impl ChatRequest {
    /// Checks a request.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub(super) fn parse(body: Map<String, Value>) -> Result<Self, ApiError> {
        let mut fields = Fields(body);
        let model = fields.take("model")?;
        let stream = fields.take("stream")?.unwrap_or(false);
        let options: Option<StreamOptions> = fields.take("stream_options")?;
        if fields.take::<u64>("n")?.is_some_and(|n| n != 1) {
            return Err(ApiError::field(
                "n",
                "must be 1; send several requests for several answers",
            ));
        }
        let messages: Option<Vec<Value>> = fields.take("messages")?;
        let messages = messages.ok_or_else(|| ApiError::field("messages", "is required"))?;
        let messages = (0..).zip(messages).map(|(at, value)| message(at, value));
        let messages = messages.collect::<Result<Vec<_>, _>>()?;
        if messages.is_empty() {
            return Err(ApiError::field("messages", "must not be empty"));
        }
        let (max_tokens, max_tokens_field) = match fields.take("max_completion_tokens")? {
            None => (fields.take("max_tokens")?, MaxTokensField::MaxTokens),
            newer => {
                fields.0.remove("max_tokens");
                (newer, MaxTokensField::MaxCompletionTokens)
            }
        };
        let metadata: Option<BTreeMap<String, String>> = fields.take("metadata")?;
        // The native request's rules hold for what both have.
        let native = CreateStream {
            prompt: Some("-".to_owned()),
            max_tokens,
            temperature: fields.take("temperature")?,
            top_p: fields.take("top_p")?,
            stop: fields.take::<Stop>("stop")?,
            seed: fields.take("seed")?,
            metadata,
            on_disconnect: fields.take::<Disconnect>("on_disconnect")?,
            ..CreateStream::default()
        };
        let on_disconnect = match native.on_disconnect() {
            // These clients cannot resume, so that nobody will read the rest.
            OnDisconnect::Default => OnDisconnect::Cancel,
            named => named,
        };
        let prompt = Prompt {
            messages,
            max_tokens_field,
            more: fields.0,
            ..native.into_prompt(String::new())?
        };
        Ok(Self {
            model,
            stream,
            include_usage: options.is_some_and(|it| it.include_usage == Some(true)),
            on_disconnect,
            prompt,
        })
    }

    /// The prompt for this model.
    pub(super) fn into_prompt(self, model: String) -> Prompt {
        Prompt {
            model,
            ..self.prompt
        }
    }
}

fn message(at: usize, value: Value) -> Result<Message, ApiError> {
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
    let content = match more.remove("content").unwrap_or_default() {
        Value::String(text) => Content::Text(text),
        Value::Array(parts) if parts.iter().all(Value::is_object) => Content::Parts(Some(parts)),
        // An assistant that only called tools has said nothing.
        Value::Null if role == Role::Assistant => Content::Parts(None),
        _ => {
            return Err(ApiError::field(
                field(".content"),
                "expected a string or an array of parts",
            ));
        }
    };
    Ok(Message {
        role,
        content,
        more,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(body: Value) -> Result<ChatRequest, ApiError> {
        let Value::Object(body) = body else { panic!() };
        ChatRequest::parse(body)
    }

    #[test]
    fn what_we_do_not_know_is_kept() {
        let image = json!([{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]);
        let request = parse(json!({
            "model": "m", "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 1, "max_completion_tokens": 9,
            "messages": [{"role": "user", "content": image}, {"role": "assistant", "content": null, "tool_calls": [{"id": "a"}]}, {"role": "tool", "tool_call_id": "a", "content": "42"}],
            "tools": [{"type": "function"}], "something_new": {"deep": [1, null]},
        }))
        .unwrap_or_else(|error| panic!("{error}"));
        assert!(request.stream && request.include_usage);
        let prompt = serde_json::to_value(request.into_prompt("m".into())).unwrap();
        assert_eq!(
            prompt,
            json!({
                "model": "m", "max_tokens": 9,
                "messages": [{"role": "user", "content": image}, {"role": "assistant", "content": null, "tool_calls": [{"id": "a"}]}, {"role": "tool", "tool_call_id": "a", "content": "42"}],
                "tools": [{"type": "function"}], "something_new": {"deep": [1, null]},
            })
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let messages = json!([{"role": "user", "content": "x"}]);
        for (body, field) in [
            (json!({}), "messages"),
            (json!({"messages": []}), "messages"),
            (json!({"messages": ["x"]}), "messages[0]"),
            (json!({"messages": [{"content": "x"}]}), "messages[0].role"),
            (
                json!({"messages": [{"role": "user"}]}),
                "messages[0].content",
            ),
            (
                json!({"messages": [{"role": "user", "content": [1]}]}),
                "messages[0].content",
            ),
            (json!({"messages": messages, "n": 2}), "n"),
            (json!({"messages": messages, "stream": "yes"}), "stream"),
            (json!({"messages": messages, "max_tokens": 0}), "max_tokens"),
            (
                json!({"messages": messages, "temperature": 3}),
                "temperature",
            ),
            (
                json!({"messages": messages, "on_disconnect": "wait"}),
                "on_disconnect",
            ),
        ] {
            let error = parse(body).err().unwrap();
            assert!(error.to_string().starts_with("invalid_field"), "{error}");
            assert_eq!(error.field_name(), Some(field));
        }
    }
}
