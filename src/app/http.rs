//! The HTTP server on a listener: its middleware in their order, and what bounds its connections.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{HttpServer, web};

use super::certificate::{self, Certificate};
use crate::api::{self, Api};
use crate::config::Config;

/// How long connections may take to close once their streams have ended, in seconds.
const CLOSE_SECONDS: u64 = 2;

/// How many threads answer requests.
pub(super) fn workers(config: &Config) -> usize {
    match config.file.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}

/// Serves on a listener, once it is run.
///
/// # Errors
/// The listener or the certificate cannot be used.
pub(super) fn serve(
    config: &Config,
    workers: usize,
    listener: TcpListener,
    api: web::Data<Api>,
    certificate: Option<Arc<Certificate>>,
    more: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> anyhow::Result<Server> {
    let http = &config.file.http;
    let server = HttpServer::new(move || {
        // The last that wraps runs first.
        actix_web::App::new()
            .app_data(api.clone())
            .wrap(api::cors(&api))
            .wrap(from_fn(api::request_id))
            .configure(api::routes)
            .configure(&more)
    })
    .on_connect(api::keep_socket)
    .workers(workers)
    .max_connections(config.file.max_connections)
    .client_request_timeout(http.head_timeout)
    .client_disconnect_timeout(Duration::from_secs(CLOSE_SECONDS))
    .keep_alive(http.keep_alive)
    // A client that has closed its side is gone: a stream with nothing to say must notice.
    .h1_allow_half_closed(false)
    .tcp_nodelay(true)
    .shutdown_timeout(CLOSE_SECONDS)
    .disable_signals();
    let server = match certificate {
        None => server.listen(listener)?,
        Some(certificate) => server.listen_rustls_0_23(listener, certificate::tls(certificate)?)?,
    };
    Ok(server.run())
}
