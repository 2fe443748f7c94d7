//! Requests that come a byte at a time, as those do that mean to occupy a server: each ends within its
//! documented time however steadily its bytes come, and others are served meanwhile.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::connect;
use crate::server::wait_for;
use crate::target::{Target, joined};

const SETTINGS: &str =
    "http.head_timeout = \"3s\"\nhttp.body_timeout = \"3s\"\nhttp.keep_alive = \"3s\"\n";

/// When the latest is over: the times above, and what the framework gives a connection to close.
const BOUND: Duration = Duration::from_secs(3 + 2 + 5);

/// A connection whose bytes come one each second once it has sent its beginning.
struct Dripping {
    connection: TcpStream,
    rest: std::vec::IntoIter<u8>,
    answer: Vec<u8>,
    ended: Option<Duration>,
}

impl Dripping {
    fn new(target: &Target, beginning: &str, rest: &str) -> Self {
        let mut connection = connect(target.address());
        connection.write_all(beginning.as_bytes()).unwrap();
        Self {
            connection,
            rest: rest.to_owned().into_bytes().into_iter(),
            answer: Vec::new(),
            ended: None,
        }
    }

    /// Reads what is there, without waiting.
    fn look(&mut self, started: Instant) {
        self.connection.set_nonblocking(true).unwrap();
        let mut piece = [0; 4096];
        while self.ended.is_none() {
            match self.connection.read(&mut piece) {
                Ok(length) if length > 0 => self.answer.extend(&piece[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                _ => self.ended = Some(started.elapsed()),
            }
        }
    }

    /// Sends its next byte, if the other side still takes any.
    fn drip(&mut self) {
        if let (None, Some(byte)) = (self.ended, self.rest.next()) {
            let _ = self.connection.write(&[byte]);
        }
    }
}

/// Lets so many of them drip until all are over or the bound is long gone. What they were answered.
fn drip(number: usize, beginning: &str, rest: &str) -> Vec<String> {
    let target = Target::start(SETTINGS);
    let (descriptors, resident) = (target.descriptors(), target.resident());
    let people = target.people(8, 5);
    let mut slow: Vec<Dripping> = (0..number)
        .map(|_| Dripping::new(&target, beginning, rest))
        .collect();
    let started = Instant::now();
    let mut next = started;
    while slow.iter().any(|it| it.ended.is_none()) && started.elapsed() < 2 * BOUND {
        if Instant::now() >= next {
            for it in &mut slow {
                it.drip();
            }
            next += Duration::from_secs(1);
            // Somebody else asks, each second.
            assert_eq!(target.request("GET", "/v1/models").send().status, 200);
        }
        for it in &mut slow {
            it.look(started);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let open = slow.iter().filter(|it| it.ended.is_none()).count();
    assert_eq!(open, 0, "still open after {:.1?}", started.elapsed());
    let latest = slow.iter().filter_map(|it| it.ended).max().unwrap();
    assert!(latest < BOUND, "the latest was over after {latest:.1?}");
    let tokens = joined(people);
    assert_eq!(tokens, 8 * 5 * 40);
    wait_for(|| (target.descriptors() <= descriptors).then_some(()));
    let grown = target.resident().saturating_sub(resident);
    println!(
        "{number} requests that drip ({} bytes at once): over after {latest:.1?}, memory grew by {grown} KiB",
        beginning.len()
    );
    // What allocators keep, of everything and of what each connection had at once. A soak says whether it comes
    // to more again and again.
    assert!(grown < 16 * 1024 + 32 * number as u64, "{grown} KiB");
    let list = target.request("GET", "/v1/streams?limit=100").send().json();
    let running = |it: &&serde_json::Value| it["status"] == json!("running");
    assert_eq!(
        list["streams"]
            .as_array()
            .unwrap()
            .iter()
            .filter(running)
            .count(),
        0
    );
    let text = |it: Dripping| String::from_utf8(it.answer).unwrap();
    slow.into_iter().map(text).collect()
}

fn head(rest: &str) -> String {
    let token = crate::token::token("ann");
    format!("POST /v1/streams HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{rest}")
}

fn drip_heads(number: usize) {
    for answer in drip(
        number,
        "POST /v1/streams HTTP/1.1\r\n",
        &"A: b\r\n".repeat(20),
    ) {
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer:?}");
    }
}

fn drip_bodies(number: usize) {
    let beginning = head("Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{");
    for answer in drip(number, &beginning, &" ".repeat(100)) {
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer:?}");
        assert!(answer.contains("request_timeout"), "{answer:?}");
    }
}

#[test]
fn heads_that_drip_get_408() {
    drip_heads(100);
}

#[test]
fn bodies_that_drip_get_408() {
    drip_bodies(100);
}

/// The framework would read such a body to its end before it closes, for however long it comes.
#[test]
fn chunks_that_drip_get_408() {
    let beginning = head("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    for answer in drip(100, &beginning, &"1\r\n \r\n".repeat(20)) {
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer:?}");
    }
}

/// The second request of a connection has no more time than the first, though the framework's deadline
/// is for that only.
#[test]
fn second_heads_that_drip_are_cut() {
    let first = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    for answer in drip(
        100,
        first,
        &format!("GET /livez HTTP/1.1\r\n{}", "A: b\r\n".repeat(20)),
    ) {
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    }
}

/// Who has no credentials is answered before the body, and cannot go on with it for ever.
#[test]
fn bodies_of_nobody_are_answered_and_cut() {
    let beginning = "POST /v1/streams HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
    for answer in drip(100, beginning, &" ".repeat(100)) {
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer:?}");
    }
}

#[test]
#[ignore = "long: scripts/test --long"]
fn long_two_thousand_heads_and_bodies_that_drip() {
    drip_heads(2_000);
    drip_bodies(2_000);
}
