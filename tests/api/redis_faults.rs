//! What can be wrong with a Redis: that it is noticed in bounded time, that the log says once what is
//! to be done, and that all is well when it is over.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Request;
use crate::nodes::process;
use crate::program::Program;
use crate::redis_server::RedisServer;
use crate::server::{Server, prompt, token, wait_for};
use crate::sse::{Events, check_whole, text};

/// A node in a process of its own, with what it logs.
struct Node {
    program: Program,
    _directory: tempfile::TempDir,
}

impl Node {
    fn at(url: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = format!("store = \"redis\"\nredis.url = \"{url}\"\n");
        Self {
            program: process(directory.path(), &settings),
            _directory: directory,
        }
    }

    fn on(redis: &RedisServer) -> Self {
        redis.wait();
        let node = Self::at(&redis.url());
        node.is_ready(true);
        node
    }

    fn is_ready(&self, ready: bool) {
        let status = if ready { 200 } else { 503 };
        wait_for(|| {
            let answer = Request::new(self.program.address, "GET", "/readyz").send();
            (answer.status == status).then_some(())
        });
    }

    fn create(&self, knobs: Value) -> Events {
        let request = Request::new(self.program.address, "POST", "/v1/streams");
        let request = request.bearer(&token("ann")).json(&prompt(knobs));
        request.send().events()
    }

    /// The code of a refused creation.
    fn refused(&self) -> String {
        let request = Request::new(self.program.address, "POST", "/v1/streams");
        let request = request.bearer(&token("ann")).json(&prompt(json!({})));
        let answer = request.send();
        assert_eq!(answer.status, 503);
        answer.code()
    }

    /// The lines that say this.
    fn lines(&self, text: &str) -> Vec<String> {
        let log = self.program.log.lock().unwrap();
        let lines = log.lines().filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    }

    fn line(&self, text: &str) -> String {
        wait_for(|| self.lines(text).pop())
    }
}

#[test]
fn a_redis_that_hangs_is_noticed_and_said_once() {
    let redis = RedisServer::start();
    let node = Node::on(&redis);
    let streams: Vec<_> = (0..50)
        .map(|_| {
            let mut events = node.create(json!({"tokens": 200, "tokens_per_second": 50}));
            let first = events.expect();
            (first, events)
        })
        .collect();
    redis.pause();
    let hung = Instant::now();
    node.is_ready(false);
    assert!(
        hung.elapsed() < Duration::from_secs(8),
        "{:?}",
        hung.elapsed()
    );
    let asked = Instant::now();
    assert_eq!(node.refused(), "store_unavailable");
    assert!(
        asked.elapsed() < Duration::from_secs(8),
        "{:?}",
        asked.elapsed()
    );
    redis.resume();
    node.is_ready(true);
    for (first, events) in streams {
        let mut all = vec![first];
        all.extend(events.rest());
        check_whole(&all);
        assert_eq!(all.last().unwrap().data["type"], "done");
    }
    let said = node.lines("Redis ");
    assert_eq!(node.lines("Redis does not answer").len(), 1, "{said:#?}");
    let back = node.line("Redis answers again");
    let back: Value = serde_json::from_str(&back).unwrap();
    assert!(back["redis.refused"].as_u64().unwrap() > 0, "{back}");
}

#[test]
fn what_takes_connections_from_the_start_and_never_answers_is_said() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let node = Node::at(&format!("redis://{}/", silent.local_addr().unwrap()));
    node.line("Redis does not answer");
    node.is_ready(false);
    assert_eq!(node.refused(), "store_unavailable");
    assert_eq!(node.lines("Redis does not answer").len(), 1);
}

#[test]
fn a_redis_without_memory_ends_streams_as_overloaded() {
    let redis = RedisServer::start();
    let (a, b) = (Node::on(&redis), Node::on(&redis));
    let mut here = a.create(json!({"tokens": 100_000, "tokens_per_second": 50}));
    let first = here.expect();
    let id = first.data["stream"].as_str().unwrap();
    let there = Request::new(
        b.program.address,
        "GET",
        &format!("/v1/streams/{id}/events"),
    );
    let there = there.bearer(&token("ann")).send().events();
    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = Instant::now();
    let mut seen = vec![first];
    seen.extend(here.rest());
    assert!(
        full.elapsed() < Duration::from_secs(8),
        "{:?}",
        full.elapsed()
    );
    let there = there.rest();
    check_whole(&seen);
    check_whole(&there);
    assert_eq!(text(&seen), text(&there));
    let error = &seen.last().unwrap().data["error"];
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!("overloaded"), &json!(true))
    );
    assert_eq!(a.refused(), "overloaded");
    a.is_ready(true);
    assert_eq!(a.lines("Redis has no memory left").len(), 1);
    assert!(
        a.line("Redis has no memory left")
            .contains("Raise its maxmemory")
    );
    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    check_whole(&a.create(json!({"tokens": 5})).rest());
    a.line("Redis does again what it is asked");
}

#[test]
fn credentials_that_are_refused_are_said_once_and_never_shown() {
    let redis = RedisServer::with(&["--requirepass", "s3cret"]);
    redis.wait();
    let url = |login: &str| format!("redis://{login}127.0.0.1:{}/", redis.port);
    for login in ["", ":wr0ng@", "nobody:wr0ng@"] {
        let node = Node::at(&url(login));
        let line = node.line("Redis does not let us in");
        assert!(line.contains("redis.password_env"), "{line}");
        node.is_ready(false);
        assert_eq!(node.refused(), "store_unavailable");
        assert_eq!(node.refused(), "store_unavailable");
        assert_eq!(node.lines("Redis does not let us in").len(), 1);
        assert!(node.lines("wr0ng").is_empty());
    }
    check_whole(&Node::on(&redis).create(json!({"tokens": 5})).rest());
}

#[test]
fn the_rights_that_the_example_names_are_enough_and_fewer_are_told_of() {
    let redis = RedisServer::start();
    redis.wait();
    let example = include_str!("../../tailrace.example.toml");
    let rights = example
        .lines()
        .find_map(|line| line.strip_prefix("# ACL SETUSER "))
        .unwrap();
    let mut words = vec!["ACL", "SETUSER"];
    words.extend(rights.split(' '));
    let _: String = redis.ask(&words);
    let url = format!("redis://tailrace:password@127.0.0.1:{}/", redis.port);
    let (a, b) = (Node::at(&url), Node::at(&url));
    a.is_ready(true);
    b.is_ready(true);
    let mut events = a.create(json!({"tokens": 20, "tokens_per_second": 100}));
    let first = events.expect();
    let path = format!("/v1/streams/{}", first.data["stream"].as_str().unwrap());
    let ask = |method: &str, path: &str| {
        Request::new(b.program.address, method, path)
            .bearer(&token("ann"))
            .send()
    };
    let there = ask("GET", &format!("{path}/events")).events().rest();
    check_whole(&there);
    assert_eq!(ask("POST", &format!("{path}/cancel")).status, 202);
    assert!(ask("GET", "/v1/streams").json().to_string().contains(&path));
    assert_eq!(ask("DELETE", &path).status, 204);
    let _: String = redis.ask(&["ACL", "SETUSER", "tailrace", "-xadd"]);
    assert_eq!(a.refused(), "store_unavailable");
    let line = a.line("Redis does not allow what it was asked");
    assert!(line.contains("-@dangerous"), "{line}");
    a.is_ready(false);
    a.refused();
    assert_eq!(a.lines("Redis does not allow what it was asked").len(), 1);
    let _: String = redis.ask(&["ACL", "SETUSER", "tailrace", "+xadd"]);
    a.is_ready(true);
    check_whole(&a.create(json!({"tokens": 5})).rest());
}

#[test]
fn names_that_another_program_uses_and_settings_that_forget_are_told_of() {
    let redis = RedisServer::with(&["--maxmemory-policy", "allkeys-lru"]);
    redis.wait();
    for partition in 0..16 {
        let key = format!("tailrace:{{{partition}}}:leases");
        let _: String = redis.ask(&["SET", &key, "mine"]);
    }
    let node = Node::at(&redis.url());
    let line = node.line("Redis has something else under a name of ours");
    assert!(line.contains("redis.prefix"), "{line}");
    node.is_ready(false);
    let line = node.line("maxmemory-policy is allkeys-lru");
    assert!(line.contains("noeviction"), "{line}");
    let _: String = redis.ask(&["FLUSHALL"]);
    node.is_ready(true);
    assert_eq!(node.lines("maxmemory-policy").len(), 1);
}

/// Passes on what comes, until connections on which somebody listens are to fall silent.
struct Proxy {
    port: u16,
    /// How many connections somebody has listened on.
    listening: Arc<AtomicUsize>,
    /// Whether those that are there are silent.
    silent: Arc<AtomicBool>,
}

impl Proxy {
    fn before(redis: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            listening: Arc::default(),
            silent: Arc::default(),
        };
        let (to, counted, silent) = (
            redis.port,
            Arc::clone(&proxy.listening),
            Arc::clone(&proxy.silent),
        );
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
                let (counted, silent) = (Arc::clone(&counted), Arc::clone(&silent));
                // Those that are made later are not silent.
                let listens = Arc::new(AtomicBool::new(false));
                let held = {
                    let (listens, exempt) = (Arc::clone(&listens), silent.load(Ordering::SeqCst));
                    move || {
                        !exempt && listens.load(Ordering::SeqCst) && silent.load(Ordering::SeqCst)
                    }
                };
                let note = move |bytes: &[u8]| {
                    let subscribes = bytes.windows(9).any(|it| it == b"SUBSCRIBE");
                    if subscribes && !listens.swap(true, Ordering::SeqCst) {
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                };
                pump(
                    client.try_clone().unwrap(),
                    server.try_clone().unwrap(),
                    held.clone(),
                    note,
                );
                pump(server, client, held, |_| {});
            }
        });
        proxy
    }
}

fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    held: impl Fn() -> bool + Send + 'static,
    note: impl Fn(&[u8]) + Send + 'static,
) {
    std::thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            note(&bytes[..count]);
            // What is held is lost, as on a path that has gone away without a word.
            if !held() && to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

#[test]
fn a_subscription_that_is_dead_without_a_word_is_made_again() {
    let redis = RedisServer::start();
    redis.wait();
    let proxy = Proxy::before(&redis);
    let a = Node::on(&redis);
    let url = format!("redis://127.0.0.1:{}/", proxy.port);
    let b = Server::with(&format!("store = \"redis\"\nredis.url = \"{url}\"\n"));
    wait_for(|| (b.request("GET", "/readyz").send().status == 200).then_some(()));
    wait_for(|| (proxy.listening.load(Ordering::SeqCst) == 1).then_some(()));
    let mut events = a.create(json!({"tokens": 500, "tokens_per_second": 50}));
    let first = events.expect();
    let there = b
        .events(first.data["stream"].as_str().unwrap(), None)
        .events();
    proxy.silent.store(true, Ordering::SeqCst);
    let silent = Instant::now();
    wait_for(|| (proxy.listening.load(Ordering::SeqCst) == 2).then_some(()));
    assert!(
        silent.elapsed() < Duration::from_secs(10),
        "{:?}",
        silent.elapsed()
    );
    let mut here = vec![first];
    here.extend(events.rest());
    let there = there.rest();
    check_whole(&there);
    assert_eq!(text(&here), text(&there));
    assert_eq!(b.request("GET", "/readyz").send().status, 200);
}
