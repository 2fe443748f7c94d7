//! Clients that are slow, silent, half gone, or never read: none of them holds anything for long.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Request, connect};
use crate::nodes::process;
use crate::server::{Server, prompt, token};

/// Sends the head of a create request with a declared body, and the given part of it.
fn send_part(server: &Server, part: &str, declared: usize) -> std::net::TcpStream {
    let request = server
        .post("/v1/streams")
        .header("Content-Type", "application/json");
    let bytes = request
        .header("Content-Length", &declared.to_string())
        .body(part)
        .bytes();
    let mut connection = connect(server.address);
    connection.write_all(&bytes).unwrap();
    connection
}

fn answer(mut connection: std::net::TcpStream) -> String {
    let mut answer = String::new();
    // Whatever comes until the server closes, or resets, the connection.
    if let Err(error) = connection.read_to_string(&mut answer) {
        assert_ne!(error.kind(), ErrorKind::WouldBlock, "open: {answer:?}");
    }
    answer
}

#[test]
fn a_body_that_stalls_gets_408() {
    let server = Server::with("http.body_timeout = \"300ms\"\nhttp.keep_alive = \"100ms\"\n");
    let started = Instant::now();
    let answer = answer(send_part(&server, "{\"p", 20));
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer:?}");
    assert!(answer.contains("request_timeout"));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_head_that_stalls_gets_408() {
    let server = Server::with(&format!("http.head_timeout = \"{SHORT}\"\n"));
    let mut connection = connect(server.address);
    connection
        .write_all(b"POST /v1/streams HTTP/1.1\r\nHost:")
        .unwrap();
    assert!(answer(connection).starts_with("HTTP/1.1 408"));
}

#[test]
fn garbage_is_400() {
    let server = Server::start();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut connection = connect(server.address);
        connection.write_all(garbage).unwrap();
        connection.shutdown(Shutdown::Write).unwrap();
        let answer = answer(connection);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer:?}"
        );
    }
}

#[test]
fn a_body_that_is_cut_generates_nothing() {
    let server = Server::start();
    let connection = send_part(&server, "{\"prompt\":\"x\"}", 100);
    connection.shutdown(Shutdown::Write).unwrap();
    answer(connection);
    assert_eq!(
        server.get("/v1/streams").send().json()["streams"],
        json!([])
    );
}

#[test]
fn a_client_that_has_closed_its_side_is_gone_even_if_nothing_is_said() {
    let server = Server::start();
    let mut body = prompt(json!({"first_token_delay_ms": 60_000}));
    body["on_disconnect"] = "cancel".into();
    let mut connection = connect(server.address);
    connection
        .write_all(&server.post("/v1/streams").json(&body).bytes())
        .unwrap();
    let mut piece = [0; 4096];
    let mut head = String::new();
    while !head.contains("event: start") {
        let read = connection.read(&mut piece).unwrap();
        head.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
    let id = head.split("/v1/streams/").nth(1).unwrap()[..32].to_owned();
    connection.shutdown(Shutdown::Write).unwrap();
    let left = Instant::now();
    assert_eq!(server.ended(&id)["finish_reason"], "cancelled");
    assert!(left.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_reader_that_never_reads_is_cut() {
    // Room for more than the stream has, so that it does not end by its size on a busy machine.
    let server = Server::with(
        "http.peer_timeout = \"1s\"\nmemory.max_bytes = \"256MiB\"\nmemory.max_stream_bytes = \"128MiB\"\n",
    );
    let mut body = prompt(json!({"text": "huge", "tokens": 1000, "tokens_per_second": 40}));
    body["on_disconnect"] = "cancel".into();
    let mut connection = connect(server.address);
    socket2::SockRef::from(&connection)
        .set_recv_buffer_size(4096)
        .unwrap();
    connection
        .write_all(&server.post("/v1/streams").json(&body).bytes())
        .unwrap();
    let list = || server.get("/v1/streams").send().json()["streams"].clone();
    let id = crate::server::wait_for(|| Some(list()[0]["id"].as_str()?.to_owned()));
    let end = server.ended(&id);
    assert_eq!(
        end["finish_reason"],
        "cancelled",
        "{:.200}",
        end["error"].to_string()
    );
}

#[test]
fn a_slow_reader_stalls_neither_the_generation_nor_other_readers() {
    let server = Server::start();
    let mut slow = server.create(json!({"text": "huge", "tokens": 40}));
    slow.expect();
    let id = slow.stream.clone();
    assert_eq!(
        server.ended(&id)["status"],
        "done",
        "it ended though its first reader reads nothing"
    );
    assert_eq!(
        server
            .events(&id, None)
            .events()
            .rest()
            .last()
            .unwrap()
            .kind,
        "done"
    );
    assert_eq!(slow.rest().last().unwrap().kind, "done");
}

/// A connection on which `GET /livez` has been asked and answered.
fn answered(server: SocketAddr) -> std::net::TcpStream {
    let mut connection = connect(server);
    ask(&mut connection);
    connection
}

fn ask(connection: &mut std::net::TcpStream) {
    connection
        .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    assert!(read_until(connection, "ok").starts_with("HTTP/1.1 200"));
}

fn read_until(connection: &mut std::net::TcpStream, mark: &str) -> String {
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    while !text.contains(mark) {
        let length = connection.read(&mut piece).unwrap();
        assert!(length > 0, "{text:?}");
        text.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
    text
}

/// The least that there is: longer than the framework's clock lags behind, which has half a second.
const SHORT: &str = "1s";

/// A time that nothing in these tests may take.
const NEVER: &str = "600s";

#[test]
fn an_idle_connection_is_closed_in_time_and_serves_until_then() {
    let server = Server::with(&format!(
        "http.keep_alive = \"1s\"\nhttp.head_timeout = \"{NEVER}\"\n"
    ));
    let mut connection = answered(server.address);
    let mut last = Instant::now();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(500));
        last = Instant::now();
        ask(&mut connection);
    }
    assert_eq!(answer(connection), "");
    assert!(last.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_second_head_that_stalls_is_cut() {
    let server = Server::with(&format!(
        "http.head_timeout = \"{SHORT}\"\nhttp.keep_alive = \"{NEVER}\"\n"
    ));
    for beginning in ["G", "GET /livez HTTP/1.1\r\nHost:", "\r\n"] {
        let mut connection = answered(server.address);
        connection.write_all(beginning.as_bytes()).unwrap();
        assert_eq!(answer(connection), "");
    }
}

/// Nobody has asked for such a body, and the framework has no deadline for what is left of it.
#[test]
fn a_body_that_nobody_reads_and_that_stalls_is_cut() {
    for (idle, head, more) in [(SHORT, NEVER, ""), (NEVER, SHORT, "1\r\n")] {
        let server = Server::with(&format!(
            "http.keep_alive = \"{idle}\"\nhttp.head_timeout = \"{head}\"\n"
        ));
        let mut connection = connect(server.address);
        connection
            .write_all(b"POST /v1/streams HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
            .unwrap();
        read_until(&mut connection, "missing_credentials");
        connection.write_all(more.as_bytes()).unwrap();
        answer(connection);
    }
}

/// The deadlines are for the time between answers: a stream may take longer than each of them, also with
/// the beginning of another request behind its own.
#[test]
fn an_answer_may_take_as_long_as_it_takes() {
    let server = Server::with("http.head_timeout = \"1s\"\nhttp.keep_alive = \"2s\"\n");
    let body = prompt(json!({"tokens": 45, "tokens_per_second": 15}));
    let mut connection = answered(server.address);
    connection
        .write_all(&server.post("/v1/streams").json(&body).bytes())
        .unwrap();
    read_until(&mut connection, "event: start");
    connection.write_all(b"GET /livez HT").unwrap();
    read_until(&mut connection, "event: done");
    connection.write_all(b"TP/1.1\r\nHost: x\r\n\r\n").unwrap();
    read_until(&mut connection, "\r\n\r\nok");
}

/// Whoever is idle would send its next request to a server that refuses it.
#[test]
fn idle_connections_are_closed_when_the_server_leaves_and_streams_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let settings = format!(
        "http.keep_alive = \"{NEVER}\"\ndrain_delay = \"2s\"\ndrain_timeout = \"{NEVER}\"\n"
    );
    let program = process(directory.path(), &settings);
    let stream = |tokens: u32| {
        let body = prompt(json!({"tokens": tokens, "tokens_per_second": 20}));
        let request = Request::new(program.address, "POST", "/v1/streams").bearer(&token("ann"));
        let mut connection = connect(program.address);
        connection.write_all(&request.json(&body).bytes()).unwrap();
        read_until(&mut connection, "event: start");
        connection
    };
    let idle = [answered(program.address), answered(program.address)];
    let (mut long, short) = (stream(1_000_000), stream(80));
    program.signal();
    for connection in idle {
        assert_eq!(answer(connection), "");
    }
    // This one was told that its connection would be kept.
    let rest = answer(short);
    assert!(rest.contains("event: done"), "{rest:?}");
    // The server is still there.
    read_until(&mut long, "event: token");
}

/// What the kernel holds of the server's side of this connection to be sent, in bytes.
fn queued(connection: &std::net::TcpStream) -> u64 {
    let (server, client) = (
        connection.peer_addr().unwrap().port(),
        connection.local_addr().unwrap().port(),
    );
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let line = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields[1].ends_with(&format!(":{server:04X}"))
            && fields[2].ends_with(&format!(":{client:04X}"));
        is_it.then(|| fields[4].split(':').next().unwrap().to_owned())
    });
    u64::from_str_radix(&line.unwrap(), 16).unwrap()
}

/// The kernel's own bound grows with what a reader has once taken at a time, to 4 MiB and more.
#[test]
fn the_kernel_holds_little_for_a_reader_that_was_fast_and_stalls() {
    let server =
        Server::with("memory.max_bytes = \"128MiB\"\nmemory.max_stream_bytes = \"64MiB\"\n");
    let body = prompt(json!({"text": "huge", "tokens": 200}));
    let mut connection = connect(server.address);
    connection
        .write_all(&server.post("/v1/streams").json(&body).bytes())
        .unwrap();
    let mut piece = vec![0; 256 * 1024];
    let mut taken = 0;
    while taken < 16 * 1024 * 1024 {
        taken += connection.read(&mut piece).unwrap();
    }
    // It fills up, and then nothing moves any more.
    let mut last = 0;
    let held = crate::server::wait_for(|| {
        std::thread::sleep(Duration::from_millis(100));
        let held = queued(&connection);
        let is_still = held > 0 && held == last;
        last = held;
        is_still.then_some(held)
    });
    assert!(held <= 256 * 1024, "{held} bytes");
}
