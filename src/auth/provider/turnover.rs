//! Which keys of a provider came and went, as the log has it: of one in force, and each once.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::Shared;
use crate::auth::keys::Key;

/// The names of the keys that it publishes and did not, and the other way round.
#[derive(Debug, Default)]
pub(super) struct Turnover {
    came: String,
    pub(super) gone: String,
}

impl Turnover {
    fn between(before: &[Key], now: &[Key]) -> Self {
        Self {
            came: names(now, before),
            gone: names(before, now),
        }
    }

    const fn is_none(&self) -> bool {
        self.came.is_empty() && self.gone.is_empty()
    }
}

impl Shared {
    /// Says which keys came and went since it was said last. Nothing comes of those of a provider that is not in
    /// force: they are said when it is.
    pub(super) fn tell(&self) -> Turnover {
        // Who puts it in force and who takes its answer may come at once: the later of them sees what both did.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let published = self.published.load();
        let is_in_force = self.is_in_force.load(Ordering::Acquire);
        let Some(published) = published.as_ref().filter(|_| is_in_force) else {
            return Turnover::default();
        };
        let turnover = Turnover::between(&told, &published.keys);
        if !published.keys.is_empty() && !turnover.is_none() {
            tracing::info!(
                jwks.url = %self.settings.load().config.url(), jwks.keys = published.keys.len(),
                jwks.came = %turnover.came, jwks.gone = %turnover.gone,
                jwks.unusable = published.unusable, "Read the keys that a provider publishes"
            );
        }
        *told = Arc::clone(&published.keys);
        turnover
    }
}

/// The most names that are logged, and of each. They are public, and as long as a stranger likes.
const MOST_NAMES: usize = 10;
const LONGEST_NAME: usize = 64;

/// How much of a thumbprint tells the keys of one provider apart.
const SHORT_THUMBPRINT: usize = 8;

/// The names, with their algorithms, of those keys that are not among the others.
fn names(keys: &[Key], others: &[Key]) -> String {
    let is_other = |key: &&Key| !others.iter().any(|other| other.is(key));
    let names: Vec<String> = keys
        .iter()
        .filter(is_other)
        .map(|key| {
            let (id, algorithm) = key.name();
            if let Some(id) = id {
                let id: String = id.escape_debug().take(LONGEST_NAME).collect();
                format!("{id} {algorithm}")
            } else {
                let thumbprint = key.thumbprint().unwrap_or_default().chars();
                let thumbprint: String = thumbprint.take(SHORT_THUMBPRINT).collect();
                format!("(without kid) {thumbprint} {algorithm}")
            }
        })
        .collect();
    let more = match names.len().saturating_sub(MOST_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = names.len().min(MOST_NAMES);
    names[..shown].join(", ") + &more
}
