//! Which server is asked, and with which token.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::server::{Mint, Server};
use crate::cli::credential::{self, Credential};
use crate::cli::server_url::server_url;
use crate::cli::token;
use crate::cli::units::time_or_none;
use crate::http_client::{BaseUrl, Headers, HttpClient, HttpClientConfig, system_roots};

/// How long a connection may take.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Where the server is.
///
/// There is no `--token`: everybody on the machine sees the arguments of every process.
#[derive(Debug, clap::Args)]
pub(super) struct TargetArguments {
    /// The server's base URL; a /v1 at its end is left out
    #[arg(
        long,
        value_name = "URL",
        env = "TAILRACE_URL",
        default_value = "http://127.0.0.1:8080",
        value_parser = server_url,
        help_heading = "Server"
    )]
    url: BaseUrl,

    /// A file that holds the token
    ///
    /// Without one it is `$TAILRACE_TOKEN`; without that, if the server is on this machine, one is made
    /// with the configured key, or the development key, as `tailrace token` does. A token is no
    /// argument because everybody on the machine could read it there.
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    token_file: Option<PathBuf>,

    /// How long to try to reach or resume without any progress [default: 60s; 5s if nothing is there]
    #[arg(long, value_name = "TIME", value_parser = time_or_none, help_heading = "Server")]
    pub(super) timeout: Option<Duration>,
}

impl TargetArguments {
    /// The server, ready to be asked.
    ///
    /// # Errors
    /// There is no token, or certificates cannot be read.
    pub(super) fn server(&self, config: Option<&Path>) -> anyhow::Result<Server> {
        let (given, made) = self.token(config)?;
        let client = HttpClientConfig {
            url: self.url.clone(),
            headers: Headers::default(),
            connect_timeout: CONNECT_TIME,
        };
        let client = HttpClient::new(client, system_roots()?);
        Server::new(client, self.url.to_string(), given, made)
    }

    fn token(&self, config: Option<&Path>) -> anyhow::Result<(Option<String>, Option<Mint>)> {
        let found = Credential::find(&self.url, self.token_file.as_deref(), config)?;
        let config = match found {
            Credential::Given(token) => return Ok((Some(token), None)),
            Credential::Ours(config) => config,
        };
        let key = if config.development {
            "the development key of this user"
        } else {
            "the key of the configuration here"
        };
        let sign = move || credential::mint(&config, &token::Arguments::default());
        let made = Mint {
            sign: Box::new(sign),
            key,
        };
        Ok((None, Some(made)))
    }
}
