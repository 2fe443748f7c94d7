//! A deploy behind a Service of Kubernetes, which knows nothing of HTTP: it gives each connection to some
//! endpoint, repeats nothing, and hears of a node that is stopped only after that node has.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::json;

use crate::client::{Request, Response, connect};
use crate::nodes::Redis;
use crate::program::Program;
use crate::server::{prompt, token, wait_for};
use crate::sse::check_whole;

/// As the manifests have it.
const DELAY: &str = "10s";
const CLIENTS: usize = 4;

/// A node, and how many connections it has been given.
type Endpoint = (SocketAddr, Arc<AtomicUsize>);

/// A Service, with the endpoints that it knows of.
struct Service {
    address: SocketAddr,
    endpoints: Arc<Mutex<Vec<Endpoint>>>,
}

impl Service {
    fn before(nodes: &[&Program]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoints = nodes.iter().map(|node| (node.address, Arc::default()));
        let service = Self {
            address: listener.local_addr().unwrap(),
            endpoints: Arc::new(Mutex::new(endpoints.collect())),
        };
        let endpoints = Arc::clone(&service.endpoints);
        thread::spawn(move || {
            for (turn, client) in listener.incoming().enumerate() {
                let (endpoint, given) = {
                    let endpoints = endpoints.lock().unwrap();
                    endpoints[turn % endpoints.len()].clone()
                };
                // One that refuses is refused to the client.
                if let (Ok(client), Ok(node)) = (client, TcpStream::connect(endpoint)) {
                    given.fetch_add(1, Ordering::Relaxed);
                    pass(client.try_clone().unwrap(), node.try_clone().unwrap());
                    pass(node, client);
                }
            }
        });
        service
    }

    fn given_to(&self, node: &Program) -> usize {
        let endpoints = self.endpoints.lock().unwrap();
        let endpoint = endpoints.iter().find(|(it, _)| *it == node.address);
        endpoint.unwrap().1.load(Ordering::Relaxed)
    }

    /// New connections go elsewhere; those that are open stay.
    fn forget(&self, node: &Program) {
        let mut endpoints = self.endpoints.lock().unwrap();
        endpoints.retain(|(it, _)| *it != node.address);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            if to.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}

/// Clients that each send one request after the other. Half of them keep their connection while they may;
/// these are the first, in turns, so that each endpoint has some.
struct Load {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(service: &Service) -> Self {
        let mut load = Self {
            over: Arc::default(),
            answered: Arc::default(),
            failures: Arc::default(),
            clients: Vec::new(),
        };
        let address = service.address;
        let keep = (0..CLIENTS).map(|number| (number < CLIENTS / 2).then(|| connect(address)));
        for mut kept in keep.collect::<Vec<_>>() {
            let (over, answered) = (Arc::clone(&load.over), Arc::clone(&load.answered));
            let failures = Arc::clone(&load.failures);
            load.clients.push(thread::spawn(move || {
                let keeps = kept.is_some();
                while !over.load(Ordering::Relaxed) {
                    if !keeps {
                        kept = None;
                    }
                    match generate(address, &mut kept) {
                        Ok(()) => _ = answered.fetch_add(1, Ordering::Relaxed),
                        Err(error) => failures.lock().unwrap().push(error.to_string()),
                    }
                }
            }));
        }
        load
    }

    fn has_failed(&self) -> bool {
        !self.failures.lock().unwrap().is_empty()
    }

    fn wait_for_more(&self, more: usize) {
        let before = self.answered.load(Ordering::Relaxed);
        wait_for(|| (self.answered.load(Ordering::Relaxed) >= before + more).then_some(()));
    }

    /// What went wrong.
    fn end(self) -> Vec<String> {
        self.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        self.failures.lock().unwrap().clone()
    }
}

/// A connection to this node on which nothing is asked any more.
fn idle_at(service: &Service, node: &Program) -> Option<TcpStream> {
    wait_for(|| {
        let before = service.given_to(node);
        let mut kept = None;
        generate(service.address, &mut kept).unwrap();
        (service.given_to(node) > before).then_some(kept)
    })
}

/// Whether the other side has closed it, as every client that keeps connections looks before it asks.
fn is_closed(connection: &TcpStream) -> bool {
    connection.set_nonblocking(true).unwrap();
    let seen = connection.peek(&mut [0]);
    connection.set_nonblocking(false).unwrap();
    !seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// One generation from its request to its end.
fn generate(address: SocketAddr, kept: &mut Option<TcpStream>) -> io::Result<()> {
    let kept_open = kept.take().filter(|connection| !is_closed(connection));
    let mut connection = kept_open.unwrap_or_else(|| connect(address));
    let request = Request::new(address, "POST", "/v1/streams").bearer(&token("ann"));
    let request = request.json(&prompt(json!({"tokens": 10, "tokens_per_second": 100})));
    connection.write_all(&request.bytes())?;
    let response = Response::read(Box::new(connection.try_clone()?))?;
    if response.status != 200 {
        return Err(io::Error::other(response.code()));
    }
    let closes = response.header("connection") == Some("close");
    check_whole(&response.events().through_proxy().rest());
    if !closes {
        *kept = Some(connection);
    }
    Ok(())
}

fn ready(node: &Program) -> u16 {
    let answer = Request::new(node.address, "GET", "/readyz").send();
    answer.status
}

#[test]
fn nobody_notices_that_a_node_stops_before_the_service_knows() {
    let redis = Redis::start();
    let settings = format!("drain_delay = \"{DELAY}\"\ndrain_timeout = \"1m\"\n");
    let (mut leaves, stays) = (redis.process_with(&settings), redis.process_with(&settings));
    let service = Service::before(&[&leaves, &stays]);
    let load = Load::on(&service);
    load.wait_for_more(3 * CLIENTS);
    let slow = Request::new(leaves.address, "POST", "/v1/streams").bearer(&token("ann"));
    let slow = slow.json(&prompt(json!({"tokens": 260, "tokens_per_second": 20})));
    let slow = slow.send().events();
    // One that has nothing to ask before nothing is begun here any more.
    let mut wakes = idle_at(&service, &leaves);

    leaves.signal();
    wait_for(|| (ready(&leaves) == 503).then_some(()));
    // The Service has not heard: the node gets more connections, and answers on each.
    let before = service.given_to(&leaves);
    wait_for(|| (service.given_to(&leaves) >= before + CLIENTS).then_some(()));
    service.forget(&leaves);
    load.wait_for_more(3 * CLIENTS);

    wait_for(|| (leaves.lines("Draining: no new generations") > 0).then_some(()));
    generate(service.address, &mut wakes).unwrap();
    assert_eq!(ready(&leaves), 503, "it is still there");
    check_whole(&slow.rest());
    assert!(leaves.wait().success());
    load.wait_for_more(3 * CLIENTS);
    assert_eq!(load.end(), Vec::<String>::new());
}

#[test]
fn without_the_delay_they_would() {
    let redis = Redis::start();
    let settings = "drain_timeout = \"1m\"\n";
    let (leaves, stays) = (redis.process_with(settings), redis.process_with(settings));
    let service = Service::before(&[&leaves, &stays]);
    let load = Load::on(&service);
    load.wait_for_more(3 * CLIENTS);
    leaves.signal();
    wait_for(|| load.has_failed().then_some(()));
    assert!(!load.end().is_empty());
}
