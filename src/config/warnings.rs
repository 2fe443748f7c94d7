//! What is right by itself and probably not what was meant.

use std::fmt;

use bytesize::ByteSize;
use ipnet::IpNet;

use super::file::{Takeover, TracesSection};
use super::model::ModelConfig;
use super::{Config, OpenAiConfig};
use crate::http_client::is_loopback;

/// Why a configuration that is right may still not do what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Several nodes, and each makes tickets of its own.
    TicketsOfOneNode,
    /// Streams are taken over, and these models cannot go on with an answer that has begun.
    CannotGoOn(Vec<String>),
    /// It is said where Redis is, and streams are not kept there.
    UnusedRedis,
    /// It is said how to trace, and not where to.
    UnusedTraces(Vec<&'static str>),
    /// One stream may take more than all may.
    SmallMemory(ByteSize, ByteSize),
    /// Whoever connects is taken for a proxy.
    AnyProxy(IpNet),
    /// Users come to this address in the open.
    ExposedUsers(String),
    /// Whoever reaches this address may read the page of metrics.
    ExposedMetrics(String),
    /// Keys are asked for in the open.
    ExposedKeys(String),
    /// Whatever is signed with the keys of this URL is accepted, for whomever it was made.
    AnyAudience(String),
    /// The keys of this URL sign for whatever issuer their tokens name.
    AnyIssuer(String),
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TicketsOfOneNode => formatter.write_str(
                "without auth.ticket_secret_file, tickets are good on the node that made them only",
            ),
            Self::CannotGoOn(models) => write!(
                formatter,
                "generation.takeover is \"continue\", but a stream of {} that has begun ends as \
                 producer_lost: only a model that says how it `continues`, and demo, can go on with one",
                models.join(", ")
            ),
            Self::UnusedRedis => formatter.write_str(
                "[redis] is not used: streams are kept in memory unless store = \"redis\"",
            ),
            Self::UnusedTraces(settings) => write!(
                formatter,
                "without traces.endpoint nothing is traced, and nothing comes of {}",
                settings.join(", ")
            ),
            Self::SmallMemory(all, one) => write!(
                formatter,
                "memory.max_bytes ({all}) is less than memory.max_stream_bytes ({one}): a stream is given up \
                 for want of memory before it is too long"
            ),
            Self::AnyProxy(network) => write!(
                formatter,
                "trusted_proxies has {network}: anybody may say in X-Forwarded-For who they are, and so fail \
                 to authenticate as often as they like; expected are the proxies' own networks"
            ),
            Self::ExposedUsers(bind) => write!(
                formatter,
                "users come to {bind}, which is more than loopback, without TLS: who is in between reads \
                 tokens and answers. If a proxy ends TLS, trusted_proxies names it"
            ),
            Self::ExposedMetrics(bind) => write!(
                formatter,
                "the page of metrics asks for no credential, and {bind} is more than loopback: only the \
                 monitoring may reach it"
            ),
            Self::ExposedKeys(url) => write!(
                formatter,
                "the keys of {url} are asked for without TLS: whoever is in between can be anybody"
            ),
            Self::AnyAudience(url) => write!(
                formatter,
                "tokens that were made for other services with the keys of {url} are accepted: \
                 auth.audiences says which are for this one"
            ),
            Self::AnyIssuer(url) => write!(
                formatter,
                "tokens under the keys of {url} may name any issuer: auth.issuers, or the key's \
                 issuer, says which"
            ),
        }
    }
}

impl Config {
    /// What is right by itself and probably not what was meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.redis.is_some() && self.file.auth.ticket_secret_file.is_none() {
            warnings.push(Warning::TicketsOfOneNode);
        }
        if self.file.generation.takeover == Takeover::Continue {
            let named = self
                .models
                .iter()
                .map(|(name, model)| (name.as_str(), continues(model)));
            let passed = self
                .upstream
                .iter()
                .map(|it| ("[upstream]", openai_continues(it)));
            let cannot: Vec<_> = named
                .chain(passed)
                .filter(|(_, continues)| !continues)
                .map(|(name, _)| name.to_owned())
                .collect();
            if !cannot.is_empty() {
                warnings.push(Warning::CannotGoOn(cannot));
            }
        }
        let memory = &self.file.memory;
        if self.redis.is_none() && memory.max_bytes < memory.max_stream_bytes {
            warnings.push(Warning::SmallMemory(
                memory.max_bytes,
                memory.max_stream_bytes,
            ));
        }
        let proxies = self.file.trusted_proxies.iter();
        let any = proxies.filter(|network| network.prefix_len() == 0);
        warnings.extend(any.map(|network| Warning::AnyProxy(*network)));
        if self.redis.is_none() && self.file.redis.is_said() {
            warnings.push(Warning::UnusedRedis);
        }
        let unused = self.file.traces.unused();
        if !unused.is_empty() {
            warnings.push(Warning::UnusedTraces(unused));
        }
        let metrics = self.file.metrics.bind.iter();
        let exposed = metrics.filter(|bind| !is_private(bind));
        warnings.extend(exposed.map(|bind| Warning::ExposedMetrics(bind.clone())));
        let exposed = self
            .providers
            .iter()
            .filter(|it| it.server.url.is_exposed());
        warnings.extend(exposed.map(|it| Warning::ExposedKeys(it.url())));
        let auth = &self.file.auth;
        for provider in &self.providers {
            if auth.audiences.is_empty() {
                warnings.push(Warning::AnyAudience(provider.url()));
            }
            if auth.issuers.is_empty() && provider.issuers.is_empty() {
                warnings.push(Warning::AnyIssuer(provider.url()));
            }
        }
        warnings
    }

    /// Whether users come in the open, as far as is known here. It is no warning at each start: TLS often ends at
    /// a proxy.
    #[must_use]
    pub fn in_the_open(&self) -> Option<Warning> {
        let file = &self.file;
        let is_meant =
            self.tls.is_some() || !file.trusted_proxies.is_empty() || is_private(&file.bind);
        (!is_meant).then(|| Warning::ExposedUsers(file.bind.clone()))
    }
}

impl TracesSection {
    /// What is set and does nothing, since there is no collector.
    fn unused(&self) -> Vec<&'static str> {
        if self.endpoint.is_some() {
            return Vec::new();
        }
        let Self {
            endpoint: _,
            headers,
            headers_env,
            headers_file,
            sample,
            // Callers' traces are handed on, or not, in any case.
            trust_callers: _,
            service_name,
            timeout,
        } = self;
        let default = Self::default();
        let set = [
            ("traces.headers", *headers != default.headers),
            ("traces.headers_env", headers_env.is_some()),
            ("traces.headers_file", headers_file.is_some()),
            (
                "traces.sample",
                sample.to_bits() != default.sample.to_bits(),
            ),
            ("traces.service_name", service_name.is_some()),
            ("traces.timeout", *timeout != default.timeout),
        ];
        let set = set.into_iter().filter(|(_, is_set)| *is_set);
        set.map(|(key, _)| key).collect()
    }
}

/// Whether what stands in `bind` is of this machine alone.
fn is_private(bind: &str) -> bool {
    let (host, _port) = bind.rsplit_once(':').unwrap_or((bind, ""));
    is_loopback(host.trim_matches(['[', ']']))
}

/// Whether a model can go on with an answer that has begun, as its generator will say it.
fn continues(model: &ModelConfig) -> bool {
    match model {
        ModelConfig::Demo(_) => true,
        ModelConfig::Command(_) | ModelConfig::Anthropic(_) => false,
        ModelConfig::OpenAi(server) => openai_continues(server),
        ModelConfig::Route(route) => route.upstreams.iter().any(|it| continues(&it.model)),
    }
}

const fn openai_continues(server: &OpenAiConfig) -> bool {
    server.continues.is_some()
}
