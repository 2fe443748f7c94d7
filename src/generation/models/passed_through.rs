//! An upstream whose models are all ours: its list of them, which every caller shares.
//!
//! Anybody may name models that are not there, before any limit is looked at. So the upstream is
//! asked by one caller at a time, and seldom; whoever comes meanwhile has its answer too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::generator::{Generator, GeneratorError, ModelServer};

/// How long a list is believed without asking anew.
const LIST_AGE: Duration = Duration::from_secs(30);

/// The least time between two questions, however the first was answered.
const PAUSE: Duration = Duration::from_secs(1);

/// What stands after the name of a model where a client may leave it out: `llama3.2` is Ollama's
/// `llama3.2:latest`.
const DEFAULT_TAG: &str = ":latest";

/// The names of an upstream's models.
type Names = Arc<[String]>;

/// An upstream whose models are all ours.
pub struct PassedThrough {
    server: Arc<dyn ModelServer>,
    known: Mutex<Known>,
    /// Held by whoever asks. The question itself stays on the thread of its caller; if that one
    /// leaves, the next asks.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// The last list that came, and when.
    listed: Option<(Instant, Names)>,
    /// How the last question failed, if it did, and when.
    failed: Option<(Instant, GeneratorError)>,
}

impl PassedThrough {
    /// All models of this server.
    #[must_use]
    pub fn new(server: Arc<dyn ModelServer>) -> Self {
        Self {
            server,
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// Who answers for its models.
    pub(super) fn generator(&self) -> Arc<dyn Generator> {
        Arc::clone(&self.server) as Arc<dyn Generator>
    }

    /// Its models' names: from a list of some seconds ago, or a new one, or, where none is to be had,
    /// an old one. Whoever has an old one waits for nobody else's question.
    ///
    /// # Errors
    /// It could not be asked and has never been.
    pub(super) async fn names(&self) -> Result<Names, GeneratorError> {
        let old = match self.known().listed.clone() {
            Some((at, names)) if at.elapsed() < LIST_AGE => return Ok(names),
            old => old.map(|(_, names)| names),
        };
        let turn = match (self.asking.try_lock(), &old) {
            (Ok(turn), _) => turn,
            (Err(_busy), Some(old)) => return Ok(Arc::clone(old)),
            (Err(_busy), None) => self.asking.lock().await,
        };
        match (self.ask(turn).await, old) {
            (Err(_), Some(old)) => Ok(old),
            (asked, _) => asked,
        }
    }

    /// Whether it has this model. One that the list does not name may have been added just now.
    ///
    /// # Errors
    /// It could not be asked.
    pub(super) async fn has(&self, name: &str) -> Result<bool, GeneratorError> {
        if is_among(&self.names().await?, name) {
            return Ok(true);
        }
        let turn = self.asking.lock().await;
        Ok(is_among(&self.ask(turn).await?, name))
    }

    /// Asks for a list, unless that was done a moment ago: then its outcome stands.
    async fn ask(&self, _turn: tokio::sync::MutexGuard<'_, ()>) -> Result<Names, GeneratorError> {
        if let Some(outcome) = self.known().outcome() {
            return outcome;
        }
        let asked = self.server.models().await;
        let now = Instant::now();
        let mut known = self.known();
        match asked {
            Ok(names) => {
                let names = Names::from(names);
                known.listed = Some((now, Arc::clone(&names)));
                known.failed = None;
                Ok(names)
            }
            Err(error) => {
                complain!(
                    error.is_ours_to_mend,
                    upstream.name = self.server.upstream(),
                    failure.code = error.code.as_str(),
                    failure.cause = error.reason(),
                    list.age_s = known.listed.as_ref().map(|(at, _)| at.elapsed().as_secs()),
                    "An upstream could not be asked for its models; a list that is known is believed"
                );
                known.failed = Some((now, error.clone()));
                Err(error)
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// How the last question was answered, if that is a moment ago.
    fn outcome(&self) -> Option<Result<Names, GeneratorError>> {
        let is_recent = |at: &Instant| at.elapsed() < PAUSE;
        match (&self.failed, &self.listed) {
            (Some((at, error)), _) if is_recent(at) => Some(Err(error.clone())),
            (None, Some((at, names))) if is_recent(at) => Some(Ok(Arc::clone(names))),
            _ => None,
        }
    }
}

fn is_among(names: &[String], wanted: &str) -> bool {
    let is_meant = |name: &String| name == wanted || name.strip_suffix(DEFAULT_TAG) == Some(wanted);
    names.iter().any(is_meant)
}

#[cfg(test)]
mod tests;
