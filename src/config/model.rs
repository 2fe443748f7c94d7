//! What runs behind each public model name, checked.

use std::fmt;
use std::path::PathBuf;

use crate::generator::MaxTokensField;
use crate::generator::UpstreamConfig;
use crate::generator::command::CommandConfig;
use crate::generator::demo::DemoConfig;
use crate::generator::openai::Continues;
use crate::generator::route::RouteConfig;

/// What runs behind a public model name.
#[derive(Debug, Clone, PartialEq)]
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
            Self::OpenAi(server) => server.upstream.server.url.authority().to_owned(),
            Self::Anthropic(server) => server.upstream.server.url.authority().to_owned(),
            Self::Demo(_) => "demo".to_owned(),
            Self::Command(command) => command.program.clone(),
            Self::Route(_) => "route".to_owned(),
        }
    }
}

/// For people: the kind, where it is, where its key is from, what bounds it has.
impl fmt::Display for ModelConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Demo(_) => formatter.write_str("demo"),
            Self::Command(command) => write!(formatter, "command {}", command.program),
            Self::OpenAi(server) => write!(formatter, "openai {server}"),
            Self::Anthropic(server) => {
                formatter.write_str("anthropic ")?;
                describe(formatter, &server.upstream, &server.key)
            }
            Self::Route(route) => {
                let RouteConfig { rounds, breaker } = &route.route;
                let rest = humantime::format_duration(breaker.rest);
                let failures = breaker.failures;
                write!(
                    formatter,
                    "route, {rounds} rounds, {rest} of rest after {failures} failures in a row"
                )?;
                for upstream in &route.upstreams {
                    write!(formatter, "\n            {}", upstream.model)?;
                }
                Ok(())
            }
        }
    }
}

/// For people, as [`ModelConfig`].
impl fmt::Display for OpenAiConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe(formatter, &self.upstream, &self.key)
    }
}

fn describe(
    formatter: &mut fmt::Formatter<'_>,
    upstream: &UpstreamConfig,
    key: &KeySource,
) -> fmt::Result {
    write!(formatter, "{} ({key}", upstream.server.url)?;
    let times = &upstream.timeouts;
    for (what, time) in [
        ("connect", Some(upstream.server.connect_timeout)),
        ("first token", times.first_token),
        ("idle", times.idle),
        ("total", times.total),
    ] {
        if let Some(time) = time {
            write!(formatter, ", {what} {}", humantime::format_duration(time))?;
        }
    }
    formatter.write_str(")")
}

/// Where the key of a server is from. Never the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// It has none.
    None,
    /// A variable.
    Variable(String),
    /// A file.
    File(PathBuf),
    /// It stands among the configured headers.
    Headers,
}

impl fmt::Display for KeySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("no key"),
            Self::Variable(name) => write!(formatter, "key from the variable {name}"),
            Self::File(path) => write!(formatter, "key from the file {}", path.display()),
            Self::Headers => formatter.write_str("key in `headers`"),
        }
    }
}

/// Several upstreams of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteModelConfig {
    /// The preferred one first; none is a route.
    pub upstreams: Vec<NamedModel>,
    /// How the route behaves.
    pub route: RouteConfig,
}

/// An upstream with its name for the log.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedModel {
    /// Its name, unlike those of the others.
    pub name: String,
    /// What it is.
    pub model: ModelConfig,
}

/// A server that speaks OpenAI's chat completions.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenAiConfig {
    /// Where it is.
    pub upstream: UpstreamConfig,
    /// Where its key is from.
    pub key: KeySource,
    /// Its own name for the model; the public one if absent.
    pub model: Option<String>,
    /// What it calls the most tokens of an answer; as the client does if absent.
    pub max_tokens_field: Option<MaxTokensField>,
    /// How it goes on with an answer that has begun, if it can.
    pub continues: Option<Continues>,
}

/// A server that speaks Anthropic's Messages API.
#[derive(Debug, Clone, PartialEq)]
pub struct AnthropicConfig {
    /// Where it is.
    pub upstream: UpstreamConfig,
    /// Where its key is from.
    pub key: KeySource,
    /// Its own name for the model; the public one if absent.
    pub model: Option<String>,
    /// The most tokens of an answer to a request that does not say.
    pub max_tokens: u32,
}
