//! The models that clients may name: those that are configured, and those of an upstream that is
//! passed through whole.

mod passed_through;

pub use passed_through::PassedThrough;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::generator::{Generator, GeneratorError, Prompt};

/// The models that clients may name.
#[derive(Default)]
pub struct Models {
    /// Generators by public name.
    pub by_name: BTreeMap<String, Arc<dyn Generator>>,
    /// The model of a request that names none, if one is configured.
    pub default: Option<String>,
    /// The server whose models are ours too, under its own names.
    pub upstream: Option<Arc<PassedThrough>>,
}

/// Why a request's model is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownModel {
    /// No model of that name.
    #[error("there is no model {0:?}")]
    Name(String),
    /// The request names none, and there is no default.
    #[error("name one of the models of /v1/models")]
    Unnamed,
    /// Whose models they are could not be asked.
    #[error("the upstream could not be asked for its models: {0}")]
    Unasked(GeneratorError),
}

impl Models {
    /// The public name of the model that a request means.
    pub(super) async fn resolve(&self, wanted: Option<&str>) -> Result<String, UnknownModel> {
        let wanted = wanted.or(self.default.as_deref());
        if let Some(name) = wanted
            && self.by_name.contains_key(name)
        {
            return Ok(name.to_owned());
        }
        let unknown = |name: &str| UnknownModel::Name(name.chars().take(100).collect());
        let Some(upstream) = &self.upstream else {
            return Err(wanted.map_or(UnknownModel::Unnamed, unknown));
        };
        let Some(wanted) = wanted else {
            let names = upstream.names().await.map_err(UnknownModel::Unasked)?;
            return names.first().cloned().ok_or(UnknownModel::Unnamed);
        };
        if upstream.has(wanted).await.map_err(UnknownModel::Unasked)? {
            return Ok(wanted.to_owned());
        }
        Err(unknown(wanted))
    }

    /// Every name, the configured ones first. Those of an upstream that cannot be asked are left out;
    /// but if there are no others, that is an error.
    pub(super) async fn names(&self) -> Result<Vec<String>, UnknownModel> {
        let mut names: Vec<String> = self.by_name.keys().cloned().collect();
        if let Some(upstream) = &self.upstream {
            match upstream.names().await {
                Ok(listed) => {
                    let others = listed
                        .iter()
                        .filter(|name| !self.by_name.contains_key(*name));
                    names.extend(others.cloned());
                }
                Err(error) if names.is_empty() => return Err(UnknownModel::Unasked(error)),
                Err(_) => {}
            }
        }
        Ok(names)
    }

    /// Who answers this prompt, whose model has been resolved.
    pub(super) fn generator(&self, prompt: &Prompt) -> Result<Arc<dyn Generator>, UnknownModel> {
        match (self.by_name.get(&prompt.model), &self.upstream) {
            (Some(generator), _) => Ok(Arc::clone(generator)),
            (None, Some(upstream)) => Ok(upstream.generator()),
            (None, None) => Err(UnknownModel::Name(prompt.model.clone())),
        }
    }
}
