//! The keys that an identity provider publishes at a URL (a JWK set, RFC 7517).
//!
//! One task asks for all: before what it has gets stale, and when a token names a key that is not in
//! it, though not again within the cool-down, whatever tokens come. Whoever verifies reads the last good
//! set, which only another good one replaces, and which is believed for a bounded time when the provider
//! does not answer.

mod answer;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::answer::{Answer, NoAnswer, Set};
use super::Algorithm;
use super::keys::Key;
use crate::http_client::{HttpClient, HttpClientConfig};

/// The pauses after questions without an answer: the first, doubled each time up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// A provider, and how often it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderConfig {
    /// Where it is.
    pub server: HttpClientConfig,
    /// What it is asked for there.
    pub path: String,
    /// The authorities that are trusted in place of the system's, in PEM.
    pub authority: Option<Vec<u8>>,
    /// The algorithm of RSA keys that do not say theirs.
    pub algorithm: Algorithm,
    /// The times.
    pub times: ProviderTimes,
}

impl ProviderConfig {
    /// Its URL without the query, for people.
    #[must_use]
    pub fn url(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{}{path}", self.server.url)
    }
}

/// How often providers are asked, and how long they are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderTimes {
    /// How long an answer may take.
    pub timeout: Duration,
    /// How soon after an answer an unknown key is asked for.
    pub cool_down: Duration,
    /// The least and the most time between two questions; in between, the provider's `max-age` holds.
    pub refresh_min: Duration,
    /// See there.
    pub refresh_max: Duration,
    /// How long the last set is believed when the provider does not answer.
    pub keep: Duration,
}

/// How it stands with a provider.
#[derive(Debug, Clone, Copy)]
pub struct ProviderFigures {
    /// How many questions had a good answer.
    pub answered: u64,
    /// How many had none.
    pub failed: u64,
    /// How many of its keys are believed now.
    pub keys: u64,
}

/// A provider's keys. Dropping it ends its task.
pub struct Provider {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    config: ProviderConfig,
    published: ArcSwapOption<Published>,
    asked: watch::Sender<Asked>,
    /// Somebody needs a key that is not there.
    wanted: Notify,
}

/// The last good answer.
struct Published {
    keys: Arc<[Key]>,
    tag: Option<HeaderValue>,
    believed_until: Instant,
}

/// How the asking goes.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    /// How many questions are over.
    times: u64,
    /// How many of them had no answer.
    failed: u64,
    /// When the last one was over, and whether there was an answer.
    last: Option<(Instant, bool)>,
    /// Whether there is another just now.
    is_asking: bool,
}

impl Provider {
    /// A provider that has not been asked yet, and the task that asks it, to be spawned.
    pub fn new(
        config: ProviderConfig,
        client: HttpClient,
    ) -> (Self, impl Future<Output = ()> + use<>) {
        let shared = Arc::new(Shared {
            config,
            published: ArcSwapOption::empty(),
            asked: watch::Sender::new(Asked::default()),
            wanted: Notify::new(),
        });
        let stop = CancellationToken::new();
        let (stopped, asking) = (stop.clone(), Arc::clone(&shared));
        let task = async move {
            let asking = Asking {
                shared: asking,
                client,
                said: Said::Well,
                failures: 0,
            };
            _ = stopped.run_until_cancelled(asking.run()).await;
        };
        let provider = Self {
            shared,
            _stop: stop.drop_guard(),
        };
        (provider, task)
    }

    /// What it was made from.
    #[must_use]
    pub fn config(&self) -> &ProviderConfig {
        &self.shared.config
    }

    /// Whether it has ever answered.
    #[must_use]
    pub fn has_answered(&self) -> bool {
        self.shared.published.load().is_some()
    }

    /// How it stands with it.
    #[must_use]
    pub fn figures(&self) -> ProviderFigures {
        let asked = *self.shared.asked.borrow();
        ProviderFigures {
            answered: asked.times - asked.failed,
            failed: asked.failed,
            keys: self.with_keys(<[Key]>::len) as u64,
        }
    }

    /// Looks at its keys, of which there may be none now.
    pub(super) fn with_keys<T>(&self, look: impl FnOnce(&[Key]) -> T) -> T {
        match &*self.shared.published.load() {
            Some(published) if Instant::now() < published.believed_until => look(&published.keys),
            _ => look(&[]),
        }
    }

    /// Asks it, unless that has just been done; waits if somebody else is at it. Whether it answered.
    pub(super) async fn ask(&self) -> bool {
        let mut asked = self.shared.asked.subscribe();
        let before = *asked.borrow_and_update();
        if !before.is_asking
            && let Some((at, answered)) = before.last
            && at.elapsed() < self.shared.config.times.cool_down
        {
            return answered;
        }
        self.shared.wanted.notify_one();
        // The question has a time-out of its own; this one is for a task that is gone.
        let patience = self.shared.config.times.timeout + FIRST_PAUSE;
        let next = asked.wait_for(|now| now.times > before.times);
        let Ok(Ok(now)) = timeout(patience, next).await else {
            return false;
        };
        now.last.is_some_and(|(_, answered)| answered)
    }
}

/// How a provider is, as the log has it: it says so once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Well,
    /// It is away, and its last keys are believed.
    Away,
    /// It is away, and there are no keys to be believed.
    Without,
}

/// The task that asks.
struct Asking {
    shared: Arc<Shared>,
    client: HttpClient,
    /// What the log has said last.
    said: Said,
    /// Questions without an answer since the last one that had one.
    failures: u32,
}

impl Asking {
    async fn run(mut self) {
        loop {
            let pause = self.ask().await;
            let (since, shared) = (Instant::now(), Arc::clone(&self.shared));
            let next = sleep_until(since + pause);
            let wanted = async {
                loop {
                    shared.wanted.notified().await;
                    // Whoever came while we asked has got that answer.
                    if since.elapsed() >= shared.config.times.cool_down {
                        return;
                    }
                }
            };
            tokio::select! {
                () = next => {}
                () = wanted => {}
            }
        }
    }

    /// Asks once; how long to wait before the next question.
    async fn ask(&mut self) -> Duration {
        let shared = Arc::clone(&self.shared);
        shared.asked.send_modify(|asked| asked.is_asking = true);
        let tag = shared
            .published
            .load()
            .as_ref()
            .and_then(|it| it.tag.clone());
        let answer = answer::ask(&shared.config, &self.client, tag).await;
        let is_good = answer.is_ok();
        let pause = match answer {
            Ok(answer) => self.take(answer),
            Err(why) => self.do_without(&why),
        };
        // After the keys are there: whoever waits looks for theirs now.
        shared.asked.send_modify(|asked| {
            *asked = Asked {
                times: asked.times + 1,
                failed: asked.failed + u64::from(!is_good),
                last: Some((Instant::now(), is_good)),
                is_asking: false,
            };
        });
        pause
    }

    fn take(&mut self, answer: Answer) -> Duration {
        let config = &self.shared.config;
        let url = config.url();
        let ProviderTimes {
            refresh_min,
            refresh_max,
            keep,
            ..
        } = config.times;
        let before = self.shared.published.load_full();
        let (keys, tag) = match (answer.set, &before) {
            (Some(Set { keys, others, tag }), _) => {
                if is_news(before.as_deref(), &keys) {
                    let keys = keys.len();
                    tracing::info!(jwks.url = %url, jwks.keys = keys, jwks.unusable = others, "Read the keys that a provider publishes");
                }
                (keys.into(), tag)
            }
            (None, Some(before)) => (Arc::clone(&before.keys), before.tag.clone()),
            (None, None) => (Arc::default(), None),
        };
        self.shared.published.store(Some(Arc::new(Published {
            keys,
            tag,
            believed_until: Instant::now() + keep,
        })));
        self.failures = 0;
        if std::mem::replace(&mut self.said, Said::Well) != Said::Well {
            tracing::info!(jwks.url = %url, "The provider publishes its keys again");
        }
        let fresh = answer.fresh.unwrap_or(refresh_max);
        // A bit earlier, and not all nodes at once.
        let part = rand::random_range(0.75..0.95);
        fresh.min(refresh_max).mul_f64(part).max(refresh_min)
    }

    fn do_without(&mut self, why: &NoAnswer) -> Duration {
        let url = self.shared.config.url();
        let published = self.shared.published.load();
        let believed = published.as_ref().and_then(|it| {
            let left = it.believed_until.checked_duration_since(Instant::now())?;
            Some((it.keys.len(), left)).filter(|(_, left)| !left.is_zero())
        });
        let (said, left) = match believed {
            Some((_, left)) => (Said::Away, left),
            None => (Said::Without, LAST_PAUSE),
        };
        if self.said != said {
            if let Some((keys, left)) = believed {
                let left = left.as_secs();
                tracing::warn!(jwks.url = %url, jwks.error = %why, jwks.keys = keys, jwks.left_s = left, "A provider does not publish its keys: going on with the last ones");
            } else {
                tracing::error!(jwks.url = %url, jwks.error = %why, "A provider does not publish its keys, and there are none: its tokens get 503");
            }
        }
        self.said = said;
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1).min(8);
        // That the last keys are too old is noticed when it happens.
        pause.min(LAST_PAUSE).min(left)
    }
}

/// Whether these keys have other names or algorithms than the ones before.
fn is_news(before: Option<&Published>, keys: &[Key]) -> bool {
    before.is_none_or(|before| {
        before.keys.len() != keys.len()
            || before
                .keys
                .iter()
                .zip(keys)
                .any(|(one, other)| one.name() != other.name())
    })
}
