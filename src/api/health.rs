//! Liveness and readiness, for whoever restarts us and whoever sends us traffic.

use actix_web::{HttpResponse, web};

use super::Api;

/// The process answers
#[utoipa::path(
    get, path = "/livez", tag = "operations", operation_id = "livez", security(()),
    responses((status = 200, description = "It does", content_type = "text/plain", body = String)),
)]
pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// The server takes new generations
#[utoipa::path(
    get, path = "/readyz", tag = "operations", operation_id = "readyz", security(()),
    responses(
        (status = 200, description = "It does", content_type = "text/plain", body = String),
        (status = 503, description = "It is draining, cannot reach the store of streams, or has no keys to verify tokens with yet", content_type = "text/plain", body = String),
    ),
)]
pub(super) async fn readyz(api: web::Data<Api>) -> HttpResponse {
    if api.leaving.is_cancelled() {
        return HttpResponse::ServiceUnavailable()
            .content_type("text/plain")
            .body("draining\n");
    }
    if !api.generations.is_ready() {
        return HttpResponse::ServiceUnavailable()
            .content_type("text/plain")
            .body("redis is away\n");
    }
    if !api.jwt.has_keys() {
        return HttpResponse::ServiceUnavailable()
            .content_type("text/plain")
            .body("no keys yet\n");
    }
    HttpResponse::Ok()
        .content_type("text/plain")
        .body("ready\n")
}
