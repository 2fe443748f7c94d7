//! Clients that mean no good, or know no better, each in its own way. What the server answers is checked, and so
//! is that each connection comes to an end.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::{Domain, SockRef, Socket, Type};

use crate::client::{Request, connect};
use crate::server::prompt;
use crate::token::token;

/// How long a connection may hold that does nothing it should: the server's time-outs are below it.
const BOUND: Duration = Duration::from_secs(25);

/// A connection that is left to the server.
struct Held {
    what: &'static str,
    connection: TcpStream,
    since: Instant,
    drips: bool,
    /// Whether what comes is left where it is.
    is_stalled: bool,
}

/// All of them, in turn.
pub struct Hostile {
    address: SocketAddr,
    number: usize,
    held: Vec<Held>,
    pub connections: u64,
}

impl Hostile {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            number: 0,
            held: Vec::new(),
            connections: 0,
        }
    }

    fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.address, method, path).bearer(&token("mallory"))
    }

    fn create(&self, knobs: &Value) -> Request {
        let request = self.request("POST", "/v1/streams");
        request.json(&prompt(knobs.clone()))
    }

    /// The next of them comes.
    pub fn step(&mut self) {
        self.number += 1;
        self.connections += 1;
        let a_stream = json!({"tokens": 200, "tokens_per_second": 40});
        match self.number % 16 {
            0 => self.hold("garbage", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", false),
            1 => {
                let answer = self.request("GET", "/v1/models").anonymous();
                let answer = answer.bearer("eyJhbGciOiJub25lIn0.e30.").send();
                assert_eq!(answer.status, 401);
            }
            2 => {
                let body = vec![b' '; 2 * 1024 * 1024];
                let request = self.request("POST", "/v1/streams").body(body);
                let bytes = request.header("Content-Type", "application/json").bytes();
                self.hold("a body that is too large", &bytes[..64 * 1024], false);
            }
            3 => assert_eq!(self.request("GET", "/no/such/path").send().status, 404),
            4 => assert_eq!(self.request("PATCH", "/v1/streams").send().status, 405),
            5 => {
                let events = self.request("GET", "/v1/streams/nothing/events");
                let status = events.header("Last-Event-ID", "\u{1}").send().status;
                assert!((400..500).contains(&status), "{status}");
            }
            6 => {
                let connection = self.begun(&a_stream);
                connection.shutdown(Shutdown::Write).unwrap();
                self.keep("closes its side", connection);
            }
            7 => {
                let connection = self.begun(&a_stream);
                let socket = SockRef::from(&connection);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
            }
            8 => self.hold("says nothing", b"", false),
            9 => self.hold("drips a head", b"GET /livez HTTP/1.1\r\nA: ", true),
            10 => {
                let mut connection = connect(self.address);
                let ask = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
                connection.write_all(ask).unwrap();
                self.keep("drips a second head", connection);
                self.held.last_mut().unwrap().drips = true;
            }
            11 => {
                let head = b"POST /v1/streams HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n";
                self.hold("drips a body that nobody reads", head, true);
            }
            12 => {
                let mut bytes = self.create(&a_stream).bytes();
                bytes.truncate(bytes.len() - 5);
                self.hold("stalls in its body", &bytes, false);
            }
            13 => self.stall(),
            14 => {
                let bytes = self.create(&a_stream).bytes();
                let text = String::from_utf8(bytes).unwrap();
                let text = text.replacen("HTTP/1.1", "HTTP/1.0", 1);
                self.hold("speaks HTTP/1.0", text.as_bytes(), false);
            }
            _ => self.hold("closes at once", b"", false),
        }
        if self.number % 16 == 15 {
            self.held.pop();
        }
        self.look();
    }

    /// A connection on which a stream has begun.
    fn begun(&self, knobs: &Value) -> TcpStream {
        let mut connection = connect(self.address);
        connection.write_all(&self.create(knobs).bytes()).unwrap();
        let mut piece = [0; 512];
        assert!(connection.read(&mut piece).unwrap() > 0);
        connection
    }

    /// Asks for much and reads nothing of it.
    fn stall(&mut self) {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.set_tcp_mss(1460).unwrap();
        socket.connect(&self.address.into()).unwrap();
        let mut connection = TcpStream::from(socket);
        let much = json!({"text": "huge", "tokens": 4, "tokens_per_second": 5});
        connection.write_all(&self.create(&much).bytes()).unwrap();
        self.keep("reads nothing", connection);
        self.held.last_mut().unwrap().is_stalled = true;
    }

    fn hold(&mut self, what: &'static str, bytes: &[u8], drips: bool) {
        let mut connection = connect(self.address);
        connection.write_all(bytes).unwrap();
        self.keep(what, connection);
        self.held.last_mut().unwrap().drips = drips;
    }

    fn keep(&mut self, what: &'static str, connection: TcpStream) {
        connection.set_nonblocking(true).unwrap();
        self.held.push(Held {
            what,
            connection,
            since: Instant::now(),
            drips: false,
            is_stalled: false,
        });
    }

    /// Lets go of those that the server has ended. How many there still are.
    pub fn look(&mut self) -> usize {
        self.held.retain_mut(|it| {
            let age = it.since.elapsed();
            assert!(age < BOUND, "one that {} is there after {age:?}", it.what);
            if it.is_stalled && age < BOUND / 2 {
                return true;
            }
            if it.drips {
                // It fails for one that is over.
                let _ = it.connection.write(b"0");
            }
            let mut piece = [0; 16 * 1024];
            loop {
                match it.connection.read(&mut piece) {
                    Ok(0) => return false,
                    Ok(_) => {}
                    Err(error) => return error.kind() == ErrorKind::WouldBlock,
                }
            }
        });
        self.held.len()
    }
}
