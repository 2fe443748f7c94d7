//! One connection to an upstream, driven by whoever uses it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::poll_fn;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Endpoint, HttpError};

trait Socket: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> Socket for T {}

type Driver = http1::Connection<TokioIo<Pin<Box<dyn Socket>>>, Full<Bytes>>;

/// A connection. It does nothing unless it is polled.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Pin<Box<Driver>>,
}

impl Connection {
    /// Connects.
    pub(super) async fn open(endpoint: &Arc<Endpoint>) -> Result<Self, HttpError> {
        let limit = endpoint.config.connect_timeout;
        let socket = match tokio::time::timeout(limit, connect(endpoint)).await {
            Ok(socket) => socket.map_err(HttpError::Connect)?,
            Err(_) => return Err(HttpError::ConnectTimeout(limit)),
        };
        let (sender, driver) = http1::Builder::new()
            // A token is some hundred bytes: no need for more room, which each stream would hold.
            .max_buf_size(READ_BYTES)
            .handshake(TokioIo::new(socket))
            .await?;
        Ok(Self {
            sender,
            driver: Box::pin(driver),
        })
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, HttpError> {
        let mut response = Box::pin(self.sender.send_request(request));
        poll_fn(|context| {
            let driven = self.driver.poll_unpin(context);
            match (response.poll_unpin(context), driven) {
                (Poll::Ready(response), _) => Poll::Ready(Ok(response?)),
                (Poll::Pending, Poll::Pending) => Poll::Pending,
                (Poll::Pending, Poll::Ready(ended)) => {
                    Poll::Ready(Err(ended.err().map_or(HttpError::Closed, Into::into)))
                }
            }
        })
        .await
    }

    /// Reads and writes what it can; ready when the connection is over.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.driver.poll_unpin(context)
    }

    /// Whether another request may be sent on it.
    pub(super) fn poll_usable(&mut self, context: &mut Context<'_>) -> bool {
        self.driver.poll_unpin(context).is_pending() && self.sender.is_ready()
    }
}

/// The most that is read at once, and that a head may have: the least that hyper allows.
const READ_BYTES: usize = 8192;

async fn connect(endpoint: &Endpoint) -> std::io::Result<Pin<Box<dyn Socket>>> {
    let url = &endpoint.config.url;
    let socket = TcpStream::connect((url.host.as_str(), url.port)).await?;
    socket.set_nodelay(true)?;
    if !url.https {
        return Ok(Box::pin(socket));
    }
    let name = ServerName::try_from(url.host.clone())
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))?;
    let socket = TlsConnector::from(Arc::clone(&endpoint.tls))
        .connect(name, socket)
        .await?;
    Ok(Box::pin(socket))
}
