//! The HTTP server on a listener: its middleware in their order, and what bounds its connections.
//!
//! The framework's own `HttpServer` puts these parts together too, but for its own connections only.

use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Protocol, Request};
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt as _, map_config};
use actix_tls::accept::TlsError;
use actix_tls::accept::rustls_0_23::{Acceptor, TlsStream};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Server, Service, ServiceResponse, fn_service};
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::{Error, web};
use tokio_util::sync::CancellationToken;

use super::certificate::{self, Certificate};
use crate::api::{self, Api, Connection, Deadlines, Transport};
use crate::config::Config;
use crate::shutdown::CLOSE;

/// How many threads answer requests.
pub(crate) fn workers(config: &Config) -> usize {
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
    let deadlines = Deadlines {
        idle: config.file.http.keep_alive,
        head: config.file.http.head_timeout,
        leaving: config.file.drain_delay,
    };
    let server = Server::build()
        .workers(workers)
        .max_concurrent_connections(config.file.max_connections)
        .shutdown_timeout(CLOSE.as_secs())
        .disable_signals();
    let stopping = server.graceful_shutdown_signal();
    let stopping = move || {
        let stopping = stopping.clone();
        async move { stopping.notified().await }
    };
    // Each thread has a token of its own, on which only its own connections wait.
    let leaving = api.leaving.clone();
    let leaving = move || leaving.child_token();
    let app = move || {
        // The last that wraps runs first.
        actix_web::App::new()
            .app_data(api.clone())
            .wrap(api::cors(&api))
            .wrap(from_fn(api::request_id))
            .configure(api::routes)
            .configure(&more)
    };
    let name = "http";
    let server = match certificate {
        None => server.listen(name, listener, move || {
            fn_service(async |socket: TcpStream| {
                let peer = prepare(&socket);
                Ok::<_, DispatchError>((socket, peer))
            })
            .and_then(http(deadlines, leaving(), stopping.clone(), app()))
        })?,
        Some(certificate) => {
            let tls = certificate::tls(certificate)?;
            server.listen(name, listener, move || {
                // It limits how many handshakes there are at once, and how long they take.
                Acceptor::new(tls.clone())
                    .map_err(TlsError::into_service_error)
                    .and_then(fn_service(async |stream: TlsStream<TcpStream>| {
                        let peer = prepare(stream.get_ref().0);
                        Ok((stream, peer))
                    }))
                    .and_then(
                        http(deadlines, leaving(), stopping.clone(), app())
                            .map_err(TlsError::Service),
                    )
            })?
        }
    };
    Ok(server.run())
}

/// A token goes out as soon as it is there. Who the peer is.
fn prepare(socket: &TcpStream) -> Option<SocketAddr> {
    // It fails only for a connection that is gone already.
    let _gone = socket.set_nodelay(true);
    socket.peer_addr().ok()
}

/// HTTP/1.1 over connections of one kind.
fn http<T, A, S, B, Stopping>(
    deadlines: Deadlines,
    leaving: CancellationToken,
    stopping: impl Fn() -> Stopping + 'static,
    app: A,
) -> impl ServiceFactory<
    (T, Option<SocketAddr>),
    Config = (),
    Response = (),
    Error = DispatchError,
    InitError = (),
>
where
    T: Transport + 'static,
    A: IntoServiceFactory<S, Request>,
    S: ServiceFactory<
            Request,
            Config = AppConfig,
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    S::Future: 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
    Stopping: Future<Output = ()> + 'static,
{
    // How long a connection may be idle is for `Connection` to say.
    let keep_alive = if deadlines.idle.is_zero() {
        KeepAlive::Disabled
    } else {
        KeepAlive::Os
    };
    let http = HttpService::build()
        .keep_alive(keep_alive)
        .client_request_timeout(deadlines.head)
        .client_disconnect_timeout(CLOSE)
        // A client that has closed its side is gone: a stream with nothing to say must notice.
        .h1_allow_half_closed(false)
        .graceful_shutdown_signal(stopping)
        .on_connect_ext(|connection: &Connection<T>, data| connection.introduce(data))
        .finish(map_config(app, |()| AppConfig::default()));
    fn_service(move |(transport, peer)| {
        let connection = Connection::new(transport, deadlines, leaving.clone());
        ready(Ok((connection, Protocol::Http1, peer)))
    })
    .and_then(http)
}
