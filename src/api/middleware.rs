//! What every request passes: an id and a span, CORS, and one rendering for all errors.

use std::time::Instant;

use actix_cors::Cors;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, web};
use uuid::Uuid;

use super::Api;
use super::connection::{Answer, Answering};
use super::problem::{ApiError, Code};
use super::traced::{self, ProblemCode, Traced};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What metrics have as the status of a request whose client left before its answer, as nginx has it.
const GAVE_UP: u16 = 499;

/// The id of a request, in its extensions.
#[derive(Debug, Clone)]
struct RequestId(String);

/// Outermost: names the request and begins its span, keeps what a query credential must not leak, knows
/// how long it is being answered, closes connections once the server leaves, and logs one line.
///
/// # Errors
/// None: an inner error has been rendered.
pub async fn request_id<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Answer<Traced<B>>>, Error> {
    let answering = Answering::begin(request.request());
    let given = request.headers().get(&X_REQUEST_ID);
    let id = given
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_sane(id))
        .map_or_else(|| Uuid::new_v4().simple().to_string(), str::to_owned);
    request.extensions_mut().insert(RequestId(id.clone()));
    let api = request.app_data::<web::Data<Api>>();
    let span = traced::begin(request.request(), api.map(|api| &***api));
    let secret_in_query = form_urlencoded::parse(request.query_string().as_bytes())
        .any(|(name, _)| name == "access_token" || name == "ticket");
    let started = Instant::now();
    let mut response = next.call(request).await?;

    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(X_REQUEST_ID, value);
    }
    if secret_in_query {
        let streams = headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind == "text/event-stream");
        let cache = if streams {
            "no-store, no-transform"
        } else {
            "no-store"
        };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    let took = started.elapsed();
    let mut leaving = false;
    if let Some(api) = response.request().app_data::<web::Data<Api>>() {
        let request = response.request();
        let (method, route) = (request.method().as_str(), request.match_pattern());
        let status = response.status().as_u16();
        api.metrics.answered(method, route.as_deref(), status, took);
        leaving = api.leaving.is_cancelled();
    }
    if leaving {
        // The client's next connection is to a server that stays.
        let head = response.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    traced::answered(&span, &id, &response);
    // The path and never the query, which may hold a credential.
    tracing::debug!(
        request.id = %id,
        trace.id = span.trace().id().map(display),
        request.method = %response.request().method(),
        request.path = response.request().path(),
        response.status = response.status().as_u16(),
        response.headers_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "Answered a request"
    );
    Ok(response.map_body(|_, body| answering.until_ended(Traced::new(body, span))))
}

/// The id that [`request_id`] gave to a request.
pub(super) fn request_id_of(request: &HttpRequest) -> String {
    let extensions = request.extensions();
    extensions
        .get::<RequestId>()
        .map_or_else(String::new, |id| id.0.clone())
}

/// An id that can stand in a header and a log line.
fn is_sane(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte))
}

/// Around each route: turns every error, ours or the framework's, and every panic into the documented
/// body. What is our fault is logged here, once, with its cause.
///
/// # Errors
/// None.
pub(super) async fn render_problems<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let http_request = request.request().clone();
    let id = request_id_of(&http_request);
    let rendered = |error: &Error| {
        let problem = match error.as_error::<ApiError>() {
            Some(problem) => problem.clone(),
            None => translate(error.as_response_error().status_code()),
        };
        if problem.code() == Code::InternalError {
            let trace = traced::trace_of(&http_request).id();
            tracing::error!(request.id = %id, trace.id = trace.map(display), problem.code = problem.code().name(), cause = %error, "Failed to answer a request");
        }
        let code = problem.code().name();
        http_request.extensions_mut().insert(ProblemCode(code));
        if let Some(api) = http_request.app_data::<web::Data<Api>>() {
            api.metrics.problem(code);
        }
        problem.render(&id)
    };
    let awaited = Awaited::new(&http_request, &id);
    let answered = next.call(request).await;
    awaited.end();
    let response = match answered {
        Ok(response) => match response.response().error() {
            None => return Ok(response.map_into_left_body()),
            Some(error) => rendered(error),
        },
        Err(error) => rendered(&error),
    };
    Ok(ServiceResponse::new(http_request, response).map_into_right_body())
}

/// A request whose answer has no head yet. The framework drops it as it is when its client gives up.
struct Awaited<'a> {
    request: &'a HttpRequest,
    id: &'a str,
    since: Instant,
    has_ended: bool,
}

impl<'a> Awaited<'a> {
    fn new(request: &'a HttpRequest, id: &'a str) -> Self {
        Self {
            request,
            id,
            since: Instant::now(),
            has_ended: false,
        }
    }

    /// Its client has not given up.
    fn end(mut self) {
        self.has_ended = true;
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let (method, route) = (self.request.method().as_str(), self.request.match_pattern());
        if let Some(api) = self.request.app_data::<web::Data<Api>>() {
            let took = self.since.elapsed();
            api.metrics
                .answered(method, route.as_deref(), GAVE_UP, took);
        }
        traced::unanswered(self.request, self.id);
        tracing::debug!(
            request.id = %self.id,
            trace.id = traced::trace_of(self.request).id().map(display),
            request.method = method,
            request.path = self.request.path(),
            "A client has left before its answer"
        );
    }
}

/// An error that the framework made.
fn translate(status: StatusCode) -> ApiError {
    match status {
        StatusCode::NOT_FOUND => ApiError::new(Code::RouteNotFound, "see /docs for what there is"),
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(Code::BodyTooLarge, "the body is too large"),
        status if status.is_client_error() => {
            ApiError::new(Code::InvalidRequest, "the request could not be read")
        }
        _ => ApiError::internal(),
    }
}

/// Which pages of other origins may use the API. Preflights pass without credentials.
pub fn cors(api: &web::Data<Api>) -> Cors {
    let mut cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST, Method::DELETE])
        // Whatever header an allowed origin asks for: the OpenAI SDKs add new ones with each version.
        .allow_any_header()
        .expose_headers([
            "retry-after",
            "retry-after-ms",
            "x-should-retry",
            "x-request-id",
            "x-stream-id",
            "tailrace-tail",
            "ratelimit",
            "ratelimit-policy",
            "location",
            "preference-applied",
        ])
        .max_age(7200);
    let config = api.clone();
    cors = cors.allowed_origin_fn(move |origin, _| {
        let config = config.config.load();
        let is_it = |allowed: &String| allowed.as_bytes() == origin.as_bytes();
        config.allowed_origins.iter().any(is_it)
    });
    if api.config.load().cookie.is_some() {
        cors = cors.supports_credentials();
    }
    cors
}
