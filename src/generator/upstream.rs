//! A model's server that a generator asks: where it is, and how long it may take.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::http_client::{HttpClient, HttpClientConfig};

/// What is configured of such a server.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamConfig {
    /// Where it is, and how to ask it.
    pub server: HttpClientConfig,
    /// How long an answer that streams may take.
    pub timeouts: Timeouts,
}

/// How long an answer that streams may take, from when it is asked for. What is absent has no bound
/// here; the server's own bounds hold beside these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the first token.
    pub first_token: Option<Duration>,
    /// Between two tokens.
    pub idle: Option<Duration>,
    /// Until the end.
    pub total: Option<Duration>,
}

/// A server that generators ask.
#[derive(Clone)]
pub struct Upstream {
    pub(super) client: HttpClient,
    pub(super) timeouts: Timeouts,
}

impl Upstream {
    /// The server that the configuration names; `tls` is for `https` URLs.
    #[must_use]
    pub fn new(config: UpstreamConfig, tls: Arc<ClientConfig>) -> Self {
        Self {
            client: HttpClient::new(config.server, tls),
            timeouts: config.timeouts,
        }
    }
}
