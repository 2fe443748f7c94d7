//! HTTP/1.0, which proxies still speak: no chunks, so the end of the connection is all that tells a
//! complete body from one that is not.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

use crate::client::{Request, connect};
use crate::server::{Server, prompt};

/// Sends the request as an old client would.
fn send(server: &Server, request: &Request) -> TcpStream {
    let bytes = String::from_utf8(request.bytes()).unwrap();
    let mut connection = connect(server.address);
    let bytes = bytes.replacen("HTTP/1.1", "HTTP/1.0", 1);
    connection.write_all(bytes.as_bytes()).unwrap();
    connection
}

/// Everything that comes, and how it ended.
fn read(mut connection: TcpStream) -> (String, io::Result<usize>) {
    let mut bytes = Vec::new();
    let end = connection.read_to_end(&mut bytes);
    (String::from_utf8_lossy(&bytes).into_owned(), end)
}

/// Reads until this has come.
fn read_until(connection: &mut TcpStream, mark: &str) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 1024];
        let read = connection.read(&mut piece).unwrap();
        assert!(read > 0, "no {mark} came");
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes);
        if text.contains(mark) {
            return text.into_owned();
        }
    }
}

fn assert_reset(end: io::Result<usize>) {
    let error = end.expect_err("an end that looks complete");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_stream_is_plain_bytes_and_the_connections_end() {
    let server = Server::start();
    let request = server
        .post("/v1/streams")
        .json(&prompt(json!({"tokens": 3})));
    let (answer, end) = read(send(&server, &request));
    end.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert!(body.starts_with("data: {\"type\":\"start\""), "{body}");
    assert!(body.ends_with(".4\n\n"));
}

#[test]
fn a_snapshot_ends_well_too() {
    let server = Server::start();
    let id = server.create_async(json!({"tokens": 3}));
    let whole = server.ended(&id);
    let (answer, end) = read(send(&server, &server.get(&format!("/v1/streams/{id}"))));
    end.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(body).unwrap(),
        whole
    );
}

#[test]
fn an_evicted_stream_resets_its_slow_readers_connection() {
    let server =
        Server::with("memory.max_bytes = \"12MiB\"\nmemory.max_stream_bytes = \"11MiB\"\n");
    let request = server
        .post("/v1/streams")
        .json(&prompt(json!({"text": "huge", "tokens": 50})));
    let mut slow = send(&server, &request);
    let start = read_until(&mut slow, "event: start");
    let id = start.split("\"stream\":\"").nth(1).unwrap()[..32].to_owned();
    server.ended(&id);
    let other = server.create_async(json!({"text": "huge", "tokens": 20}));
    assert_eq!(server.ended(&other)["status"], "done");
    let (_, end) = read(slow);
    assert_reset(end);
}

#[test]
fn a_server_that_stops_at_once_resets_too() {
    let server = Server::start();
    let request = server
        .post("/v1/streams")
        .json(&prompt(json!({"stall_after": 1})));
    let mut connection = send(&server, &request);
    read_until(&mut connection, "event: token");
    server.ask_to_stop();
    server.ask_to_stop();
    assert_eq!(server.wait(), tailrace::app::Stopped::AtOnce);
    let (_, end) = read(connection);
    assert_reset(end);
}
