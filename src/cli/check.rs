//! `tailrace check`

use std::process::ExitCode;

use crate::app;
use crate::config::Config;
use crate::traces::{PATH, TracesConfig};

/// Checks what loading has not, and says what the configuration means. No secrets.
pub(super) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    app::check(config)?;
    let file = &config.file;
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    println!("listen    {scheme}://{}", file.bind);
    match &config.redis {
        None => println!(
            "store     memory, {} at most, {} for one stream",
            file.memory.max_bytes, file.memory.max_stream_bytes
        ),
        Some(redis) => println!(
            "store     {} (not asked), keys {}*, {} for one stream",
            redis.address(),
            config.file.redis.prefix,
            file.memory.max_stream_bytes
        ),
    }
    if let Some(traces) = &config.traces {
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
        let share = sample * 100.0;
        println!(
            "traces    {}{PATH} (not asked), {share} % of those that begin here, {callers}",
            server.url
        );
    }
    for (name, model) in &config.models {
        let default = if Some(name.as_str()) == config.default_model() {
            " (default)"
        } else {
            ""
        };
        println!("model     {name}: {model}{default}");
    }
    if let Some(upstream) = &config.upstream {
        println!("models    all of {upstream}");
    }
    for (name, plan) in &file.limits.plans {
        let default = if *name == file.limits.default_plan {
            " (default)"
        } else {
            ""
        };
        println!(
            "plan      {name}: {} requests/min (burst {}), {} streams, {} tokens/min{default}",
            plan.requests_per_minute, plan.burst, plan.streams, plan.tokens_per_minute
        );
    }
    if config.development {
        println!("keys      none: DEVELOPMENT MODE, only for loopback addresses");
    } else if !config.keys.is_empty() {
        println!("keys      {}", config.keys.len());
    }
    for provider in &config.providers {
        println!("keys      {} (not asked)", provider.url());
    }
    for warning in config.warnings() {
        println!("warning   {warning}");
    }
    println!("The configuration is right.");
    Ok(ExitCode::SUCCESS)
}
