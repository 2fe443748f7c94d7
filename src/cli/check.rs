//! `tailrace check`

use std::fmt::{Display, Write as _};
use std::process::ExitCode;

use humantime::format_duration;

use super::file_limit;
use super::output::print;
use crate::app;
use crate::config::Config;
use crate::traces::{PATH, TracesConfig};

/// Checks what loading has not, and says what the configuration means. No secrets.
pub(super) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    app::check(config)?;
    let mut report = Report::default();
    let says = &mut report;
    addresses(says, config);
    store(says, config);
    traces(says, config);
    times(says, config);
    models(says, config);
    plans(says, config);
    keys(says, config);
    for warning in config.warnings().into_iter().chain(config.in_the_open()) {
        says.line("warning", warning);
    }
    if let Some(warning) = file_limit::warning(config) {
        says.line("warning", warning);
    }
    report.0.push_str("The configuration is right.\n");
    print(report.0)?;
    Ok(ExitCode::SUCCESS)
}

/// What is said, until all of it is.
#[derive(Default)]
struct Report(String);

impl Report {
    /// One line for one thing, below the others of its kind.
    fn line(&mut self, what: &str, says: impl Display) {
        // A text takes whatever is written to it.
        _ = writeln!(self.0, "{what:<9} {says}");
    }
}

/// Where users come, and operators.
fn addresses(says: &mut Report, config: &Config) {
    let file = &config.file;
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    says.line("listen", format_args!("{scheme}://{}", file.bind));
    let scope = &file.auth.scopes.admin;
    if !file.monitor.enabled {
        says.line("monitor", "none");
    } else if scope.is_empty() {
        says.line("monitor", "nobody may see it: auth.scopes.admin is \"\"");
    } else {
        let bind = &file.bind;
        says.line(
            "monitor",
            format_args!("{scheme}://{bind}/monitor, for the scope {scope}"),
        );
    }
    match &file.metrics.bind {
        None => says.line("metrics", "none"),
        Some(bind) => says.line(
            "metrics",
            format_args!("http://{bind}/metrics, without a credential"),
        ),
    }
}

fn store(says: &mut Report, config: &Config) {
    let file = &config.file;
    let most = file.memory.max_stream_bytes;
    match &config.redis {
        None => says.line(
            "store",
            format_args!(
                "memory, {} at most, {most} for one stream",
                file.memory.max_bytes
            ),
        ),
        Some(redis) => says.line(
            "store",
            format_args!(
                "{} (not asked), keys {}*, {most} for one stream",
                redis.address(),
                file.redis.prefix
            ),
        ),
    }
}

fn traces(says: &mut Report, config: &Config) {
    let Some(traces) = &config.traces else {
        says.line("traces", "none");
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
    says.line(
        "traces",
        format_args!(
            "{}{PATH} (not asked), {share} % of those that begin here, {callers}",
            server.url
        ),
    );
}

/// What a stop and a changed file do.
fn times(says: &mut Report, config: &Config) {
    let file = &config.file;
    let (delay, drain) = (file.drain_delay, file.drain_timeout);
    says.line(
        "stop",
        format_args!(
            "everything is served for {}, then streams may go on for {}",
            format_duration(delay),
            format_duration(drain)
        ),
    );
    if file.watch_interval.is_zero() {
        says.line("reload", "on SIGHUP only");
    } else {
        let every = format_duration(file.watch_interval);
        says.line(
            "reload",
            format_args!("on SIGHUP, and when a file has changed (looked at every {every})"),
        );
    }
}

fn models(says: &mut Report, config: &Config) {
    for (name, model) in &config.models {
        let default = default(Some(name.as_str()) == config.default_model());
        says.line("model", format_args!("{name}{default}: {model}"));
    }
    if let Some(upstream) = &config.upstream {
        says.line("models", format_args!("all of {upstream}"));
    }
}

fn plans(says: &mut Report, config: &Config) {
    let limits = &config.file.limits;
    for (name, plan) in &limits.plans {
        let default = default(*name == limits.default_plan);
        says.line(
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

fn keys(says: &mut Report, config: &Config) {
    if config.development {
        says.line(
            "keys",
            "none: DEVELOPMENT MODE, only for loopback addresses",
        );
    }
    for entry in &config.file.auth.keys {
        if let Some(described) = entry.describe() {
            says.line("keys", described);
        }
    }
    for provider in &config.providers {
        says.line("keys", format_args!("{} (not asked)", provider.url()));
    }
    if !config.providers.is_empty() {
        let jwks = &config.file.auth.jwks;
        says.line(
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
