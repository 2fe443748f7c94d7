//! A cluster under faults: three nodes, Redis and its replica as real processes, hundreds of streams
//! with readers that are cut and hop, and a checker over what every reader saw.
//!
//!     cargo test --test cluster                              what the test command runs
//!     cargo test --test cluster -- --chaos [--seed N]        several rounds, in an order of chance

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test is no library: it stops where something is wrong"
)]

mod checker;
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
use crate::faults::Cluster;
use crate::nodes::Node;
use crate::redis::Pair;
use crate::workload::Load;
use crate::world::World;

const NODES: usize = 3;

/// What the test command runs, and for how long readers wait for an end when the faults are over.
const LOAD: Load = Load {
    every: Duration::from_millis(250),
    takes: (1_500, 6_500),
    readers: 3,
};
const CHAOS: Load = Load {
    every: Duration::from_millis(200),
    takes: (2_000, 20_000),
    readers: 3,
};
const LAST_ENDS: Duration = Duration::from_secs(60);

/// How many rounds of faults there are in chaos.
const ROUNDS: usize = 5;

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
    let violations = LocalSet::new().block_on(&runtime, run(u64::from(seed), has("--chaos")));
    assert!(violations == 0, "{violations} violations; --seed {seed}");
}

async fn run(seed: u64, chaos: bool) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let redis = Pair::start().await;
    let mut nodes = Vec::new();
    for number in 0..NODES {
        nodes.push(Node::start(directory.path(), number, redis.proxy.port).await);
    }
    let mut cluster = Cluster {
        nodes,
        redis,
        lost_bytes: 0,
    };
    let mut violations = 0;
    let load = if chaos { CHAOS } else { LOAD };
    let addresses: Vec<_> = cluster.nodes.iter().map(|node| node.address).collect();
    let world = Rc::new(World::new(seed, addresses.clone()));
    let mut chance = world.chance(0, 0);
    let kinds: Vec<Kind> = if chaos {
        (0..ROUNDS)
            .flat_map(|_| faults::round(&mut chance))
            .collect()
    } else {
        faults::ONCE.to_vec()
    };
    let suffer = cluster.suffer(&world, &kinds, &mut chance);
    let mut streams = Box::pin(phase(&world, "faults", load, 0, suffer)).await;
    workload::audit(&world, &mut streams).await;
    let lost_bytes = cluster.lost_bytes;
    violations += report::report("Faults", &world, &streams, lost_bytes);

    let world = Rc::new(World::new(seed, addresses));
    let deploy = cluster.deploy(&world);
    let mut streams = Box::pin(phase(&world, "deploy", load, 1_000_000, deploy)).await;
    workload::audit(&world, &mut streams).await;
    violations += report::report("Rolling deploy under load", &world, &streams, 0);
    let turned_away = world.counts.turned_away.get();
    assert!(
        turned_away == 0,
        "{turned_away} times no node took a new stream"
    );
    if violations > 0 {
        println!("The nodes' logs are in {}", directory.keep().display());
    }
    violations
}

/// Runs the workload while something happens, and to its end.
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
        (streams, ()) = async { tokio::join!(workload, until_over) } => streams,
        () = report::progress(world, name) => unreachable!("it goes on for ever"),
    }
}
