//! The events of a stream, as far as somebody at a terminal wants them.

use serde::Deserialize;

/// One event: what it says, and the line as the server wrote it.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) said: Said,
    /// One JSON object without line feeds.
    pub(super) json: String,
}

/// Whether this can be the id of a stream. It becomes a part of paths.
pub(super) fn is_stream_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// What an event says.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Said {
    Start {
        stream: String,
    },
    Token {
        text: String,
    },
    Reasoning {
        text: String,
    },
    Refusal {
        text: String,
    },
    ToolCall {
        index: u64,
        name: Option<String>,
        arguments: Option<String>,
    },
    Done {
        finish_reason: String,
        text_sha256: String,
    },
    Error {
        error: StreamError,
    },
    /// What is not for people, and what newer servers say.
    #[serde(other)]
    Other,
}

/// Why a generation failed.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct StreamError {
    pub(super) code: String,
    pub(super) message: String,
    #[serde(default)]
    pub(super) retryable: bool,
}

impl Event {
    /// Reads the data of an event.
    pub(super) fn parse(json: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Seq {
            seq: u64,
        }
        let Seq { seq } = serde_json::from_str(json)?;
        Ok(Self {
            seq,
            said: serde_json::from_str(json)?,
            json: json.to_owned(),
        })
    }

    /// Whether nothing comes after it.
    pub(super) const fn is_last(&self) -> bool {
        matches!(self.said, Said::Done { .. } | Said::Error { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_a_name_that_leads_nowhere_else() {
        assert!(is_stream_id("01a1fb215cf474538c6442ebd4a9f1c3"));
        for id in ["", "../x", "a/b", "a?b", "\u{e9}"] {
            assert!(!is_stream_id(id), "{id}");
        }
    }
}
