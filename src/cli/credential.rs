//! Which token is sent to a server.

use std::path::Path;

use anyhow::Context as _;

use super::token;
use crate::config::{Config, token_variable};
use crate::http_client::BaseUrl;

/// Where the token is from.
pub(super) enum Credential {
    /// It was given to us.
    Given(String),
    /// We make it, with the keys of this configuration.
    Ours(Box<Config>),
}

impl Credential {
    /// The token in the file, else that of the environment. Without either, keys of ours make tokens for a
    /// server on this machine.
    ///
    /// # Errors
    /// The file or the configuration cannot be read, or the server is elsewhere.
    pub(super) fn find(
        url: &BaseUrl,
        file: Option<&Path>,
        config: Option<&Path>,
    ) -> anyhow::Result<Self> {
        match Self::given(file)? {
            Some(token) => Ok(Self::Given(token)),
            None if url.is_loopback() => Ok(Self::Ours(Box::new(Config::load(config)?))),
            None => anyhow::bail!(
                "{url} is not on this machine: it needs a token, in $TAILRACE_TOKEN or a --token-file"
            ),
        }
    }

    /// A token that was given to us, if there is one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn given(file: Option<&Path>) -> anyhow::Result<Option<String>> {
        let Some(path) = file else {
            return Ok(token_variable());
        };
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Some(text.trim().to_owned()))
    }
}

/// A token that we make.
///
/// # Errors
/// No key can sign it.
pub(super) fn mint(config: &Config, arguments: &token::Arguments) -> anyhow::Result<String> {
    token::sign(config, arguments)
        .context("no token can be made; give one in $TAILRACE_TOKEN or a --token-file")
}
