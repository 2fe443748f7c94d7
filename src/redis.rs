//! The Redis that the nodes share: one server, the master that sentinels name, or a cluster; and the
//! thread that its connections live on. What is kept there is for those to say who keep it.
//!
//! The server's workers have runtimes of one thread each, which stop one after the other; so what
//! talks to Redis has one of its own.

mod address;
mod cluster;
mod config;
mod digest;
mod fault;
mod greeting;
mod health;
mod meter;
mod node;
mod script;
mod sentinel;
#[cfg(test)]
pub(crate) mod test_server;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use redis::aio::PubSub;
use redis::{Arg, Cmd, FromRedisValue, Pipeline, Value};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::cluster::{Cluster, slot};
use self::fault::{Fault, Kind};
use self::greeting::Expected;
use self::node::{Node, Where};
use self::sentinel::Sentinels;

pub use self::address::Address;
pub use self::config::{Login, Place, RedisConfig, RedisSetupError, SentinelConfig};
pub(crate) use self::digest::digest;
pub use self::meter::Meter;
pub(crate) use self::script::{Script, ScriptInvocation};
pub use self::tls::TlsConfig;

/// Where Redis listens unless it was told otherwise, and its sentinels.
pub(crate) const PORT: u16 = 6379;
pub(crate) const SENTINEL_PORT: u16 = 26379;

/// How long a connection may take to be made, and an answer to come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The first pause before another try, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long a Redis without memory is asked again: what is full stays so for longer than a lease.
const FULL_PATIENCE: Duration = Duration::from_secs(3);

/// How often one question may be sent on at once.
const REDIRECTIONS: usize = 5;

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
    /// One command, whose first argument is its key.
    Command(&'a Cmd),
    /// A script, which is loaded when Redis does not know it.
    Script(&'a ScriptInvocation<'a>),
}

impl Ask<'_> {
    /// The slot of what it is about.
    fn slot(&self) -> u16 {
        let key = match self {
            Self::Script(script) => script.first_key(),
            Self::Command(command) => command.args_iter().nth(1).and_then(|argument| {
                if let Arg::Simple(key) = argument {
                    Some(key)
                } else {
                    None
                }
            }),
        };
        slot(key.unwrap_or_default())
    }
}

/// The server that has some keys, for many commands at once.
#[derive(Clone)]
pub(crate) struct Lane(Arc<Node>);

impl Lane {
    /// Changes when the server may have become another one, or have lost what it had; never 0.
    pub(crate) fn epoch(&self) -> u64 {
        self.0.newest_connection()
    }

    /// Asks once, all of it in one go, if that epoch lasts. What is wrong with one command stands in its
    /// place.
    pub(crate) async fn ask_all(
        &self,
        epoch: u64,
        commands: &Pipeline,
    ) -> Result<Vec<Value>, Refusal> {
        let answers = self.0.ask_all(commands, epoch).await;
        answers.map_err(|_| Refusal::Away)
    }
}

enum Servers {
    One(Arc<Node>),
    Many(Arc<Cluster>),
}

/// The connections, and their thread. Connects when it must, and again.
pub struct Redis {
    servers: Servers,
    meter: Meter,
    runtime: tokio::runtime::Handle,
    /// Ends the thread.
    _stop: DropGuard,
}

impl Redis {
    /// A Redis that need not be there yet.
    ///
    /// # Errors
    /// It is configured wrongly, or there can be no thread.
    pub fn new(config: &RedisConfig) -> Result<Arc<Self>, RedisSetupError> {
        config.check()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let meter = Meter::default();
        let one = |at, name| Arc::new(Node::new(at, name, Expected::Master, &handle, &meter));
        let servers = match config.place.clone() {
            Place::Url(url) => {
                let client = config.client_of(&url).map_err(|_| RedisSetupError::Url)?;
                Servers::One(one(Where::At(client), config.address()))
            }
            Place::Sentinel(sentinel) => {
                let sentinels = Sentinels::new(config.clone(), sentinel);
                Servers::One(one(Where::Master(sentinels), config.address()))
            }
            Place::Cluster(seeds) => {
                let cluster = Cluster::new(config.clone(), seeds, &handle, &meter);
                Servers::Many(Arc::new(cluster.map_err(|_| RedisSetupError::Url)?))
            }
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        std::thread::Builder::new()
            .name("redis".to_owned())
            .spawn(move || runtime.block_on(stopped.cancelled()))?;
        Ok(Arc::new(Self {
            servers,
            meter,
            runtime: handle,
            _stop: stop.drop_guard(),
        }))
    }

    /// What was counted so far.
    #[must_use]
    pub const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Whether it is many servers.
    pub(crate) const fn is_cluster(&self) -> bool {
        matches!(self.servers, Servers::Many(_))
    }

    /// The thread's runtime.
    pub(crate) const fn runtime(&self) -> &tokio::runtime::Handle {
        &self.runtime
    }

    /// A connection of its own for listening.
    pub(crate) async fn listen(&self) -> Result<PubSub, ()> {
        let listening = match &self.servers {
            Servers::One(node) => node.listen().await,
            Servers::Many(cluster) => cluster.listen().await,
        };
        // Those who ask for something say it.
        listening.map_err(|fault| tracing::debug!(redis.error = fault.text, "Cannot listen"))
    }

    /// For how long Redis has answered, in a cluster some of it; nothing if it does not.
    #[must_use]
    pub fn up_for(&self) -> Option<Duration> {
        match &self.servers {
            Servers::One(node) => node.up_for(),
            Servers::Many(cluster) => cluster.longest_up(),
        }
    }

    fn is_up(&self, slot: u16) -> bool {
        match &self.servers {
            Servers::One(node) => node.up_for().is_some(),
            Servers::Many(cluster) => cluster.up_for(slot).is_some(),
        }
    }

    /// For how long the server that has this key has answered; nothing if it does not.
    pub(crate) fn up_for_key(&self, key: &str) -> Option<Duration> {
        match &self.servers {
            Servers::One(node) => node.up_for(),
            Servers::Many(cluster) => cluster.up_for(slot(key.as_bytes())),
        }
    }

    /// Asks once, wherever that leads.
    async fn ask_once(&self, ask: &Ask<'_>) -> Result<Value, Fault> {
        let by_hash;
        let mut in_full = None;
        let first = match ask {
            Ask::Command(command) => *command,
            Ask::Script(script) => {
                by_hash = script.by_hash();
                &by_hash
            }
        };
        let slot = ask.slot();
        let mut node = self.owner(slot).await?;
        let mut asking = false;
        for _ in 0..REDIRECTIONS {
            let command = in_full.as_ref().unwrap_or(first);
            let fault = match node.ask(command, slot, asking).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            match (&self.servers, &fault.kind, ask) {
                (_, Kind::NoScript, Ask::Script(script)) if in_full.is_none() => {
                    in_full = Some(script.in_full());
                }
                (Servers::Many(cluster), Kind::Moved(to) | Kind::Ask(to), _) => {
                    let to = to.clone().or_at(&node.host().unwrap_or_default());
                    asking = matches!(fault.kind, Kind::Ask(_));
                    if !asking {
                        cluster.moved(slot, &to)?;
                    }
                    node = cluster.at(&to)?;
                }
                (Servers::Many(cluster), ..) if fault.may_have_moved() => {
                    cluster.ask_soon();
                    return Err(fault);
                }
                _ => return Err(fault),
            }
        }
        Err(Fault::new(Kind::Starting, "sent on and on"))
    }

    async fn owner(&self, slot: u16) -> Result<Arc<Node>, Fault> {
        match &self.servers {
            Servers::One(node) => Ok(Arc::clone(node)),
            Servers::Many(cluster) => cluster.owner(slot).await,
        }
    }

    /// The server that has this key, as far as is known.
    pub(crate) async fn lane(&self, key: &str) -> Result<Lane, Refusal> {
        let owner = self.owner(slot(key.as_bytes())).await;
        owner.map(Lane).map_err(|_| Refusal::Away)
    }

    /// Asks, and again while there is hope, for `patience`. What is asked must bear being done twice.
    pub(crate) async fn ask<T: FromRedisValue>(
        &self,
        patience: Duration,
        ask: Ask<'_>,
    ) -> Result<T, Refusal> {
        let started = Instant::now();
        // Who is known to be away is not waited for beyond that.
        let slack = if patience.is_zero() || self.is_up(ask.slot()) {
            RESPONSE_TIMEOUT
        } else {
            Duration::ZERO
        };
        let last = started + patience + slack;
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = timeout_at(last, self.ask_once(&ask)).await;
            let answer = answer.unwrap_or_else(|_| Err(Fault::late()));
            let fault = match answer.map(T::from_redis_value) {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error.into(),
                Err(fault) => fault,
            };
            let patience = match fault.kind {
                Kind::Full => patience.min(FULL_PATIENCE),
                _ => patience,
            };
            if !fault.may_pass() || started.elapsed() + pause > patience {
                // The log has a line for what this is a part of.
                tracing::debug!(
                    redis.error = fault.text,
                    "Redis did not do what it was asked"
                );
                return Err(if fault.kind == Kind::Full {
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

#[cfg(test)]
mod tests;
