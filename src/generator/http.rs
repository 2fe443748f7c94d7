//! The HTTP client of the generators: one request at a time on a connection of this thread.
//!
//! A connection is not a task of its own: it is driven by whoever reads its answer, so that all
//! that has arrived together is read together, without a wake-up in between (see
//! docs/adr/0006-the-upstream-connection-is-driven-by-its-reader.md). Dropping an answer closes its
//! connection, which is how an upstream learns that nobody wants the rest. Addresses come from the
//! configuration only, and redirects are not followed.

mod connection;
mod pool;
mod settings;
mod tls;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::poll_fn;
use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use rustls::ClientConfig;

use self::connection::Connection;
pub use self::settings::{BaseUrl, Headers, KeyHeader, Timeouts};
pub use self::tls::system_roots;

/// Where a server is that generators ask, and how to ask it.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// Its base URL.
    pub url: BaseUrl,
    /// What goes with each request.
    pub headers: Headers,
    /// How long a connection may take, with its handshake.
    pub connect_timeout: Duration,
    /// How long an answer that streams may take.
    pub timeouts: Timeouts,
}

/// A server that generators ask.
#[derive(Clone)]
pub struct Upstream {
    endpoint: Arc<Endpoint>,
}

struct Endpoint {
    config: UpstreamConfig,
    tls: Arc<ClientConfig>,
}

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    /// No connection in time.
    #[error("cannot connect within {0:?}")]
    ConnectTimeout(Duration),
    /// The connection broke, or what came is not HTTP.
    #[error("the exchange failed: {0}")]
    Exchange(#[from] hyper::Error),
    /// The server has closed the connection.
    #[error("the connection was closed")]
    Closed,
}

impl Upstream {
    /// The server that the configuration names; `tls` is for `https` URLs.
    #[must_use]
    pub fn new(config: UpstreamConfig, tls: Arc<ClientConfig>) -> Self {
        Self {
            endpoint: Arc::new(Endpoint { config, tls }),
        }
    }

    /// How long an answer that streams may take.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.endpoint.config.timeouts
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
        body: Bytes,
    ) -> Result<Answer, HttpError> {
        let endpoint = &self.endpoint;
        loop {
            let (mut connection, used) = match pool::take(endpoint).await {
                Some(connection) => (connection, true),
                None => (Connection::open(endpoint).await?, false),
            };
            let request = self.request(&method, path, headers, body.clone());
            match connection.exchange(request).await {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    return Ok(Answer {
                        status: head.status,
                        headers: head.headers,
                        body: Some(body),
                        connection: Some(connection),
                        endpoint: Arc::clone(endpoint),
                    });
                }
                // The server may close an idle connection at any time: also just now. What it has
                // not begun to answer on an old connection is asked again on a new one.
                Err(_) if used => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Request<Full<Bytes>> {
        let UpstreamConfig {
            url,
            headers: always,
            ..
        } = &self.endpoint.config;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = url.join(path);
        let all = request.headers_mut();
        all.insert(HOST, url.authority.clone());
        for (name, value) in headers {
            all.insert(name, value.clone());
        }
        all.extend(always.0.clone());
        request
    }
}

/// The head of an answer, and its body as it comes.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Gone when it has been read to its end.
    body: Option<Incoming>,
    connection: Option<Connection>,
    endpoint: Arc<Endpoint>,
}

impl Answer {
    /// The next piece of the body; `None` after the last.
    ///
    /// # Errors
    /// The rest will not come.
    pub fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, HttpError>> {
        let mut driven = false;
        loop {
            let Some(body) = &mut self.body else {
                return Poll::Ready(Ok(None));
            };
            match Pin::new(body).poll_frame(context) {
                // Trailers say nothing to us.
                Poll::Ready(Some(frame)) => match frame?.into_data() {
                    Ok(data) => return Poll::Ready(Ok(Some(data))),
                    Err(_trailers) => continue,
                },
                Poll::Ready(None) => {
                    self.body = None;
                    if let Some(connection) = self.connection.take() {
                        pool::put_back(&self.endpoint, connection);
                    }
                    return Poll::Ready(Ok(None));
                }
                Poll::Pending if driven => return Poll::Pending,
                Poll::Pending => {}
            }
            // Nothing is left of what was read before: look at the socket.
            let Some(connection) = &mut self.connection else {
                return Poll::Ready(Err(HttpError::Closed));
            };
            match connection.poll(context) {
                Poll::Pending => driven = true,
                // What came before the end is in the body, and why it ended too.
                Poll::Ready(_) => self.connection = None,
            }
        }
    }

    /// The next piece of the body; `None` after the last.
    ///
    /// # Errors
    /// The rest will not come.
    pub async fn data(&mut self) -> Result<Option<Bytes>, HttpError> {
        poll_fn(|context| self.poll_data(context)).await
    }

    /// The body as text, as far as it has `max_bytes` and comes within `time`.
    pub async fn text(&mut self, max_bytes: usize, time: Duration) -> String {
        let mut text = Vec::new();
        let reading = async {
            while let Ok(Some(data)) = self.data().await {
                text.extend_from_slice(&data);
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
