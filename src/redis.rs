//! The Redis that the nodes share: a few connections, multiplexed, made again when they break; and
//! the thread that they live on. What is kept there is for those to say who keep it.
//!
//! The server's workers have runtimes of one thread each, which stop one after the other; so what
//! talks to Redis has one of its own.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError, ScriptInvocation,
    ServerErrorKind,
};
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How many connections commands are spread over.
const CONNECTIONS: usize = 2;

/// How long a connection may take to be made, and an answer to come.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The first pause before another try, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Where Redis is.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// `redis://` or `rediss://`, with user, password and database.
    pub url: String,
}

impl RedisConfig {
    /// Where it is, without user and password.
    #[must_use]
    pub fn address(&self) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or_default();
        let address = rest.rsplit_once('@').map_or(rest, |(_, address)| address);
        let end = address.find(['?', '#']).unwrap_or(address.len());
        format!("{scheme}://{}", &address[..end])
    }

    /// Checks what [`Redis::new`] would refuse.
    ///
    /// # Errors
    /// It would.
    pub fn check(&self) -> Result<(), RedisSetupError> {
        self.client().map(|_| ())
    }

    fn client(&self) -> Result<Client, RedisSetupError> {
        Client::open(self.url.as_str()).map_err(|_| RedisSetupError::Url)
    }
}

/// A Redis that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisSetupError {
    /// The URL is not one of Redis. Its text is not repeated: it may hold the password.
    #[error("expected a URL such as redis://user:password@host:6379/0, or rediss:// for TLS")]
    Url,
    /// The operating system gave no thread.
    #[error("cannot start the thread that talks to Redis: {0}")]
    Thread(#[from] std::io::Error),
}

/// Why Redis did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It could not be reached, or did not understand.
    #[error("Redis does not answer")]
    Away,
    /// It has no memory left.
    #[error("Redis has no memory left")]
    Full,
}

/// What Redis can be asked.
pub(crate) enum Ask<'a> {
    /// One command.
    Command(&'a Cmd),
    /// A script, which is loaded when Redis does not know it.
    Script(&'a ScriptInvocation<'a>),
}

/// The connections, and their thread. Connects when it must, and again.
pub struct Redis {
    client: Client,
    slots: [tokio::sync::Mutex<Option<(u64, MultiplexedConnection)>>; CONNECTIONS],
    next: AtomicUsize,
    connected: AtomicU64,
    /// Since when Redis has answered without a failure in between.
    up_since: Mutex<Option<Instant>>,
    runtime: tokio::runtime::Handle,
    /// Ends the thread.
    _stop: DropGuard,
}

impl Redis {
    /// A Redis that need not be there yet.
    ///
    /// # Errors
    /// The URL is none, or there can be no thread.
    pub fn new(config: &RedisConfig) -> Result<Arc<Self>, RedisSetupError> {
        let client = config.client()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        std::thread::Builder::new()
            .name("redis".to_owned())
            .spawn(move || runtime.block_on(stopped.cancelled()))?;
        Ok(Arc::new(Self {
            client,
            slots: Default::default(),
            next: AtomicUsize::new(0),
            connected: AtomicU64::new(0),
            up_since: Mutex::default(),
            runtime: handle,
            _stop: stop.drop_guard(),
        }))
    }

    /// The thread's runtime.
    pub(crate) const fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }

    /// A connection of its own for listening.
    pub(crate) async fn listen(&self) -> Result<PubSub, RedisError> {
        self.client.get_async_pubsub().await
    }

    /// For how long Redis has answered; nothing if it does not.
    #[must_use]
    pub fn up_for(&self) -> Option<Duration> {
        let since = self.up_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|since| since.elapsed())
    }

    /// Notes whether Redis answered.
    fn note(&self, answers: bool) {
        let mut since = self.up_since.lock().unwrap_or_else(PoisonError::into_inner);
        match (since.is_some(), answers) {
            (true, false) => {
                *since = None;
                tracing::error!("Redis is away");
            }
            (false, true) => {
                *since = Some(Instant::now());
                tracing::info!("Redis answers");
            }
            _ => {}
        }
    }

    async fn connection(&self, slot: usize) -> Result<(u64, MultiplexedConnection), RedisError> {
        let mut held = self.slots[slot].lock().await;
        if let Some(connection) = &*held {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let client = self.client.clone();
        // What drives the connection must be a task of our runtime, whoever asks for it.
        let made = self.runtime.spawn(async move {
            let connection = client.get_multiplexed_async_connection_with_config(&config);
            connection.await
        });
        let made = made.await.map_err(|_| {
            RedisError::from(std::io::Error::other("the thread of Redis has ended"))
        })??;
        let made = (self.connected.fetch_add(1, Ordering::Relaxed), made);
        *held = Some(made.clone());
        Ok(made)
    }

    /// Asks once.
    async fn ask_once<T: FromRedisValue>(&self, ask: &Ask<'_>) -> Result<T, RedisError> {
        let slot = self.next.fetch_add(1, Ordering::Relaxed) % CONNECTIONS;
        let asked = async {
            let (number, mut connection) = self.connection(slot).await?;
            let answer = match ask {
                Ask::Command(command) => command.query_async(&mut connection).await,
                // This loads the script when Redis does not know it.
                Ask::Script(script) => script.invoke_async(&mut connection).await,
            };
            if answer.as_ref().err().is_some_and(is_of_the_connection) {
                let mut held = self.slots[slot].lock().await;
                if held.as_ref().is_some_and(|(held, _)| *held == number) {
                    *held = None;
                }
            }
            answer
        };
        let answer = asked.await;
        self.note(!answer.as_ref().err().is_some_and(may_pass));
        answer
    }

    /// Asks, and again while there is hope, for `patience`. What is asked must bear being done twice.
    pub(crate) async fn ask<T: FromRedisValue>(
        &self,
        patience: Duration,
        ask: Ask<'_>,
    ) -> Result<T, Refusal> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.ask_once(&ask).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !may_pass(&error) || started.elapsed() + pause > patience {
                // Its text may hold a key's name, never a payload.
                tracing::warn!(redis.error = %error, "Redis did not do what it was asked");
                return Err(if is_full(&error) {
                    Refusal::Full
                } else {
                    Refusal::Away
                });
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Whether the connection is of no more use. One that does not answer in time isn't either.
fn is_of_the_connection(error: &RedisError) -> bool {
    error.is_unrecoverable_error() || error.is_timeout() || error.is_io_error()
}

fn is_full(error: &RedisError) -> bool {
    error.code() == Some("OOM")
}

/// Whether another try may go well: Redis is away, starts, fails over, or has no memory just now.
fn may_pass(error: &RedisError) -> bool {
    is_of_the_connection(error)
        || is_full(error)
        || matches!(
            error.kind(),
            ErrorKind::Server(
                // Loaded, and flushed before it was run.
                ServerErrorKind::NoScript
                    | ServerErrorKind::BusyLoading
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ReadOnly
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
            )
        )
}
