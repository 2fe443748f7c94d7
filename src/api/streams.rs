//! Streams as resources: create, look at, list, cancel, delete.

use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::body::Body;
use super::credentials::{Caller, Read, Reader, Stop, Write};
use super::events;
use super::path::StreamPath;
use super::problem::{ApiError, Code, Errors};
use super::sse::Format;
use super::wire::{CreateStream, Event, StreamList, StreamSnapshot, StreamStatus, stream_url};
use super::{Api, cursor, middleware, quota, snapshot, traced};
use crate::auth::Principal;
use crate::generation::Generation;
use crate::limit::Quota;
use crate::metrics;
use crate::stream::{Cursor, StreamId};
use crate::stream_log::{Access, IdempotencyKey};

/// Start a generation and stream it
///
/// Answers with the events of a new stream. With `Last-Event-ID` it follows that stream instead and
/// generates nothing; with an `Idempotency-Key` that was used before, it follows the stream of
/// that request, unless that failed before its first token with a `retryable` error: such a stream
/// gives its key up.
///
/// On the wire each event is its JSON object, its name and its id:
///
/// ```text
/// data: {"type":"start","seq":0,"stream":"01a1fb215cf474538c6442ebd4a9f1c3","model":"demo","created":1795214630}
/// retry: 1000
/// event: start
/// id: 01a1fb215cf474538c6442ebd4a9f1c3.0
///
/// data: {"type":"token","seq":1,"text":"You"}
/// event: token
/// id: 01a1fb215cf474538c6442ebd4a9f1c3.1
/// ```
#[utoipa::path(
    post, path = "/v1/streams", tag = "streams", operation_id = "createStream",
    request_body = CreateStream,
    params(
        ("Last-Event-ID" = Option<String>, Header, description = "Follow the stream of this event instead of generating"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; the same key and body attach to the same stream, unless it failed before its first token with a `retryable` error"),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: answer 202 with the snapshot at once"),
    ),
    responses(
        (status = 200, description = "The events, ended by one `done` or `error`", body = Event, content_type = "text/event-stream",
            headers(("Location" = String, description = "The stream"), ("X-Stream-Id" = String, description = "The stream's id"),
                ("Tailrace-Tail" = u64, description = "The `seq` of the last event that was there already"))),
        (status = 202, description = "The generation has started (`Prefer: respond-async`)", body = StreamSnapshot),
        Errors,
    ),
)]
pub(super) async fn create(
    caller: Caller<Write>,
    api: web::Data<Api>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    if let Some(cursor) = cursor::of(&request)? {
        return resume(&caller.principal, &api, &request, cursor).await;
    }
    let create: CreateStream = body.json()?;
    let generation = check(&api, &request, create).await?;
    let (id, quota) = begin(&caller.principal, &api, generation).await?;
    attach(&caller.principal, &api, &request, id, quota).await
}

/// Starts a generation within the caller's limits, or finds the one that the same request started
/// before, which is no new admission.
pub(super) async fn begin(
    principal: &Principal,
    api: &Api,
    generation: Generation,
) -> Result<(StreamId, Option<Quota>), ApiError> {
    if let Some(key) = &generation.idempotency
        && let Some(id) = api.generations.find(principal, key).await?
    {
        return Ok((id, None));
    }
    let plan = principal.plan.as_deref();
    api.refuse_while_draining(plan)?;
    let admitted = api.limiter.admit(principal, generation.prompt.max_tokens);
    let permit = admitted.await.inspect_err(|rejection| {
        api.metrics.rejected(rejection.limit.name(), plan);
    })?;
    let quota = permit.quota();
    let id = api.generations.start(principal, permit, generation).await?;
    Ok((id, quota))
}

/// Turns a request into a generation that a model can do.
async fn check(
    api: &Api,
    request: &HttpRequest,
    create: CreateStream,
) -> Result<Generation, ApiError> {
    let idempotency = idempotency_key(request, &create)?;
    let on_disconnect = create.on_disconnect();
    let model = api.generations.resolve(create.model.as_deref()).await?;
    let mut prompt = create.into_prompt(model)?;
    prompt.trace = traced::trace_of(request);
    api.generations.check(&prompt)?;
    Ok(Generation {
        prompt,
        on_disconnect,
        idempotency,
        request_id: middleware::request_id_of(request),
    })
}

/// `fetch-event-source` posts its body again whenever a tab was hidden and is shown: that must
/// follow, not generate. After the end it would retry a 204 for ever, so it gets the end again.
async fn resume(
    principal: &Principal,
    api: &Api,
    request: &HttpRequest,
    cursor: Cursor,
) -> Result<HttpResponse, ApiError> {
    let viewer = principal.viewer();
    let ended = api.generations.is_end(&viewer, cursor).await?;
    let after = if ended {
        cursor.seq.checked_sub(1)
    } else {
        Some(cursor.seq)
    };
    let subscription = api
        .generations
        .subscribe(&viewer, cursor.stream, after, metrics::Reader::Sse)
        .await?;
    let mut response = HttpResponse::Ok();
    name_stream(&mut response, cursor.stream);
    Ok(events::respond(
        response,
        request,
        Format::Sse,
        subscription,
        api,
    ))
}

/// Answers with a stream from its start, or, if the client prefers, with its snapshot.
async fn attach(
    principal: &Principal,
    api: &Api,
    request: &HttpRequest,
    id: StreamId,
    quota: Option<Quota>,
) -> Result<HttpResponse, ApiError> {
    let viewer = principal.viewer();
    let respond_async = prefers_async(request);
    let mut response = if respond_async {
        HttpResponse::Accepted()
    } else {
        HttpResponse::Ok()
    };
    name_stream(&mut response, id);
    if let Some(quota) = &quota {
        quota::write_headers(quota, &mut response);
    }
    if respond_async {
        response.insert_header(("Preference-Applied", "respond-async"));
        let snapshot = api.generations.snapshot(&viewer, id).await?;
        return snapshot::respond(response, request, snapshot);
    }
    let subscription = api
        .generations
        .subscribe(&viewer, id, None, metrics::Reader::Sse)
        .await?;
    Ok(events::respond(
        response,
        request,
        Format::Sse,
        subscription,
        api,
    ))
}

pub(super) fn name_stream(response: &mut HttpResponseBuilder, id: StreamId) {
    response.insert_header((LOCATION, stream_url(id)));
    response.insert_header(("X-Stream-Id", id.to_string()));
}

/// RFC 7240.
fn prefers_async(request: &HttpRequest) -> bool {
    request
        .headers()
        .get_all("prefer")
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"))
}

/// The key under which this request may be repeated.
pub(super) fn idempotency_key(
    request: &HttpRequest,
    body: &impl Serialize,
) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut values = request.headers().get_all("idempotency-key");
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let once = values.next().is_none();
    let key = value.to_str().unwrap_or_default();
    if !once
        || key.is_empty()
        || key.len() > 255
        || !key.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(ApiError::new(
            Code::InvalidHeader,
            "must be 1 to 255 visible ASCII characters",
        )
        .param("Idempotency-Key"));
    }
    let canonical = serde_json::to_vec(body).map_err(|_| ApiError::internal())?;
    Ok(Some(IdempotencyKey {
        key: key.to_owned(),
        fingerprint: Sha256::digest(&canonical).into(),
    }))
}

/// Look at a stream
///
/// Where it stands, with its text so far and the cursor to follow it from.
#[utoipa::path(
    get, path = "/v1/streams/{id}", tag = "streams", operation_id = "getStream",
    security(("bearer" = []), ("access_token" = []), ("ticket" = [])),
    params(("id" = String, Path, description = "The stream's id")),
    responses(
        (status = 200, description = "The stream as it stands", body = StreamSnapshot),
        Errors,
    ),
)]
pub(super) async fn show(
    reader: Reader,
    api: web::Data<Api>,
    request: HttpRequest,
    path: StreamPath,
) -> Result<HttpResponse, ApiError> {
    let snapshot = api.generations.snapshot(&reader.0, path.0).await?;
    snapshot::respond(HttpResponse::Ok(), &request, snapshot)
}

/// Which streams to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only those that stand so.
    status: Option<StreamStatus>,
    /// At most so many.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
    /// Only those older than this stream.
    #[param(value_type = Option<String>)]
    after: Option<StreamId>,
}

/// List your streams
///
/// Newest first, without their text.
#[utoipa::path(
    get, path = "/v1/streams", tag = "streams", operation_id = "listStreams",
    params(ListQuery),
    responses(
        (status = 200, description = "Your streams", body = StreamList),
        Errors,
    ),
)]
pub(super) async fn list(
    caller: Caller<Read>,
    api: web::Data<Api>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let query = web::Query::<ListQuery>::from_query(request.query_string())
        .map_err(|error| {
            let text = error.to_string();
            let detail = text
                .rsplit_once("error: ")
                .map_or(text.as_str(), |(_, detail)| detail);
            ApiError::new(Code::InvalidQuery, detail)
        })?
        .into_inner();
    let limit = query.limit.unwrap_or(20);
    if !(1..=100).contains(&limit) {
        return Err(ApiError::new(Code::InvalidQuery, "must be from 1 to 100").param("limit"));
    }
    let status = query.status.map(Into::into);
    let found = api
        .generations
        .list(&caller.principal, status, query.after, limit + 1)
        .await?;
    let has_more = found.len() > limit;
    let streams = found.into_iter().take(limit).map(Into::into).collect();
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(StreamList { streams, has_more }))
}

/// Cancel a generation
///
/// It ends with `done` and the finish reason `cancelled`. A stream that has ended stays as it is. The scope of
/// operators is enough, for anybody's stream; they are not shown its text.
#[utoipa::path(
    post, path = "/v1/streams/{id}/cancel", tag = "streams", operation_id = "cancelStream",
    params(("id" = String, Path, description = "The stream's id")),
    responses(
        (status = 202, description = "The stream as it stands", body = StreamSnapshot),
        Errors,
    ),
)]
pub(super) async fn cancel(
    caller: Caller<Stop>,
    api: web::Data<Api>,
    request: HttpRequest,
    path: StreamPath,
) -> Result<HttpResponse, ApiError> {
    let access = access(&caller);
    api.generations.cancel(access, path.0).await?;
    note(&caller, path.0, "cancelled");
    // An operator may stop anybody's stream, and read nobody's.
    let viewer = caller.principal.viewer();
    if let Ok(own) = api.generations.snapshot(&viewer, path.0).await {
        return snapshot::respond(HttpResponse::Accepted(), &request, own);
    }
    let description = api.generations.describe(access, path.0).await?;
    Ok(HttpResponse::Accepted().json(StreamSnapshot::from(description)))
}

/// Delete a stream
///
/// Cancels the generation if it runs, and erases the stream at once.
#[utoipa::path(
    delete, path = "/v1/streams/{id}", tag = "streams", operation_id = "deleteStream",
    params(("id" = String, Path, description = "The stream's id")),
    responses(
        (status = 204, description = "It is gone"),
        Errors,
    ),
)]
pub(super) async fn delete(
    caller: Caller<Stop>,
    api: web::Data<Api>,
    path: StreamPath,
) -> Result<HttpResponse, ApiError> {
    api.generations.remove(access(&caller), path.0).await?;
    note(&caller, path.0, "deleted");
    Ok(HttpResponse::NoContent().finish())
}

/// Who stops other people's streams is to be found in the log.
fn note(caller: &Caller<Stop>, stream: StreamId, what: &'static str) {
    if caller.operator {
        tracing::info!(stream.id = %stream, operator = %caller.principal.owner(), operator.did = what, "An operator has stopped a stream");
    }
}

fn access(caller: &Caller<Stop>) -> Access<'_> {
    if caller.operator {
        Access::Operator
    } else {
        Access::Owner(caller.principal.owner())
    }
}
