//! The composition root: the only place that names concrete backends.

mod certificate;
mod parts;
mod reload;
mod watched;

pub use reload::Reloader;

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{HttpServer, web};
use anyhow::{Context as _, bail};
use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::{Instant, interval};

use self::certificate::Certificate;
use crate::api::{self, Api, Playground};
use crate::auth::JwtVerifier;
use crate::config::Config;
use crate::generation::GenerationService;
use crate::limit::RateLimiter;
use crate::limit::failures::AuthFailures;
use crate::limit::local::LocalLimiter;
use crate::limit::redis::RedisLimiter;
use crate::metrics::Metrics;
use crate::redis::Redis;
use crate::shutdown::{self, Phases};
use crate::stream_log::StreamLog;
use crate::stream_log::memory::MemoryLog;
use crate::stream_log::redis::RedisLog;
use crate::telemetry::{self, LogLevel};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// How long the playground's token is good for in development mode. It asks for another by itself.
const PLAYGROUND_TOKEN: Duration = Duration::from_secs(3600);

/// How long connections may take to close once their streams have ended, in seconds.
const CLOSE_SECONDS: u64 = 2;

/// A server that is bound and not yet running.
pub struct App {
    server: Server,
    address: SocketAddr,
    api: web::Data<Api>,
    certificate: Option<Arc<Certificate>>,
    store: Store,
    phases: Phases,
    drain_timeout: Duration,
    /// The page of metrics, and where it is.
    metrics: Option<(Server, SocketAddr)>,
}

/// Where streams are kept and limits are counted, for what is to be done beside the requests.
#[derive(Clone)]
enum Store {
    /// In this process, to be swept.
    Embedded(MemoryLog, Arc<LocalLimiter>),
    /// In Redis, which is told at the end what was used.
    Shared(Arc<Redis>, Arc<RedisLog>, Arc<RedisLimiter>),
}

/// How long Redis may take at the end to be told what was used.
const SETTLE: Duration = Duration::from_secs(2);

/// What says where the page of metrics is.
const METRICS_BIND: &str = "metrics.bind";

/// How a server came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Drained: every stream has its end and every reader was told.
    Drained,
    /// At once, because it was asked twice.
    AtOnce,
}

impl App {
    /// Builds every part and binds the address.
    ///
    /// # Errors
    /// A key, a certificate or the address cannot be used.
    pub fn build(config: &Config) -> anyhow::Result<Self> {
        Self::build_with(config, |_| {})
    }

    /// Does the same with more routes beside the product's, for a program that embeds the server. Their
    /// handlers find [`Api`] as `web::Data`.
    ///
    /// # Errors
    /// As [`App::build`].
    pub fn build_with(
        config: &Config,
        more: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    ) -> anyhow::Result<Self> {
        let address = listen_address(config)?;
        let phases = Phases::default();
        let store = Store::open(config)?;
        let workers = workers(config);
        let metrics = Metrics::new(watched::scope(config, workers));
        let generations = GenerationService::new(
            store.log(),
            parts::models(config, None)?,
            config.generation(),
            phases.stopping.clone(),
            metrics.clone(),
        );
        let listener = listen(address, config.file.http.peer_timeout)
            .with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let look = watched::look(config, workers, store.clone());
        let failures = config.file.limits.failed_authentications_per_minute;
        let api = web::Data::new(Api {
            jwt: JwtVerifier::with_providers(
                config.jwt(),
                parts::keys(config)?,
                parts::providers(config, &[])?,
            ),
            tickets: ArcSwap::from_pointee(parts::tickets(config)),
            failures: AuthFailures::per_minute(
                NonZeroU32::new(failures).unwrap_or(NonZeroU32::MIN),
            ),
            limiter: store.limiter(),
            generations: Arc::new(generations),
            metrics,
            draining: phases.draining.clone(),
            playground: Playground {
                enabled: config.file.playground.enabled,
                development: config.development_tokens(
                    &[
                        &config.file.auth.scopes.write,
                        &config.file.auth.scopes.read,
                    ],
                    PLAYGROUND_TOKEN,
                ),
            },
            monitor: watched::monitor(config, address, Arc::clone(&look)),
            config: ArcSwap::from_pointee(config.api()),
        });
        watched::introduce(&api);
        let certificate = match &config.tls {
            None => None,
            Some((chain, key)) => Some(Arc::new(Certificate::new(chain, key)?)),
        };
        let server = serve(
            config,
            workers,
            listener,
            api.clone(),
            certificate.clone(),
            more,
        )?;
        let metrics = match &config.file.metrics.bind {
            None => None,
            Some(bind) => {
                let address = resolve(METRICS_BIND, bind)?;
                let listener = listen(address, config.file.http.peer_timeout)
                    .with_context(|| format!("cannot listen on {address} for metrics"))?;
                let address = listener.local_addr()?;
                let page = watched::page(api.clone(), look);
                Some((api::metrics::serve(listener, page)?, address))
            }
        };
        Ok(Self {
            server,
            address,
            api,
            certificate,
            store,
            phases,
            drain_timeout: config.file.drain_timeout,
            metrics,
        })
    }

    /// Where it listens; the port is real even if 0 was asked for.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the page of metrics is, if there is one.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        Some(self.metrics.as_ref()?.1)
    }

    /// What gives the running server another configuration than this, with which it was built.
    #[must_use]
    pub fn reloader(&self, config: Config, level: LogLevel) -> Reloader {
        let workers = workers(&config);
        Reloader::new(
            self.api.clone(),
            self.certificate.clone(),
            workers,
            level,
            config,
        )
    }

    /// Serves until `stop_asked` returns, then drains. Asked again meanwhile, it stops at once.
    ///
    /// # Errors
    /// The server could not go on.
    pub async fn run(self, mut stop_asked: impl AsyncFnMut()) -> anyhow::Result<Stopped> {
        let handle = self.server.handle();
        let mut server = actix_web::rt::spawn(self.server);
        let metrics = self.metrics.map(|(server, _)| {
            let handle = server.handle();
            actix_web::rt::spawn(server);
            handle
        });
        let (api, draining) = (self.api.clone(), self.phases.draining.clone());
        actix_web::rt::spawn(async move {
            api.generations.take_over(&*api.limiter, &draining).await;
        });
        let api = self.api.clone();
        actix_web::rt::spawn(async move { api.monitor.run(&api).await });
        let sweeping = sweep(&self.store, &self.api.failures);
        let draining = async {
            stop_asked().await;
            let generations = &self.api.generations;
            let drained = shutdown::drain(
                &self.phases,
                generations.producers(),
                generations.readers(),
                self.drain_timeout,
                generations.takes_over(),
            );
            tokio::select! {
                () = drained => Stopped::Drained,
                () = stop_asked() => Stopped::AtOnce,
            }
        };
        let stopped = tokio::select! {
            stopped = draining => stopped,
            () = sweeping => bail!("the sweeper stopped by itself"),
            ended = &mut server => {
                ended.context("the server's task failed")?.context("the server failed")?;
                bail!("the server stopped by itself");
            }
        };
        if let Store::Shared(.., limiter) = &self.store {
            limiter.finish(SETTLE).await;
        }
        self.api.monitor.end();
        // Connections may send what they still hold, unless it must be quick.
        handle.stop(stopped == Stopped::Drained).await;
        if let Some(metrics) = metrics {
            // Last, so that a drain is seen to its end.
            metrics.stop(false).await;
        }
        tracing::info!(at_once = stopped == Stopped::AtOnce, "Stopped");
        Ok(stopped)
    }
}

impl Store {
    fn open(config: &Config) -> anyhow::Result<Self> {
        let Some(redis) = &config.redis else {
            let limiter = Arc::new(LocalLimiter::new(config.limits()));
            return Ok(Self::Embedded(MemoryLog::new(config.memory()), limiter));
        };
        let redis = Redis::new(redis)?;
        let limits = config.redis_limits();
        let limiter = RedisLimiter::new(Arc::clone(&redis), config.limits(), limits);
        let log = RedisLog::new(Arc::clone(&redis), config.redis_log());
        Ok(Self::Shared(redis, Arc::new(log), Arc::new(limiter)))
    }

    fn log(&self) -> Arc<dyn StreamLog> {
        match self {
            Self::Embedded(log, _) => Arc::new(log.clone()),
            Self::Shared(_, log, _) => Arc::clone(log) as Arc<dyn StreamLog>,
        }
    }

    fn limiter(&self) -> Arc<dyn RateLimiter> {
        match self {
            Self::Embedded(_, limiter) => Arc::clone(limiter) as Arc<dyn RateLimiter>,
            Self::Shared(.., limiter) => Arc::clone(limiter) as Arc<dyn RateLimiter>,
        }
    }
}

/// Forgets what need not be remembered, for ever.
async fn sweep(store: &Store, failures: &AuthFailures) {
    let mut second = interval(Duration::from_secs(1));
    let mut seconds = 0_u64;
    loop {
        second.tick().await;
        seconds += 1;
        let is_minute = seconds.is_multiple_of(60);
        if let Store::Embedded(log, limiter) = store {
            log.sweep(Instant::now());
            if is_minute {
                limiter.sweep();
            }
        }
        if is_minute {
            failures.sweep();
        }
    }
}

/// Where the server would listen.
///
/// # Errors
/// It is no address, or not one for the development key.
fn listen_address(config: &Config) -> anyhow::Result<SocketAddr> {
    let address = resolve("bind", &config.file.bind)?;
    if config.development && !address.ip().is_loopback() {
        bail!(
            "refusing to listen on {address} with the development key: anybody on the network \
             could be anybody; configure a key in [[auth.keys]], or bind 127.0.0.1"
        );
    }
    Ok(address)
}

fn resolve(key: &str, bind: &str) -> anyhow::Result<SocketAddr> {
    let resolved = bind.to_socket_addrs().ok();
    let first = resolved.and_then(|mut addresses| addresses.next());
    first.with_context(|| {
        format!("`{key}`: expected host:port such as 127.0.0.1:8080, found {bind:?}")
    })
}

/// Checks what [`App::build`] would refuse, without building anything.
///
/// # Errors
/// Says what it would refuse.
pub fn check(config: &Config) -> anyhow::Result<()> {
    listen_address(config)?;
    if let Some(bind) = &config.file.metrics.bind {
        resolve(METRICS_BIND, bind)?;
    }
    if let Some((chain, key)) = &config.tls {
        Certificate::new(chain, key)?;
    }
    telemetry::filter(&config.file.log)?;
    Ok(())
}

/// Listens. Accepted connections inherit the options: the kernel drops a peer that acknowledges
/// nothing for `peer_timeout`, and one that reads nothing for as long.
fn listen(address: SocketAddr, peer_timeout: Duration) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_user_timeout(Some(peer_timeout))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn workers(config: &Config) -> usize {
    match config.file.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}

fn serve(
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
