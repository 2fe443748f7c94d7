//! OpenAI's chat completions, on the same log: what its clients start can be resumed, watched and
//! cancelled as any stream (`X-Stream-Id` names it).
//!
//! These clients cannot resume by themselves, so a generation that they leave is cancelled at once,
//! unless the request says `on_disconnect: continue`.

mod chunk;
mod request;
mod whole;

pub(super) use self::chunk::ChunkEncoder;

use std::future::poll_fn;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use self::request::ChatRequest;
use self::whole::{Completion, Whole};
use super::body::Body;
use super::credentials::{Caller, Write};
use super::problem::{ApiError, Errors};
use super::sse::Format;
use super::{Api, events, middleware, quota, streams, traced};
use crate::generation::{Generation, Subscription};
use crate::metrics;
use crate::stream::{Batch, Start, Terminal};

/// How much is read of the log in one step, in bytes.
const STEP_BYTES: usize = 16 * 1024;

/// A chat completion as OpenAI's documentation has it. Members that are not named here go to the
/// model untouched.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is used")]
#[schema(example = json!({"model": "demo", "messages": [{"role": "user", "content": "Tell me about rivers"}]}))]
pub(super) struct ChatCompletionRequest {
    /// A public model name; the configured default if absent.
    model: Option<String>,
    /// The conversation so far, oldest first.
    #[schema(min_items = 1, value_type = Vec<Object>)]
    messages: Vec<Map<String, Value>>,
    /// Whether to answer with chunks as they come.
    stream: Option<bool>,
    /// What happens when the client leaves: `cancel` at once, or `continue` to the end.
    on_disconnect: Option<super::wire::Disconnect>,
}

/// Complete a chat
///
/// Speaks as OpenAI's API does, to its SDKs. With `stream: true` the answer is a stream of chunks.
#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "openai", operation_id = "createChatCompletion",
    request_body = ChatCompletionRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; the same key and body attach to the same stream, unless it failed before its first token with a `retryable` error")),
    responses(
        (status = 200, description = "The answer; with `stream: true`, its chunks",
            content((Object = "application/json"), (String = "text/event-stream")),
            headers(("X-Stream-Id" = String, description = "The stream's id"))),
        Errors,
    ),
)]
pub(super) async fn create(
    caller: Caller<Write>,
    api: web::Data<Api>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let body: Map<String, Value> = body.json()?;
    let idempotency = streams::idempotency_key(&request, &body)?;
    let chat = ChatRequest::parse(body)?;
    let (stream, include_usage) = (chat.stream, chat.include_usage);
    let model = api.generations.resolve(chat.model.as_deref()).await?;
    let on_disconnect = chat.on_disconnect;
    let mut prompt = chat.into_prompt(model);
    prompt.trace = traced::trace_of(&request);
    api.generations.check(&prompt)?;
    let generation = Generation {
        prompt,
        on_disconnect,
        idempotency,
        request_id: middleware::request_id_of(&request),
    };
    let (id, quota) = streams::begin(&caller.principal, &api, generation).await?;
    let viewer = caller.principal.viewer();
    let subscribe = || {
        api.generations
            .subscribe(&viewer, id, None, metrics::Reader::OpenAi)
    };
    let mut subscription = subscribe().await?;
    let mut response = HttpResponse::Ok();
    streams::name_stream(&mut response, id);
    if let Some(quota) = &quota {
        quota::write_headers(quota, &mut response);
    }
    if !stream {
        let _reading = api.metrics.reading(metrics::Reader::OpenAi);
        let completion = whole(&mut subscription).await?;
        return Ok(response
            .insert_header(("Cache-Control", "no-store"))
            .json(completion));
    }
    // From the start, as it will be read; the first subscription holds the stream meanwhile.
    let again = subscribe().await?;
    let start = beginning(
        &mut subscription,
        Instant::now() + api.config.load().heartbeat,
    )
    .await?;
    let format = Format::Chunks(Box::new(ChunkEncoder::new(&start, include_usage)));
    Ok(events::respond(response, &request, format, again, &api))
}

/// Waits until the model has said something, but not for ever: a failure until then is an answer
/// with a status of its own.
async fn beginning(subscription: &mut Subscription, until: Instant) -> Result<Start, ApiError> {
    let mut batch = Batch::default();
    let mut start = None;
    loop {
        let read = poll_fn(|context| subscription.poll_read(context, &mut batch, STEP_BYTES));
        let more = match (timeout_at(until, read).await, start.take()) {
            (Err(_late), Some(start)) => return Ok(start),
            (Err(_late), None) => return Err(ApiError::internal()),
            (Ok(more), kept) => {
                start = kept;
                more?
            }
        };
        for entry in batch.entries() {
            if let Some(Terminal::Error { error, .. }) = entry.terminal() {
                return Err(error.into());
            }
            if entry.seq == 0 {
                start = serde_json::from_str(entry.payload).ok();
            } else if let Some(start) = start.take() {
                return Ok(start);
            }
        }
        if !more {
            return start.ok_or_else(ApiError::internal);
        }
    }
}

async fn whole(subscription: &mut Subscription) -> Result<Completion, ApiError> {
    let mut whole = Whole::default();
    let mut batch = Batch::default();
    while poll_fn(|context| subscription.poll_read(context, &mut batch, STEP_BYTES)).await? {
        for entry in batch.entries() {
            if let Some(completion) = whole.take(&entry)? {
                return Ok(completion);
            }
        }
    }
    Err(ApiError::internal())
}
