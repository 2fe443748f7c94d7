//! Sections about servers that answer prompts: what each kind must have, cannot have, and where its
//! key is.

use std::time::Duration;

use super::{LEAST_TIME, Loader};
use crate::config::file::Upstream;
use crate::config::{AnthropicConfig, ConfigError, ModelConfig, OpenAiConfig};
use crate::generator::http::{BaseUrl, Headers, KeyHeader, Timeouts, UpstreamConfig};

/// Where Anthropic's own server is.
const ANTHROPIC: &str = "https://api.anthropic.com";

/// What a server of Anthropic's kind may generate for a request that does not say: it must be told.
const ANTHROPIC_MAX_TOKENS: u32 = 4096;

impl Loader {
    /// A server whose models are all ours.
    pub(super) fn passed_through(
        &self,
        section: &str,
        server: &Upstream,
    ) -> Result<OpenAiConfig, ConfigError> {
        if server.model.is_some() {
            return Err(self.wrong(
                format!("{section}.model"),
                "expected none: its models have their own names; for one name, make a section \
                 [models.NAME]",
            ));
        }
        self.speaks_openai(section, server)
    }

    pub(super) fn openai(
        &self,
        section: &str,
        server: &Upstream,
    ) -> Result<ModelConfig, ConfigError> {
        Ok(ModelConfig::OpenAi(self.speaks_openai(section, server)?))
    }

    pub(super) fn anthropic(
        &self,
        section: &str,
        server: &Upstream,
    ) -> Result<ModelConfig, ConfigError> {
        let base_url = server.base_url.as_deref().unwrap_or(ANTHROPIC);
        if base_url.trim_end_matches('/').ends_with("/v1") {
            return Err(self.wrong(
                format!("{section}.base_url"),
                "expected a URL without /v1, as Anthropic's SDKs are given it",
            ));
        }
        let max_tokens = server.max_tokens.unwrap_or(ANTHROPIC_MAX_TOKENS);
        if max_tokens == 0 {
            return Err(self.wrong(format!("{section}.max_tokens"), "expected at least 1"));
        }
        if server.max_tokens_field.is_some() {
            return Err(self.wrong(
                format!("{section}.max_tokens_field"),
                "expected none: such a server has one name for it",
            ));
        }
        Ok(ModelConfig::Anthropic(AnthropicConfig {
            upstream: self.upstream(section, server, base_url, KeyHeader::XApiKey)?,
            model: server.model.clone(),
            max_tokens,
        }))
    }

    fn speaks_openai(&self, section: &str, server: &Upstream) -> Result<OpenAiConfig, ConfigError> {
        if server.max_tokens.is_some() {
            return Err(self.wrong(
                format!("{section}.max_tokens"),
                "expected none: such a server has a default of its own",
            ));
        }
        let base_url = server.base_url.as_deref().unwrap_or_default();
        Ok(OpenAiConfig {
            upstream: self.upstream(section, server, base_url, KeyHeader::Bearer)?,
            model: server.model.clone(),
            max_tokens_field: server.max_tokens_field,
        })
    }

    /// What all kinds have.
    fn upstream(
        &self,
        section: &str,
        server: &Upstream,
        base_url: &str,
        key_header: KeyHeader,
    ) -> Result<UpstreamConfig, ConfigError> {
        let key = |key: &str| format!("{section}.{key}");
        let url =
            BaseUrl::parse(base_url).map_err(|expected| self.wrong(key("base_url"), expected))?;
        let api_key = match (&server.api_key_env, &server.api_key_file) {
            (None, None) => None,
            (Some(variable), None) => Some(std::env::var(variable).map_err(|_| {
                self.wrong(
                    key("api_key_env"),
                    format!("the variable {variable} is not set"),
                )
            })?),
            (None, Some(file)) => Some(self.read_text(&key("api_key_file"), file)?),
            (Some(_), Some(_)) => {
                return Err(self.wrong(
                    section,
                    "expected at most one of api_key_env and api_key_file",
                ));
            }
        };
        let api_key = api_key
            .as_deref()
            .map(|api_key| (key_header, api_key.trim()));
        let headers = Headers::new(&server.headers, api_key).map_err(|header| {
            self.wrong(key("headers"), format!("{header}: this is not a header"))
        })?;
        if server.connect_timeout.is_zero() {
            return Err(self.wrong(key("connect_timeout"), "expected more than 0"));
        }
        let timeout = |name: &str, time: Option<Duration>| match time {
            None => Ok(None),
            Some(time) => self.time(&key(name), time, LEAST_TIME).map(|()| Some(time)),
        };
        Ok(UpstreamConfig {
            url,
            headers,
            connect_timeout: server.connect_timeout,
            timeouts: Timeouts {
                first_token: timeout("first_token_timeout", server.first_token_timeout)?,
                idle: timeout("idle_timeout", server.idle_timeout)?,
                total: timeout("total_timeout", server.total_timeout)?,
            },
        })
    }
}
