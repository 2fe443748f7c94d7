//! One connection to a server, and the one buffer that all connections of a thread read into.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::poll_fn;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::head::{self, Head};
use super::{Endpoint, HttpError};

/// The most that is read at once. It is room for all that a fast server sends between two turns of
/// a busy thread.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    /// What has been read is passed on before anything else is, so that no stream needs a buffer of
    /// its own while it waits.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// A connection. It does nothing unless it is polled.
pub(super) enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The answer to a request, as far as it came with its head.
pub(super) struct Begun {
    pub(super) head: Head,
    /// What has arrived of the body.
    pub(super) body: Vec<u8>,
    /// Whether all of the request was sent. A server may answer before that, and read no more.
    pub(super) is_sent: bool,
}

/// How an exchange came to nothing.
pub(super) struct Failed {
    pub(super) error: HttpError,
    /// Whether the server has not answered a single byte.
    pub(super) unanswered: bool,
}

impl Connection {
    /// Connects.
    pub(super) async fn open(endpoint: &Endpoint) -> Result<Self, HttpError> {
        let limit = endpoint.config.connect_timeout;
        match tokio::time::timeout(limit, connect(endpoint)).await {
            Ok(connection) => connection.map_err(HttpError::Connect),
            Err(_) => Err(HttpError::ConnectTimeout(limit)),
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<Begun, Failed> {
        let mut unsent = request;
        let mut arrived = Vec::new();
        let mut begun = None;
        poll_fn(|context| {
            // A server that refuses a long request may close without reading it; what it says comes
            // all the same.
            let (is_sent, broken) = match self.poll_send(context, &mut unsent) {
                Poll::Ready(Ok(())) => (true, None),
                Poll::Ready(Err(error)) => (false, Some(error)),
                Poll::Pending => (false, None),
            };
            let failed = |error: HttpError, arrived: &[u8]| {
                Poll::Ready(Err(Failed {
                    error,
                    unanswered: arrived.is_empty(),
                }))
            };
            // A server that answers well before it has the request still wants the rest of it; its
            // answer waits. One that refuses it does not (RFC 9112, section 9.5).
            while begun.is_none() {
                let take = |piece: &[u8]| arrived.extend_from_slice(piece);
                match (self.poll_read(context, take), broken.as_ref()) {
                    (Poll::Pending, None) => return Poll::Pending,
                    (Poll::Ready(Ok(true)), _) => {}
                    (Poll::Ready(Ok(false)), None) => return failed(HttpError::Closed, &arrived),
                    (Poll::Ready(Err(error)), None) => {
                        return failed(HttpError::Broken(error), &arrived);
                    }
                    (_, Some(error)) => {
                        return failed(HttpError::Broken(error.kind().into()), &arrived);
                    }
                }
                match head::answer(&arrived) {
                    Ok(None) => {}
                    Ok(Some((head, length))) => begun = Some((head, arrived.split_off(length))),
                    Err(error) => return failed(error.into(), &arrived),
                }
            }
            let wants_more =
                |(head, _): &(Head, _)| head.status.is_success() && !is_sent && broken.is_none();
            match begun.take_if(|begun| !wants_more(begun)) {
                None => Poll::Pending,
                Some((head, body)) => Poll::Ready(Ok(Begun {
                    head,
                    body,
                    is_sent,
                })),
            }
        })
        .await
    }

    fn poll_send(&mut self, context: &mut Context<'_>, unsent: &mut &[u8]) -> Poll<io::Result<()>> {
        while !unsent.is_empty() {
            let sent = match self {
                Self::Plain(socket) => Pin::new(socket).poll_write(context, unsent),
                Self::Tls(socket) => Pin::new(socket).poll_write(context, unsent),
            };
            *unsent = &unsent[ready!(sent)?..];
        }
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    /// Waits for what arrives next and shows all of it, where it lies, to `take`. `false` if the
    /// server has closed the connection instead.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<bool>> {
        READ.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(match self {
                Self::Plain(socket) => Pin::new(socket).poll_read(context, &mut buffer),
                Self::Tls(socket) => Pin::new(socket).poll_read(context, &mut buffer),
            })?;
            let arrived = buffer.filled();
            if !arrived.is_empty() {
                take(arrived);
            }
            Poll::Ready(Ok(!arrived.is_empty()))
        })
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(match self {
            Self::Plain(socket) => socket,
            Self::Tls(socket) => socket.get_ref().0,
        })
    }

    /// From now on the system holds about so many bytes for us.
    pub(super) fn limit_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        self.socket().set_recv_buffer_size(bytes)
    }

    /// Whether the connection is still there and nothing has come that nobody asked for.
    pub(super) fn is_quiet(&self) -> bool {
        let looked = self.socket().peek(&mut [std::mem::MaybeUninit::uninit()]);
        looked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

async fn connect(endpoint: &Endpoint) -> io::Result<Connection> {
    let url = &endpoint.config.url;
    let socket = TcpStream::connect((url.host.as_str(), url.port)).await?;
    socket.set_nodelay(true)?;
    if !url.https {
        return Ok(Connection::Plain(socket));
    }
    let name = ServerName::try_from(url.host.clone())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let connector = TlsConnector::from(Arc::clone(&endpoint.tls));
    let socket = connector.connect(name, socket).await?;
    Ok(Connection::Tls(Box::new(socket)))
}
