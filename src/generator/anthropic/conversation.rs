//! OpenAI's messages as Anthropic's API has them: the rules apart, and turns of blocks.

use serde::Serialize;
use serde_json::{Map, Value};

use super::request::{invalid, says_nothing};
use super::tools::known;
use crate::generator::{Content, InvalidPrompt, Message, Role};

/// What was said so far.
#[derive(Default)]
pub(super) struct Conversation<'a> {
    /// The rules, wherever they stood.
    pub(super) system: Vec<Block<'a>>,
    /// Turns of users and the model, never two of one after another: what tools found belongs to the
    /// user, and all that was found for one answer must stand in one turn.
    pub(super) turns: Vec<Turn<'a>>,
}

#[derive(Serialize)]
pub(super) struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a Value>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a Value>,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Map<String, Value>,
    },
    ToolResult {
        tool_use_id: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
}

impl<'a> Conversation<'a> {
    /// The conversation of these messages. An empty text says nothing, and Anthropic refuses it, so
    /// it is left out. So are `name`, and reasoning: it is taken back only with its signature, which
    /// OpenAI's messages have no place for.
    ///
    /// # Errors
    /// Names what cannot be said there.
    pub(super) fn new(messages: &'a [Message]) -> Result<Self, InvalidPrompt> {
        let mut this = Self::default();
        for (at, message) in messages.iter().enumerate() {
            this.add(&format!("messages[{at}]"), message)?;
        }
        if this.turns.is_empty() {
            return Err(invalid(
                "messages",
                "expected one with content of the role user or assistant",
            ));
        }
        Ok(this)
    }

    fn add(&mut self, field: &str, message: &'a Message) -> Result<(), InvalidPrompt> {
        let content = format!("{field}.content");
        let own: &[&str] = match message.role {
            Role::System | Role::Developer => {
                self.system
                    .extend(blocks(&content, &message.content, &["text"])?);
                &[]
            }
            Role::User => {
                self.say(
                    "user",
                    blocks(&content, &message.content, &["text", "image_url"])?,
                );
                &[]
            }
            Role::Tool => {
                let id = message.more.get("tool_call_id").and_then(Value::as_str);
                let result = Block::ToolResult {
                    tool_use_id: id
                        .ok_or_else(|| invalid(format!("{field}.tool_call_id"), "is required"))?,
                    content: blocks(&content, &message.content, &["text", "image_url"])?,
                };
                self.say("user", vec![result]);
                &["tool_call_id"]
            }
            Role::Assistant => {
                let mut said = blocks(&content, &message.content, &["text", "refusal"])?;
                if let Some(refusal) = message.more.get("refusal").and_then(Value::as_str) {
                    said.extend(text(refusal, None));
                }
                said.extend(tool_uses(field, message.more.get("tool_calls"))?);
                self.say("assistant", said);
                &["tool_calls", "refusal", "reasoning_content", "reasoning"]
            }
        };
        let unknown = message.more.iter().find(|(name, value)| {
            *name != "name" && !own.contains(&name.as_str()) && !says_nothing(value)
        });
        match unknown {
            None => Ok(()),
            Some((name, _)) => Err(invalid(
                format!("{field}.{name}"),
                "this model's server has no equivalent of it",
            )),
        }
    }

    fn say(&mut self, role: &'static str, said: Vec<Block<'a>>) {
        if said.is_empty() {
            return;
        }
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.content.extend(said),
            _ => self.turns.push(Turn {
                role,
                content: said,
            }),
        }
    }
}

fn text<'a>(text: &'a str, cache_control: Option<&'a Value>) -> Option<Block<'a>> {
    let block = Block::Text {
        text,
        cache_control,
    };
    (!text.is_empty()).then_some(block)
}

/// The blocks of a content whose parts may be of these types.
fn blocks<'a>(
    field: &str,
    content: &'a Content,
    allowed: &[&str],
) -> Result<Vec<Block<'a>>, InvalidPrompt> {
    let parts = match content {
        Content::Text(said) => return Ok(text(said, None).into_iter().collect()),
        Content::Parts(None) => return Ok(Vec::new()),
        Content::Parts(Some(parts)) => parts,
    };
    let mut blocks = Vec::with_capacity(parts.len());
    for (at, part) in parts.iter().enumerate() {
        let field = format!("{field}[{at}]");
        let kind = part["type"].as_str().filter(|kind| allowed.contains(kind));
        let Some(kind) = kind else {
            let allowed = allowed.join(" or ");
            return Err(invalid(
                field,
                format!("expected a part of the type {allowed}"),
            ));
        };
        known(part.as_object(), &field, &["type", kind, "cache_control"])?;
        let cache_control = part.get("cache_control").filter(|it| !it.is_null());
        if kind == "image_url" {
            blocks.push(Block::Image {
                source: source(&field, &part[kind])?,
                cache_control,
            });
        } else {
            let said = part[kind]
                .as_str()
                .ok_or_else(|| invalid(format!("{field}.{kind}"), "expected a string"))?;
            blocks.extend(text(said, cache_control));
        }
    }
    Ok(blocks)
}

/// Where an image is. Its `detail` is a hint that has no equivalent.
fn source<'a>(field: &str, image: &'a Value) -> Result<Source<'a>, InvalidPrompt> {
    let field = format!("{field}.image_url");
    known(image.as_object(), &field, &["url", "detail"])?;
    let url = image["url"].as_str().unwrap_or_default();
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(Source::Url { url });
    }
    let data = url.strip_prefix("data:").and_then(|url| {
        let (head, data) = url.split_once(',')?;
        let media_type = head.strip_suffix(";base64")?.split(';').next()?;
        (!media_type.is_empty()).then_some(Source::Base64 { media_type, data })
    });
    data.ok_or_else(|| {
        invalid(
            format!("{field}.url"),
            "expected an http or https URL, or data:image/png;base64, and the like",
        )
    })
}

/// What the model called earlier.
fn tool_uses<'a>(field: &str, calls: Option<&'a Value>) -> Result<Vec<Block<'a>>, InvalidPrompt> {
    let calls = match calls {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(calls)) => calls,
        Some(_) => return Err(invalid(format!("{field}.tool_calls"), "expected an array")),
    };
    let calls = calls.iter().enumerate().map(|(at, call)| {
        let field = format!("{field}.tool_calls[{at}]");
        if !(call["type"].is_null() || call["type"] == "function") {
            return Err(invalid(
                field,
                "expected a call of the type function; this model's server has no other",
            ));
        }
        let string = |value: &'a Value, name: &str| {
            value
                .as_str()
                .ok_or_else(|| invalid(format!("{field}.{name}"), "expected a string"))
        };
        let function = &call["function"];
        let arguments = string(&function["arguments"], "function.arguments")?;
        Ok(Block::ToolUse {
            id: string(&call["id"], "id")?,
            name: string(&function["name"], "function.name")?,
            input: if arguments.trim().is_empty() {
                Map::new()
            } else {
                serde_json::from_str(arguments).map_err(|_| {
                    invalid(
                        format!("{field}.function.arguments"),
                        "expected a JSON object as text",
                    )
                })?
            },
        })
    });
    calls.collect()
}
