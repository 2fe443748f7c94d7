//! Bodies of unknown length for HTTP/1.0, which has no chunks: they end with the connection
//! (RFC 9112, section 6.3). Proxies still speak it to their upstreams by default.
//!
//! So that an end which is not one does not look like one, it is a reset. The framework keeps the
//! socket to itself and shows it only when it is new, before anybody knows which version its client
//! speaks: a second handle is kept from then until the first request says so.

use std::any::Any;
use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Extensions;
use actix_web::http::{ConnectionType, Version};
use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use socket2::{SockRef, Socket};

/// A second handle on a connection's socket.
struct Kept(Cell<Option<Socket>>);

/// Keeps a handle on the socket of a new connection. One with TLS needs none: TLS has an end of its
/// own, which is missing when the connection breaks (RFC 8446, section 6.1).
pub fn keep_socket(connection: &dyn Any, data: &mut Extensions) {
    let socket = connection.downcast_ref::<TcpStream>();
    // Without a handle, a broken body looks as it always did with HTTP/1.0.
    if let Some(socket) = socket.and_then(|socket| SockRef::from(socket).try_clone().ok()) {
        data.insert(Kept(Cell::new(Some(socket))));
    }
}

/// Closes the handle on the socket of a connection that needs none, since its client knows chunks.
pub(super) fn release_socket(request: &HttpRequest) {
    if request.version() >= Version::HTTP_11 {
        drop(take_socket(request));
    }
}

fn take_socket(request: &HttpRequest) -> Option<Socket> {
    request.conn_data::<Kept>()?.0.take()
}

/// Adapts a streaming answer to the version of its request.
pub(super) fn adapt(request: &HttpRequest, mut response: HttpResponse) -> HttpResponse {
    if request.version() >= Version::HTTP_11 {
        return response;
    }
    let head = response.head_mut();
    head.no_chunking(true);
    head.set_connection_type(ConnectionType::Close);
    let socket = take_socket(request);
    response.map_body(|_, body| {
        BoxBody::new(ToItsEnd {
            body,
            socket,
            has_ended: false,
        })
    })
}

/// A body that resets its connection unless it comes to its end.
struct ToItsEnd {
    body: BoxBody,
    socket: Option<Socket>,
    has_ended: bool,
}

impl MessageBody for ToItsEnd {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let next = ready!(Pin::new(&mut self.body).poll_next(context));
        self.has_ended = next.is_none();
        Poll::Ready(next)
    }
}

impl Drop for ToItsEnd {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket
            && !self.has_ended
        {
            // The connection is closed right after its body: that is a reset then. It fails only for
            // one that is gone already.
            let _gone = socket.set_linger(Some(Duration::ZERO));
        }
    }
}
