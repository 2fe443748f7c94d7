//! An HTTP/1.1 client: one request at a time on a connection of this thread.
//!
//! A connection is not a task of its own, and has no buffer of its own: it is read by whoever wants
//! its answer, into a buffer that the thread's connections share, and what has arrived together is
//! shown together, where it lies (see docs/adr/0007-our-own-http-client-for-upstreams.md). Dropping
//! an answer closes its connection, which is how a server learns that nobody wants the rest. Each
//! client asks one server, whose address its owner names, and redirects are not followed.

#[cfg(test)]
mod any_cut;
mod connection;
mod framing;
mod head;
mod pool;
mod settings;
mod tls;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::poll_fn;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use rustls::ClientConfig;

use self::connection::{Begun, Connection};
use self::framing::Framing;
pub use self::framing::Malformed;
pub use self::settings::{BaseUrl, Headers, KeyHeader, is_loopback};
pub use self::tls::{authority_roots, system_roots};

/// How soon a server that has closed a connection while it waited, closes it again: what fails later
/// may have been begun.
const CLOSED_BEFORE: Duration = Duration::from_secs(1);

/// Where a server is, and how to ask it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpClientConfig {
    /// Its base URL.
    pub url: BaseUrl,
    /// What goes with each request.
    pub headers: Headers,
    /// How long a connection may take, with its handshake.
    pub connect_timeout: Duration,
}

/// Asks one server.
#[derive(Clone)]
pub struct HttpClient {
    endpoint: Arc<Endpoint>,
}

struct Endpoint {
    id: u64,
    config: HttpClientConfig,
    tls: Arc<ClientConfig>,
    /// How many connections were made.
    connections: AtomicU64,
}

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// No connection in time.
    #[error("cannot connect within {0:?}")]
    ConnectTimeout(Duration),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// What came is not HTTP/1.1.
    #[error("the answer is not HTTP: {0}")]
    Malformed(#[from] Malformed),
    /// The server has closed the connection too early.
    #[error("the connection was closed")]
    Closed,
}

impl HttpClient {
    /// A client of the server that the configuration names; `tls` is for `https` URLs.
    #[must_use]
    pub fn new(config: HttpClientConfig, tls: Arc<ClientConfig>) -> Self {
        Self {
            endpoint: Arc::new(Endpoint {
                id: pool::next_id(),
                config,
                tls,
                connections: AtomicU64::new(0),
            }),
        }
    }

    /// Its host and port, as the configuration has them.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.endpoint.config.url.authority()
    }

    /// How many connections it has made so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.endpoint.connections.load(Ordering::Relaxed)
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &BaseUrl {
        &self.endpoint.config.url
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// There is none.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: &[u8],
    ) -> Result<Answer, HttpError> {
        let config = &self.endpoint.config;
        let headers = headers.iter().map(|(name, value)| (name, value));
        let headers = headers.chain(&config.headers.0);
        let request = head::request(&method, &config.url, path, headers, body);
        if let Some(mut connection) = pool::take(&self.endpoint) {
            let sent = Instant::now();
            match connection.exchange(&request).await {
                Ok(begun) => return Ok(self.answer(connection, begun)),
                // The server has closed the connection just when we took it. What it did not see
                // may be sent again, once, and not on a connection as old as this one.
                Err(failed) if failed.unanswered && sent.elapsed() < CLOSED_BEFORE => {}
                Err(failed) => return Err(failed.error),
            }
        }
        let mut connection = Connection::open(&self.endpoint).await?;
        self.endpoint.connections.fetch_add(1, Ordering::Relaxed);
        match connection.exchange(&request).await {
            Ok(begun) => Ok(self.answer(connection, begun)),
            Err(failed) => Err(failed.error),
        }
    }

    fn answer(&self, connection: Connection, begun: Begun) -> Answer {
        let Begun {
            head,
            body,
            is_sent,
        } = begun;
        Answer {
            status: head.status,
            headers: head.headers,
            framing: head.framing,
            arrived: body,
            keep_alive: head.keep_alive && is_sent,
            connection: Some(connection),
            endpoint: Arc::clone(&self.endpoint),
        }
    }
}

/// The head of an answer, and its body as it comes.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    framing: Framing,
    /// What has arrived with the head, and not been shown yet.
    arrived: Vec<u8>,
    keep_alive: bool,
    /// Gone when it is of no more use.
    connection: Option<Connection>,
    endpoint: Arc<Endpoint>,
}

impl Answer {
    /// Waits for more of the body and shows it piece by piece. `false` if it is over.
    ///
    /// # Errors
    /// The rest will not come.
    pub async fn read(&mut self, mut take: impl FnMut(&[u8])) -> Result<bool, HttpError> {
        poll_fn(|context| self.poll_read(context, &mut take)).await
    }

    /// The same, without waiting.
    ///
    /// # Errors
    /// The rest will not come.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        mut take: impl FnMut(&[u8]),
    ) -> Poll<Result<bool, HttpError>> {
        let arrived = std::mem::take(&mut self.arrived);
        let mut shown = self.show(&arrived, &mut take)?;
        while !shown {
            if self.framing.is_over() {
                return Poll::Ready(Ok(false));
            }
            let Some(mut connection) = self.connection.take() else {
                return Poll::Ready(Err(HttpError::Closed));
            };
            let mut outcome = Ok(false);
            let read = connection.poll_read(context, |piece| {
                outcome = self.show(piece, &mut take);
            });
            match read {
                Poll::Ready(Ok(true)) => {
                    shown = outcome?;
                    self.connection = Some(connection);
                }
                Poll::Ready(Ok(false)) if self.framing == Framing::UntilClose => {
                    self.framing = Framing::NONE;
                }
                Poll::Ready(Ok(false)) => return Poll::Ready(Err(HttpError::Closed)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {
                    self.connection = Some(connection);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Shows what belongs to the body; `false` if there was nothing.
    fn show(
        &mut self,
        mut arrived: &[u8],
        take: &mut impl FnMut(&[u8]),
    ) -> Result<bool, Malformed> {
        let mut shown = false;
        while let Some(piece) = self.framing.next(&mut arrived)? {
            shown = true;
            take(piece);
        }
        // Nobody has asked for what follows: the two sides do not agree where the answer ends.
        self.keep_alive &= arrived.is_empty();
        Ok(shown)
    }

    /// From now on the system holds about so many bytes that have come and were not read; more wait at
    /// the server.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn limit_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        match &self.connection {
            Some(connection) => connection.limit_receive_buffer(bytes),
            None => Ok(()),
        }
    }

    /// Nobody wants more of it. If its end has come, or comes soon, the connection may serve another
    /// request; an answer that is dropped instead closes its connection.
    pub fn leave(mut self) {
        let arrived = std::mem::take(&mut self.arrived);
        if let Ok(_) = self.show(&arrived, &mut |_| {})
            && self.keep_alive
            && let Some(connection) = self.connection
        {
            pool::put_back(&self.endpoint, connection, self.framing);
        }
    }

    /// The body as text, as far as it has `max_bytes` and comes within `time`.
    pub async fn text(&mut self, max_bytes: usize, time: Duration) -> String {
        let mut text = Vec::new();
        let reading = async {
            while let Ok(true) = self.read(|piece| text.extend_from_slice(piece)).await {
                if text.len() >= max_bytes {
                    break;
                }
            }
        };
        let _late = tokio::time::timeout(time, reading).await;
        text.truncate(max_bytes);
        String::from_utf8_lossy(&text).into_owned()
    }
}
