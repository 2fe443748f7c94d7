//! The vocabulary of a token stream: ids, cursors, entries and how a stream ends.
//!
//! Pure data. Nothing here does I/O, knows HTTP, or depends on another module of the crate.

mod batch;
mod hex;
mod id;
mod logprobs;
mod terminal;

pub use batch::{Batch, Entry, Kind, MAX_EVENT_BYTES};
pub use hex::hex;
pub use id::{Cursor, ParseIdError, StreamId};
pub use logprobs::Logprobs;
pub use terminal::{Failure, FailureCode, FinishReason, Terminal, Timing, Usage};

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Whom a stream belongs to: the issuer and the subject of the token that created it.
///
/// Both parts count: two issuers may name different people alike.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// The `iss` claim; empty when the configuration demands none and the token has none.
    pub issuer: Arc<str>,
    /// The `sub` claim.
    pub subject: Arc<str>,
}

impl fmt::Debug for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}|{}", self.issuer, self.subject)
    }
}

/// The payload of the first entry of every stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The stream's id, so that a client that only reads bodies knows it too.
    pub stream: StreamId,
    /// The public name of the model.
    pub model: String,
    /// Seconds since the Unix epoch.
    pub created: u64,
}

/// A piece of a tool call that the model makes. Fragments with the same `index` belong together;
/// their `arguments` are concatenated in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Which of the calls of this stream the fragment belongs to, from 0.
    pub index: u32,
    /// The call's id; on its first fragment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// The function's name; on its first fragment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// The next piece of the JSON text of the arguments.
    #[serde(default)]
    pub arguments: String,
}
