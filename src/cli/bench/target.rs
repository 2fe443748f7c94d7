//! The server that the options name, and our token for it.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use http::header::HeaderValue;

use super::arguments::{ApiName, Arguments};
use crate::cli::credential::{self, Credential};
use crate::cli::server_url::server_url;
use crate::cli::token;
use crate::http_client::{BaseUrl, Headers, HttpClient, HttpClientConfig, system_roots};
use crate::load::{Api, Plan, Target};

/// How long a connection may take.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// What to know when a token is not accepted.
pub(super) const ABOUT_TOKEN: &str = "A token is taken from --token-file or $TAILRACE_TOKEN. Without them it is \
     signed with the keys of --config, or the development key: those must be the server's.";

impl Arguments {
    /// The server, ready to be asked.
    ///
    /// # Errors
    /// The URL, the token or the request is wrong.
    pub(super) fn target(&self, plan: &Plan, config: Option<&Path>) -> anyhow::Result<Target> {
        let (base, query) = match self.url.split_once('?') {
            Some((base, query)) if plan.api == Api::Sse => (base, format!("?{query}")),
            _ => (self.url.as_str(), String::new()),
        };
        let url = match plan.api {
            Api::Native => server_url(base),
            Api::OpenAi | Api::Sse => BaseUrl::parse(base),
        };
        let url =
            url.map_err(|expected| anyhow::anyhow!("{} is no server: {expected}", self.url()))?;
        let tls = system_roots()?;
        let client = |url: &BaseUrl| {
            let config = HttpClientConfig {
                url: url.clone(),
                headers: Headers::default(),
                // Within the time of a head, so that it is told which of both was missing.
                connect_timeout: CONNECT_TIME.min(self.timeout.mul_f64(0.9)),
            };
            HttpClient::new(config, tls.clone())
        };
        let token = self.token(&url, config, plan)?;
        Ok(Target {
            api: plan.api,
            client: client(&url),
            readers: client(self.readers_url.as_ref().unwrap_or(&url)),
            call: self.request.call(plan, query)?,
            token: token.as_deref().map(bearer).transpose()?,
            timeout: self.timeout,
        })
    }

    fn token(
        &self,
        url: &BaseUrl,
        config: Option<&Path>,
        plan: &Plan,
    ) -> anyhow::Result<Option<String>> {
        let file = self.token_file.as_deref();
        // Nobody but a Tailrace server knows our key, and other servers on this machine may need no token.
        if plan.api != Api::Native {
            let given = Credential::given(file)?;
            let may_be_ours = given.is_none() && plan.api == Api::OpenAi && url.is_loopback();
            if !may_be_ours {
                return Ok(given);
            }
        }
        Ok(Some(match Credential::find(url, file, config)? {
            Credential::Given(token) => token,
            Credential::Ours(config) => {
                let time = plan.length() + plan.drain + Duration::from_secs(3600);
                credential::mint(&config, &token::Arguments::lasting(time))?
            }
        }))
    }

    /// What to know when there is no server, or none that knows what it is asked for.
    pub(super) fn about_server(&self) -> String {
        let url = self.url().trim_end_matches('/');
        match self.api {
            ApiName::Native => format!(
                "Is a Tailrace server running there? `tailrace` starts one. It was asked for {}/v1/streams.",
                url.strip_suffix("/v1").unwrap_or(url)
            ),
            ApiName::Openai if url.ends_with("/v1") => {
                format!("It was asked for {url}/chat/completions.")
            }
            ApiName::Openai if let Some(base) = url.strip_suffix("/chat/completions") => format!(
                "It was asked for {url}/chat/completions. The URL is the one before that: try {base}."
            ),
            ApiName::Openai => format!(
                "It was asked for {url}/chat/completions. Most servers have that below /v1: try {url}/v1."
            ),
            ApiName::Sse => "It was asked for this URL itself.".to_owned(),
        }
    }
}

fn bearer(token: &str) -> anyhow::Result<HeaderValue> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.context("the token has characters that no token has")?;
    value.set_sensitive(true);
    Ok(value)
}
