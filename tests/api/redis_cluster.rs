//! Redis as a cluster of three masters.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::redis_group::Cluster;
use crate::server::{Server, wait_for};
use crate::sse::{Events, check_whole, text};

fn ready(server: &Server) -> u16 {
    server.request("GET", "/readyz").send().status
}

/// A node of this cluster, of which it is told these addresses.
fn node(addresses: &str) -> Server {
    let settings = format!("store = \"redis\"\nredis.cluster.addresses = {addresses}\n");
    let server = Server::with(&settings);
    wait_for(|| (ready(&server) == 200).then_some(()));
    server
}

/// Which of the masters has a stream, by its partition.
fn master(cluster: &Cluster, id: &str) -> usize {
    let partition = u8::from_str_radix(&id[id.len() - 1..], 16).unwrap();
    let slot: u16 = cluster.masters[0].ask(&["CLUSTER", "KEYSLOT", &partition.to_string()]);
    usize::from(slot / 5461).min(2)
}

#[test]
fn a_master_that_dies_is_nothing_to_the_streams_of_others() {
    let mut cluster = Cluster::start(true);
    // One seed is enough to find the others, and the one that dies is known to nobody beforehand.
    let seed = format!("[\"127.0.0.1:{}\"]", cluster.masters[1].port);
    let (a, b) = (node(&cluster.addresses()), node(&seed));
    let mut streams: Vec<(usize, Vec<_>, Events, Events)> = Vec::new();
    // Until each master has some.
    while (0..3).any(|at| streams.iter().filter(|stream| stream.0 == at).count() < 2) {
        let mut here = a.create(json!({"tokens": 400, "tokens_per_second": 50}));
        let first = here.expect();
        let id = first.data["stream"].as_str().unwrap().to_owned();
        let there = b.events(&id, None).events();
        streams.push((master(&cluster, &id), vec![first], here, there));
        assert!(streams.len() < 60);
    }
    cluster.masters[0].stop();
    let killed = Instant::now();
    let readers: Vec<_> = streams
        .into_iter()
        .map(|(at, mut seen, mut here, there)| {
            std::thread::spawn(move || {
                let mut longest = Duration::ZERO;
                let mut last = Instant::now();
                loop {
                    let event = here.expect();
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                    let is_end = event.data["type"] == "done" || event.data["type"] == "error";
                    seen.push(event);
                    if is_end {
                        break;
                    }
                }
                (at, seen, there.rest(), longest)
            })
        })
        .collect();
    wait_for(|| {
        let nodes: String = cluster.masters[1].ask(&["CLUSTER", "NODES"]);
        let port = cluster.replica.as_ref().unwrap().port.to_string();
        let promoted = |line: &str| line.contains(&port) && line.contains("master");
        nodes.lines().any(promoted).then_some(())
    });
    assert!(
        killed.elapsed() < Duration::from_secs(10),
        "{:?}",
        killed.elapsed()
    );
    for reader in readers {
        let (at, here, there, longest) = reader.join().unwrap();
        check_whole(&here);
        check_whole(&there);
        assert_eq!(here.len(), 402, "of master {at}");
        assert_eq!(text(&here), text(&there));
        if at != 0 {
            assert!(longest < Duration::from_secs(1), "master {at}: {longest:?}");
        }
    }
    assert_eq!((ready(&a), ready(&b)), (200, 200));
    let list = b.get("/v1/streams").send().json();
    assert!(!list["streams"].as_array().unwrap().is_empty());
}
