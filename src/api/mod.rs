//! The HTTP transport, and only that: routes, credentials, shapes, errors, bodies.
//!
//! The whole route table is [`routes`]; the order of the middleware is said in [`crate::app`].

#[cfg(any(test, fuzzing))]
pub mod any_cursor;
mod body;
mod chat_completions;
mod client_address;
mod connection;
mod credentials;
mod cursor;
pub mod docs;
pub mod encode;
mod errors;
mod events;
mod health;
mod http10;
pub mod metrics;
mod middleware;
mod models;
mod monitor;
mod path;
mod playground;
mod problem;
mod quota;
mod snapshot;
mod sse;
mod streams;
mod strict;
mod tickets;
mod traced;
mod wire;

pub use body::BodyConfig;
pub use connection::{Connection, Deadlines, Transport};
pub use credentials::ScopeConfig;
pub use middleware::{cors, request_id};
pub use monitor::{Facts, Look, Monitor};
pub use playground::Playground;
pub use problem::{ApiError, Code};
pub use traced::Traced;
pub use wire::Event;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::{Resource, Route, guard, web};
use actix_web_lab::middleware::CatchPanic;
use arc_swap::ArcSwap;
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use crate::auth::{JwtVerifier, TicketKey};
use crate::generation::GenerationService;
use crate::limit::RateLimiter;
use crate::limit::failures::AuthFailures;
use crate::metrics::Metrics;
use crate::traces::Traces;

/// As metrics call that a generation was not admitted since the server drains.
pub const DRAINING: &str = "draining";

/// What the handlers need; one for the whole server.
pub struct Api {
    /// Verifies tokens.
    pub jwt: JwtVerifier,
    /// Makes and verifies tickets.
    pub tickets: ArcSwap<TicketKey>,
    /// Counts failed authentications.
    pub failures: AuthFailures,
    /// Admits generations.
    pub limiter: Arc<dyn RateLimiter>,
    /// Starts and follows generations.
    pub generations: Arc<GenerationService>,
    /// What is counted.
    pub metrics: Metrics,
    /// What is traced.
    pub traces: Traces,
    /// Fires when the server has been told to stop, from when on it is not ready.
    pub leaving: CancellationToken,
    /// Fires when no new generation may start.
    pub draining: CancellationToken,
    /// The chat page.
    pub playground: Playground,
    /// The operators' page.
    pub monitor: Monitor,
    /// The rest, which may change while requests are answered.
    pub config: ArcSwap<ApiConfig>,
}

/// The transport's own settings.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// After how much silence a heartbeat is sent.
    pub heartbeat: Duration,
    /// The bounds of request bodies.
    pub body: BodyConfig,
    /// After how long a connection that takes nothing is given up.
    pub peer_timeout: Duration,
    /// The names of the scopes.
    pub scopes: ScopeConfig,
    /// The cookie that may hold a token, if any.
    pub cookie: Option<String>,
    /// Where browsers' pages may come from, beside this server itself.
    pub allowed_origins: Vec<String>,
    /// The server's own origin as its users see it.
    pub public_url: Option<String>,
    /// The networks of the proxies before us.
    pub trusted_proxies: Vec<IpNet>,
}

impl Api {
    /// Refuses what would start a generation of somebody on this plan once the server drains.
    ///
    /// # Errors
    /// The server drains.
    pub fn refuse_while_draining(&self, plan: Option<&str>) -> Result<(), ApiError> {
        if self.draining.is_cancelled() {
            self.metrics.rejected(DRAINING, plan);
            let error = ApiError::new(Code::ServerStopping, "the server is stopping; try another");
            return Err(error.retry_after(Duration::from_secs(2)));
        }
        Ok(())
    }
}

/// The methods of what is there to be read. Streams that do not end by themselves only have GET.
const READS: &[Method] = &[Method::GET, Method::HEAD];

/// A route for both (RFC 9110, 9.3.2); the framework leaves out the body where only the head is wanted.
fn reads() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// The route table.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource(
            "/v1/streams",
            [
                (&[Method::POST], web::post().to(streams::create)),
                (READS, reads().to(streams::list)),
            ],
        ))
        .service(resource(
            "/v1/streams/{id}",
            [
                (READS, reads().to(streams::show)),
                (&[Method::DELETE], web::delete().to(streams::delete)),
            ],
        ))
        .service(resource(
            "/v1/streams/{id}/events",
            [(&[Method::GET], web::get().to(events::follow))],
        ))
        .service(resource(
            "/v1/streams/{id}/cancel",
            [(&[Method::POST], web::post().to(streams::cancel))],
        ))
        .service(resource(
            "/v1/streams/{id}/tickets",
            [(&[Method::POST], web::post().to(tickets::create))],
        ))
        .service(resource(
            "/v1/chat/completions",
            [(&[Method::POST], web::post().to(chat_completions::create))],
        ))
        .service(resource("/v1/models", [(READS, reads().to(models::list))]))
        .service(resource(
            "/v1/models/{id:.+}",
            [(READS, reads().to(models::show))],
        ))
        .service(resource(
            "/v1/monitor/events",
            [(&[Method::GET], web::get().to(monitor::feed))],
        ))
        .service(resource("/livez", [(READS, reads().to(health::livez))]))
        .service(resource("/readyz", [(READS, reads().to(health::readyz))]))
        .service(resource("/errors", [(READS, reads().to(errors::explain))]))
        .service(resource(
            "/errors/{code}",
            [(READS, reads().to(errors::explain))],
        ))
        .service(resource("/openapi.yaml", [(READS, reads().to(docs::yaml))]))
        .service(resource("/openapi.json", [(READS, reads().to(docs::json))]))
        .service(resource(
            "/openapi-3.2.json",
            [(READS, reads().to(docs::json_3_2))],
        ))
        .configure(pages)
        .default_service(guarded(web::to(not_found)));
}

/// Those that are for people, and what these load.
fn pages(config: &mut web::ServiceConfig) {
    config
        .service(resource("/", [(READS, reads().to(playground::index))]))
        .service(resource(
            "/monitor",
            [(READS, reads().to(monitor::page::index))],
        ))
        .service(resource(
            "/assets/monitor/{path:.+}",
            [(READS, reads().to(monitor::page::asset))],
        ))
        .service(resource(
            "/assets/{path:.+}",
            [(READS, reads().to(playground::asset))],
        ))
        .service(resource(
            "/playground/token",
            [(&[Method::POST], web::post().to(playground::token))],
        ))
        .service(resource("/docs", [(READS, reads().to(docs::index))]))
        .service(resource(
            "/docs/{path:.*}",
            [(READS, reads().to(docs::page))],
        ));
}

/// A path with its methods; any other method is 405 and told which there are (RFC 9110, 15.5.6).
fn resource<const N: usize>(path: &str, routes: [(&[Method], Route); N]) -> Resource {
    let methods = routes.iter().flat_map(|(methods, _)| methods.iter());
    let allow: Vec<_> = methods.map(Method::as_str).collect();
    let allow = allow.join(", ");
    let mut resource = web::resource(path);
    for (_, route) in routes {
        resource = resource.route(guarded(route));
    }
    resource.default_service(guarded(web::to(move || {
        let allow = allow.clone();
        async move {
            let error = ApiError::new(Code::MethodNotAllowed, format!("possible here: {allow}"));
            Err::<String, ApiError>(error.allow(&allow))
        }
    })))
}

/// A route whose panics and errors become documented answers. This stands inside the routing, since
/// a request must not be held while it is routed.
fn guarded(route: Route) -> Route {
    route
        .wrap(CatchPanic::default())
        .wrap(from_fn(middleware::render_problems))
}

async fn not_found() -> Result<String, ApiError> {
    Err(ApiError::new(
        Code::RouteNotFound,
        "see /docs for what there is",
    ))
}

#[cfg(test)]
mod tests {
    use actix_web::App;
    use actix_web::test::{TestRequest, call_service, init_service, read_body_json};

    use super::*;

    async fn defective() -> String {
        let nothing: [u8; 0] = [];
        let index = std::hint::black_box(0);
        nothing[index].to_string()
    }

    #[actix_web::test]
    async fn a_handler_that_panics_is_an_opaque_500() {
        let app = App::new()
            .wrap(from_fn(request_id))
            .service(resource("/", [(READS, reads().to(defective))]));
        let app = init_service(app).await;
        let response = call_service(&app, TestRequest::get().to_request()).await;
        assert_eq!(response.status(), 500);
        let id = response.headers().get("x-request-id").unwrap();
        let id = id.to_str().unwrap().to_owned();
        let problem: serde_json::Value = read_body_json(response).await;
        assert_eq!(problem["error"]["code"], "internal_error");
        assert_eq!(problem["instance"], format!("/requests/{id}"));
        assert!(!problem.to_string().contains("index out of bounds"));
    }
}
