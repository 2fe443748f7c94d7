//! The JSON shapes of requests and answers, and in `event` those of events. `openapi.yaml` is made from them.
//!
//! Nothing here decides anything but whether a request is well formed.

mod event;

pub use event::Event;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::ApiError;
use super::strict;
use crate::generation::OnDisconnect;
use crate::generator::{self, Prompt, Role};
use crate::stream::{Cursor, Failure, FinishReason, StreamId, Terminal, Usage};
use crate::stream_log::{Description, Status};

/// What to generate. Exactly one of `prompt` and `messages` is given.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"prompt": "Tell me about lighthouse keepers"}))]
pub(super) struct CreateStream {
    /// A public model name; the configured default if absent.
    #[schema(example = "demo")]
    pub model: Option<String>,
    /// The user's message, for a conversation of one.
    #[schema(min_length = 1)]
    pub prompt: Option<String>,
    /// The conversation so far, oldest first.
    #[schema(min_items = 1)]
    #[serde(default, deserialize_with = "strict::objects")]
    pub messages: Option<Vec<Message>>,
    /// The most tokens to generate.
    #[schema(minimum = 1, maximum = 4_294_967_295_u64, format = Int64)]
    pub max_tokens: Option<u32>,
    /// Sampling temperature.
    #[schema(minimum = 0, maximum = 2)]
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    #[schema(exclusive_minimum = 0, maximum = 1)]
    pub top_p: Option<f64>,
    /// One text or up to four at which generation stops.
    pub stop: Option<Stop>,
    /// The same seed and prompt should give the same answer.
    pub seed: Option<i64>,
    /// Up to 16 notes of yours, given back in snapshots; generators may read some as options.
    pub metadata: Option<BTreeMap<String, String>>,
    /// What happens when the last reader leaves: `continue` to the end, `cancel` at once, or, if
    /// absent, cancel unless a reader comes back within the server's `abandon_after`.
    #[serde(default, deserialize_with = "strict::optional_name")]
    pub on_disconnect: Option<Disconnect>,
}

/// One message of a conversation.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    /// Who speaks.
    #[serde(deserialize_with = "strict::name")]
    pub role: Role,
    /// What they say.
    pub content: String,
}

/// One text or several at which generation stops.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(
    untagged,
    expecting = "expected a string or an array of up to 4 strings"
)]
pub(super) enum Stop {
    /// One text.
    One(String),
    /// Up to four texts.
    Many(Vec<String>),
}

/// What happens to a generation when its last reader leaves.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Disconnect {
    /// It goes on to its end.
    Continue,
    /// It is cancelled at once.
    Cancel,
}

impl CreateStream {
    /// When nobody reads any more.
    #[must_use]
    pub(super) const fn on_disconnect(&self) -> OnDisconnect {
        match self.on_disconnect {
            None => OnDisconnect::Default,
            Some(Disconnect::Continue) => OnDisconnect::Continue,
            Some(Disconnect::Cancel) => OnDisconnect::Cancel,
        }
    }

    /// The prompt for a model, if every field is in range.
    ///
    /// # Errors
    /// Names the field that is not.
    pub(super) fn into_prompt(self, model: String) -> Result<Prompt, ApiError> {
        let messages = match (self.prompt, self.messages) {
            (Some(_), Some(_)) => {
                return Err(ApiError::field(
                    "messages",
                    "give either prompt or messages, not both",
                ));
            }
            (None, None) => {
                return Err(ApiError::field("prompt", "prompt or messages is required"));
            }
            (Some(prompt), None) if prompt.is_empty() => {
                return Err(ApiError::field("prompt", "must not be empty"));
            }
            (Some(text), None) => vec![generator::Message::new(Role::User, text)],
            (None, Some(messages)) if messages.is_empty() => {
                return Err(ApiError::field("messages", "must not be empty"));
            }
            (None, Some(messages)) => messages
                .into_iter()
                .map(|Message { role, content }| generator::Message::new(role, content))
                .collect(),
        };
        if self.max_tokens == Some(0) {
            return Err(ApiError::field("max_tokens", "must be at least 1"));
        }
        in_range(
            "temperature",
            self.temperature,
            "must be from 0 to 2",
            |t| (0.0..=2.0).contains(&t),
        )?;
        in_range("top_p", self.top_p, "must be above 0 and at most 1", |p| {
            p > 0.0 && p <= 1.0
        })?;
        let stop = match self.stop {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text],
            Some(Stop::Many(texts)) => texts,
        };
        if stop.len() > 4 || stop.iter().any(|text| text.is_empty() || text.len() > 256) {
            return Err(ApiError::field(
                "stop",
                "at most 4 texts of 1 to 256 bytes each",
            ));
        }
        let metadata = self.metadata.unwrap_or_default();
        let too_long = |(key, value): (&String, &String)| {
            key.is_empty() || key.len() > 64 || value.len() > 512
        };
        if metadata.len() > 16 || metadata.iter().any(too_long) {
            return Err(ApiError::field(
                "metadata",
                "at most 16 entries with keys of 1 to 64 and values of up to 512 bytes",
            ));
        }
        Ok(Prompt {
            model,
            messages,
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            stop,
            seed: self.seed,
            metadata,
            ..Prompt::default()
        })
    }
}

fn in_range(
    field: &str,
    value: Option<f64>,
    expected: &str,
    accepted: impl Fn(f64) -> bool,
) -> Result<(), ApiError> {
    match value {
        Some(value) if !accepted(value) => Err(ApiError::field(field, expected)),
        _ => Ok(()),
    }
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamStatus {
    /// It may still grow.
    Running,
    /// It ended well.
    Done,
    /// It failed.
    Error,
}

impl From<Status> for StreamStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Running => Self::Running,
            Status::Done => Self::Done,
            Status::Error => Self::Error,
        }
    }
}

impl From<StreamStatus> for Status {
    fn from(status: StreamStatus) -> Self {
        match status {
            StreamStatus::Running => Self::Running,
            StreamStatus::Done => Self::Done,
            StreamStatus::Error => Self::Error,
        }
    }
}

/// A stream as it stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct StreamSnapshot {
    /// The stream's id.
    #[schema(value_type = String, example = "01999e0a5b7c7d3e8f0a1b2c3d4e5f60")]
    pub id: StreamId,
    /// Where it stands.
    pub status: StreamStatus,
    /// The public name of the model.
    pub model: String,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// The answer so far; absent in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The reasoning so far; absent in lists and when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Why the model did not answer, so far; absent in lists and when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Why it stopped, if it ended well.
    pub finish_reason: Option<FinishReason>,
    /// What it used, once it has ended.
    pub usage: Option<Usage>,
    /// What went wrong, if it failed.
    pub error: Option<Failure>,
    /// The id of the last event that this snapshot contains: follow from here.
    pub last_event_id: String,
    /// Where its events are followed.
    pub events_url: String,
    /// The creator's own notes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl From<Description> for StreamSnapshot {
    fn from(description: Description) -> Self {
        let cursor = Cursor {
            stream: description.id,
            seq: description.last_seq,
        };
        let status = description.status().into();
        let (finish_reason, usage, error) = match description.terminal {
            None => (None, None, None),
            Some(Terminal::Done {
                finish_reason,
                usage,
                ..
            }) => (Some(finish_reason), Some(usage), None),
            Some(Terminal::Error { error, usage }) => (None, Some(usage), Some(error)),
        };
        Self {
            id: description.id,
            status,
            model: description.model,
            created: description.created,
            text: None,
            reasoning: None,
            refusal: None,
            finish_reason,
            usage,
            error,
            last_event_id: cursor.to_string(),
            events_url: events_url(description.id),
            metadata: description.metadata,
        }
    }
}

/// The path of a stream.
#[must_use]
pub(super) fn stream_url(id: StreamId) -> String {
    format!("/v1/streams/{id}")
}

/// The path where a stream's events are followed.
#[must_use]
pub(super) fn events_url(id: StreamId) -> String {
    format!("/v1/streams/{id}/events")
}

/// Some of the caller's streams, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StreamList {
    /// The streams, without their text.
    pub streams: Vec<StreamSnapshot>,
    /// Whether there are older ones: ask again with `after` set to the last id.
    pub has_more: bool,
}

/// A credential that can only read one stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TicketAnswer {
    /// The credential, for `?ticket=`.
    pub ticket: String,
    /// Where to open an `EventSource`, with the ticket in it.
    pub url: String,
    /// When it ends, in seconds since the Unix epoch.
    pub expires_at: u64,
}

/// Events after a cursor, for clients that cannot stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventPage {
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// The cursor for the next request.
    pub last_event_id: String,
    /// Whether the terminal event has been read.
    pub closed: bool,
}
