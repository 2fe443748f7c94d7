//! An HTTP/1.1 client that retries and forgives nothing, for many connections on one thread.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a client waits for any byte, heartbeats included, before it believes the node gone.
pub const SILENCE: Duration = Duration::from_secs(6);

/// An answer, whose body is still to be read.
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    stream: TcpStream,
    buffered: Vec<u8>,
    ended: bool,
}

/// Sends a request and reads the head of its answer.
pub async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Answer> {
    let mut stream = timeout(SILENCE, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n");
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    if method != "GET" {
        request.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    request.extend(["\r\n", body]);
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Answer {
        status: 0,
        headers: Vec::new(),
        stream,
        buffered: Vec::new(),
        ended: false,
    };
    while !answer.parse_head()? {
        answer.read_more().await?;
    }
    Ok(answer)
}

impl Answer {
    fn parse_head(&mut self) -> io::Result<bool> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let parsed = head.parse(&self.buffered).map_err(io::Error::other)?;
        let httparse::Status::Complete(length) = parsed else {
            return Ok(false);
        };
        self.status = head.code.unwrap_or_default();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = head.headers.iter();
        self.headers = headers
            .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
            .collect();
        self.buffered.drain(..length);
        Ok(true)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The next piece of a chunked body; nothing at its clean end. Any other end is an error. May be
    /// dropped while it waits, and called again.
    pub async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if self.ended {
                return Ok(None);
            }
            if let Some(chunk) = self.take_chunk()? {
                self.ended = chunk.is_empty();
                return Ok(Some(chunk).filter(|chunk| !chunk.is_empty()));
            }
            self.read_more().await?;
        }
    }

    /// A whole chunk of what has come.
    fn take_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(line) = self.buffered.windows(2).position(|pair| pair == b"\r\n") else {
            return Ok(None);
        };
        let size = std::str::from_utf8(&self.buffered[..line]).map_err(io::Error::other)?;
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        let (from, to) = (line + 2, line + 2 + size);
        if self.buffered.len() < to + 2 {
            return Ok(None);
        }
        let chunk = self.buffered[from..to].to_vec();
        self.buffered.drain(..to + 2);
        Ok(Some(chunk))
    }

    async fn read_more(&mut self) -> io::Result<()> {
        let read = self.stream.read_buf(&mut self.buffered);
        match timeout(SILENCE, read).await?? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
