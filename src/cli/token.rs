//! `tailrace token`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::units::time_or_none;
use crate::auth::{TokenRequest, mint};
use crate::config::{Config, DEVELOPMENT_PLAN};

/// What the token says.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The subject: whose streams they will be
    #[arg(long, default_value = "developer")]
    sub: String,

    /// The scopes, with spaces between them [default: the configured write and read scopes]
    #[arg(long)]
    scope: Option<String>,

    /// How long the token is valid, e.g. 15m, 1h, 7days
    #[arg(long, default_value = "1h", value_parser = time_or_none)]
    ttl: Duration,

    /// The plan [default: development in development mode, else none]
    #[arg(long)]
    plan: Option<String>,

    /// The id of the key to sign with [default: the first that can sign]
    #[arg(long, value_name = "ID")]
    key: Option<String>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self::lasting(Duration::from_secs(3600))
    }
}

impl Arguments {
    /// What a token says by default, but for its time.
    pub(super) fn lasting(ttl: Duration) -> Self {
        Self {
            sub: "developer".to_owned(),
            scope: None,
            ttl,
            plan: None,
            key: None,
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a word to whoever runs it, which is no part of the token"
)]
pub(super) fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if config.development {
        eprintln!(
            "tailrace: signed with the development key of this user, since no key is configured; \
             for a server that has keys, give its --config"
        );
    }
    super::output::print(format!("{}\n", sign(config, arguments)?))?;
    Ok(ExitCode::SUCCESS)
}

/// The token that the arguments ask for.
///
/// # Errors
/// No key can sign it.
pub(super) fn sign(config: &Config, arguments: &Arguments) -> anyhow::Result<String> {
    let scopes = &config.file.auth.scopes;
    let default_scope = [&scopes.write, &scopes.read].map(String::as_str).join(" ");
    let default_plan = config.development.then(|| DEVELOPMENT_PLAN.to_owned());
    let request = TokenRequest {
        subject: arguments.sub.clone(),
        issuer: config.file.auth.issuers.first().cloned(),
        audience: config.file.auth.audiences.first().cloned(),
        scope: arguments
            .scope
            .clone()
            .unwrap_or(default_scope)
            .trim()
            .to_owned(),
        plan: arguments.plan.clone().or(default_plan),
        lifetime: arguments.ttl,
    };
    if let Some(id) = &arguments.key {
        let key = config.keys.iter().find(|key| key.id.as_ref() == Some(id));
        let key = key.with_context(|| format!("there is no key with the id {id:?}"))?;
        Ok(mint(key, &request)?)
    } else {
        let mut signed = config.keys.iter().map(|key| mint(key, &request));
        let first = signed
            .next()
            .context("there is no key here to sign with: those of a jwks_url are its provider's")?;
        Ok(first.or_else(|error| signed.find_map(Result::ok).ok_or(error))?)
    }
}
