//! Asks a server that speaks Anthropic's Messages API: Anthropic's own, or one that is like it.
//!
//! A generation is one exchange (`exchange.rs`); here is what is Anthropic's: where the request
//! goes, how a prompt in the words of OpenAI's chat completions is said there, and what the events
//! of the answer mean.

mod answer;
mod conversation;
mod request;
mod tools;

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use self::answer::Events;
use self::request::Body;
use super::exchange::{self, Request, request_refused};
use super::{Deltas, Generator, InvalidPrompt, Prompt, Upstream};

/// The version of the API that is spoken here; without one a request is refused.
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

/// The `anthropic` backend of [`Generator`].
pub struct AnthropicGenerator {
    upstream: Upstream,
    /// The upstream's name for the model; the public name if absent.
    model: Option<String>,
    /// The most tokens of an answer to a request that does not say.
    max_tokens: u32,
}

impl AnthropicGenerator {
    /// A generator that asks this server. Its base URL is the one that Anthropic's SDKs are given.
    #[must_use]
    pub const fn new(upstream: Upstream, model: Option<String>, max_tokens: u32) -> Self {
        Self {
            upstream,
            model,
            max_tokens,
        }
    }

    fn body<'a>(&'a self, prompt: &'a Prompt) -> Result<Body<'a>, InvalidPrompt> {
        Body::new(prompt, self.model.as_deref(), self.max_tokens)
    }
}

impl Generator for AnthropicGenerator {
    /// The upstream is told, and its deltas may be finer than its tokens.
    fn limits_itself(&self) -> bool {
        true
    }

    fn provider(&self) -> &'static str {
        "anthropic"
    }

    fn upstream(&self) -> Option<&str> {
        Some(self.upstream.client.authority())
    }

    fn generate(&self, prompt: Arc<Prompt>, _: CancellationToken) -> Deltas {
        let body = match self.body(&prompt) {
            Ok(body) => body.to_json(),
            // Whoever asked `check` first does not come here.
            Err(invalid) => {
                let error = request_refused(&invalid.to_string(), "it was not asked");
                return stream::once(async { Err(error) }).boxed_local();
            }
        };
        let request = Request {
            path: "/v1/messages",
            headers: &[VERSION],
            body,
        };
        exchange::deltas(
            self.upstream.clone(),
            request,
            Events::default(),
            &prompt.trace,
        )
    }

    fn check(&self, prompt: &Prompt) -> Result<(), InvalidPrompt> {
        self.body(prompt).map(drop)
    }
}
