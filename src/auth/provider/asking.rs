//! The task that asks a provider: when, what it makes of the answer, and what the log says of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::answer::{self, Answer, NoAnswer, Set};
use super::{ProviderConfig, ProviderTimes, Published, Shared};

/// The pauses after questions without an answer: the first, doubled each time up to the last.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// How a provider is, as the log has it: it says so once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Well,
    /// It publishes no key that we could use.
    Empty,
    /// It is away, and its last keys are believed.
    Away,
    /// It is away, and there are no keys to be believed.
    Without,
}

/// The task that asks.
pub(super) struct Asking {
    shared: Arc<Shared>,
    /// What the log has said last.
    said: Said,
    /// Questions without an answer since the last one that had one.
    failures: u32,
}

impl Asking {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            said: Said::Well,
            failures: 0,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let pause = self.ask().await;
            // Or at once, when somebody needs more than that answer.
            _ = timeout(pause, self.shared.is_wanted()).await;
        }
    }

    /// Asks once; how long to wait before the next question.
    async fn ask(&mut self) -> Duration {
        let shared = Arc::clone(&self.shared);
        shared.begin();
        let tag = shared
            .published
            .load()
            .as_ref()
            .and_then(|it| it.tag.clone());
        let settings = shared.settings.load_full();
        let answer = answer::ask(&settings.config, &settings.client, tag).await;
        let is_good = answer.is_ok();
        let pause = match answer {
            Ok(answer) => self.take(answer, &settings.config),
            Err(why) => self.do_without(&why, &settings.config),
        };
        // After the keys are there.
        shared.end(is_good);
        pause
    }

    fn take(&mut self, answer: Answer, config: &ProviderConfig) -> Duration {
        let url = config.url();
        let ProviderTimes {
            refresh_min,
            refresh_max,
            ..
        } = config.times;
        let before = self.shared.published.load_full();
        let (keys, unusable, tag) = match (answer.set, &before) {
            (Some(Set { keys, others, tag }), _) => (keys.into(), others, tag),
            (None, Some(before)) => (
                Arc::clone(&before.keys),
                before.unusable,
                before.tag.clone(),
            ),
            (None, None) => (Arc::default(), 0, None),
        };
        // Also if there is none left: what is no longer published is withdrawn.
        let mut is_first = false;
        let said = if keys.is_empty() {
            Said::Empty
        } else {
            is_first = !self.shared.had_keys.swap(true, Ordering::AcqRel);
            Said::Well
        };
        let published = Published {
            keys,
            unusable,
            tag,
            at: Instant::now(),
        };
        self.shared.published.store(Some(Arc::new(published)));
        let turnover = self.shared.tell();
        self.shared.failure.store(None);
        self.failures = 0;
        if self.is_to_say(said) {
            if said == Said::Empty {
                tracing::error!(
                    jwks.url = %url, jwks.gone = %turnover.gone, jwks.unusable = unusable,
                    "A provider publishes no key that verifies tokens: its tokens are refused"
                );
            } else if !is_first {
                tracing::info!(jwks.url = %url, "The provider publishes its keys again");
            }
        }
        let fresh = answer.fresh.unwrap_or(refresh_max);
        // A bit earlier, and not all nodes at once.
        let part = rand::random_range(0.75..0.95);
        fresh.min(refresh_max).mul_f64(part).max(refresh_min)
    }

    /// Whether the log has to say how the provider is now. Nothing comes of one that is not in force: who has
    /// asked for it says why not.
    fn is_to_say(&mut self, said: Said) -> bool {
        let is_other = self.shared.is_in_force.load(Ordering::Acquire) && self.said != said;
        if is_other {
            self.said = said;
        }
        is_other
    }

    fn do_without(&mut self, why: &NoAnswer, config: &ProviderConfig) -> Duration {
        let url = config.url();
        self.shared.failure.store(Some(Arc::new(why.to_string())));
        let published = self.shared.published.load();
        let believed = published.as_ref().and_then(|it| {
            let left = config.times.keep.checked_sub(it.at.elapsed())?;
            Some((it.keys.len(), left)).filter(|(_, left)| !left.is_zero())
        });
        let (said, left) = match believed {
            Some((_, left)) => (Said::Away, left),
            None => (Said::Without, LAST_PAUSE),
        };
        if self.is_to_say(said) {
            if let Some((keys, left)) = believed {
                let left = left.as_secs();
                tracing::warn!(jwks.url = %url, jwks.error = %why, jwks.keys = keys, jwks.left_s = left, "A provider does not publish its keys: going on with the last ones");
            } else {
                tracing::error!(jwks.url = %url, jwks.error = %why, "A provider does not publish its keys, and there are none: its tokens get 503");
            }
        }
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1).min(8);
        // That the last keys are too old is noticed when it happens.
        pause.min(LAST_PAUSE).min(left)
    }
}
