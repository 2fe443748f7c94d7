//! Limits of several nodes on one Redis: what one node admits, no other does, and what happens when a
//! node or Redis goes away.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Request, Response, connect};
use crate::nodes::Redis;
use crate::program::Program;
use crate::server::{prompt, token_with, wait_for};

fn plan(requests: u32, burst: u32, streams: u32) -> String {
    format!(
        "limits.plans.tight = {{ requests_per_minute = {requests}, burst = {burst}, \
         streams = {streams}, tokens_per_minute = 100000 }}\n"
    )
}

fn request(address: SocketAddr, body: &Value) -> Request {
    let token = token_with("ann", "streams:write streams:read", Some("tight"));
    let request = Request::new(address, "POST", "/v1/streams");
    let request = request.header("Prefer", "respond-async");
    request.bearer(&token).json(body)
}

fn short() -> Value {
    json!({"prompt": "x", "max_tokens": 1})
}

/// Starts a generation that nobody follows.
fn create(address: SocketAddr, body: &Value) -> Response {
    request(address, body).send()
}

fn remaining(response: &Response) -> u32 {
    let remaining = response.header("x-ratelimit-remaining-requests");
    remaining.unwrap().parse().unwrap()
}

/// Asks Redis over a connection of our own.
fn ask_redis(redis: &Redis, words: &str) -> String {
    let url = redis.server.url();
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    let mut stream = connect(address.parse().unwrap());
    write!(stream, "{words}\r\nQUIT\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// How often a node has logged a line with this text.
fn logged(program: &Program, text: &str) -> usize {
    program.log.lock().unwrap().matches(text).count()
}

#[test]
fn the_burst_of_all_nodes_is_one() {
    let redis = Redis::start();
    let nodes = [(); 2].map(|()| redis.node_with(&plan(6, 4, 10)));
    for left in [3, 2, 1, 0] {
        let response = create(nodes[left as usize % 2].address, &short());
        assert_eq!(response.status, 202);
        assert_eq!(remaining(&response), left);
        if left == 2 {
            assert!(ask_redis(&redis, "SCRIPT FLUSH").starts_with("+OK"));
        }
    }
    for node in &nodes {
        let response = create(node.address, &short());
        assert_eq!((response.status, remaining(&response)), (429, 0));
        let wait: u64 = response.header("retry-after-ms").unwrap().parse().unwrap();
        assert!((1..=10_000).contains(&wait), "{wait}");
        assert_eq!(response.code(), "rate_limited");
    }
}

#[test]
fn many_requests_at_once_on_two_nodes_admit_the_burst_and_no_more() {
    let redis = Redis::start();
    let (rate, burst) = (60, 30);
    let nodes = [(); 2].map(|()| redis.node_with(&plan(rate, burst, 1000)));
    let started = Instant::now();
    let mut connections: Vec<_> = (0..400)
        .map(|at| (connect(nodes[at % 2].address), nodes[at % 2].address))
        .collect();
    for (connection, address) in &mut connections {
        let bytes = request(*address, &short()).bytes();
        connection.write_all(&bytes).unwrap();
    }
    let statuses: Vec<u16> = connections
        .into_iter()
        .map(|(connection, _)| Response::read(Box::new(connection)).unwrap().status)
        .collect();
    let elapsed = u32::try_from(started.elapsed().as_secs()).unwrap() + 1;
    let count = |status| statuses.iter().filter(|it| **it == status).count();
    let admitted = u32::try_from(count(202)).unwrap();
    assert_eq!(count(202) + count(429), 400);
    assert!(
        (burst..=burst + elapsed * rate / 60).contains(&admitted),
        "{admitted} in {elapsed} s"
    );
}

#[test]
fn a_place_is_free_on_every_node_when_its_stream_has_ended() {
    let redis = Redis::start();
    let nodes = [(); 2].map(|()| redis.node_with(&plan(1_000_000, 100_000, 1)));
    let [a, b] = [nodes[0].address, nodes[1].address];
    let long = prompt(json!({"tokens": 100_000, "tokens_per_second": 50}));
    let stream = create(a, &long).json();
    let refused = create(b, &short());
    assert_eq!(
        (refused.status, &*refused.code()),
        (429, "too_many_streams")
    );
    let path = format!("/v1/streams/{}/cancel", stream["id"].as_str().unwrap());
    // Cancelled on the node that does not run it.
    assert_eq!(nodes[1].post(&path).send().status, 202);
    wait_for(|| (create(b, &short()).status == 202).then_some(()));
    wait_for(|| (create(a, &short()).status == 202).then_some(()));
}

#[test]
fn a_killed_node_frees_its_places_within_their_lease() {
    let redis = Redis::start();
    let settings = plan(1_000_000, 100_000, 1);
    let b = redis.node_with(&settings);
    let mut a = redis.process_with(&settings);
    let long = prompt(json!({"tokens": 100_000, "tokens_per_second": 50}));
    assert_eq!(create(a.address, &long).status, 202);
    // Longer than a lease: it is renewed.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(7) {
        assert_eq!(create(b.address, &short()).code(), "too_many_streams");
        std::thread::sleep(Duration::from_millis(100));
    }
    a.kill();
    let killed = Instant::now();
    wait_for(|| (create(b.address, &short()).status == 202).then_some(()));
    assert!(
        killed.elapsed() < Duration::from_secs(7),
        "{:?}",
        killed.elapsed()
    );
}

#[test]
fn while_redis_is_away_each_node_has_its_part_and_says_so_once() {
    const AWAY: &str = "this node's own part of them";
    const SHARE: &str = "So many nodes share the limits";
    const BACK: &str = "Limits are exact over all nodes again";
    let mut redis = Redis::start();
    let settings = plan(1, 4, 10);
    let a = redis.process_with(&settings);
    let b = redis.process_with(&settings);
    for node in [&a, &b] {
        wait_for(|| {
            let log = node.log.lock().unwrap();
            let mut lines = log.lines().filter(|line| line.contains(SHARE));
            lines.any(|line| line.contains("\"nodes\":2")).then_some(())
        });
    }
    redis.server.stop();
    for node in [&a, &b] {
        // Two of four; the store of streams is away, so that they cannot run.
        for _ in 0..2 {
            assert_eq!(create(node.address, &short()).code(), "store_unavailable");
        }
        let refused = create(node.address, &short());
        assert_eq!((refused.status, &*refused.code()), (429, "rate_limited"));
        assert_eq!(logged(node, AWAY), 1);
        assert_eq!(logged(node, BACK), 0);
    }
    redis.server.start_again();
    for node in [&a, &b] {
        wait_for(|| (logged(node, BACK) == 1).then_some(()));
        assert_eq!(logged(node, AWAY), 1);
    }
    // What was admitted meanwhile counts: it was all there is.
    for node in [&a, &b] {
        let refused = create(node.address, &short());
        assert_eq!((refused.status, &*refused.code()), (429, "rate_limited"));
    }
}
