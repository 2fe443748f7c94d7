//! Bodies of unknown length for HTTP/1.0, which has no chunks: they end with the connection
//! (RFC 9112, section 6.3). Proxies still speak it to their upstreams by default.

use actix_web::http::{ConnectionType, Version};
use actix_web::{HttpRequest, HttpResponse};

/// Adapts a streaming answer to the version of its request.
pub(super) fn adapt(request: &HttpRequest, mut response: HttpResponse) -> HttpResponse {
    if request.version() < Version::HTTP_11 {
        let head = response.head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    response
}
