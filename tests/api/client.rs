//! An HTTP/1.1 client that sees every byte: nothing is retried, followed, decoded or forgiven.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::server::DEADLINE;
use crate::sse::Events;

pub trait Transport: Read + Write + Send {}
impl<T: Read + Write + Send> Transport for T {}

pub struct Request {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        Self {
            address,
            method: method.into(),
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// Takes the credentials out again.
    pub fn anonymous(mut self) -> Self {
        self.headers.retain(|(name, _)| name != "Authorization");
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json")
            .body(body.to_string())
    }

    /// The bytes as they go over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let named = self.headers.iter().any(|(name, _)| name == "Host");
        if !named {
            head.push_str("Host: test\r\n");
        }
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let framed = |name: &str| {
            self.headers
                .iter()
                .any(|(header, _)| header.eq_ignore_ascii_case(name))
        };
        if !framed("content-length") && !framed("transfer-encoding") && self.method != "GET" {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }

    pub fn send(self) -> Response {
        let stream = connect(self.address);
        self.send_over(Box::new(stream))
    }

    pub fn send_over(self, mut transport: Box<dyn Transport>) -> Response {
        transport.write_all(&self.bytes()).unwrap();
        Response::read(transport).unwrap()
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Reads again when a signal came between, such as that of a child that has ended: a socket with a
/// time-out says so.
fn patiently(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

pub struct Response {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Body,
}

impl Response {
    pub fn read(mut transport: Box<dyn Transport>) -> io::Result<Self> {
        let mut bytes = Vec::new();
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 64];
            let mut head = httparse::Response::new(&mut headers);
            match head.parse(&bytes).map_err(io::Error::other)? {
                httparse::Status::Complete(length) => {
                    let status = head.code.unwrap();
                    let headers: Vec<(String, String)> = head
                        .headers
                        .iter()
                        .map(|header| {
                            let value = String::from_utf8(header.value.to_vec()).unwrap();
                            (header.name.to_ascii_lowercase(), value)
                        })
                        .collect();
                    let find = |name: &str| {
                        let found = headers.iter().find(|(header, _)| header == name);
                        found.map(|(_, value)| value.clone())
                    };
                    let framing = if find("transfer-encoding").as_deref() == Some("chunked") {
                        Framing::Chunked
                    } else {
                        let length =
                            find("content-length").map_or(0, |length| length.parse().unwrap());
                        Framing::Length(length)
                    };
                    let buffered = bytes.split_off(length);
                    let body = Body {
                        transport,
                        buffered,
                        framing,
                        ended: false,
                    };
                    return Ok(Self {
                        status,
                        headers,
                        body,
                    });
                }
                httparse::Status::Partial => {
                    let mut piece = [0; 4096];
                    let read = patiently(|| transport.read(&mut piece))?;
                    if read == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    bytes.extend_from_slice(&piece[..read]);
                }
            }
        }
    }

    /// The one header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(header, _)| header == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "the header {name} stands twice");
        value
    }

    pub fn bytes(mut self) -> Vec<u8> {
        self.body.rest().unwrap()
    }

    pub fn text(self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    pub fn json(self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
    }

    /// The stable code of an error.
    pub fn code(self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }

    /// The body as a stream of events, if it is one.
    pub fn events(self) -> Events {
        let status = self.status;
        assert!(status == 200, "status {status}: {}", self.text());
        Events::of(self)
    }
}

enum Framing {
    Chunked,
    Length(usize),
}

/// A response body, read one chunk at a time.
pub struct Body {
    transport: Box<dyn Transport>,
    buffered: Vec<u8>,
    framing: Framing,
    ended: bool,
}

impl Body {
    /// The next chunk as the server wrote it; `None` at a clean end. An end that is not clean is
    /// an error.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.ended {
            return Ok(None);
        }
        let chunk = match self.framing {
            Framing::Length(length) => {
                self.ended = true;
                self.fill(length)?;
                self.take(length)
            }
            Framing::Chunked => {
                let line = self.line()?;
                let size = usize::from_str_radix(&line, 16).map_err(io::Error::other)?;
                self.fill(size + 2)?;
                let chunk = self.take(size);
                assert_eq!(self.take(2), b"\r\n");
                self.ended = size == 0;
                chunk
            }
        };
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }

    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk()? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffered.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.take(end);
                self.take(2);
                return String::from_utf8(line).map_err(io::Error::other);
            }
            self.read_more()?;
        }
    }

    fn fill(&mut self, length: usize) -> io::Result<()> {
        while self.buffered.len() < length {
            self.read_more()?;
        }
        Ok(())
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        match patiently(|| self.transport.read(&mut piece))? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                self.buffered.extend_from_slice(&piece[..read]);
                Ok(())
            }
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffered.split_off(length);
        std::mem::replace(&mut self.buffered, rest)
    }
}
