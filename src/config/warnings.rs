//! What is right by itself and probably not what was meant.

use std::fmt;

use super::file::Takeover;
use super::model::ModelConfig;
use super::{Config, OpenAiConfig};

/// Why a configuration that is right may still not do what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Several nodes, and each makes tickets of its own.
    TicketsOfOneNode,
    /// Streams are taken over, and these models cannot go on with an answer that has begun.
    CannotGoOn(Vec<String>),
    /// It is said where Redis is, and streams are not kept there.
    UnusedRedis,
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
        if self.redis.is_none() && self.file.redis.is_said() {
            warnings.push(Warning::UnusedRedis);
        }
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
