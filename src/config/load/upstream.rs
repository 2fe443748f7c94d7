//! Sections about servers that answer prompts: what each kind must have, cannot have, and where its
//! key is.

use std::time::Duration;

use super::{LEAST_TIME, Loader};
use crate::config::file::Upstream;
use crate::config::{AnthropicConfig, ConfigError, KeySource, ModelConfig, OpenAiConfig};
use crate::generator::{Timeouts, UpstreamConfig};
use crate::http_client::{BaseUrl, Headers, HttpClientConfig, KeyHeader};

/// Where Anthropic's own server is.
const ANTHROPIC: &str = "https://api.anthropic.com";

/// What a server of Anthropic's kind may generate for a request that does not say: it must be told.
const ANTHROPIC_MAX_TOKENS: u32 = 4096;

/// Headers that each request has as it must.
const OURS: [&str; 6] = [
    "Host",
    "Content-Length",
    "Content-Type",
    "Transfer-Encoding",
    "Connection",
    "Accept",
];

/// Headers that hold a key.
const KEYS: [&str; 2] = ["Authorization", "X-Api-Key"];

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
        let ends = ["/v1/messages", "/v1"];
        self.without_path(section, base_url, &ends, "Anthropic's")?;
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
        if server.continues.is_some() {
            return Err(self.wrong(
                format!("{section}.continues"),
                "expected none: such a server cannot go on with an answer that has begun",
            ));
        }
        let (upstream, key) = self.upstream(section, server, base_url, KeyHeader::XApiKey)?;
        if key == KeySource::None && upstream.server.url.authority() == "api.anthropic.com" {
            return Err(self.wrong(
                section,
                "expected api_key_env or api_key_file: api.anthropic.com wants a key",
            ));
        }
        Ok(ModelConfig::Anthropic(AnthropicConfig {
            upstream,
            key,
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
        self.without_path(section, base_url, &["/chat/completions"], "OpenAI's")?;
        let (upstream, key) = self.upstream(section, server, base_url, KeyHeader::Bearer)?;
        Ok(OpenAiConfig {
            upstream,
            key,
            model: server.model.clone(),
            max_tokens_field: server.max_tokens_field,
            continues: server.continues,
        })
    }

    /// What all kinds have.
    fn upstream(
        &self,
        section: &str,
        server: &Upstream,
        base_url: &str,
        key_header: KeyHeader,
    ) -> Result<(UpstreamConfig, KeySource), ConfigError> {
        let key = |key: &str| format!("{section}.{key}");
        let url =
            BaseUrl::parse(base_url).map_err(|expected| self.wrong(key("base_url"), expected))?;
        let api_key = self.api_key(section, server)?;
        for name in server.headers.keys() {
            let is = |other: &&str| name.eq_ignore_ascii_case(other);
            if OURS.iter().any(&is) {
                return Err(self.wrong(
                    key("headers"),
                    format!(
                        "{name}: expected none of {}: they are set already",
                        OURS.join(", ")
                    ),
                ));
            }
            if api_key.is_some() && KEYS.iter().any(is) {
                return Err(self.wrong(
                    key("headers"),
                    format!("{name}: expected none beside api_key_env or api_key_file"),
                ));
            }
        }
        let secret = api_key
            .as_ref()
            .map(|(_, secret)| (key_header, secret.as_str()));
        let headers = Headers::new(&server.headers, secret).map_err(|header| {
            self.wrong(key("headers"), format!("{header}: this is not a header"))
        })?;
        if server.connect_timeout.is_zero() {
            return Err(self.wrong(key("connect_timeout"), "expected more than 0"));
        }
        let timeout = |name: &str, time: Option<Duration>| match time {
            None => Ok(None),
            Some(time) => self.time(&key(name), time, LEAST_TIME).map(|()| Some(time)),
        };
        let config = UpstreamConfig {
            server: HttpClientConfig {
                url,
                headers,
                connect_timeout: server.connect_timeout,
            },
            timeouts: Timeouts {
                first_token: timeout("first_token_timeout", server.first_token_timeout)?,
                idle: timeout("idle_timeout", server.idle_timeout)?,
                total: timeout("total_timeout", server.total_timeout)?,
            },
        };
        let in_headers = || {
            let mut names = server.headers.keys();
            names.any(|name| KEYS.iter().any(|key| name.eq_ignore_ascii_case(key)))
        };
        let source = match api_key {
            Some((source, _)) => source,
            None if in_headers() => KeySource::Headers,
            None => KeySource::None,
        };
        Ok((config, source))
    }

    /// The key of the section, and where it is from.
    fn api_key(
        &self,
        section: &str,
        server: &Upstream,
    ) -> Result<Option<(KeySource, String)>, ConfigError> {
        let (setting, source, text) = match (&server.api_key_env, &server.api_key_file) {
            (None, None) => return Ok(None),
            (Some(variable), None) => {
                let setting = format!("{section}.api_key_env");
                let text = self.variable(&setting, variable)?;
                (setting, KeySource::Variable(variable.clone()), text)
            }
            (None, Some(file)) => {
                let setting = format!("{section}.api_key_file");
                let text = self.read_text(&setting, file)?;
                (setting, KeySource::File(file.clone()), text)
            }
            (Some(_), Some(_)) => {
                return Err(self.wrong(
                    section,
                    "expected at most one of api_key_env and api_key_file",
                ));
            }
        };
        let secret = text.trim();
        let expected = if secret.is_empty() {
            "there is no key in it"
        } else if secret.lines().count() > 1 {
            "expected one line, the key"
        } else if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            "expected a key of visible ASCII characters, without spaces"
        } else {
            return Ok(Some((source, secret.to_owned())));
        };
        Err(self.wrong(setting, format!("{source}: {expected}")))
    }

    /// A base URL that is the whole URL of what is asked there.
    fn without_path(
        &self,
        section: &str,
        base_url: &str,
        ends: &[&str],
        sdk: &str,
    ) -> Result<(), ConfigError> {
        let whole = base_url.trim_end_matches('/');
        let cut = ends
            .iter()
            .find_map(|end| Some((end, whole.strip_suffix(end)?)));
        let (Some((end, base)), Ok(_)) = (cut, BaseUrl::parse(base_url)) else {
            return Ok(());
        };
        Err(self.wrong(
            format!("{section}.base_url"),
            format!("expected {base}, without {end}, as {sdk} SDKs are given it"),
        ))
    }
}
