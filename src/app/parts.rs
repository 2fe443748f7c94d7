//! The parts of a server that a configuration makes and a reload makes anew. What is configured as it was
//! is kept as it is: connections, breakers, keys that were asked for.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::ClientConfig;

use crate::auth::{KeyError, KeySet, Minter, Provider, ProviderConfig, TicketKey, TrustedProvider};
use crate::config::{Config, ModelConfig, OpenAiConfig};
use crate::generation::{Models, PassedThrough};
use crate::generator::anthropic::AnthropicGenerator;
use crate::generator::command::CommandGenerator;
use crate::generator::demo::DemoGenerator;
use crate::generator::openai::OpenAiGenerator;
use crate::generator::route::RouteGenerator;
use crate::generator::{Generator, Upstream};
use crate::http_client::{HttpClient, authority_roots, system_roots};
use crate::traces::Traces;

pub(super) fn keys(config: &Config) -> Result<KeySet, KeyError> {
    if config.keys.is_empty() {
        return Ok(KeySet::default());
    }
    KeySet::load(&config.keys)
}

pub(super) fn tickets(config: &Config) -> TicketKey {
    TicketKey::new(&config.ticket_secret, config.file.auth.ticket_lifetime)
}

/// How long the playground's token is good for in development mode. It asks for another by itself.
const PAGE_TOKEN: Duration = Duration::from_secs(3600);

/// What makes the playground's tokens, in development mode.
pub(super) fn page_tokens(config: &Config) -> Option<Arc<Minter>> {
    let scopes = &config.file.auth.scopes;
    let minter = config.development_tokens(&[&scopes.write, &scopes.read], PAGE_TOKEN);
    minter.map(Arc::new)
}

/// The providers of keys that a configuration names.
#[derive(Default)]
pub(super) struct Providers {
    pub all: Vec<TrustedProvider>,
    /// Those that were not there before. They are asked from now on.
    pub new: Vec<Arc<Provider>>,
    /// Those that were, and are to be asked in another way.
    changed: Vec<(Arc<Provider>, ProviderConfig, HttpClient)>,
}

impl Providers {
    /// Puts them in force: those that have changed are asked as they are to be now.
    pub(super) fn go_on(self) -> Vec<TrustedProvider> {
        for provider in self.new {
            provider.enter_force();
        }
        for (provider, config, client) in self.changed {
            provider.go_on_with(config, client);
        }
        self.all
    }
}

/// The providers of keys. What they have published is that of their URLs, so that one which is asked in
/// another way keeps its keys.
pub(super) fn providers(
    config: &Config,
    before: &[Arc<Provider>],
    roots: &Arc<ClientConfig>,
) -> Result<Providers, rustls::Error> {
    let mut providers = Providers::default();
    for config in &config.providers {
        let client = || {
            let roots = match &config.authority {
                None => Arc::clone(roots),
                Some(authority) => authority_roots(authority)?,
            };
            Ok::<_, rustls::Error>(HttpClient::new(config.server.clone(), roots))
        };
        let mut known = before.iter().chain(&providers.new);
        let provider = if let Some(same) = known.find(|it| it.is(config)) {
            let same = Arc::clone(same);
            if !same.has(config) {
                let changed = (Arc::clone(&same), config.clone(), client()?);
                providers.changed.push(changed);
            }
            same
        } else {
            let (provider, asking) = Provider::new(config.clone(), client()?);
            actix_web::rt::spawn(asking);
            let provider = Arc::new(provider);
            providers.new.push(Arc::clone(&provider));
            provider
        };
        providers.all.push(TrustedProvider {
            provider,
            issuers: config.issuers.clone(),
        });
    }
    Ok(providers)
}

/// What traces go to. A reload leaves it as it is.
pub(super) fn traces(config: &Config) -> anyhow::Result<Traces> {
    let Some(traces) = &config.traces else {
        return Ok(Traces::none(config.file.traces.trust_callers));
    };
    let traces = Traces::new(traces.clone(), system_roots()?);
    traces.context("there is no thread to be had for traces")
}

/// The models, of which those that were configured the same are the same.
pub(super) fn models(
    config: &Config,
    before: Option<(&Config, &Models)>,
    roots: &Arc<ClientConfig>,
) -> Models {
    let by_name = config.models.iter().map(|(name, model)| {
        let same = before.and_then(|(config, models)| {
            let is_same = config.models.get(name) == Some(model);
            models.by_name.get(name).filter(|_| is_same)
        });
        let generator = same.map_or_else(|| generator(model, roots), Arc::clone);
        (name.clone(), generator)
    });
    let by_name = by_name.collect();
    let upstream = config.upstream.as_ref().map(|server| {
        let same = before.and_then(|(config, models)| {
            let is_same = config.upstream.as_ref() == Some(server);
            models.upstream.as_ref().filter(|_| is_same)
        });
        let anew = || Arc::new(PassedThrough::new(Arc::new(openai(server, roots))));
        same.map_or_else(anew, Arc::clone)
    });
    Models {
        by_name,
        default: config.default_model().map(str::to_owned),
        upstream,
    }
}

fn generator(model: &ModelConfig, roots: &Arc<ClientConfig>) -> Arc<dyn Generator> {
    match model {
        ModelConfig::Demo(demo) => Arc::new(DemoGenerator::new(demo.clone())),
        ModelConfig::Command(command) => Arc::new(CommandGenerator::new(command.clone())),
        ModelConfig::OpenAi(server) => Arc::new(openai(server, roots)),
        ModelConfig::Anthropic(server) => Arc::new(AnthropicGenerator::new(
            Upstream::new(server.upstream.clone(), Arc::clone(roots)),
            server.model.clone(),
            server.max_tokens,
        )),
        ModelConfig::Route(route) => {
            let upstreams = route.upstreams.iter();
            let upstreams = upstreams.map(|it| (it.name.clone(), generator(&it.model, roots)));
            Arc::new(RouteGenerator::new(upstreams, route.route))
        }
    }
}

fn openai(server: &OpenAiConfig, roots: &Arc<ClientConfig>) -> OpenAiGenerator {
    OpenAiGenerator::new(
        Upstream::new(server.upstream.clone(), Arc::clone(roots)),
        server.model.clone(),
        server.max_tokens_field,
        server.continues,
    )
}
