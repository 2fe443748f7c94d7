//! A cluster: which of its nodes has which slot, asked anew when that changes or a node is lost. What
//! one node does, or does not, is nothing to those who ask the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rand::seq::SliceRandom as _;
use redis::aio::PubSub;
use redis::{RedisError, Value, cmd, from_redis_value_ref};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::address::Address;
use super::config::RedisConfig;
use super::fault::{Fault, Kind};
use super::meter::Meter;
use super::node::Node;

/// How many slots there are.
const SLOTS: u16 = 16384;

/// How long the nodes may take to say which slots are whose.
const ANSWER: Duration = Duration::from_secs(2);

/// How often that is asked at most.
const AGAIN: Duration = Duration::from_millis(200);

/// How long one node may take to be listened to, before another is.
const LISTENING: Duration = Duration::from_secs(1);

/// The nodes, as far as they are known.
pub(super) struct Cluster {
    config: RedisConfig,
    seeds: Vec<Address>,
    runtime: Handle,
    meter: Meter,
    table: SyncMutex<Table>,
    /// When the slots were last asked for.
    asked: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Table {
    nodes: BTreeMap<Address, Arc<Node>>,
    /// Who has each slot; empty as long as nobody has said.
    owners: Owners,
}

/// Who has each slot.
type Owners = Vec<Option<Arc<Address>>>;

impl Cluster {
    pub(super) fn new(
        config: RedisConfig,
        seeds: Vec<Address>,
        runtime: &Handle,
        meter: &Meter,
    ) -> Result<Self, RedisError> {
        let cluster = Self {
            config,
            seeds,
            runtime: runtime.clone(),
            meter: meter.clone(),
            table: SyncMutex::default(),
            asked: Mutex::new(None),
        };
        for seed in &cluster.seeds {
            cluster.at(seed)?;
        }
        Ok(cluster)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node at an address.
    pub(super) fn at(&self, address: &Address) -> Result<Arc<Node>, RedisError> {
        if let Some(node) = self.table().nodes.get(address) {
            return Ok(Arc::clone(node));
        }
        let node = Node::of_cluster(&self.config, address, &self.runtime, &self.meter);
        let node = Arc::new(node?);
        let mut table = self.table();
        let node = table.nodes.entry(address.clone()).or_insert(node);
        Ok(Arc::clone(node))
    }

    fn owner_of(&self, slot: u16) -> Option<Arc<Node>> {
        let table = self.table();
        let owner = table.owners.get(usize::from(slot))?.as_ref()?;
        table.nodes.get(&**owner).cloned()
    }

    /// The node that has the slot.
    pub(super) async fn owner(&self, slot: u16) -> Result<Arc<Node>, Fault> {
        if let Some(owner) = self.owner_of(slot) {
            return Ok(owner);
        }
        let asked = self.ask().await;
        self.owner_of(slot).ok_or_else(|| {
            let nobody = || Fault::new(Kind::Starting, "no node of the cluster has the slot");
            asked.err().unwrap_or_else(nobody)
        })
    }

    /// For how long the slot's node has answered; nothing if it does not.
    pub(super) fn up_for(&self, slot: u16) -> Option<Duration> {
        self.owner_of(slot)?.up_for()
    }

    /// For how long some node has answered; nothing if none does.
    pub(super) fn longest_up(&self) -> Option<Duration> {
        let table = self.table();
        table.nodes.values().filter_map(|node| node.up_for()).max()
    }

    /// Notes that a slot has moved, as its former owner says.
    pub(super) fn moved(self: &Arc<Self>, slot: u16, to: &Address) -> Result<(), RedisError> {
        self.at(to)?;
        if let Some(owner) = self.table().owners.get_mut(usize::from(slot)) {
            *owner = Some(Arc::new(to.clone()));
        }
        self.ask_soon();
        Ok(())
    }

    /// A connection for listening, to some node that answers: what is published at one is heard at all.
    pub(super) async fn listen(&self) -> Result<PubSub, Fault> {
        let mut nodes: Vec<_> = self.table().nodes.values().cloned().collect();
        nodes.shuffle(&mut rand::rng());
        nodes.sort_by_key(|node| node.up_for().is_none());
        let mut fault = Fault::late();
        for node in nodes {
            match timeout(LISTENING, node.listen()).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(why)) => fault = why,
                Err(_) => fault = Fault::late(),
            }
        }
        Err(fault)
    }

    /// Asks who has which slot, for those who come later.
    pub(super) fn ask_soon(self: &Arc<Self>) {
        let cluster = Arc::clone(self);
        self.runtime.spawn(async move {
            // If nobody answers, it is asked again when a slot's node fails again.
            let _nobody = cluster.ask().await;
        });
    }

    /// Asks who has which slot: all nodes, of which the first that answers is believed. If it is
    /// wrong, those whom it names say so.
    async fn ask(&self) -> Result<(), Fault> {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < AGAIN) {
            return Ok(());
        }
        let nodes: Vec<_> = self.table().nodes.values().cloned().collect();
        let mut question = cmd("CLUSTER");
        question.arg("SLOTS");
        let answers = nodes.iter().map(|node| async {
            let answer = timeout(ANSWER, node.ask(&question, 0, false)).await;
            let answer = answer.unwrap_or_else(|_| Err(Fault::late()))?;
            let owners = owners(&answer, &node.host().unwrap_or_default());
            owners.ok_or_else(|| Fault::new(Kind::Starting, "the cluster has no slots"))
        });
        let mut answers: FuturesUnordered<_> = answers.collect();
        let mut fault = Fault::late();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(owners) => {
                    self.learn(owners)?;
                    *asked = Some(Instant::now());
                    return Ok(());
                }
                Err(why) => fault = why,
            }
        }
        *asked = Some(Instant::now());
        Err(fault)
    }

    fn learn(&self, owners: Owners) -> Result<(), RedisError> {
        let mut known: Vec<_> = owners.iter().flatten().cloned().collect();
        known.dedup();
        for address in &known {
            self.at(address)?;
        }
        let is_known = |address: &Address| {
            self.seeds.contains(address) || known.iter().any(|known| **known == *address)
        };
        let mut table = self.table();
        table.owners = owners;
        table.nodes.retain(|address, _| is_known(address));
        Ok(())
    }
}

/// What `CLUSTER SLOTS` says; nothing if no slot is anybody's.
fn owners(answer: &Value, asked: &str) -> Option<Owners> {
    let mut owners = vec![None; usize::from(SLOTS)];
    let mut any = false;
    for range in array(answer)? {
        let [first, last, master, ..] = array(range)? else {
            return None;
        };
        let [host, port, ..] = array(master)? else {
            return None;
        };
        let host: Option<String> = from_redis_value_ref(host).ok()?;
        let address = Address {
            host: host.filter(|host| host != "?").unwrap_or_default(),
            port: from_redis_value_ref(port).ok()?,
        };
        let address = address.or_at(asked);
        let (first, last): (usize, usize) = (
            from_redis_value_ref(first).ok()?,
            from_redis_value_ref(last).ok()?,
        );
        owners.get_mut(first..=last)?.fill(Some(Arc::new(address)));
        any = true;
    }
    any.then_some(owners)
}

fn array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

/// The slot of a key: of what is between its first braces, if there is something.
pub(super) fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM, as the specification of Redis Cluster has it.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
    }

    #[test]
    fn the_slots_of_nodes_are_read() {
        let int = Value::Int;
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let node = |host, port| Value::Array(vec![host, int(port), text("id")]);
        let answer = Value::Array(vec![
            Value::Array(vec![int(0), int(10), node(text("10.0.0.1"), 7000)]),
            Value::Array(vec![int(12), int(12), node(Value::Nil, 7001)]),
        ]);
        let owners = owners(&answer, "seed").unwrap();
        let shown = |slot: usize| owners[slot].as_ref().map(ToString::to_string);
        assert_eq!(shown(10).as_deref(), Some("10.0.0.1:7000"));
        assert_eq!(shown(11), None);
        assert_eq!(shown(12).as_deref(), Some("seed:7001"));
        assert_eq!(super::owners(&Value::Array(Vec::new()), "seed"), None);
        assert_eq!(super::owners(&Value::Nil, "seed"), None);
    }
}
