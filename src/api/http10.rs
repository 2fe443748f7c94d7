//! Bodies of unknown length for HTTP/1.0, which has no chunks: they end with the connection
//! (RFC 9112, section 6.3). Proxies still speak it to their upstreams by default.
//!
//! So that an end which is not one does not look like one, it is a reset.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::{ConnectionType, Version};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};

use super::connection::Handle;

/// Adapts a streaming answer to the version of its request.
pub(super) fn adapt(request: &HttpRequest, mut response: HttpResponse) -> HttpResponse {
    if request.version() >= Version::HTTP_11 {
        return response;
    }
    let head = response.head_mut();
    head.no_chunking(true);
    head.set_connection_type(ConnectionType::Close);
    let connection = Handle::of(request);
    response.map_body(|_, body| {
        BoxBody::new(ToItsEnd {
            body,
            connection,
            has_ended: false,
        })
    })
}

/// A body that resets its connection unless it comes to its end.
struct ToItsEnd {
    body: BoxBody,
    connection: Option<Handle>,
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
        if let Some(connection) = &self.connection
            && !self.has_ended
        {
            // The connection is closed right after its body: that is a reset then.
            connection.reset();
        }
    }
}
