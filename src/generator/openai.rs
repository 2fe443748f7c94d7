//! Asks any server that speaks OpenAI's chat completions: vLLM, llama.cpp, Ollama, SGLang, hosted.
//!
//! A generation is one exchange (`exchange.rs`); here is what is OpenAI's: where the request
//! goes, what stands in it, and what the chunks of the answer mean.

mod answer;
mod request;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use http::{Method, StatusCode};
use tokio_util::sync::CancellationToken;

use self::answer::Chunks;
pub use self::request::Continues;
use super::exchange::{self, Request, broken, invalid, refused};
use super::{Deltas, Generator, GeneratorError, MaxTokensField, ModelServer, Prompt, Upstream};
use crate::stream::FailureCode;

/// How long a list of models may be, and how long it may take.
const LIST_BYTES: usize = 1024 * 1024;
const LIST_TIME: Duration = Duration::from_secs(5);

/// The `openai` backend of [`Generator`].
pub struct OpenAiGenerator {
    upstream: Upstream,
    /// The upstream's name for the model; the public name if absent.
    model: Option<String>,
    /// What it calls the most tokens of an answer; as the client does if absent.
    max_tokens_field: Option<MaxTokensField>,
    /// How it goes on with an answer, if it can.
    continues: Option<Continues>,
}

impl OpenAiGenerator {
    /// A generator that asks this server. Its base URL is the one that OpenAI's SDKs are given.
    #[must_use]
    pub const fn new(
        upstream: Upstream,
        model: Option<String>,
        max_tokens_field: Option<MaxTokensField>,
        continues: Option<Continues>,
    ) -> Self {
        Self {
            upstream,
            model,
            max_tokens_field,
            continues,
        }
    }
}

impl Generator for OpenAiGenerator {
    /// The upstream is told, and its deltas may be finer than its tokens.
    fn limits_itself(&self) -> bool {
        true
    }

    fn continues(&self) -> bool {
        self.continues.is_some()
    }

    fn provider(&self) -> &'static str {
        "openai"
    }

    fn upstream(&self) -> Option<&str> {
        Some(self.upstream.client.authority())
    }

    fn generate(&self, prompt: Arc<Prompt>, _: CancellationToken) -> Deltas {
        let request = Request {
            path: "/chat/completions",
            headers: &[],
            body: request::body(
                &prompt,
                self.model.as_deref(),
                self.max_tokens_field,
                self.continues,
            ),
        };
        exchange::deltas(
            self.upstream.clone(),
            request,
            Chunks::new(&prompt),
            &prompt.trace,
        )
    }
}

impl ModelServer for OpenAiGenerator {
    fn models(&self) -> LocalBoxFuture<'_, Result<Vec<String>, GeneratorError>> {
        let list = async {
            let mut answer = self
                .upstream
                .client
                .send(Method::GET, "/models", &[], &[])
                .await
                .map_err(|error| broken(&error))?;
            if answer.status != StatusCode::OK {
                return Err(refused(&mut answer).await);
            }
            let text = answer.text(LIST_BYTES, LIST_TIME).await;
            answer::model_names(&text)
                .ok_or_else(|| invalid("the upstream's list of models cannot be read"))
        };
        async move {
            let listed = tokio::time::timeout(LIST_TIME, list).await;
            listed.unwrap_or_else(|_late| {
                Err(GeneratorError::new(
                    FailureCode::UpstreamUnavailable,
                    "the upstream does not say in time which models it has",
                ))
            })
        }
        .boxed_local()
    }
}
