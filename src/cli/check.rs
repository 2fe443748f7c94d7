//! `tailrace check`

use std::fmt::Display;
use std::process::ExitCode;

use humantime::format_duration;

use crate::app;
use crate::config::Config;
use crate::traces::{PATH, TracesConfig};

/// Checks what loading has not, and says what the configuration means. No secrets.
pub(super) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    app::check(config)?;
    addresses(config);
    store(config);
    traces(config);
    times(config);
    models(config);
    plans(config);
    keys(config);
    for warning in config.warnings() {
        line("warning", warning);
    }
    println!("The configuration is right.");
    Ok(ExitCode::SUCCESS)
}

/// One line for one thing, below the others of its kind.
fn line(what: &str, says: impl Display) {
    println!("{what:<9} {says}");
}

/// Where users come, and operators.
fn addresses(config: &Config) {
    let file = &config.file;
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    line("listen", format_args!("{scheme}://{}", file.bind));
    let scope = &file.auth.scopes.admin;
    if !file.monitor.enabled {
        line("monitor", "none");
    } else if scope.is_empty() {
        line("monitor", "nobody may see it: auth.scopes.admin is \"\"");
    } else {
        let bind = &file.bind;
        line(
            "monitor",
            format_args!("{scheme}://{bind}/monitor, for the scope {scope}"),
        );
    }
    match &file.metrics.bind {
        None => line("metrics", "none"),
        Some(bind) => line(
            "metrics",
            format_args!("http://{bind}/metrics, without a credential"),
        ),
    }
}

fn store(config: &Config) {
    let file = &config.file;
    let most = file.memory.max_stream_bytes;
    match &config.redis {
        None => line(
            "store",
            format_args!(
                "memory, {} at most, {most} for one stream",
                file.memory.max_bytes
            ),
        ),
        Some(redis) => line(
            "store",
            format_args!(
                "{} (not asked), keys {}*, {most} for one stream",
                redis.address(),
                file.redis.prefix
            ),
        ),
    }
}

fn traces(config: &Config) {
    let Some(traces) = &config.traces else {
        line("traces", "none");
        return;
    };
    let TracesConfig {
        server,
        sample,
        trusts_callers,
        ..
    } = traces;
    let callers = if *trusts_callers {
        "callers' traces go on"
    } else {
        "callers' traces are linked"
    };
    // To the digits that the hundredfold of what was written has, and not those of its error.
    let share = sample * 100.0;
    let share = format!("{share:.12e}").parse().unwrap_or(share);
    line(
        "traces",
        format_args!(
            "{}{PATH} (not asked), {share} % of those that begin here, {callers}",
            server.url
        ),
    );
}

/// What a stop and a changed file do.
fn times(config: &Config) {
    let file = &config.file;
    let (delay, drain) = (file.drain_delay, file.drain_timeout);
    line(
        "stop",
        format_args!(
            "everything is served for {}, then streams may go on for {}",
            format_duration(delay),
            format_duration(drain)
        ),
    );
    if file.watch_interval.is_zero() {
        line("reload", "on SIGHUP only");
    } else {
        let every = format_duration(file.watch_interval);
        line(
            "reload",
            format_args!("on SIGHUP, and when a file has changed (looked at every {every})"),
        );
    }
}

fn models(config: &Config) {
    for (name, model) in &config.models {
        let default = default(Some(name.as_str()) == config.default_model());
        line("model", format_args!("{name}{default}: {model}"));
    }
    if let Some(upstream) = &config.upstream {
        line("models", format_args!("all of {upstream}"));
    }
}

fn plans(config: &Config) {
    let limits = &config.file.limits;
    for (name, plan) in &limits.plans {
        let default = default(*name == limits.default_plan);
        line(
            "plan",
            format_args!(
                "{name}: {} requests/min (burst {}), {} streams, {} tokens/min{default}",
                plan.requests_per_minute, plan.burst, plan.streams, plan.tokens_per_minute
            ),
        );
    }
}

const fn default(is_default: bool) -> &'static str {
    if is_default { " (default)" } else { "" }
}

fn keys(config: &Config) {
    if config.development {
        line(
            "keys",
            "none: DEVELOPMENT MODE, only for loopback addresses",
        );
    } else if !config.keys.is_empty() {
        line("keys", config.keys.len());
    }
    for provider in &config.providers {
        line("keys", format_args!("{} (not asked)", provider.url()));
    }
    if !config.providers.is_empty() {
        let jwks = &config.file.auth.jwks;
        line(
            "jwks",
            format_args!(
                "asked every {} to {}, and for unknown keys, {} apart; an answer within {}, \
                 its keys good for {}",
                format_duration(jwks.refresh_min),
                format_duration(jwks.refresh_max),
                format_duration(jwks.cool_down),
                format_duration(jwks.timeout),
                format_duration(jwks.keep)
            ),
        );
    }
}
