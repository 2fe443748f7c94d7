//! What an event says, in each API.

use std::fmt;

use serde::de::{IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};

use super::native::Native;
use super::target::Api;

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// A piece of the answer.
    Token,
    /// Something else.
    Nothing,
    /// That the stream is over.
    End(End),
    /// What it must not say.
    Wrong(Wrong),
}

/// How a stream has ended, by its own word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    Cancelled,
    Failed(Failed),
    Wrong(Wrong),
}

/// What a stream says that has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) code: String,
    pub(super) text: Option<String>,
}

impl From<&str> for Failed {
    fn from(code: &str) -> Self {
        Self {
            code: code.to_owned(),
            text: None,
        }
    }
}

/// What breaks a promise of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// An event is not what the API says.
    Malformed,
    /// Events come after the end.
    AfterTheEnd,
    /// The text is not the one that the end names.
    Digest,
    /// The body is over, and the stream is not.
    Incomplete,
}

impl Wrong {
    /// What it is counted as.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_event",
            Self::AfterTheEnd => "event_after_end",
            Self::Digest => "wrong_text",
            Self::Incomplete => "incomplete",
        }
    }
}

/// Reads the events of one stream.
pub(super) enum Dialect {
    Native(Box<Native>),
    OpenAi { ended: bool },
    Sse,
}

impl Dialect {
    pub(super) fn new(api: Api) -> Self {
        match api {
            Api::Native => Self::Native(Box::default()),
            Api::OpenAi => Self::OpenAi { ended: false },
            Api::Sse => Self::Sse,
        }
    }

    pub(super) fn event(&mut self, data: &str) -> Heard {
        match self {
            Self::Native(native) => native.event(data),
            Self::OpenAi { ended: true } => Heard::Wrong(Wrong::AfterTheEnd),
            Self::OpenAi { ended } => {
                let heard = chunk(data);
                *ended = matches!(heard, Heard::End(End::Finished));
                heard
            }
            Self::Sse => Heard::Token,
        }
    }

    /// What it means that the body is over and no event has said that the stream is.
    pub(super) const fn end_of_body(&self) -> End {
        match self {
            Self::Native(_) | Self::OpenAi { .. } => End::Wrong(Wrong::Incomplete),
            Self::Sse => End::Finished,
        }
    }
}

/// One chunk of a chat completion.
fn chunk(data: &str) -> Heard {
    #[derive(Deserialize)]
    struct Chunk {
        choices: Option<Vec<Choice>>,
        error: Option<Failure>,
    }
    #[derive(Deserialize)]
    struct Choice {
        delta: Option<Delta>,
    }
    #[derive(Deserialize)]
    struct Delta {
        #[serde(default)]
        content: Text,
        #[serde(default)]
        reasoning_content: Text,
        #[serde(default)]
        reasoning: Text,
        tool_calls: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Failure {
        code: Option<serde_json::Value>,
        message: Option<String>,
    }
    if data == "[DONE]" {
        return Heard::End(End::Finished);
    }
    let Ok(chunk) = serde_json::from_str::<Chunk>(data) else {
        return Heard::Wrong(Wrong::Malformed);
    };
    if let Some(error) = chunk.error {
        let code = error.code.and_then(|code| Some(code.as_str()?.to_owned()));
        return Heard::End(End::Failed(Failed {
            code: code.unwrap_or_else(|| "error".to_owned()),
            text: error.message,
        }));
    }
    let says_something = |choice: Choice| {
        choice.delta.is_some_and(|delta| {
            let texts = [delta.content, delta.reasoning_content, delta.reasoning];
            texts.iter().any(|text| text.0) || delta.tool_calls.is_some()
        })
    };
    if chunk.choices.into_iter().flatten().any(says_something) {
        Heard::Token
    } else {
        Heard::Nothing
    }
}

/// Whether there is a text that is not empty.
#[derive(Default)]
struct Text(bool);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_option(IsText)
    }
}

struct IsText;

impl<'de> Visitor<'de> for IsText {
    type Value = Text;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text or null")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text(!text.is_empty()))
    }

    fn visit_none<E>(self) -> Result<Text, E> {
        Ok(Text(false))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_of_chat_completions() {
        let failed = |code: &str| {
            End::Failed(Failed {
                code: code.to_owned(),
                text: Some("x".to_owned()),
            })
        };
        for (data, expected) in [
            (
                r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
                Heard::Nothing,
            ),
            (
                r#"{"choices":[{"delta":{"content":"a\nb"}}]}"#,
                Heard::Token,
            ),
            (
                r#"{"choices":[{"delta":{"content":null,"reasoning_content":"a"}}]}"#,
                Heard::Token,
            ),
            (
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#,
                Heard::Token,
            ),
            (
                r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
                Heard::Nothing,
            ),
            (
                r#"{"choices":[],"usage":{"total_tokens":3}}"#,
                Heard::Nothing,
            ),
            ("[DONE]", Heard::End(End::Finished)),
            (
                r#"{"error":{"message":"x","code":"upstream_error"}}"#,
                Heard::End(failed("upstream_error")),
            ),
            (
                r#"{"error":{"message":"x","code":500}}"#,
                Heard::End(failed("error")),
            ),
            ("<html>", Heard::Wrong(Wrong::Malformed)),
        ] {
            assert_eq!(Dialect::new(Api::OpenAi).event(data), expected, "{data}");
        }
    }

    #[test]
    fn nothing_follows_done() {
        let mut dialect = Dialect::new(Api::OpenAi);
        dialect.event("[DONE]");
        assert_eq!(dialect.event("[DONE]"), Heard::Wrong(Wrong::AfterTheEnd));
    }
}
