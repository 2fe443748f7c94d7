//! A model's server that does what a test tells it, byte by byte.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::server::DEADLINE;

/// A request as the upstream saw it.
#[derive(Clone)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (header, value) = line.split_once(": ")?;
            header.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

#[derive(Default)]
struct Record {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    /// When a peer closed a connection that the script held open.
    left: Mutex<Option<Instant>>,
    changed: Condvar,
}

pub struct Upstream {
    pub address: SocketAddr,
    record: Arc<Record>,
}

/// What a connection is read from and written to: its socket, or TLS over it.
pub trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// One request's connection, in the hands of a script.
pub struct Exchange {
    socket: TcpStream,
    wire: Box<dyn Wire>,
    record: Arc<Record>,
}

pub const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";

impl Exchange {
    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        // The server may have left; that is for the test to see.
        let _ = self.wire.write_all(bytes.as_ref());
    }

    /// Sends a chunk of the body.
    pub fn chunk(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        self.raw(framed);
    }

    /// Sends an event in a chunk of its own.
    pub fn event(&mut self, data: impl std::fmt::Display) {
        self.chunk(format!("data: {data}\n\n"));
    }

    /// Sends a piece of text.
    pub fn text(&mut self, text: &str) {
        let delta = serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}}]});
        self.event(delta);
    }

    /// Ends well.
    pub fn finish(&mut self, reason: &str) {
        self.event(
            serde_json::json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}),
        );
        self.event("[DONE]");
        self.chunk("");
    }

    /// A whole answer with this body.
    pub fn answer(&mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        self.raw(format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ));
    }

    /// Says nothing more until the peer leaves.
    pub fn hold(&mut self) {
        let mut rest = [0; 1024];
        self.socket.set_read_timeout(Some(DEADLINE)).unwrap();
        while matches!(self.wire.read(&mut rest), Ok(1..)) {}
        *self.record.left.lock().unwrap() = Some(Instant::now());
        self.record.changed.notify_all();
    }

    /// Ends the connection with a reset.
    pub fn reset(&mut self) {
        let socket = socket2::SockRef::from(&self.socket);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        let _ = self.socket.shutdown(Shutdown::Read);
    }
}

impl Upstream {
    /// A server that does this with each request. The connection stays open for another one, as
    /// far as the script has left it so.
    pub fn start(script: impl Fn(&Seen, &mut Exchange) -> Then + Send + Sync + 'static) -> Self {
        Self::over(|socket| Box::new(socket), script)
    }

    /// The same over what is made of each connection's socket.
    pub fn over(
        wire: impl Fn(TcpStream) -> Box<dyn Wire> + Send + Sync + 'static,
        script: impl Fn(&Seen, &mut Exchange) -> Then + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let record = Arc::new(Record::default());
        let (kept, script) = (Arc::clone(&record), Arc::new((wire, script)));
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (record, script) = (Arc::clone(&kept), Arc::clone(&script));
                let Ok(socket) = socket else { return };
                record.connections.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || {
                    socket.set_nodelay(true).unwrap();
                    let (wire, script) = &*script;
                    let wire = wire(socket.try_clone().unwrap());
                    let mut exchange = Exchange {
                        socket,
                        wire,
                        record,
                    };
                    while let Some(seen) = read(&mut *exchange.wire) {
                        exchange.record.seen.lock().unwrap().push(seen.clone());
                        if script(&seen, &mut exchange) == Then::Close {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, record }
    }

    /// What was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.record.seen.lock().unwrap().clone()
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> usize {
        self.record.connections.load(Ordering::Relaxed)
    }

    /// When the server left a connection that was held open.
    pub fn left(&self) -> Instant {
        let left = self.record.left.lock().unwrap();
        let (left, late) = self
            .record
            .changed
            .wait_timeout_while(left, DEADLINE, |left| left.is_none())
            .unwrap();
        assert!(!late.timed_out(), "the connection was never closed");
        left.unwrap()
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Keep,
    Close,
}

fn read(wire: &mut dyn Wire) -> Option<Seen> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut seen = Seen {
                head,
                body: bytes.split_off(end + 4),
            };
            let length = seen
                .header("content-length")
                .map_or(0, |length| length.parse().unwrap());
            while seen.body.len() < length {
                let read = wire.read(&mut piece).ok().filter(|read| *read > 0)?;
                seen.body.extend_from_slice(&piece[..read]);
            }
            return Some(seen);
        }
        let read = wire.read(&mut piece).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&piece[..read]);
    }
}
