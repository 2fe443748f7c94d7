//! The stream id in a path.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use super::problem::ApiError;
use crate::stream::StreamId;

/// The `{id}` of the route.
pub(super) struct StreamPath(pub StreamId);

impl FromRequest for StreamPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.match_info().get("id").unwrap_or_default();
        ready(id.parse().map(Self).map_err(ApiError::from))
    }
}
