//! The models that clients may name: those that are configured, and those of an upstream that is
//! passed through whole.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::generator::{Generator, GeneratorError, ModelServer, Prompt};

/// How long an upstream's list is believed.
const LIST_AGE: Duration = Duration::from_secs(30);

/// How soon it is asked again for a name that its list does not have.
const LIST_YOUTH: Duration = Duration::from_secs(1);

/// The models that clients may name.
#[derive(Default)]
pub struct Models {
    /// Generators by public name.
    pub by_name: BTreeMap<String, Arc<dyn Generator>>,
    /// The model of a request that names none, if one is configured.
    pub default: Option<String>,
    /// The server whose models are ours too, under its own names.
    pub upstream: Option<PassedThrough>,
}

/// An upstream whose models are all ours.
pub struct PassedThrough {
    server: Arc<dyn ModelServer>,
    listed: Mutex<Option<(Instant, Arc<[String]>)>>,
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

impl PassedThrough {
    /// All models of this server.
    #[must_use]
    pub fn new(server: Arc<dyn ModelServer>) -> Self {
        Self {
            server,
            listed: Mutex::new(None),
        }
    }

    /// Its models' names, if they were asked for within `age`; else they are asked for now.
    async fn list(&self, age: Duration) -> Result<Arc<[String]>, GeneratorError> {
        if let Some((at, list)) = self.listed().clone()
            && at.elapsed() < age
        {
            return Ok(list);
        }
        let list: Arc<[String]> = self.server.models().await?.into();
        *self.listed() = Some((Instant::now(), Arc::clone(&list)));
        Ok(list)
    }

    fn listed(&self) -> MutexGuard<'_, Option<(Instant, Arc<[String]>)>> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let list = upstream
            .list(LIST_AGE)
            .await
            .map_err(UnknownModel::Unasked)?;
        let Some(wanted) = wanted else {
            return list.first().cloned().ok_or(UnknownModel::Unnamed);
        };
        if list.iter().any(|name| name == wanted) {
            return Ok(wanted.to_owned());
        }
        // It may have been added just now.
        let list = upstream
            .list(LIST_YOUTH)
            .await
            .map_err(UnknownModel::Unasked)?;
        if list.iter().any(|name| name == wanted) {
            return Ok(wanted.to_owned());
        }
        Err(unknown(wanted))
    }

    /// Every name, the configured ones first.
    pub(super) async fn names(&self) -> Result<Vec<String>, UnknownModel> {
        let mut names: Vec<String> = self.by_name.keys().cloned().collect();
        if let Some(upstream) = &self.upstream {
            let list = upstream
                .list(LIST_AGE)
                .await
                .map_err(UnknownModel::Unasked)?;
            names.extend(
                list.iter()
                    .filter(|name| !self.by_name.contains_key(*name))
                    .cloned(),
            );
        }
        Ok(names)
    }

    /// Who answers this prompt, whose model has been resolved.
    pub(super) fn generator(&self, prompt: &Prompt) -> Result<Arc<dyn Generator>, UnknownModel> {
        match (self.by_name.get(&prompt.model), &self.upstream) {
            (Some(generator), _) => Ok(Arc::clone(generator)),
            (None, Some(upstream)) => Ok(Arc::clone(&upstream.server) as Arc<dyn Generator>),
            (None, None) => Err(UnknownModel::Name(prompt.model.clone())),
        }
    }
}
