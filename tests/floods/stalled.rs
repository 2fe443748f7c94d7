//! Readers that ask for a long stream and never read it: they cost a bounded piece of memory until they
//! are cut, and neither the generation nor anybody else waits for them.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::client::Request;
use crate::server::{DEADLINE, prompt, wait_for};
use crate::sse::check_whole;
use crate::target::{Target, answer, joined};

/// What all streams may take together, in KiB: `memory.max_bytes`.
const LOG: u64 = 96 * 1024;

/// What a reader may cost beside the log, in KiB: its connection with what it holds to be written.
const READER: u64 = 96;

/// The streams they read, and the tokens of 200 KiB of each: far more than a socket takes.
const STREAMS: usize = 10;
const TOKENS: usize = 12;

/// A connection that takes as little as can be, with this request.
fn stalled(address: SocketAddr, request: &Request) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    // As over a network; the loopback's segments are so large that the kernel takes 1.6 MB for each.
    socket.set_tcp_mss(1460).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut connection = TcpStream::from(socket);
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    connection.write_all(&request.bytes()).unwrap();
    connection
}

fn stall(readers: usize, peer_timeout: Duration) {
    let timeout = peer_timeout.as_secs();
    let target = Target::start(&format!(
        "http.peer_timeout = \"{timeout}s\"\nmemory.max_bytes = \"{LOG}KiB\"\n"
    ));
    let (descriptors, sockets) = (target.descriptors(), target.sockets());
    let resident = target.resident();
    let started = Instant::now();
    // The streams are still being generated when their readers come.
    let knobs = json!({"text": "huge", "tokens": TOKENS, "tokens_per_second": 5});
    let create = || {
        let request = target
            .request("POST", "/v1/streams")
            .json(&prompt(knobs.clone()));
        let answer = request.header("Prefer", "respond-async").send().json();
        answer["id"].as_str().unwrap().to_owned()
    };
    let streams: Vec<String> = (0..STREAMS).map(|_| create()).collect();
    let people = target.people(8, 2 * timeout);
    let events = |id: &String| target.request("GET", &format!("/v1/streams/{id}/events"));
    let mut connections: Vec<TcpStream> = (0..readers)
        .map(|at| stalled(target.address(), &events(&streams[at % STREAMS])))
        .collect();
    wait_for(|| (target.sockets() >= sockets + readers).then_some(()));
    let connected = started.elapsed();

    // Their generation is not kept up by them.
    let done = || {
        let list = target
            .request("GET", "/v1/streams?status=done&limit=100")
            .send()
            .json();
        let ids: Vec<String> = list["streams"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect();
        streams.iter().all(|id| ids.contains(id)).then_some(())
    };
    wait_for(done);
    let generated = started.elapsed();
    let tokens = joined(people);

    // They are cut within the documented time; what they had not read is not there for them any more.
    wait_for(|| (target.descriptors() <= descriptors).then_some(()));
    let cut = started.elapsed();
    for connection in &mut connections {
        let answer = answer(connection).expect("a connection that is closed");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:.100}");
        assert!(!answer.contains("event: done") && !answer.ends_with("0\r\n\r\n"));
    }
    let grown = target.peak() - resident;
    let bound = LOG + readers as u64 * READER;
    println!(
        "{readers} stalled readers: connected after {connected:.1?}, streams done after \
         {generated:.1?}, all cut after {cut:.1?} (peer_timeout {timeout} s); memory grew by \
         {} MiB of at most {} MiB; {tokens} tokens to 8 others",
        grown / 1024,
        bound / 1024,
    );
    assert!(grown < bound, "{grown} KiB");

    // The streams are there for whoever does read.
    for id in &streams {
        check_whole(&events(id).send().events().rest());
    }
}

#[test]
fn a_thousand_stalled_readers_are_cut_and_cost_nobody_anything() {
    stall(1_000, Duration::from_secs(4));
}

#[test]
#[ignore = "long: scripts/test --long"]
fn long_four_thousand_stalled_readers_are_cut_and_cost_nobody_anything() {
    stall(4_000, Duration::from_secs(10));
}
