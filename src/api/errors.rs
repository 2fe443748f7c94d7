//! `/errors/{code}`: where the `type` of a problem leads.

use std::fmt::Write as _;

use actix_web::{HttpRequest, HttpResponse};

use super::problem::{ApiError, Code};

/// Explains one code, or lists them all.
pub(super) async fn explain(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let wanted = request.match_info().get("code");
    let mut text = String::new();
    for code in Code::ALL
        .iter()
        .filter(|code| wanted.is_none_or(|name| name == code.name()))
    {
        let (status, title) = (code.status().as_u16(), code.title());
        let again = if code.retryable() {
            "may succeed later, unless x-should-retry is false"
        } else {
            "will fail again"
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}: {title}. Status {status}; the same request {again}.",
            code.name()
        );
    }
    if text.is_empty() {
        return Err(ApiError::new(
            Code::RouteNotFound,
            "there is no such error code",
        ));
    }
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body(text))
}
