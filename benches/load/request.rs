//! The requests that the load sends: the same bytes to either server.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::server::Server;

/// What a stream is asked to be like: knobs of the demo generator, which the bare handler has too.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// How many tokens.
    pub(crate) tokens: u32,
    /// How fast they come; 0 is as fast as they are read.
    pub(crate) tokens_per_second: u32,
    /// After how many tokens it falls silent.
    pub(crate) stall_after: Option<u32>,
}

/// `POST /v1/streams`
pub(crate) fn create(server: &Server, wanted: Wanted) -> Rc<[u8]> {
    let mut metadata = json!({
        "demo.tokens": wanted.tokens.to_string(),
        "demo.tokens_per_second": wanted.tokens_per_second.to_string(),
        "demo.first_token_delay_ms": "0",
    });
    if let Some(tokens) = wanted.stall_after {
        metadata["demo.stall_after"] = json!(tokens.to_string());
    }
    let body = json!({"prompt": "Tell me about lighthouse keepers", "metadata": metadata});
    post(server, &body)
}

/// `POST /v1/streams` with this body.
pub(crate) fn post(server: &Server, body: &Value) -> Rc<[u8]> {
    let body = body.to_string();
    let head = head(server, "POST /v1/streams");
    let length = body.len();
    format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
        .into()
}

/// `GET /v1/streams/{id}/events`
pub(crate) fn events(server: &Server, stream: &str) -> Rc<[u8]> {
    let head = head(server, &format!("GET /v1/streams/{stream}/events"));
    format!("{head}\r\n").into_bytes().into()
}

fn head(server: &Server, call: &str) -> String {
    format!(
        "{call} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\nAuthorization: Bearer {}\r\n",
        server.address(),
        server.token(),
    )
}
