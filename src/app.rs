//! The composition root: the only place that names concrete backends.

mod certificate;
mod http;
mod listener;
mod parts;
mod reload;
mod store;
mod watched;

pub use reload::Reloader;

pub(crate) use http::workers;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::web;
use anyhow::{Context as _, bail};
use arc_swap::{ArcSwap, ArcSwapOption};

use self::certificate::Certificate;
use self::listener::Addresses;
use self::store::Store;
use crate::api::{self, Api, Playground};
use crate::auth::JwtVerifier;
use crate::config::{Config, ConfigError};
use crate::generation::GenerationService;
use crate::http_client::system_roots;
use crate::limit::failures::AuthFailures;
use crate::metrics::Metrics;
use crate::shutdown::{self, Phases};
use crate::telemetry::{self, Filter, LogLevel};

/// A server that is bound and not yet running.
pub struct App {
    server: Server,
    address: SocketAddr,
    api: web::Data<Api>,
    certificate: Option<Arc<Certificate>>,
    store: Store,
    phases: Phases,
    drain: shutdown::Times,
    /// The page of metrics, and where it is.
    metrics: Option<(Server, SocketAddr)>,
}

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
        let addresses = Addresses::of(config)?;
        let phases = Phases::default();
        let store = Store::open(config)?;
        let workers = http::workers(config);
        let roots = system_roots()?;
        let metrics = Metrics::new(watched::scope(config, workers));
        let generations = GenerationService::new(
            store.log(),
            parts::models(config, None, &roots),
            config.generation(),
            phases.stopping.clone(),
            metrics.clone(),
        );
        let listener = addresses.open(config)?;
        let address = listener.local_addr()?;
        let look = watched::look(config, workers, store.clone());
        let failures = config.file.limits.failed_authentications_per_minute;
        let api = web::Data::new(Api {
            jwt: JwtVerifier::with_providers(
                config.jwt(),
                parts::keys(config)?,
                parts::providers(config, &[], &roots)?.go_on(),
            ),
            tickets: ArcSwap::from_pointee(parts::tickets(config)),
            failures: AuthFailures::per_minute(
                NonZeroU32::new(failures).unwrap_or(NonZeroU32::MIN),
            ),
            limiter: store.limiter(),
            generations: Arc::new(generations),
            metrics,
            traces: parts::traces(config)?,
            leaving: phases.leaving.clone(),
            draining: phases.draining.clone(),
            playground: Playground {
                enabled: config.file.playground.enabled,
                development: ArcSwapOption::from(parts::page_tokens(config)),
            },
            monitor: watched::monitor(config, address, Arc::clone(&look)),
            config: ArcSwap::from_pointee(config.api()),
        });
        watched::introduce(&api);
        let certificate = Certificate::of(config)?.map(Arc::new);
        let server = http::serve(
            config,
            workers,
            listener,
            api.clone(),
            certificate.clone(),
            more,
        )?;
        let metrics = match addresses.open_metrics(config)? {
            None => None,
            Some(listener) => {
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

    /// What gives the running server another configuration than this, with which it was built.
    #[must_use]
    pub fn reloader(&self, config: Config, level: LogLevel) -> Reloader {
        let workers = http::workers(&config);
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
        let (api, leaving) = (self.api.clone(), self.phases.leaving.clone());
        actix_web::rt::spawn(async move {
            let generations = &api.generations;
            generations
                .take_over(&*api.limiter, &api.traces, &leaving)
                .await;
        });
        let api = self.api.clone();
        actix_web::rt::spawn(async move { api.monitor.run(&api).await });
        let sweeping = self.store.sweep(&self.api.failures);
        let draining = async {
            stop_asked().await;
            let generations = &self.api.generations;
            let drained = shutdown::drain(
                &self.phases,
                generations.producers(),
                generations.readers(),
                self.drain,
                generations.takes_over(),
                self.store.finish(),
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
        if stopped == Stopped::AtOnce {
            self.store.finish().await;
        }
        self.api.monitor.end();
        // Connections may send what they still hold, unless it must be quick.
        handle.stop(stopped == Stopped::Drained).await;
        if stopped == Stopped::Drained {
            self.api.traces.flush(shutdown::LAST_SPANS).await;
        }
        if let Some(metrics) = metrics {
            // Last, so that a drain is seen to its end.
            metrics.stop(false).await;
        }
        tracing::info!(at_once = stopped == Stopped::AtOnce, "Stopped");
        Ok(stopped)
    }
}

/// What can be wrong in a configuration that was loaded, once it is known to be right.
struct Checked {
    certificate: Option<Certificate>,
    /// What is logged.
    filter: Filter,
}

impl Checked {
    fn of(config: &Config) -> Result<Self, ConfigError> {
        Addresses::of(config)?;
        Ok(Self {
            certificate: Certificate::of(config)?,
            filter: telemetry::filter(config)?,
        })
    }
}

/// Checks what [`App::build`] would refuse, without building anything.
///
/// # Errors
/// Says what it would refuse.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    Checked::of(config).map(drop)
}
