//! One server of Redis, or whichever is the master: a few connections, multiplexed, made again when
//! they break.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, Value, pipe};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::address::Address;
use super::config::{RedisConfig, address_of};
use super::fault::{Fault, Kind};
use super::greeting::{Expected, greet};
use super::health::Health;
use super::meter::Meter;
use super::sentinel::Sentinels;
use super::{CONNECT_TIMEOUT, RESPONSE_TIMEOUT};

/// How many connections commands are spread over.
const CONNECTIONS: usize = 2;

/// How many connections there have been, to whatever node.
static CONNECTED: AtomicU64 = AtomicU64::new(1);

/// Where a node is.
pub(super) enum Where {
    /// At an address.
    At(Client),
    /// Wherever the sentinels say, each time that it is connected to.
    Master(Sentinels),
}

impl Where {
    /// Clients of the servers that may be it, the likeliest first.
    async fn clients(&self) -> Result<Vec<Client>, Fault> {
        match self {
            Self::At(client) => Ok(vec![client.clone()]),
            Self::Master(sentinels) => sentinels.masters().await,
        }
    }
}

/// A server, and how it is.
pub(super) struct Node {
    at: Arc<Where>,
    /// What it is called in the log.
    name: String,
    expected: Expected,
    slots: [Mutex<Slot>; CONNECTIONS],
    /// The number of the newest connection.
    newest: AtomicU64,
    health: Arc<Health>,
    meter: Meter,
    runtime: Handle,
}

/// One connection, if there is one, with its number; and how the last attempt at one failed.
#[derive(Default)]
struct Slot {
    connection: Option<(u64, MultiplexedConnection)>,
    failed: Option<(Instant, Fault)>,
}

impl Node {
    pub(super) fn new(
        at: Where,
        name: String,
        expected: Expected,
        runtime: &Handle,
        meter: &Meter,
    ) -> Self {
        Self {
            at: Arc::new(at),
            name,
            expected,
            slots: Default::default(),
            newest: AtomicU64::new(0),
            health: Arc::new(Health::new(meter.clone())),
            meter: meter.clone(),
            runtime: runtime.clone(),
        }
    }

    /// The node of a cluster at an address.
    pub(super) fn of_cluster(
        config: &RedisConfig,
        address: &Address,
        runtime: &Handle,
        meter: &Meter,
    ) -> Result<Self, RedisError> {
        let at = Where::At(config.client_at(address)?);
        let (name, expected) = (address.to_string(), Expected::ClusterNode);
        Ok(Self::new(at, name, expected, runtime, meter))
    }

    /// For how long it has answered; nothing if it does not.
    pub(super) fn up_for(&self) -> Option<Duration> {
        self.health.up_for()
    }

    /// The host, if it is always the same one.
    pub(super) fn host(&self) -> Option<String> {
        match &*self.at {
            Where::At(client) => Some(address_of(client).host),
            Where::Master(_) => None,
        }
    }

    /// A connection of its own for listening.
    pub(super) async fn listen(&self) -> Result<PubSub, Fault> {
        let listening = async {
            let mut fault = Fault::late();
            for client in self.at.clients().await? {
                match client.get_async_pubsub().await {
                    Ok(connection) => return Ok(connection),
                    Err(error) => fault = error.into(),
                }
            }
            Err(fault)
        };
        let listening = timeout(CONNECT_TIMEOUT, listening).await;
        listening.unwrap_or_else(|_| Err(Fault::late()))
    }

    /// Asks once about what is in a slot. What is asked here about one slot is done in the order in which it
    /// is asked, also if nobody waits for an answer any more, for as long as the connection holds. `asking` is
    /// for a node of a cluster that is about to have the slot.
    pub(super) async fn ask(&self, command: &Cmd, slot: u16, asking: bool) -> Result<Value, Fault> {
        let asked = Instant::now();
        let answer = self.try_ask(command, slot, asking).await;
        match &answer {
            Err(fault) if !is_answer(fault) => self.health.failed(&self.name, fault, asked),
            _ => self.answered(asked),
        }
        answer
    }

    /// The number of its newest connection, of all that there have been. While it stays the same, this
    /// is the same server with what it had, as far as connections tell.
    pub(super) fn newest_connection(&self) -> u64 {
        self.newest.load(Ordering::Relaxed)
    }

    /// Asks several things in one go. What is wrong with one of them stands in its place. None is asked,
    /// and there is no answer, if there has been a newer connection than `newest`.
    pub(super) async fn ask_all(
        &self,
        commands: &Pipeline,
        newest: u64,
    ) -> Result<Vec<Value>, Fault> {
        let asked = Instant::now();
        let asking = async {
            let (number, mut connection) = self.connection(0).await?;
            if self.newest_connection() != newest {
                return Ok(Vec::new());
            }
            let answers = connection.send_packed_commands(commands, 0, commands.len());
            let answers = answers.await.map_err(Fault::from);
            self.drop_if_broken(0, number, &answers).await;
            answers
        };
        let answers = asking.await;
        match &answers {
            Err(fault) => self.health.failed(&self.name, fault, asked),
            // Nothing was asked.
            Ok(answers) if answers.is_empty() => self.health.answered(&self.name),
            Ok(_) => self.answered(asked),
        }
        answers
    }

    fn answered(&self, asked: Instant) {
        self.health.answered(&self.name);
        self.meter.round_trips.record(asked.elapsed());
    }

    async fn try_ask(&self, command: &Cmd, slot: u16, asking: bool) -> Result<Value, Fault> {
        // What goes over two connections is done in any order.
        let at = usize::from(slot) % CONNECTIONS;
        let (number, mut connection) = self.connection(at).await?;
        let answer = if asking {
            let mut pipe = pipe();
            pipe.cmd("ASKING").ignore().add_command(command.clone());
            let answers = pipe.query_async::<Vec<Value>>(&mut connection).await;
            answers.map(|mut answers| answers.pop().unwrap_or(Value::Nil))
        } else {
            command.query_async(&mut connection).await
        };
        let answer = answer.map_err(Fault::from);
        self.drop_if_broken(at, number, &answer).await;
        answer
    }

    /// Forgets a connection that is of no more use.
    async fn drop_if_broken<T>(&self, at: usize, number: u64, answer: &Result<T, Fault>) {
        if answer.as_ref().is_err_and(Fault::is_of_the_connection) {
            let mut slot = self.slots[at].lock().await;
            let held = slot.connection.take_if(|(held, _)| *held == number);
            drop((slot, held));
        }
    }

    async fn connection(&self, at: usize) -> Result<(u64, MultiplexedConnection), Fault> {
        let asked = Instant::now();
        let mut slot = self.slots[at].lock().await;
        if let Some(connection) = &slot.connection {
            return Ok(connection.clone());
        }
        // However many wait for it, there is one attempt at a time, and all hear how it went.
        if let Some((when, fault)) = &slot.failed
            && *when >= asked
        {
            return Err(fault.clone());
        }
        let made = self.connect().await;
        slot.failed = made
            .as_ref()
            .err()
            .map(|fault| (Instant::now(), fault.clone()));
        let made = (CONNECTED.fetch_add(1, Ordering::Relaxed), made?);
        self.newest.fetch_max(made.0, Ordering::Relaxed);
        slot.connection = Some(made.clone());
        Ok(made)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, Fault> {
        let (at, expected) = (Arc::clone(&self.at), self.expected);
        let (health, name) = (Arc::clone(&self.health), self.name.clone());
        let connecting = async move {
            let mut fault = Fault::late();
            for client in at.clients().await? {
                match connect_to(&client, expected).await {
                    Ok((connection, warning)) => {
                        health.warn(&name, warning);
                        return Ok(connection);
                    }
                    Err(why) => fault = why,
                }
            }
            Err(fault)
        };
        let (health, name) = (Arc::clone(&self.health), self.name.clone());
        let connecting = async move {
            let asked = Instant::now();
            let made = timeout(CONNECT_TIMEOUT, connecting).await;
            let made = made.unwrap_or_else(|_| Err(Fault::late()));
            // Whoever asks may have given up long before.
            if let Err(fault) = &made {
                health.failed(&name, fault, asked);
            }
            made
        };
        // What drives the connection must be a task of our runtime, whoever asks for it.
        match self.runtime.spawn(connecting).await {
            Ok(made) => made,
            Err(_) => Err(Fault::new(Kind::Away, "the thread of Redis has ended")),
        }
    }
}

async fn connect_to(
    client: &Client,
    expected: Expected,
) -> Result<(MultiplexedConnection, Option<String>), Fault> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT));
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    let mut connection = connection.await?;
    let warning = greet(&mut connection, expected).await?;
    Ok((connection, warning))
}

/// Whether a server that says so is well.
const fn is_answer(fault: &Fault) -> bool {
    matches!(fault.kind, Kind::NoScript | Kind::Moved(_) | Kind::Ask(_))
}
