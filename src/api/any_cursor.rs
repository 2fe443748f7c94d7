//! What must hold of any cursor, in a header or in a query: for property tests and for `fuzz/`.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::test::TestRequest;

use super::cursor;
use super::problem::Code;
use crate::stream::{Cursor, StreamId};

/// Presents these bytes as `Last-Event-ID` and as `?last_event_id=`, and as a query of their own: what
/// is taken is exactly what was sent, in the one form that we print, and all else is refused as such.
///
/// # Panics
/// It does not hold.
pub fn holds(input: &[u8]) {
    let text = std::str::from_utf8(input).ok();
    if let Ok(value) = HeaderValue::from_bytes(input) {
        let header = (HeaderName::from_static("last-event-id"), value);
        // The header wins, whatever the query says.
        let request = TestRequest::with_uri("/?last_event_id=x").insert_header(header);
        agree(text, &cursor::of(&request.to_http_request()));
    }
    if let Some(text) = text {
        let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let uri = format!("/?x=1&last_event_id={encoded}");
        let request = TestRequest::with_uri(&uri).to_http_request();
        agree(Some(text), &cursor::of(&request));
        assert_eq!(
            text.parse::<StreamId>().map(|id| id.to_string()).ok(),
            text.parse::<StreamId>().is_ok().then(|| text.to_owned())
        );
    }
    // As a query it may be anything that can stand in a URI.
    if let Some(uri) = text.and_then(|text| format!("/?{text}").parse().ok()) {
        let uri: actix_web::http::Uri = uri;
        let request = TestRequest::with_uri(&uri.to_string()).to_http_request();
        if let Ok(Some(found)) = cursor::of(&request) {
            assert_eq!(found.to_string().parse(), Ok(found));
        }
    }
}

/// What was found is what was sent: nothing of nothing, a cursor of its own text, an error of all else.
fn agree(text: Option<&str>, found: &Result<Option<Cursor>, super::problem::ApiError>) {
    match (text, found) {
        (Some(text), Ok(None)) => assert_eq!(text, ""),
        (Some(text), Ok(Some(cursor))) => assert_eq!(cursor.to_string(), text),
        (None, Ok(found)) => assert!(found.is_none(), "a cursor of no text"),
        (_, Err(error)) => assert_eq!(error.code(), Code::InvalidEventId),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_holds_of_the_seeds() {
        for seed in crate::seeds::of("cursor") {
            holds(&seed);
        }
    }

    proptest! {
        #[test]
        fn it_holds_of_anything(input: Vec<u8>) {
            holds(&input);
        }

        #[test]
        fn it_holds_of_what_is_almost_right(
            id in "[0-9a-fA-F]{31,33}",
            dot in "[.,%]{0,2}",
            seq in "[+-]?[0 ]{0,2}[0-9]{0,22}",
            name in "(last_event_id=|Last-Event-ID=|)",
        ) {
            holds(format!("{name}{id}{dot}{seq}").as_bytes());
        }
    }
}
