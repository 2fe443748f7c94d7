//! What runs behind each public model name, checked.

use std::fmt;

use crate::generator::MaxTokensField;
use crate::generator::command::CommandConfig;
use crate::generator::demo::DemoConfig;
use crate::generator::http::UpstreamConfig;
use crate::generator::route::RouteConfig;

/// What runs behind a public model name.
#[derive(Debug, Clone)]
pub enum ModelConfig {
    /// The demo generator.
    Demo(DemoConfig),
    /// A program.
    Command(CommandConfig),
    /// A server that speaks OpenAI's chat completions.
    OpenAi(OpenAiConfig),
    /// A server that speaks Anthropic's Messages API.
    Anthropic(AnthropicConfig),
    /// Several of these, in order of preference.
    Route(RouteModelConfig),
}

impl ModelConfig {
    /// What a log calls an upstream that is this: where it is, or what.
    pub(super) fn log_name(&self) -> String {
        match self {
            Self::OpenAi(server) => server.upstream.url.authority().to_owned(),
            Self::Anthropic(server) => server.upstream.url.authority().to_owned(),
            Self::Demo(_) => "demo".to_owned(),
            Self::Command(command) => command.program.clone(),
            Self::Route(_) => "route".to_owned(),
        }
    }
}

/// For people: the kind, and where it is.
impl fmt::Display for ModelConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Demo(_) => formatter.write_str("demo"),
            Self::Command(command) => write!(formatter, "command {}", command.program),
            Self::OpenAi(server) => write!(formatter, "openai {}", server.upstream.url),
            Self::Anthropic(server) => write!(formatter, "anthropic {}", server.upstream.url),
            Self::Route(route) => {
                formatter.write_str("route")?;
                for (at, upstream) in route.upstreams.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    write!(formatter, "{comma} {}", upstream.model)?;
                }
                Ok(())
            }
        }
    }
}

/// Several upstreams of one model.
#[derive(Debug, Clone)]
pub struct RouteModelConfig {
    /// The preferred one first; none is a route.
    pub upstreams: Vec<NamedModel>,
    /// How the route behaves.
    pub route: RouteConfig,
}

/// An upstream with its name for the log.
#[derive(Debug, Clone)]
pub struct NamedModel {
    /// Its name, unlike those of the others.
    pub name: String,
    /// What it is.
    pub model: ModelConfig,
}

/// A server that speaks OpenAI's chat completions.
#[derive(Debug, Clone)]
pub struct OpenAiConfig {
    /// Where it is.
    pub upstream: UpstreamConfig,
    /// Its own name for the model; the public one if absent.
    pub model: Option<String>,
    /// What it calls the most tokens of an answer; as the client does if absent.
    pub max_tokens_field: Option<MaxTokensField>,
}

/// A server that speaks Anthropic's Messages API.
#[derive(Debug, Clone)]
pub struct AnthropicConfig {
    /// Where it is.
    pub upstream: UpstreamConfig,
    /// Its own name for the model; the public one if absent.
    pub model: Option<String>,
    /// The most tokens of an answer to a request that does not say.
    pub max_tokens: u32,
}
