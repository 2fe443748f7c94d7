//! Sections of models: what runs behind a public name, checked.

use std::collections::BTreeMap;
use std::path::Path;

use super::{LEAST_TIME, Loader};
use crate::config::file::{CommandModel, Model, RouteModel, Section};
use crate::config::{ConfigError, ModelConfig, NamedModel, RouteModelConfig, shape};
use crate::generator::command::CommandConfig;
use crate::generator::route::{BreakerConfig, RouteConfig};

impl Loader {
    /// The model in the section `models.<name>`.
    pub(super) fn model(&self, name: &str, settings: &Section) -> Result<ModelConfig, ConfigError> {
        if name.is_empty() || name.len() > 128 || !name.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(self.wrong(
                "models",
                format!("expected names of 1 to 128 visible ASCII characters, found {name:?}"),
            ));
        }
        let section = format!("models.{name}");
        match self.shape(&section, settings)? {
            Model::Route(route) => self.route(&section, &route),
            model => self.generator(&section, &model),
        }
    }

    /// What the section says, in the shape of its kind.
    fn shape(&self, section: &str, settings: &Section) -> Result<Model, ConfigError> {
        settings.model().map_err(|error| {
            let kind = settings.kind().ok();
            let described = shape::describe_section(&self.origin, section, kind, error);
            ConfigError::Shape(described)
        })
    }

    /// What answers by itself.
    fn generator(&self, section: &str, model: &Model) -> Result<ModelConfig, ConfigError> {
        match model {
            Model::Demo(demo) => match demo.validate() {
                Ok(()) => Ok(ModelConfig::Demo(demo.clone())),
                Err((knob, expected)) => Err(self.wrong(format!("{section}.{knob}"), expected)),
            },
            Model::Command(command) => self.command(section, command),
            Model::OpenAi(server) => self.openai(section, server),
            Model::Anthropic(server) => self.anthropic(section, server),
            Model::Route(_) => Err(self.wrong(
                format!("{section}.generator"),
                "expected what answers by itself: a route has no routes",
            )),
        }
    }

    fn command(&self, section: &str, command: &CommandModel) -> Result<ModelConfig, ConfigError> {
        if command.program.is_empty() {
            return Err(self.wrong(format!("{section}.program"), "expected a program"));
        }
        // Relative paths are relative to the file, also those in its arguments.
        let working_dir = command.working_dir.as_deref().unwrap_or(Path::new("."));
        let mut env = BTreeMap::new();
        for variable in ["PATH".to_owned()].iter().chain(&command.inherit_env) {
            if let Ok(value) = std::env::var(variable) {
                env.insert(variable.clone(), value);
            }
        }
        env.extend(command.env.clone());
        Ok(ModelConfig::Command(CommandConfig {
            program: command.program.clone(),
            args: command.args.clone(),
            env,
            working_dir: Some(self.directory.join(working_dir)),
            output: command.output,
        }))
    }

    fn route(&self, section: &str, route: &RouteModel) -> Result<ModelConfig, ConfigError> {
        let key = |key: &str| format!("{section}.{key}");
        if route.upstreams.is_empty() {
            return Err(self.wrong(key("upstreams"), "expected at least one"));
        }
        for (name, number) in [
            ("rounds", route.rounds),
            ("breaker_failures", route.breaker_failures),
        ] {
            if number == 0 {
                return Err(self.wrong(key(name), "expected at least 1"));
            }
        }
        self.time(&key("breaker_rest"), route.breaker_rest, LEAST_TIME)?;
        let mut upstreams: Vec<NamedModel> = Vec::new();
        for (at, settings) in route.upstreams.iter().enumerate() {
            let section = key(&format!("upstreams[{at}]"));
            let model = self.generator(&section, &self.shape(&section, settings)?)?;
            let name = model.log_name();
            let same = upstreams
                .iter()
                .filter(|other| other.model.log_name() == name);
            let name = match same.count() {
                0 => name,
                others => format!("{name}#{}", others + 1),
            };
            upstreams.push(NamedModel { name, model });
        }
        Ok(ModelConfig::Route(RouteModelConfig {
            upstreams,
            route: RouteConfig {
                rounds: route.rounds,
                breaker: BreakerConfig {
                    failures: route.breaker_failures,
                    rest: route.breaker_rest,
                },
            },
        }))
    }
}
