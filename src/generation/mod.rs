//! Runs generators into the log and lets readers follow: the only module that knows both.
//!
//! A producer belongs to its stream, not to the connection that asked for it: it holds the permit
//! until the terminal entry is written, whoever comes or goes meanwhile.

/// A log line at `error` if somebody must set something right, else at `warn`.
macro_rules! complain {
    ($is_ours:expr, $($line:tt)+) => {
        if $is_ours {
            tracing::error!($($line)+);
        } else {
            tracing::warn!($($line)+);
        }
    };
}

mod models;
mod producer;
mod request;
mod running;
mod snapshot;
mod subscription;
mod takeover;

pub use models::{Models, PassedThrough, UnknownModel};
pub use request::{Generation, GenerationConfig, OnDisconnect, Refused, StartError};
pub use running::{Live, Running, Seen};
pub use snapshot::Snapshot;
pub use subscription::Subscription;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use self::producer::Producer;
use crate::auth::{Principal, Viewer};
use crate::generator::Prompt;
use crate::limit::Permit;
use crate::metrics::{Metrics, Reader};
use crate::shutdown::Stopping;
use crate::stream::{Cursor, StreamId};
use crate::stream_log::{
    Access, Created, Description, IdempotencyKey, LogError, NewStream, Presence, Status, StreamLog,
};
use crate::traces::Span;

/// How long a request waits for its stream to be made. The making goes on, and a repetition with the same
/// idempotency key finds the stream.
const CREATION: Duration = Duration::from_secs(10);

/// Starts, follows, describes and stops generations.
pub struct GenerationService {
    log: Arc<dyn StreamLog>,
    models: ArcSwap<Models>,
    config: GenerationConfig,
    producers: TaskTracker,
    readers: TaskTracker,
    stopping: Stopping,
    metrics: Metrics,
    running: Arc<Running>,
}

impl GenerationService {
    /// A service on this log. `stopping` ends what still runs when the server must stop.
    #[must_use]
    pub fn new(
        log: Arc<dyn StreamLog>,
        models: Models,
        config: GenerationConfig,
        stopping: Stopping,
        metrics: Metrics,
    ) -> Self {
        Self {
            log,
            models: ArcSwap::from_pointee(models),
            config,
            producers: TaskTracker::new(),
            readers: TaskTracker::new(),
            stopping,
            metrics,
            running: Arc::default(),
        }
    }

    /// The models that clients may name now.
    #[must_use]
    pub fn current_models(&self) -> Arc<Models> {
        self.models.load_full()
    }

    /// Other models from now on. A generation that runs keeps the generator that it has.
    pub fn replace_models(&self, models: Models) {
        self.models.store(Arc::new(models));
    }

    /// Whether generations can be logged just now, as far as is known.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.log.is_ready()
    }

    /// The tasks that generate.
    #[must_use]
    pub const fn producers(&self) -> &TaskTracker {
        &self.producers
    }

    /// A token for each response that still follows a stream.
    #[must_use]
    pub const fn readers(&self) -> &TaskTracker {
        &self.readers
    }

    /// The generations that run in this process.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Whether other nodes go on with what this one leaves.
    #[must_use]
    pub const fn takes_over(&self) -> bool {
        self.config.takes_over
    }

    /// Which upstreams of which models are left alone now, of those that have several.
    #[must_use]
    pub fn rests(&self) -> Vec<(String, Arc<str>, bool)> {
        let models = self.models.load();
        let rests = models.by_name.iter().flat_map(|(model, generator)| {
            let rests = generator.rests().into_iter();
            rests.map(|(upstream, rests)| (model.clone(), upstream, rests))
        });
        rests.collect()
    }

    /// The public name of the model that a request means.
    ///
    /// # Errors
    /// There is no such model.
    pub async fn resolve(&self, wanted: Option<&str>) -> Result<String, UnknownModel> {
        self.models.load_full().resolve(wanted).await
    }

    /// The public names of the models.
    ///
    /// # Errors
    /// An upstream whose models are ours could not be asked.
    pub async fn models(&self) -> Result<Vec<String>, UnknownModel> {
        self.models.load_full().names().await
    }

    /// Asks the model's generator whether it can serve the prompt.
    ///
    /// # Errors
    /// There is no such model, or it cannot.
    pub fn check(&self, prompt: &Prompt) -> Result<(), Refused> {
        Ok(self.models.load().generator(prompt)?.check(prompt)?)
    }

    /// Starts a generation on this thread, or finds the one that the same request started before.
    ///
    /// # Errors
    /// The log has no room, or the idempotency key belongs to another request.
    pub async fn start(
        &self,
        principal: &Principal,
        permit: Permit,
        generation: Generation,
    ) -> Result<StreamId, StartError> {
        let Generation {
            prompt,
            on_disconnect,
            idempotency,
            request_id,
        } = generation;
        let generator = self.models.load().generator(&prompt)?;
        let new = NewStream {
            id: StreamId::generate(),
            owner: principal.owner().clone(),
            model: prompt.model.clone(),
            created: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs(),
            metadata: prompt.metadata.clone(),
            idempotency,
            job: self
                .config
                .takes_over
                .then(|| takeover::job(principal, &prompt, on_disconnect, &request_id)),
        };
        let job = self.job(new.id, principal, &prompt, on_disconnect, request_id);
        let log = Arc::clone(&self.log);
        let producers = self.producers.clone();
        let (answer, answered) = oneshot::channel();
        // Whoever asked may leave while the log makes the stream. What is made then has a producer all
        // the same: the request that is sent again with its key finds a stream that grows.
        self.producers.spawn_local(async move {
            let (id, owner) = (new.id, new.owner.clone());
            let created = match log.create(new).await {
                Ok(Created::Existing(id)) => Ok(id),
                Ok(Created::New(writer)) => {
                    let producer = Producer::new(job, prompt, &*generator, writer, permit);
                    producers.spawn_local(producer.run());
                    Ok(id)
                }
                Err(error) => Err(error),
            };
            if let Err(Ok(id)) = answer.send(created) {
                // It is as if they had come and left.
                let access = Access::Owner(&owner);
                let _visit = log.follow(access, id, None, Presence::Connected).await;
            }
        });
        match timeout(CREATION, answered).await {
            Ok(Ok(created)) => Ok(created?),
            // It takes too long, or has panicked.
            Err(_) | Ok(Err(_)) => Err(LogError::Unavailable.into()),
        }
    }

    fn job(
        &self,
        id: StreamId,
        principal: &Principal,
        prompt: &Prompt,
        on_disconnect: OnDisconnect,
        request_id: String,
    ) -> producer::Job {
        producer::Job {
            id,
            owner: principal.owner().clone(),
            request_id,
            model: prompt.model.clone(),
            upstream: None,
            tried: Vec::new(),
            span: Span::default(),
            error: None,
            panicked: None,
            config: self.config,
            earlier: Duration::ZERO,
            abandon_after: match on_disconnect {
                OnDisconnect::Default => Some(self.config.abandon_after),
                OnDisconnect::Continue => None,
                OnDisconnect::Cancel => Some(Duration::ZERO),
            },
            stopping: self.stopping.clone(),
            metrics: self.metrics.clone(),
            plan: principal.plan.clone(),
            running: Arc::clone(&self.running),
        }
    }

    /// The stream that this principal started with this idempotency key.
    ///
    /// # Errors
    /// The key belongs to another request.
    pub async fn find(
        &self,
        principal: &Principal,
        key: &IdempotencyKey,
    ) -> Result<Option<StreamId>, LogError> {
        self.log.find(principal.owner(), key).await
    }

    /// Follows a stream from the entry after `after`, or from its start.
    ///
    /// # Errors
    /// The stream is not to be had for this viewer.
    pub async fn subscribe(
        &self,
        viewer: &Viewer,
        id: StreamId,
        after: Option<u64>,
        reader: Reader,
    ) -> Result<Subscription, LogError> {
        let access = access(viewer, id)?;
        let presence = match reader {
            Reader::Poll => Presence::Polling,
            Reader::Sse | Reader::Ndjson | Reader::OpenAi => Presence::Connected,
        };
        let asked = Instant::now();
        let follower = self.log.follow(access, id, after, presence).await?;
        self.metrics.followed(asked.elapsed());
        // Whoever polls comes back with each page.
        if after.is_some() && presence == Presence::Connected {
            self.metrics.resumed(reader, follower.backlog());
        }
        Ok(Subscription::new(id, follower, self.readers.token()))
    }

    /// Where a stream stands, without its text.
    ///
    /// # Errors
    /// The stream is not to be had for this caller.
    pub async fn describe(
        &self,
        access: Access<'_>,
        id: StreamId,
    ) -> Result<Description, LogError> {
        self.log.describe(access, id).await
    }

    /// Whether this is the position of the stream's terminal entry, after which nothing comes.
    ///
    /// # Errors
    /// The stream is not to be had for this viewer.
    pub async fn is_end(&self, viewer: &Viewer, cursor: Cursor) -> Result<bool, LogError> {
        let access = access(viewer, cursor.stream)?;
        let description = self.log.describe(access, cursor.stream).await?;
        Ok(description.terminal.is_some() && description.last_seq == cursor.seq)
    }

    /// Where a stream stands, with its text so far.
    ///
    /// # Errors
    /// The stream is not to be had for this viewer.
    pub async fn snapshot(&self, viewer: &Viewer, id: StreamId) -> Result<Snapshot, LogError> {
        let description = self.log.describe(access(viewer, id)?, id).await?;
        let log = Arc::clone(&self.log);
        Ok(Snapshot::new(description, log, viewer.owner().clone()))
    }

    /// The viewer's own streams, newest first.
    ///
    /// # Errors
    /// The log could not be read.
    pub async fn list(
        &self,
        principal: &Principal,
        status: Option<Status>,
        after: Option<StreamId>,
        limit: usize,
    ) -> Result<Vec<Description>, LogError> {
        self.log.list(principal.owner(), status, after, limit).await
    }

    /// Cancels a generation; one that has ended stays as it is.
    ///
    /// # Errors
    /// The stream is not to be had for this caller.
    pub async fn cancel(&self, access: Access<'_>, id: StreamId) -> Result<(), LogError> {
        self.log.cancel(access, id).await
    }

    /// Cancels a generation and erases its stream.
    ///
    /// # Errors
    /// The stream is not to be had for this caller.
    pub async fn remove(&self, access: Access<'_>, id: StreamId) -> Result<(), LogError> {
        self.log.remove(access, id).await
    }
}

fn access(viewer: &Viewer, id: StreamId) -> Result<Access<'_>, LogError> {
    if viewer.may_read(id) {
        Ok(Access::Owner(viewer.owner()))
    } else {
        Err(LogError::Foreign)
    }
}
