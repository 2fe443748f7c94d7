//! Tickets: what a browser puts into an `EventSource` URL instead of its token.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use super::Api;
use super::credentials::{Caller, Read};
use super::path::StreamPath;
use super::problem::{ApiError, Errors};
use super::wire::{TicketAnswer, events_url};
use crate::stream_log::Access;

/// Make a ticket
///
/// A credential that can read this one stream and nothing else, for URLs.
#[utoipa::path(
    post, path = "/v1/streams/{id}/tickets", tag = "streams", operation_id = "createTicket",
    params(("id" = String, Path, description = "The stream's id")),
    responses(
        (status = 201, description = "The ticket", body = TicketAnswer),
        Errors,
    ),
)]
pub(super) async fn create(
    caller: Caller<Read>,
    api: web::Data<Api>,
    path: StreamPath,
) -> Result<HttpResponse, ApiError> {
    let owner = caller.principal.owner();
    api.generations
        .describe(Access::Owner(owner), path.0)
        .await?;
    let ticket = api.tickets.load().issue(owner, path.0)?;
    let config = api.config.load();
    let base = config.public_url.as_deref().unwrap_or_default();
    Ok(HttpResponse::Created()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(TicketAnswer {
            url: format!("{base}{}?ticket={}", events_url(path.0), ticket.token),
            ticket: ticket.token,
            expires_at: ticket.expires_at,
        }))
}
