//! The shapes of the sections about models and the servers behind them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use figment::Error;
use figment::error;
use figment::value::{Dict, Value};
use serde::Deserialize;

use crate::generator::MaxTokensField;
use crate::generator::command::Output;
use crate::generator::demo::DemoConfig;
use crate::generator::openai::Continues;

/// The section of a model as it stands; what it may have depends on its `generator`.
///
/// No enum that serde reads by its tag: it would do so through a buffer, which forgets where in the
/// section a mistake is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Section(Dict);

/// The words for what runs behind a public model name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Demo,
    Command,
    OpenAi,
    Anthropic,
    Route,
}

impl Section {
    /// What kind it says it is.
    ///
    /// # Errors
    /// It does not say, or there is no such kind.
    pub fn kind(&self) -> Result<Kind, Box<Error>> {
        let generator = self.0.get("generator");
        let missing = || Error::from(error::Kind::MissingField("generator".into()));
        let generator = generator.ok_or_else(missing)?;
        generator
            .deserialize()
            .map_err(|error: Error| error.with_path("generator").into())
    }

    /// What it says.
    ///
    /// # Errors
    /// It is not in the shape of its kind; with the path from here to the mistake.
    pub fn model(&self) -> Result<Model, Box<Error>> {
        let kind = self.kind()?;
        let mut rest = self.0.clone();
        rest.remove("generator");
        let rest = Value::from(rest);
        let model = match kind {
            Kind::Demo => rest.deserialize().map(Model::Demo),
            Kind::Command => rest.deserialize().map(Model::Command),
            Kind::OpenAi => rest.deserialize().map(Model::OpenAi),
            Kind::Anthropic => rest.deserialize().map(Model::Anthropic),
            Kind::Route => rest.deserialize().map(Model::Route),
        };
        Ok(model?)
    }
}

/// What runs behind a public model name.
#[derive(Debug, Clone, PartialEq)]
pub enum Model {
    /// The demo generator.
    Demo(DemoConfig),
    /// A program.
    Command(CommandModel),
    /// A server that speaks OpenAI's chat completions.
    OpenAi(Upstream),
    /// A server that speaks Anthropic's Messages API.
    Anthropic(Upstream),
    /// Several of these, in order of preference.
    Route(RouteModel),
}

/// Several upstreams of one model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteModel {
    #[serde(default)]
    pub upstreams: Vec<Section>,
    #[serde(default = "rounds")]
    pub rounds: u32,
    #[serde(default = "breaker_failures")]
    pub breaker_failures: u32,
    #[serde(default = "breaker_rest", with = "humantime_serde")]
    pub breaker_rest: Duration,
}

const fn rounds() -> u32 {
    2
}

const fn breaker_failures() -> u32 {
    5
}

const fn breaker_rest() -> Duration {
    Duration::from_secs(10)
}

/// A server that answers prompts: behind one public name, or with all its own models.
///
/// One shape for all of them, since serde can share fields between shapes (`flatten`) or refuse
/// unknown ones, and not both. What a section must or cannot have is checked by `load/upstream.rs`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    pub base_url: Option<String>,
    pub model: Option<String>,
    pub max_tokens: Option<u32>,
    pub max_tokens_field: Option<MaxTokensField>,
    pub continues: Option<Continues>,
    pub api_key_env: Option<String>,
    pub api_key_file: Option<PathBuf>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default = "connect_timeout", with = "humantime_serde")]
    pub connect_timeout: Duration,
    #[serde(default, with = "humantime_serde")]
    pub first_token_timeout: Option<Duration>,
    #[serde(default, with = "humantime_serde")]
    pub idle_timeout: Option<Duration>,
    #[serde(default, with = "humantime_serde")]
    pub total_timeout: Option<Duration>,
}

const fn connect_timeout() -> Duration {
    Duration::from_secs(5)
}

/// A program that answers prompts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandModel {
    pub program: String,
    #[serde(default)]
    pub args: Vec<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub inherit_env: Vec<String>,
    pub working_dir: Option<PathBuf>,
    #[serde(default)]
    pub output: Output,
}
