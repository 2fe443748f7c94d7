//! The keys that an identity provider publishes at a URL (a JWK set, RFC 7517).
//!
//! One task asks for all: before what it has gets stale, and when a token names a key that is not in
//! it, though not again within the cool-down, whatever tokens come. Whoever verifies reads the last good
//! set, which only another good one replaces, and which is believed for a bounded time when the provider
//! does not answer.

mod answer;
mod asking;
mod turnover;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use http::HeaderValue;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::asking::{Asking, FIRST_PAUSE};
use super::Algorithm;
use super::keys::Key;
use crate::http_client::{HttpClient, HttpClientConfig};

/// How many may wait for one provider's answer. Anybody can send tokens that name unknown keys.
const MOST_WAITING: usize = 1024;

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
    /// The issuers that its keys sign for; if there are none, all that are accepted.
    pub issuers: Vec<String>,
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
    settings: ArcSwap<Settings>,
    published: ArcSwapOption<Published>,
    /// The keys that the log knows of.
    told: Mutex<Arc<[Key]>>,
    /// Whether tokens are verified with its keys. Else it is tried for a configuration that is not yet in force.
    is_in_force: AtomicBool,
    /// Whether it has ever published a key that verifies tokens.
    had_keys: AtomicBool,
    /// Why the last question had no answer, if it had none.
    failure: ArcSwapOption<String>,
    asked: watch::Sender<Asked>,
    /// The number of the question whose answer somebody needs. When it is due is said by whoever needs
    /// it, and the task goes by the number alone: with a clock of its own it could take for too early
    /// what was not, and forget it.
    wanted: watch::Sender<u64>,
}

/// How it is asked. A reload gives it others; its keys stay.
struct Settings {
    config: ProviderConfig,
    client: HttpClient,
}

/// The last good answer.
struct Published {
    keys: Arc<[Key]>,
    /// How many others were with them.
    unusable: usize,
    tag: Option<HeaderValue>,
    /// When it came, or was said to hold still.
    at: Instant,
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
            settings: ArcSwap::from_pointee(Settings { config, client }),
            published: ArcSwapOption::empty(),
            told: Mutex::default(),
            is_in_force: AtomicBool::new(false),
            had_keys: AtomicBool::new(false),
            failure: ArcSwapOption::empty(),
            asked: watch::Sender::new(Asked::default()),
            wanted: watch::Sender::default(),
        });
        let stop = CancellationToken::new();
        let (stopped, asking) = (stop.clone(), Arc::clone(&shared));
        let task = async move {
            let asking = Asking::new(asking);
            _ = stopped.run_until_cancelled(asking.run()).await;
        };
        let provider = Self {
            shared,
            _stop: stop.drop_guard(),
        };
        (provider, task)
    }

    /// Its URL without the query, for people.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.settings.load().config.url()
    }

    /// Whether what is configured there is this provider, perhaps with other times, authorities and
    /// issuers: what it has published is the same.
    #[must_use]
    pub fn is(&self, config: &ProviderConfig) -> bool {
        let own = &self.shared.settings.load().config;
        own.server.url == config.server.url
            && own.server.headers == config.server.headers
            && own.path == config.path
            && own.algorithm == config.algorithm
    }

    /// From now on its keys verify tokens, and the log says what their owners will notice.
    pub fn enter_force(&self) {
        self.shared.is_in_force.store(true, Ordering::Release);
        self.shared.tell();
    }

    /// Whether it is asked in just this way.
    #[must_use]
    pub fn has(&self, config: &ProviderConfig) -> bool {
        self.shared.settings.load().config == *config
    }

    /// Goes on in another way with the keys that there are, and asks at once.
    pub fn go_on_with(&self, config: ProviderConfig, client: HttpClient) {
        let settings = Settings { config, client };
        self.shared.settings.store(Arc::new(settings));
        self.ask_anew();
    }

    /// Has it asked whatever was answered before, and waits for nothing.
    pub fn ask_anew(&self) {
        let asked = *self.shared.asked.borrow();
        // An answer that is under way may be older than what somebody knows of.
        self.shared
            .want(asked.times + 1 + u64::from(asked.is_asking));
    }

    /// Waits for the first answer, for as long as an answer may take.
    ///
    /// # Errors
    /// Says why there is none, or no key in it.
    pub async fn begin(&self) -> Result<(), String> {
        if !self.ask().await {
            let failure = self.shared.failure.load_full();
            return Err(failure.map_or_else(|| "there is no answer".to_owned(), |it| (*it).clone()));
        }
        if !self.has_had_keys() {
            return Err("there is no key in it that verifies tokens".to_owned());
        }
        Ok(())
    }

    /// Whether it has ever published a key that verifies tokens.
    #[must_use]
    pub fn has_had_keys(&self) -> bool {
        self.shared.had_keys.load(Ordering::Acquire)
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
            Some(published) if published.at.elapsed() < self.shared.times().keep => {
                look(&published.keys)
            }
            _ => look(&[]),
        }
    }

    /// Asks it, unless that has just been done; waits if somebody else is at it. Whether it answered.
    pub(super) async fn ask(&self) -> bool {
        if self.shared.asked.receiver_count() >= MOST_WAITING {
            return false;
        }
        let mut asked = self.shared.asked.subscribe();
        let before = *asked.borrow_and_update();
        if !before.is_asking
            && let Some((at, answered)) = before.last
            && at.elapsed() < self.shared.times().cool_down
        {
            return answered;
        }
        self.shared.want(before.times + 1);
        // The question has a time-out of its own; this one is for a task that is gone.
        let patience = self.shared.times().timeout + FIRST_PAUSE;
        let next = asked.wait_for(|now| now.times > before.times);
        let Ok(Ok(now)) = timeout(patience, next).await else {
            return false;
        };
        now.last.is_some_and(|(_, answered)| answered)
    }
}

impl Shared {
    fn times(&self) -> ProviderTimes {
        self.settings.load().config.times
    }

    /// Has the question of this number asked, if it is not over.
    fn want(&self, number: u64) {
        self.wanted
            .send_modify(|wanted| *wanted = number.max(*wanted));
    }

    /// Until somebody needs an answer that is not here.
    async fn is_wanted(&self) {
        let mut wanted = self.wanted.subscribe();
        let times = self.asked.borrow().times;
        // The sender lives as long as we do.
        _ = wanted.wait_for(|number| *number > times).await;
    }

    /// A question begins.
    fn begin(&self) {
        self.asked.send_modify(|asked| asked.is_asking = true);
    }

    /// It is over: whoever waits for its answer looks at the keys now.
    fn end(&self, is_good: bool) {
        self.asked.send_modify(|asked| {
            *asked = Asked {
                times: asked.times + 1,
                failed: asked.failed + u64::from(!is_good),
                last: Some((Instant::now(), is_good)),
                is_asking: false,
            };
        });
    }
}

#[cfg(test)]
mod tests;
