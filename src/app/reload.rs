//! Gives a running server another configuration: all of it, or, if it is wrong, nothing of it.
//!
//! Streams that run are not touched: each keeps its generator, its permit and its readers.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use futures_util::future::join_all;
use rustls::ClientConfig;
use tokio::signal::unix::Signal;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::certificate::Certificate;
use super::{Checked, parts, watched};
use crate::api::{Api, ApiConfig};
use crate::config::{Config, File, Sources};
use crate::http_client::system_roots;
use crate::telemetry::LogLevel;

/// An interval that nobody waits for.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// Reloads on SIGHUP, and when one of the files has changed.
pub struct Reloader {
    api: web::Data<Api>,
    certificate: Option<Arc<Certificate>>,
    workers: usize,
    level: LogLevel,
    /// What is in force.
    config: Config,
    /// What the server was started with: some of it holds until it stops.
    started: File,
    /// What was in the files then.
    started_with: Sources,
    /// The files as they were read last.
    sources: Sources,
}

impl Reloader {
    pub(super) fn new(
        api: web::Data<Api>,
        certificate: Option<Arc<Certificate>>,
        workers: usize,
        level: LogLevel,
        config: Config,
    ) -> Self {
        Self {
            api,
            certificate,
            workers,
            level,
            started: config.file.clone(),
            started_with: config.sources.clone(),
            sources: config.sources.clone(),
            config,
        }
    }

    /// Reloads whenever it is asked to, or has to, for ever.
    pub async fn run(mut self, mut hangups: Signal) {
        let every = self.started.watch_interval;
        let is_watching = !every.is_zero();
        let mut watch = interval(if is_watching { every } else { NEVER });
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What was seen the last time, if it was not what is loaded. Several files, or one that is
        // written in pieces, are read when they are quiet.
        let mut seen: Option<Sources> = None;
        loop {
            let by = tokio::select! {
                _ = hangups.recv() => None,
                _ = watch.tick(), if is_watching => {
                    let sources = self.sources.clone();
                    let Ok(now) = spawn_blocking(move || sources.again()).await else {
                        continue;
                    };
                    if now == self.sources {
                        seen = None;
                        continue;
                    }
                    if seen.as_ref() != Some(&now) {
                        seen = Some(now);
                        continue;
                    }
                    let files = self.sources.other_files(&now).into_iter();
                    let files: Vec<_> = files.map(|path| path.display().to_string()).collect();
                    Some(files.join(", "))
                }
            };
            seen = None;
            if by.is_none() {
                // Whoever asks may know of keys that were withdrawn.
                for provider in self.api.jwt.providers() {
                    provider.ask_anew();
                }
            }
            // Two configurations are large, and most of the time there is nothing to reload.
            Box::pin(self.reload(by.as_deref().unwrap_or("SIGHUP"))).await;
        }
    }

    /// Loads the configuration again, for this reason. If it is wrong, the one in force stays.
    async fn reload(&mut self, by: &str) {
        let origin = self.config.origin.clone();
        // All that waits for files and name servers.
        let load = move || {
            let (loaded, sources) = Config::load_from(&origin);
            let checked = loaded.map_err(anyhow::Error::from).and_then(|config| {
                let checked = Checked::of(&config)?;
                Ok((config, checked, system_roots()?))
            });
            (checked, sources)
        };
        let Ok((loaded, sources)) = spawn_blocking(load).await else {
            return;
        };
        // Also if it is wrong: the same mistake is said once.
        self.sources = sources;
        let applied = match loaded {
            Ok((config, checked, roots)) => self.apply(config, checked, &roots).await,
            Err(error) => Err(error),
        };
        self.api.metrics.reloaded(applied.is_ok());
        match applied {
            Ok(changes) => {
                let mut restart = self.started.needs_restart(&self.config.file);
                restart.extend(self.started_with.need_restart(&self.config.sources));
                let restart = restart.join(", ");
                let changes = if changes.is_empty() {
                    "nothing".to_owned()
                } else {
                    changes.join(", ")
                };
                tracing::info!(
                    reload.by = by,
                    config.changed = %changes,
                    models = self.config.models.len(),
                    plans = self.config.file.limits.plans.len(),
                    keys = self.config.keys.len() + self.config.providers.len(),
                    "Reloaded the configuration"
                );
                for warning in self.config.warnings() {
                    tracing::warn!(config.warning = %warning, "The configuration may not do what was meant");
                }
                if !restart.is_empty() {
                    tracing::warn!(config.keys = %restart, "These settings have changed and hold only after a restart");
                }
            }
            Err(error) => {
                tracing::error!(reload.by = by, error = %format!("{error:#}"), "The configuration is wrong: the one in force stays");
            }
        }
    }

    /// Puts it in force; what is other than before.
    async fn apply(
        &mut self,
        config: Config,
        checked: Checked,
        roots: &Arc<ClientConfig>,
    ) -> anyhow::Result<Vec<String>> {
        // Everything that can fail comes before anything that changes.
        if config.development && !self.config.development {
            let expected = "expected a key: development mode begins with a start only";
            return Err(config.origin.wrong("auth.keys", expected).into());
        }
        let config = if config.development {
            // Where there is no place to keep it, each load makes a key of its own.
            let keys = self.config.keys.clone();
            Config { keys, ..config }
        } else {
            config
        };
        let keys = parts::keys(&config)?;
        let models = parts::models(
            &config,
            Some((&self.config, &*self.api.generations.current_models())),
            roots,
        );
        let providers = parts::providers(&config, &self.api.jwt.providers(), roots)?;
        // Without the keys of a URL that is wrong, good tokens would be refused that are accepted now.
        let begun = join_all(providers.new.iter().map(|it| it.begin())).await;
        for (provider, begun) in providers.new.iter().zip(begun) {
            if let Err(why) = begun {
                let what = format!("{} publishes no keys: {why}", provider.url());
                return Err(config.origin.wrong("auth.keys", what).into());
            }
        }

        // The page of metrics and the monitor are where they were from the start, or nowhere.
        let mut scope = watched::scope(&config, self.workers);
        scope.paces = watched::wants_paces(&self.started);
        self.api.metrics.replace_scope(scope);
        self.api.jwt.replace(config.jwt(), keys, providers.go_on());
        let development = parts::page_tokens(&config);
        self.api.playground.development.store(development);
        self.api.limiter.replace(config.limits());
        self.api.generations.replace_models(models);
        self.api.config.store(Arc::new(ApiConfig {
            // The middleware and the sockets know these from the start.
            cookie: self.started.auth.cookie.clone(),
            peer_timeout: self.started.http.peer_timeout,
            ..config.api()
        }));
        // A secret that nobody has configured lives as long as the process.
        if config.file.auth.ticket_secret_file.is_some() {
            self.api.tickets.store(Arc::new(parts::tickets(&config)));
        }
        if let (Some(shown), Some(other)) = (&self.certificate, &checked.certificate) {
            shown.replace(other);
        }
        if config.file.log.level != self.config.file.log.level {
            self.level.set(checked.filter);
        }
        let changes = self.config.changes(&config);
        self.config = config;
        Ok(changes)
    }
}
