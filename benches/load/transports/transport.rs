//! The transports that are compared, and what a reader asks for over each.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

/// How a reader gets its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// Nobody reads: what the generation alone costs.
    Nobody,
    /// `text/event-stream`
    Sse,
    /// `application/x-ndjson`: the same with less around each event.
    Ndjson,
    /// One text message for each event.
    WebSocket,
    /// One answer after the other, each held until there is something to say. The reader asks again after
    /// so long: the network's round trip, which on one machine takes no time.
    LongPolling(Duration),
}

/// The round trip to a server that is far away.
pub(super) const FAR: Duration = Duration::from_millis(50);

impl Transport {
    /// All of them.
    pub(super) const ALL: [Self; 6] = [
        Self::Nobody,
        Self::Sse,
        Self::Ndjson,
        Self::WebSocket,
        Self::LongPolling(Duration::ZERO),
        Self::LongPolling(FAR),
    ];

    /// Its name in the tables.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody reads",
            Self::Sse => "SSE",
            Self::Ndjson => "NDJSON",
            Self::WebSocket => "WebSocket",
            Self::LongPolling(Duration::ZERO) => "long polling",
            Self::LongPolling(_) => "long polling, 50 ms away",
        }
    }
}

impl Serialize for Transport {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.name().serialize(serializer)
    }
}

/// How a reader goes on after a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resume {
    /// After the last event that it has seen.
    Cursor,
    /// With whatever comes next.
    Live,
    /// From the start.
    Start,
}

/// Whom to ask, and as whom.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) address: SocketAddr,
    pub(super) token: String,
}

impl Site {
    /// The request of a reader that has seen the events up to `after` of a stream.
    pub(super) fn follow(
        &self,
        transport: Transport,
        stream: &str,
        after: Option<u64>,
        resume: Resume,
    ) -> String {
        let events = format!("GET /v1/streams/{stream}/events");
        let seen = after.filter(|_| resume == Resume::Cursor);
        let last = seen.map_or_else(String::new, |seq| {
            format!("Last-Event-ID: {stream}.{seq}\r\n")
        });
        match transport {
            Transport::Nobody | Transport::Sse => {
                self.head(&events, &format!("Accept: text/event-stream\r\n{last}"))
            }
            Transport::Ndjson => {
                self.head(&events, &format!("Accept: application/x-ndjson\r\n{last}"))
            }
            Transport::LongPolling(_) => self.head(
                &format!("{events}?wait=25"),
                &format!("Accept: application/json\r\n{last}"),
            ),
            Transport::WebSocket => {
                let query = match (resume, after) {
                    (Resume::Cursor, Some(seq)) => format!("?after={seq}"),
                    (Resume::Live, Some(_)) => "?live=true".to_owned(),
                    _ => String::new(),
                };
                self.head(
                    &format!("GET /websocket/{stream}{query}"),
                    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                )
            }
        }
    }

    /// The request for a stream that goes on without readers, answered at once with its snapshot.
    pub(super) fn create(&self, tokens: u32) -> String {
        let body = serde_json::json!({
            "model": crate::upstream::MODEL,
            "prompt": "Tell me about lighthouse keepers",
            "max_tokens": tokens,
            "on_disconnect": "continue",
        });
        let body = body.to_string();
        let length = body.len();
        let headers = format!(
            "Prefer: respond-async\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
        );
        self.head("POST /v1/streams", &headers) + &body
    }

    fn head(&self, call: &str, headers: &str) -> String {
        let Self { address, token } = self;
        format!(
            "{call} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n{headers}\r\n"
        )
    }
}
