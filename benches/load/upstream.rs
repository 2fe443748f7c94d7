//! The upstream that every server under comparison asks: it speaks OpenAI's chat completions, paces
//! each stream alike, and is one loop over one epoll, so that it costs little.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use tailrace::load;

use crate::machine::Cores;
use crate::server::{CONFIG, Server};
use crate::tied;

/// The argument that makes this program the upstream.
pub(crate) const ARGUMENT: &str = "paced-upstream";

/// The model that it has.
pub(crate) const MODEL: &str = "paced";

/// What Tailrace is told to stand before the upstream that listens here, and before nothing else.
pub(crate) fn settings(address: SocketAddr) -> String {
    format!("{CONFIG}\n[upstream]\nbase_url = \"http://{address}/v1\"\n")
}

/// How fast each stream goes.
pub(crate) const TOKENS_PER_SECOND: u32 = 50;

const LISTENER: Token = Token(usize::MAX);

/// From one token of a stream to the next.
pub(crate) const PERIOD: Duration = Duration::from_nanos(1_000_000_000 / TOKENS_PER_SECOND as u64);

const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A connection, and the answer that is under way on it.
struct Connection {
    socket: TcpStream,
    /// What has been read of the next request.
    request: Vec<u8>,
    /// What the socket has not taken yet.
    unsent: Vec<u8>,
    /// How many tokens are left to send, if an answer is under way.
    left: Option<u32>,
}

/// Starts it on the load's core.
pub(crate) fn start(cores: Cores) -> anyhow::Result<Server> {
    let mut command = tied::command(std::env::current_exe()?)?;
    command.arg(ARGUMENT);
    let mut upstream = Server::spawn(command, tempfile::tempdir()?, cores, cores.load)?;
    upstream.wait_until_it_listens()?;
    Ok(upstream)
}

/// Serves until it is killed, and says where as Tailrace does.
pub(crate) fn serve() -> anyhow::Result<()> {
    crate::machine::raise_file_limit()?;
    let mut listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
    eprintln!(
        r#"{{"message":"Listening","address":"{}"}}"#,
        listener.local_addr()?
    );
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut connections: Slab<Connection> = Slab::new();
    let mut schedule: BinaryHeap<Reverse<(Instant, usize)>> = BinaryHeap::new();
    loop {
        let next = schedule
            .peek()
            .map(|Reverse((due, _))| due.saturating_duration_since(Instant::now()));
        match poll.poll(&mut events, next) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut socket, _)) = listener.accept() {
                    socket.set_nodelay(true)?;
                    let entry = connections.vacant_entry();
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry()
                        .register(&mut socket, Token(entry.key()), interest)?;
                    entry.insert(Connection {
                        socket,
                        request: Vec::new(),
                        unsent: Vec::new(),
                        left: None,
                    });
                }
                continue;
            }
            let key = event.token().0;
            let Some(connection) = connections.get_mut(key) else {
                continue;
            };
            match connection.turn() {
                Ok(true) => schedule.push(Reverse((Instant::now() + PERIOD, key))),
                Ok(false) => {}
                Err(_left) => {
                    connections.remove(key);
                    // What is still scheduled for it finds nobody, or another who is not due.
                }
            }
        }
        let now = Instant::now();
        while let Some(&Reverse((due, key))) = schedule.peek() {
            if due > now {
                break;
            }
            schedule.pop();
            let Some(connection) = connections.get_mut(key) else {
                continue;
            };
            match connection.token() {
                Ok(true) => schedule.push(Reverse((due + PERIOD, key))),
                Ok(false) => {}
                Err(_left) => drop(connections.remove(key)),
            }
        }
    }
}

impl Connection {
    /// Reads and writes what it can. `true` if a stream has begun.
    fn turn(&mut self) -> std::io::Result<bool> {
        self.flush()?;
        let mut piece = [0; 16 * 1024];
        loop {
            match self.socket.read(&mut piece) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.request.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.left.is_some() {
            return Ok(false);
        }
        let Some((head, body)) = whole(&mut self.request) else {
            return Ok(false);
        };
        if head.starts_with("POST ") {
            #[derive(serde::Deserialize)]
            struct Body {
                max_tokens: u32,
            }
            let body: Body = serde_json::from_slice(&body)?;
            self.left = Some(body.max_tokens);
            self.send(STREAM_HEAD)?;
            self.chunk(br#"{"role":"assistant","content":""}"#, "null")?;
            return Ok(true);
        }
        let json = match head.split(' ').nth(1).unwrap_or_default() {
            "/v1/models" => format!(
                r#"{{"object":"list","data":[{{"id":"{MODEL}","object":"model","created":1,"owned_by":"us"}}]}}"#
            ),
            "/health" => String::from("{}"),
            _ => {
                self.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}")?;
                return Ok(false);
            }
        };
        let length = json.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{json}"
        );
        self.send(answer.as_bytes())?;
        Ok(false)
    }

    /// Sends the next token, or the end. `false` if nothing more follows.
    fn token(&mut self) -> std::io::Result<bool> {
        let Some(left) = self.left else {
            return Ok(false);
        };
        if !self.unsent.is_empty() {
            // The reader is late; then it is not given more, and the token counts as missing.
            return Ok(true);
        }
        if left == 0 {
            self.left = None;
            self.chunk(b"{}", "\"stop\"")?;
            self.send(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")?;
            return Ok(false);
        }
        self.left = Some(left - 1);
        let mut delta = *br#"{"content":" @00000"}"#;
        delta[12..19].copy_from_slice(&load::write_stamp(load::microseconds()));
        self.chunk(&delta, "null")?;
        Ok(true)
    }

    fn chunk(&mut self, delta: &[u8], finish_reason: &str) -> std::io::Result<()> {
        const BEFORE: &[u8] = br#"data: {"id":"chatcmpl-7Qm2","object":"chat.completion.chunk","created":1795210421,"model":"paced","choices":[{"index":0,"delta":"#;
        let after = format!(",\"finish_reason\":{finish_reason}}}]}}\n\n");
        let mut chunk = Vec::with_capacity(256);
        write!(chunk, "{:x}\r\n", BEFORE.len() + delta.len() + after.len())?;
        for part in [BEFORE, delta, after.as_bytes(), b"\r\n"] {
            chunk.extend_from_slice(part);
        }
        self.send(&chunk)
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        let sent = match self.socket.write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            outcome => outcome?,
        };
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let unsent = std::mem::take(&mut self.unsent);
        if unsent.is_empty() {
            Ok(())
        } else {
            self.send(&unsent)
        }
    }
}

/// Takes a whole request from what has been read, if it is there: its head and its body.
fn whole(read: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let end = memchr::memmem::find(read, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let all = end + length.unwrap_or(0);
    if read.len() < all {
        return None;
    }
    let body = read[end..all].to_vec();
    read.drain(..all);
    Some((head, body))
}
