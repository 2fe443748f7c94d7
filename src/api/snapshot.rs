//! The JSON of a snapshot, written as it is read from the log: a text may be large and its reader
//! slow, and neither may cost memory.

use actix_web::HttpResponseBuilder;
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use async_stream::stream;
use futures_util::{StreamExt as _, pin_mut};

use super::problem::ApiError;
use super::wire::StreamSnapshot;
use super::{encode, http10};
use crate::generation::Snapshot;
use crate::stream::Kind;
use crate::stream_log::LogError;

/// Answers with a snapshot and its text.
///
/// # Errors
/// It could not be rendered.
pub(super) fn respond(
    mut response: HttpResponseBuilder,
    request: &HttpRequest,
    snapshot: Snapshot,
) -> Result<HttpResponse, ApiError> {
    let description: StreamSnapshot = snapshot.description.clone().into();
    let mut json = serde_json::to_vec(&description).map_err(|_| ApiError::internal())?;
    // The texts are further members: the closing brace comes after them.
    json.pop();
    json.extend_from_slice(b",\"text\":\"");
    let body = stream! {
        let mut open = json;
        let texts = snapshot.texts(Kind::Text);
        pin_mut!(texts);
        while let Some(piece) = texts.next().await {
            yield escaped(&mut open, piece);
        }
        open.push(b'"');
        for (kind, member) in [(Kind::Reasoning, "reasoning"), (Kind::Refusal, "refusal")] {
            let texts = snapshot.texts(kind);
            pin_mut!(texts);
            let mut begun = false;
            while let Some(piece) = texts.next().await {
                if !begun && !matches!(&piece, Ok(text) if text.is_empty()) {
                    begun = true;
                    open.extend_from_slice(format!(",\"{member}\":\"").as_bytes());
                }
                yield escaped(&mut open, piece);
            }
            if begun {
                open.push(b'"');
            }
        }
        open.push(b'}');
        yield Ok(Bytes::from(open));
    };
    let response = response
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(body);
    Ok(http10::adapt(request, response))
}

/// What is still to be written, and the piece after it.
fn escaped(open: &mut Vec<u8>, piece: Result<String, LogError>) -> Result<Bytes, LogError> {
    encode::escape(&piece?, open);
    Ok(Bytes::from(std::mem::take(open)))
}
