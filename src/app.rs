//! The composition root: the only place that names concrete backends.

mod watched;

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::{Condition, from_fn};
use actix_web::{HttpServer, web};
use anyhow::{Context as _, bail};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::{Instant, interval};

use crate::api::{self, Api, Playground};
use crate::auth::{JwtVerifier, KeySet, TicketKey};
use crate::config::{Config, ModelConfig, OpenAiConfig};
use crate::generation::{GenerationService, Models, PassedThrough};
use crate::generator::anthropic::AnthropicGenerator;
use crate::generator::command::CommandGenerator;
use crate::generator::demo::DemoGenerator;
use crate::generator::{Generator, Upstream};

use crate::generator::openai::OpenAiGenerator;
use crate::generator::route::RouteGenerator;
use crate::http_client::system_roots;
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
use crate::telemetry;

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
    store: Store,
    phases: Phases,
    drain: shutdown::Times,
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
            models(config)?,
            config.generation(),
            phases.stopping.clone(),
            metrics.clone(),
        );
        let failures = config.file.limits.failed_authentications_per_minute;
        let api = web::Data::new(Api {
            jwt: JwtVerifier::new(config.jwt(), KeySet::load(&config.keys)?),
            tickets: TicketKey::new(&config.ticket_secret, config.file.auth.ticket_lifetime),
            failures: AuthFailures::per_minute(
                NonZeroU32::new(failures).unwrap_or(NonZeroU32::MIN),
            ),
            limiter: store.limiter(),
            generations: Arc::new(generations),
            metrics,
            leaving: phases.leaving.clone(),
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
            config: config.api(),
        });
        let listener = listen(address, config.file.http.peer_timeout)
            .with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let server = serve(config, workers, listener, api.clone(), more)?;
        let metrics = match &config.file.metrics.bind {
            None => None,
            Some(bind) => {
                let address = resolve(METRICS_BIND, bind)?;
                let listener = listen(address, config.file.http.peer_timeout)
                    .with_context(|| format!("cannot listen on {address} for metrics"))?;
                let address = listener.local_addr()?;
                let page = watched::page(config, workers, api.clone(), store.clone());
                Some((api::metrics::serve(listener, page)?, address))
            }
        };
        Ok(Self {
            server,
            address,
            api,
            store,
            phases,
            drain: shutdown::Times {
                delay: config.file.drain_delay,
                limit: config.file.drain_timeout,
            },
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
        let (api, leaving) = (self.api.clone(), self.phases.leaving.clone());
        actix_web::rt::spawn(async move {
            api.generations.take_over(&*api.limiter, &leaving).await;
        });
        let sweeping = sweep(&self.store, &self.api.failures);
        let draining = async {
            stop_asked().await;
            let generations = &self.api.generations;
            let drained = shutdown::drain(
                &self.phases,
                generations.producers(),
                generations.readers(),
                self.drain,
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

fn models(config: &Config) -> anyhow::Result<Models> {
    let roots = system_roots()?;
    let by_name = config
        .models
        .iter()
        .map(|(name, model)| (name.clone(), generator(model, &roots)));
    let by_name = by_name.collect();
    let upstream = config.upstream.as_ref();
    let upstream = upstream.map(|server| PassedThrough::new(Arc::new(openai(server, &roots))));
    Ok(Models {
        by_name,
        default: config.default_model().map(str::to_owned),
        upstream,
    })
}

fn generator(model: &ModelConfig, roots: &Arc<ClientConfig>) -> Arc<dyn Generator> {
    match model {
        ModelConfig::Demo(demo) => Arc::new(DemoGenerator::new(demo.clone())),
        ModelConfig::Command(command) => Arc::new(CommandGenerator::new(command.clone())),
        ModelConfig::OpenAi(server) => Arc::new(openai(server, roots)),
        ModelConfig::Anthropic(server) => Arc::new(AnthropicGenerator::new(
            Upstream::new(server.upstream.clone(), Arc::clone(roots)),
            server.model.clone(),
            server.max_tokens,
        )),
        ModelConfig::Route(route) => {
            let upstreams = route.upstreams.iter();
            let upstreams = upstreams.map(|it| (it.name.clone(), generator(&it.model, roots)));
            Arc::new(RouteGenerator::new(upstreams, route.route))
        }
    }
}

fn openai(server: &OpenAiConfig, roots: &Arc<ClientConfig>) -> OpenAiGenerator {
    OpenAiGenerator::new(
        Upstream::new(server.upstream.clone(), Arc::clone(roots)),
        server.model.clone(),
        server.max_tokens_field,
        server.continues,
    )
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
    if let Some((certificate, key)) = &config.tls {
        tls(certificate, key)?;
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
    more: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> anyhow::Result<Server> {
    let http = &config.file.http;
    let server = HttpServer::new(move || {
        // The last that wraps runs first.
        actix_web::App::new()
            .app_data(api.clone())
            .wrap(Condition::new(
                !api.config.allowed_origins.is_empty(),
                api::cors(&api.config),
            ))
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
    let server = match &config.tls {
        None => server.listen(listener)?,
        Some((certificate, key)) => server.listen_rustls_0_23(listener, tls(certificate, key)?)?,
    };
    Ok(server.run())
}

fn tls(certificate: &[u8], key: &[u8]) -> anyhow::Result<rustls::ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, _>>()
        .context("`tls.certificate`: expected certificates in PEM")?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .context("`tls.private_key`: expected a private key in PEM")?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("`tls`: the private key does not belong to the certificate")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
