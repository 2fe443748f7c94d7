//! What is done to the nodes and to Redis, one after the other.
//!
//! Two things are never done together: to lose a node and to lose Redis' last writes. What only the
//! dead node and the dead primary knew nobody can bring back, and a lost stream's end then stands
//! where a reader may have seen a token. The operations manual says so.

use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use tokio::time::sleep;

use crate::checker::Kind;
use crate::nodes::Node;
use crate::redis::Pair;
use crate::world::World;

const NODES: usize = 3;

/// Longer than a lease and its reaping.
const BEYOND_THE_LEASE: Duration = Duration::from_secs(14);

/// How long after a failover every writer has looked whether Redis still has everything, and a lease has
/// passed in which Redis was well.
pub const HEALING: Duration = Duration::from_secs(10);

pub struct Cluster {
    pub nodes: Vec<Node>,
    pub redis: Pair,
    /// How many bytes of writes failovers have lost.
    pub lost_bytes: u64,
}

/// Everything once: what passes quickly first, and the kill last, where nothing hides when its streams end.
pub const ONCE: [Kind; 9] = [
    Kind::PubSubDropped,
    Kind::ScriptFlush,
    Kind::Reset,
    Kind::Latency,
    Kind::RedisRestart,
    Kind::MemoryFull,
    Kind::Failover,
    Kind::Pause,
    Kind::Kill,
];

/// What nodes suffer that leave their streams to each other.
pub const OF_NODES: [Kind; 3] = [Kind::Kill, Kind::Pause, Kind::Kill];

/// Everything in some order, the quick ones more than once.
pub fn round(chance: &mut StdRng) -> Vec<Kind> {
    let mut round = ONCE.to_vec();
    round.extend([
        Kind::PubSubDropped,
        Kind::ScriptFlush,
        Kind::Reset,
        Kind::Kill,
    ]);
    round.shuffle(chance);
    round
}

impl Cluster {
    /// Three nodes with these settings beside their own, on a Redis.
    pub async fn start(directory: &Path, redis: Pair, more: &str) -> Self {
        let mut nodes = Vec::new();
        for number in 0..NODES {
            nodes.push(Node::start(directory, number, redis.proxy.port, more).await);
        }
        Self {
            nodes,
            redis,
            lost_bytes: 0,
        }
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.address).collect()
    }

    /// Does all of it, with a pause after each.
    pub async fn suffer(&mut self, world: &Rc<World>, kinds: &[Kind], chance: &mut StdRng) {
        let mut lost_at = None;
        for kind in kinds {
            if *kind == Kind::Failover {
                // Whoever was lost has been reaped by then.
                while lost_at.is_some_and(|at| world.now() < at + 20_000) {
                    sleep(Duration::from_millis(100)).await;
                }
            }
            self.inflict(world, *kind, chance).await;
            if matches!(kind, Kind::Kill | Kind::Pause) {
                lost_at = Some(world.now());
            }
            sleep(Duration::from_millis(chance.random_range(500..1500))).await;
        }
    }

    async fn inflict(&mut self, world: &Rc<World>, kind: Kind, chance: &mut StdRng) {
        let node = chance.random_range(0..self.nodes.len());
        let is_of_a_node = matches!(kind, Kind::Kill | Kind::Pause | Kind::Drain);
        let fault = world.begin(kind, is_of_a_node.then_some(node));
        let seconds = Duration::from_secs;
        match kind {
            Kind::Kill => {
                self.nodes[node].kill();
                sleep(seconds(2)).await;
                self.nodes[node].start_again();
                self.nodes[node].ready().await;
            }
            Kind::Pause => {
                self.nodes[node].pause();
                sleep(BEYOND_THE_LEASE).await;
                self.nodes[node].resume();
            }
            Kind::Drain => self.replace(node).await,
            Kind::RedisRestart => self.redis.restart(seconds(1)).await,
            Kind::Failover => {
                let (missing, away) = (seconds(1), Duration::from_millis(1500));
                let lost = self.redis.fail_over(missing, away).await;
                assert!(lost > 0, "the replica misses something");
                self.lost_bytes += lost;
            }
            Kind::PubSubDropped => self.redis.tell("CLIENT KILL TYPE pubsub").await,
            Kind::ScriptFlush => self.redis.tell("SCRIPT FLUSH").await,
            Kind::Latency => {
                self.redis.proxy.delay(seconds(1));
                sleep(seconds(6)).await;
                self.redis.proxy.delay(Duration::ZERO);
            }
            Kind::Reset => self.redis.proxy.reset(),
            Kind::MemoryFull => {
                self.redis.tell("CONFIG SET maxmemory 1mb").await;
                sleep(seconds(3)).await;
                self.redis.tell("CONFIG SET maxmemory 0").await;
            }
        }
        world.end(fault);
        if kind == Kind::Failover {
            sleep(HEALING).await;
        }
    }

    /// Replaces every node, one after the other, as a deploy does.
    pub async fn deploy(&mut self, world: &Rc<World>) {
        for node in 0..self.nodes.len() {
            let fault = world.begin(Kind::Drain, Some(node));
            self.replace(node).await;
            world.end(fault);
        }
    }

    async fn replace(&mut self, node: usize) {
        assert!(self.nodes[node].drain().await, "node {node} stopped well");
        self.nodes[node].start_again();
        self.nodes[node].ready().await;
    }
}
