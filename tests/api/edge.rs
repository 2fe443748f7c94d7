//! The nginx configuration that we ship, in real nginx before real nodes: what clients see of a node
//! that is killed or drains, and that nothing is held back, repeated or lost on the way.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Request;
use crate::nginx::Nginx;
use crate::nodes::Redis;
use crate::program::Program;
use crate::server::{prompt, token, wait_for};
use crate::sse::{Events, check_whole, text};

/// Two nodes behind the edge.
struct Cluster {
    edge: Nginx,
    a: Program,
    b: Program,
    _redis: Redis,
}

impl Cluster {
    fn start(settings: &str) -> Self {
        let redis = Redis::start();
        let (a, b) = (redis.process_with(settings), redis.process_with(settings));
        Self {
            edge: Nginx::before(&[a.address, b.address]),
            a,
            b,
            _redis: redis,
        }
    }

    fn create(&self, knobs: Value) -> Events {
        let request = self.edge.request("POST", "/v1/streams");
        let response = self.edge.send(request.json(&prompt(knobs)));
        response.events().through_proxy()
    }
}

/// Starts a generation on this very node; the stream's id.
fn create_on(node: &Program, knobs: Value) -> String {
    let request = Request::new(node.address, "POST", "/v1/streams")
        .bearer(&token("ann"))
        .header("Prefer", "respond-async")
        .json(&prompt(knobs));
    let snapshot = request.send().json();
    snapshot["id"].as_str().unwrap().to_owned()
}

fn streams_of_ann(edge: &Nginx) -> usize {
    let list = edge.get("/v1/streams?limit=100").json();
    list["streams"].as_array().unwrap().len()
}

#[test]
fn tokens_pass_the_edge_one_by_one_and_uncompressed() {
    let cluster = Cluster::start("");
    let request = cluster.edge.request("POST", "/v1/streams");
    let request = request
        .header("Accept-Encoding", "gzip")
        .json(&prompt(json!({"tokens": 30, "tokens_per_second": 20})));
    let mut events = cluster.edge.send(request).events().through_proxy();
    let mut seen = vec![events.expect()];
    let id = events.stream.clone();
    let began = Instant::now();
    // The reader is never far behind what the node says the stream has.
    for _ in 0..20 {
        seen.push(events.expect());
    }
    let path = format!("/v1/streams/{id}");
    let node = Request::new(cluster.a.address, "GET", &path).bearer(&token("ann"));
    assert_eq!(node.send().json()["status"], "running");
    seen.extend(events.rest());
    check_whole(&seen);
    assert!(
        began.elapsed() > Duration::from_secs(1),
        "it came at its pace"
    );
}

#[test]
fn a_silence_longer_than_every_read_time_out_is_survived() {
    let cluster = Cluster::start("");
    let mut events = cluster.create(json!({"tokens": 3, "first_token_delay_ms": 23_000}));
    let mut seen = vec![events.expect()];
    while let Some(event) = events.next().unwrap() {
        seen.push(event);
    }
    check_whole(&seen);
    assert!(
        (4..8).contains(&events.heartbeats),
        "one each four seconds, not {}",
        events.heartbeats
    );
}

#[test]
fn a_reader_whose_node_is_killed_goes_on_at_the_other() {
    let mut cluster = Cluster::start("");
    let id = create_on(&cluster.a, json!({"tokens": 200, "tokens_per_second": 50}));
    // In turns: one of the two reads from each node.
    let follow = |cursor| cluster.edge.follow(&id, cursor).events().through_proxy();
    let mut readers = [follow(None), follow(None)];
    let mut seen = [vec![], vec![]];
    for (reader, seen) in readers.iter_mut().zip(&mut seen) {
        for _ in 0..10 {
            seen.push(reader.expect());
        }
    }
    cluster.b.kill();
    let mut cuts = 0;
    for (mut reader, seen) in readers.into_iter().zip(&mut seen) {
        loop {
            match reader.next() {
                Ok(Some(event)) => seen.push(event),
                Ok(None) => break,
                Err(_) => {
                    cuts += 1;
                    // As often as the turn comes to the dead node: the edge goes on to the next.
                    for _ in 0..4 {
                        let cursor = seen.last().unwrap().id.clone();
                        reader = cluster
                            .edge
                            .follow(&id, Some(&cursor))
                            .events()
                            .through_proxy();
                        seen.push(reader.expect());
                    }
                }
            }
        }
        check_whole(seen);
    }
    assert_eq!(cuts, 1, "the other one has noticed nothing");
    assert_eq!(text(&seen[0]), text(&seen[1]));
}

#[test]
fn a_stream_whose_producer_is_killed_ends_behind_the_edge_and_can_be_sent_again() {
    let mut cluster = Cluster::start("");
    let knobs = json!({"tokens": 100_000, "tokens_per_second": 50});
    let id = create_on(&cluster.a, knobs);
    wait_for(|| {
        let snapshot = cluster.edge.get(&format!("/v1/streams/{id}")).json();
        (!snapshot["text"].as_str()?.is_empty()).then_some(())
    });
    cluster.a.kill();
    let end = cluster.edge.follow(&id, None).events().through_proxy();
    let end = end.rest().pop().unwrap();
    assert_eq!(end.data["error"]["code"], "producer_lost");
    assert_eq!(end.data["error"]["retryable"], true);
    for _ in 0..4 {
        check_whole(&cluster.create(json!({"tokens": 5})).rest());
    }
}

/// A node that does what it is asked and dies before it has answered.
struct Swallower {
    address: SocketAddr,
    swallowed: Arc<AtomicUsize>,
}

impl Swallower {
    fn before(node: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let swallowed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&swallowed);
        std::thread::spawn(move || {
            for edge in listener.incoming() {
                if swallow(edge.unwrap(), node) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { address, swallowed }
    }
}

/// Passes a request on, and drops the connection when there is an answer. Answers whether it came.
fn swallow(edge: TcpStream, node: SocketAddr) -> bool {
    let mut node = TcpStream::connect(node).unwrap();
    let mut upwards = edge.try_clone().unwrap();
    let mut to_node = node.try_clone().unwrap();
    std::thread::spawn(move || std::io::copy(&mut upwards, &mut to_node));
    let answered = node.read(&mut [0; 1]).is_ok_and(|read| read == 1);
    let _ = edge.shutdown(std::net::Shutdown::Both);
    let _ = node.shutdown(std::net::Shutdown::Both);
    answered
}

#[test]
fn a_post_whose_answer_was_lost_is_sent_again_and_generates_once() {
    let redis = Redis::start();
    let node = redis.process();
    let swallower = Swallower::before(node.address);
    let edge = Nginx::before(&[swallower.address, node.address]);
    let post = |path: &str, key: Option<&str>, body: Value| {
        let request = edge.request("POST", path).json(&body);
        edge.send(match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        })
    };
    let knobs = json!({"tokens": 30, "tokens_per_second": 100});
    for (round, key) in [Some("one"), None, Some("two"), None]
        .into_iter()
        .enumerate()
    {
        let events = post("/v1/streams", key, prompt(knobs.clone())).events();
        check_whole(&events.through_proxy().rest());
        let mut chat =
            json!({"messages": [{"role": "user", "content": "Rivers"}], "stream": false});
        chat["metadata"] = json!({"demo.tokens": "5"});
        let answer = post("/v1/chat/completions", None, chat);
        assert_eq!(answer.status, 200);
        assert_eq!(streams_of_ann(&edge), 2 * (round + 1), "one for each POST");
    }
    assert!(swallower.swallowed.load(Ordering::Relaxed) >= 4);
    // The client's own key still is the client's.
    let again = post("/v1/streams", Some("one"), prompt(knobs)).events();
    check_whole(&again.through_proxy().rest());
    assert_eq!(streams_of_ann(&edge), 8);
}

#[test]
fn while_a_node_drains_nobody_is_turned_away_and_its_streams_go_on() {
    let mut cluster = Cluster::start("drain_timeout = \"1m\"\n");
    let mut slow = cluster.create(json!({"tokens": 150, "tokens_per_second": 50}));
    let mut seen = vec![slow.expect()];
    // The first turn was the first node's, which therefore has something to drain for.
    cluster.a.signal();
    let ready = |node: &Program| {
        let request = Request::new(node.address, "GET", "/readyz");
        request.send().status
    };
    wait_for(|| (ready(&cluster.a) == 503).then_some(()));
    for _ in 0..10 {
        check_whole(&cluster.create(json!({"tokens": 2})).rest());
    }
    assert_eq!(ready(&cluster.a), 503, "it still drains");
    while let Some(event) = slow.next().unwrap() {
        seen.push(event);
    }
    check_whole(&seen);
    assert_eq!(seen.last().unwrap().kind, "done");
    assert!(cluster.a.wait().success());
    for _ in 0..4 {
        check_whole(&cluster.create(json!({"tokens": 2})).rest());
    }
}

#[test]
fn the_nodes_see_the_clients_address_and_not_what_it_says_of_itself() {
    let cluster = Cluster::start(
        "trusted_proxies = [\"127.0.0.1/32\"]\nlimits.failed_authentications_per_minute = 3\n",
    );
    let guess = |source: [u8; 4], said: &str| {
        let request = cluster.edge.request("GET", "/v1/streams");
        let request = request.bearer("no").header("X-Forwarded-For", said);
        request.send_over(cluster.edge.connect_from(source)).status
    };
    // Each of the two nodes counts for itself.
    let statuses: Vec<_> = (0..8)
        .map(|n| guess([127, 0, 0, 2], &format!("192.0.2.{n}")))
        .collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 401, 429, 429]);
    assert_eq!(guess([127, 0, 0, 3], "127.0.0.2"), 401);
}

#[test]
fn a_body_may_be_as_large_here_as_there() {
    let cluster = Cluster::start("");
    let post = |bytes: usize| {
        let mut body = prompt(json!({"tokens": 1})).to_string();
        body.push_str(&" ".repeat(bytes - body.len()));
        let request = cluster.edge.request("POST", "/v1/streams");
        let request = request
            .header("Content-Type", "application/json")
            .body(body);
        cluster.edge.send(request)
    };
    let limit = 1 << 20;
    check_whole(&post(limit).events().through_proxy().rest());
    let refused = post(limit + 1);
    assert_eq!(refused.status, 413);
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(refused.code(), "body_too_large");
}

#[test]
fn only_what_clients_have_is_seen_from_outside() {
    let cluster = Cluster::start("");
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/monitor",
        "/v1/monitor/events",
        "/admin",
        "/.env",
        "/playground/token",
    ] {
        assert_eq!(cluster.edge.get(path).status, 404, "{path}");
    }
    for path in [
        "/",
        "/assets/src/main.js",
        "/assets/client/index.js",
        "/docs/",
        "/errors/rate_limited",
        "/openapi.yaml",
        "/openapi-3.2.json",
        "/v1/models",
    ] {
        assert_eq!(cluster.edge.get(path).status, 200, "{path}");
    }
}
