//! `tailrace serve`

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::file_limit::{self, raise_file_limit};
use super::output::print;
use crate::app::{App, Stopped};
use crate::config::{Config, Overrides, UpstreamOverride};
use crate::shutdown::StopSignals;
use crate::telemetry;

/// Options of `tailrace serve`, and of `check`, which says what they mean.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Arguments {
    /// Put this server in front of another that speaks OpenAI's API: all its models, by their own names
    ///
    /// The base URL that OpenAI's SDKs are given, such as `http://127.0.0.1:11434/v1` for Ollama.
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,

    /// The environment variable that holds that server's API key
    #[arg(long, value_name = "NAME", requires = "upstream")]
    upstream_key_env: Option<String>,
}

impl Arguments {
    pub(super) fn overrides(self) -> Overrides {
        let api_key_env = self.upstream_key_env;
        Overrides {
            upstream: self.upstream.map(|base_url| UpstreamOverride {
                base_url,
                api_key_env,
            }),
        }
    }
}

pub(super) fn run(config: Config) -> anyhow::Result<ExitCode> {
    let level = telemetry::init(&config)?;
    if let Err(error) = raise_file_limit() {
        tracing::warn!(%error, "Could not raise the limit of open files");
    }
    let stopped = actix_web::rt::System::new().block_on(async {
        // First: until it is taken over, SIGHUP ends the process.
        let hangups = signal(SignalKind::hangup()).context("cannot take over signals")?;
        let mut signals = StopSignals::install().context("cannot take over signals")?;
        let app = App::build(&config)?;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            config.file = config.origin.path.as_deref().map(|path| path.display().to_string()),
            store = config.store_name(),
            keys = config.keys.len(),
            providers = config.providers.len(),
            models = config.models.len(),
            plans = config.file.limits.plans.len(),
            development = config.development,
            "Starting"
        );
        for warning in config.warnings() {
            tracing::warn!(config.warning = %warning, "The configuration may not do what was meant");
        }
        if let Some(warning) = file_limit::warning(&config) {
            tracing::warn!(config.warning = %warning, "The configuration may not do what was meant");
        }
        if config.development {
            greet(&config, app.address())?;
        }
        if let Some(server) = &config.upstream {
            let url = &server.upstream.server.url;
            tracing::info!(upstream.url = %url, "All models of an upstream are served by their names");
        }
        if let Some(address) = app.metrics_address() {
            tracing::info!(%address, "Metrics are at /metrics");
        }
        if let Some(traces) = &config.traces {
            tracing::info!(collector.url = %traces.server.url, sample = traces.sample, "Traces go to a collector");
        }
        tracing::info!(address = %app.address(), tls = config.tls.is_some(), "Listening");
        actix_web::rt::spawn(app.reloader(config, level).run(hangups));
        app.run(async || signals.next().await).await
    })?;
    Ok(match stopped {
        Stopped::Drained => ExitCode::SUCCESS,
        Stopped::AtOnce => ExitCode::FAILURE,
    })
}

/// What a person needs for a first stream, and what they should know.
fn greet(config: &Config, address: SocketAddr) -> anyhow::Result<()> {
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let scopes = &config.file.auth.scopes;
    let all: [&str; 3] = [&scopes.write, &scopes.read, &scopes.admin];
    let token = |scopes: &[&str]| -> anyhow::Result<String> {
        let tokens = config.development_tokens(scopes, Duration::from_secs(24 * 3600));
        Ok(tokens.context("not in development mode")?.mint()?)
    };
    // What stands behind # goes to no server and into no log of one.
    let monitor = if config.file.monitor.enabled {
        let token = token(&[&scopes.admin])?;
        format!(
            "\nWatch the server, in a browser:\n\n  {scheme}://{address}/monitor#token={token}\n"
        )
    } else {
        String::new()
    };
    let token = token(&all)?;
    let page = if config.file.playground.enabled {
        "a playground is there, for a browser; "
    } else {
        ""
    };
    // Whoever started it may not read; others are served.
    print(format!(
        "
Tailrace listens on {scheme}://{address} ({page}API documentation at /docs/).

Watch a stream:

  curl -N {scheme}://{address}/v1/streams \\
    -H 'Authorization: Bearer {token}' \\
    -H 'Content-Type: application/json' \\
    -d '{{\"prompt\": \"Tell me about lighthouse keepers\"}}'
{monitor}
Development mode, because no key is configured. What is insecure about it:
  - the signing key lies in this user's state directory: who reads it can be anybody;
  - the tokens above are valid for 24 hours, may do everything, and are on your screen now;
  - the playground at / gets such a token by itself, in any browser of this machine;
  - its plan has limits meant for load tests. So this mode only listens on loopback.
For production, configure [[auth.keys]]; see tailrace.example.toml.

"
    ))?;
    Ok(())
}
