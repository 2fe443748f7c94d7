//! The cursor of a request: the `Last-Event-ID` header, or else `?last_event_id=`.

use actix_web::HttpRequest;

use super::problem::{ApiError, Code};
use crate::stream::{Cursor, StreamId};

/// Where the client stands, if it has been here before. An empty value is none, as in the
/// EventSource standard.
///
/// # Errors
/// It is malformed. Starting again from the beginning would show the client everything twice.
pub(super) fn of(request: &HttpRequest) -> Result<Option<Cursor>, ApiError> {
    let mut headers = request.headers().get_all("last-event-id");
    let text = match (headers.next(), headers.next()) {
        (Some(_), Some(_)) => return Err(malformed("it was sent twice")),
        (Some(value), None) => value
            .to_str()
            .map_err(|_| malformed("it is not ASCII"))?
            .to_owned(),
        (None, _) => form_urlencoded::parse(request.query_string().as_bytes())
            .find_map(|(name, value)| (name == "last_event_id").then(|| value.into_owned()))
            .unwrap_or_default(),
    };
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(cursor) => Ok(Some(cursor)),
        Err(error) => Err(malformed(&error.to_string())),
    }
}

/// The sequence number to continue after on this stream.
///
/// # Errors
/// The cursor is malformed or belongs to another stream.
pub(super) fn within(request: &HttpRequest, stream: StreamId) -> Result<Option<u64>, ApiError> {
    match of(request)? {
        Some(cursor) if cursor.stream != stream => Err(malformed("it belongs to another stream")),
        cursor => Ok(cursor.map(|cursor| cursor.seq)),
    }
}

fn malformed(detail: &str) -> ApiError {
    ApiError::new(Code::InvalidEventId, detail).param("Last-Event-ID")
}
