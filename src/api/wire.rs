//! The JSON shapes of answers, in `create` and `message` those of requests, and in `event` those of
//! events. `openapi.yaml` is made from them.
//!
//! Nothing here decides anything but whether a request is well formed.

mod create;
mod event;
mod message;
pub(super) mod monitor;

pub(super) use create::{CreateStream, Disconnect, Stop};
pub use event::Event;
pub(super) use message::open_message;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stream::{Cursor, Failure, FinishReason, StreamId, Terminal, Usage};
use crate::stream_log::{Description, Status};

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
