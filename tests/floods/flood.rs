//! More connections than `max_connections` allows: those beyond it wait, those within it are served, and
//! when the flood is over nothing of it is left.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::json;

use crate::client::{Request, Response, connect};
use crate::server::wait_for;
use crate::target::{Target, answer, joined};

/// What the process may have more of at the end, in KiB: what allocators keep.
const KEPT: u64 = 32 * 1024;

/// How many connections the one worker holds.
const CEILING: usize = 200;

fn settings(head_timeout: &str) -> String {
    format!(
        "max_connections = {CEILING}\nhttp.head_timeout = \"{head_timeout}\"\nhttp.keep_alive = \"1s\"\n"
    )
}

fn models(target: &Target) -> Request {
    target.request("GET", "/v1/models")
}

/// Counts the sockets all the while that something else is done.
fn watched<T>(target: &Target, work: impl FnOnce() -> T) -> (T, usize) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                most = most.max(target.sockets());
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            most
        });
        let result = work();
        over.store(true, Ordering::Relaxed);
        (result, watch.join().unwrap())
    })
}

/// Connections that say nothing take a place each until `http.head_timeout`, so whoever comes after them
/// waits so long for each full house.
fn silent(connections: usize, people: usize) {
    let target = Target::start(&settings("1s"));
    let (descriptors, sockets) = (target.descriptors(), target.sockets());
    let resident = target.resident();
    let readers = target.people(people, 6);
    wait_for(|| (target.descriptors() >= descriptors + people).then_some(()));
    let started = Instant::now();
    let (answered, most) = watched(&target, || {
        let mut flood: Vec<TcpStream> = (0..connections)
            .map(|_| connect(target.address()))
            .collect();
        // Somebody comes after all of them, and gets an answer.
        assert_eq!(models(&target).send().status, 200);
        let answered = started.elapsed();
        for connection in &mut flood {
            let answer = answer(connection).expect("each comes to an end");
            assert!(
                answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
                "{answer:?}"
            );
        }
        answered
    });
    let over = started.elapsed();
    let tokens = joined(readers);
    assert!(most <= sockets + CEILING, "{most} sockets");
    wait_for(|| (target.descriptors() <= descriptors).then_some(()));
    let grown = target.resident().saturating_sub(resident);
    println!(
        "{connections} silent connections, a ceiling of {CEILING}: at most {} at once, whoever came after \
         them was answered after {answered:.1?}, all were over after {over:.1?}; {tokens} tokens to \
         {people} readers meanwhile; memory grew by {} MiB",
        most - sockets,
        grown / 1024,
    );
    assert!(grown < KEPT, "{grown} KiB");
    assert_eq!(
        target.healthy(&json!({"tokens": 5})).join().unwrap().len(),
        7
    );
}

/// All of them ask for something at once: all are answered.
fn busy(connections: usize) {
    let target = Target::start(&settings("5s"));
    let (descriptors, sockets) = (target.descriptors(), target.sockets());
    let resident = target.resident();
    let people = target.people(20, 4);
    let started = Instant::now();
    let ((), most) = watched(&target, || {
        let bytes = models(&target).header("Connection", "close").bytes();
        let flood: Vec<TcpStream> = (0..connections)
            .map(|_| {
                let mut connection = connect(target.address());
                connection.write_all(&bytes).unwrap();
                connection
            })
            .collect();
        for connection in flood {
            let answer = Response::read(Box::new(connection)).unwrap();
            assert_eq!(answer.status, 200);
            assert_eq!(answer.json()["data"][0]["id"], "demo");
        }
    });
    let over = started.elapsed();
    let tokens = joined(people);
    assert!(most <= sockets + CEILING, "{most} sockets");
    wait_for(|| (target.descriptors() <= descriptors).then_some(()));
    let grown = target.resident().saturating_sub(resident);
    println!(
        "{connections} requests at once, a ceiling of {CEILING}: all answered after {over:.1?}, at most {} at \
         once; {tokens} tokens to 20 readers meanwhile; memory grew by {} MiB",
        most - sockets,
        grown / 1024,
    );
    assert!(grown < KEPT, "{grown} KiB");
}

#[test]
fn two_thousand_silent_connections_above_a_ceiling_of_two_hundred() {
    silent(2_000, 20);
}

#[test]
fn two_thousand_requests_at_once_above_a_ceiling_of_two_hundred() {
    busy(2_000);
}

#[test]
#[ignore = "long: scripts/test --long"]
fn long_floods_again_and_again() {
    for _ in 0..5 {
        silent(3_500, 100);
        busy(3_500);
    }
}
