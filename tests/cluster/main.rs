//! A cluster under faults: three nodes, nginx, Redis and its replica as real processes, hundreds of streams
//! with readers that are cut and hop, and a checker over what every reader saw.
//!
//!     cargo test --test cluster                              what the test command runs
//!     cargo test --test cluster -- --chaos [--seed N]        several rounds, in an order of chance
//!     cargo test --test cluster -- --takeover [--seed N]     nodes that go on with each other's streams

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test is no library: it stops where something is wrong"
)]

mod checker;
mod edge;
#[path = "../support/event.rs"]
mod event;
mod faults;
mod forged;
mod http;
mod nodes;
mod proxy;
mod reader;
mod redis;
#[path = "../support/redis_server.rs"]
#[expect(dead_code, reason = "the API tests use all of it")]
mod redis_server;
mod report;
#[path = "../support/token.rs"]
mod token;
mod workload;
mod world;

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use crate::checker::Kind;
use crate::edge::Edge;
use crate::faults::Cluster;
use crate::redis::Pair;
use crate::workload::Load;
use crate::world::World;

/// What the test command runs.
const LOAD: Load = Load {
    every: Duration::from_millis(250),
    takes: (1_500, 6_500),
    readers: 3,
    continues: false,
};
const CHAOS: Load = Load {
    every: Duration::from_millis(200),
    takes: (2_000, 20_000),
    ..LOAD
};

/// How many rounds of faults there are in chaos.
const ROUNDS: usize = 5;

/// For how long readers wait for an end when the faults are over.
const LAST_ENDS: Duration = Duration::from_secs(60);

/// Nodes that see their streams to their ends, however long that takes.
const DRAINS: &str = "drain_timeout = \"60s\"\n";

/// Nodes that leave their streams to others.
const HANDS_OVER: &str = "drain_timeout = \"1s\"\ngeneration.takeover = \"continue\"\n";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    // What lists tests is told that there are none of its kind.
    if has("--list") {
        return;
    }
    let mut after_seed = arguments.iter().skip_while(|it| *it != "--seed").skip(1);
    let seed = after_seed
        .next()
        .map(|seed| seed.parse().expect("--seed has a number"));
    let seed = seed.unwrap_or_else(rand::random::<u32>);
    let forged = forged::check_the_checker();
    println!("cluster: seed {seed}; the checker judged {forged} forged histories rightly");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let seed = u64::from(seed);
    let violations = if has("--takeover") {
        LocalSet::new().block_on(&runtime, take_over(seed))
    } else {
        LocalSet::new().block_on(&runtime, run(seed, has("--chaos")))
    };
    assert!(violations == 0, "{violations} violations; --seed {seed}");
}

async fn run(seed: u64, chaos: bool) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let load = if chaos { CHAOS } else { LOAD };
    let mut chance = World::new(seed, Vec::new(), None).chance(0, 0);
    let kinds: Vec<Kind> = if chaos {
        (0..ROUNDS)
            .flat_map(|_| faults::round(&mut chance))
            .collect()
    } else {
        faults::ONCE.to_vec()
    };
    let mut cluster = Cluster::start(directory.path(), Pair::start().await, DRAINS).await;
    let edge = Edge::start(directory.path(), &cluster.addresses()).await;
    let mut violations = 0;

    let world = Rc::new(World::new(seed, cluster.addresses(), Some(edge.address)));
    let suffer = cluster.suffer(&world, &kinds, &mut chance);
    let streams = Box::pin(phase(&world, "Faults", load, 0, suffer)).await;
    violations += report::report("Faults", &world, &streams, cluster.lost_bytes);

    let world = Rc::new(World::new(seed, cluster.addresses(), Some(edge.address)));
    let deploy = cluster.deploy(&world);
    let streams = Box::pin(phase(&world, "Deploy", load, 1_000_000, deploy)).await;
    violations += report::report("A rolling deploy", &world, &streams, 0);

    keep(directory, violations);
    violations
}

async fn take_over(seed: u64) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(directory.path(), Pair::start().await, HANDS_OVER).await;
    let edge = Edge::start(directory.path(), &cluster.addresses()).await;
    let world = Rc::new(World::new(seed, cluster.addresses(), Some(edge.address)));
    let mut chance = world.chance(0, 0);
    let suffer = async {
        cluster.suffer(&world, &faults::OF_NODES, &mut chance).await;
        cluster.deploy(&world).await;
    };
    let load = Load {
        continues: true,
        ..CHAOS
    };
    let streams = Box::pin(phase(&world, "Takeover", load, 0, suffer)).await;
    let title = "Nodes that go on with each other's streams";
    let violations = report::report(title, &world, &streams, 0);
    keep(directory, violations);
    violations
}

/// Keeps what the nodes have logged, if something is wrong.
fn keep(directory: tempfile::TempDir, violations: usize) {
    if violations > 0 {
        println!("The nodes' logs are in {}", directory.keep().display());
    }
}

/// Runs the workload while something happens, and to its end; then reads it all once more.
async fn phase(
    world: &Rc<World>,
    name: &str,
    load: Load,
    first: usize,
    happens: impl Future<Output = ()>,
) -> Vec<checker::Stream> {
    let workload = workload::run(Rc::clone(world), load, first);
    let until_over = async {
        // There is something to lose before it is lost.
        tokio::time::sleep(Duration::from_secs(3)).await;
        happens.await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.closing.set(true);
        world.gives_up.set(Some(Instant::now() + LAST_ENDS));
    };
    tokio::select! {
        (mut streams, ()) = async { tokio::join!(workload, until_over) } => {
            workload::audit(world, &mut streams).await;
            streams
        }
        () = report::progress(world, name) => unreachable!("it goes on for ever"),
    }
}
