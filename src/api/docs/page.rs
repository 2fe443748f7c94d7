//! The page at `/docs/`: Swagger UI out of the binary, with our own first script and a strict
//! Content-Security-Policy.
//!
//! Of the renderers that utoipa knows it is the only one whose assets come with a crate; the others load
//! theirs from a content delivery network. What it lacks, showing an answer while it streams, is a
//! plugin of a hundred lines (`page.js`).

use std::sync::Arc;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpResponse, web};
use utoipa_swagger_ui::Config;

use crate::api::Api;
use crate::api::problem::{ApiError, Code};

/// Nothing from elsewhere, nothing inline but styles, which Swagger UI sets on its elements, and
/// pictures in `data:` URLs, which its style sheet has.
const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; \
                      style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `/docs/` and what stands below it.
pub(in crate::api) async fn serve(
    api: web::Data<Api>,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (kind, bytes) = match path.as_str() {
        "" | "index.html" => ("text/html; charset=utf-8", html(&api)),
        "page.js" => (
            "text/javascript; charset=utf-8",
            include_bytes!("page.js").to_vec(),
        ),
        "page.css" => (
            "text/css; charset=utf-8",
            include_bytes!("page.css").to_vec(),
        ),
        other => return asset(other),
    };
    Ok(respond(kind, bytes))
}

/// The page, told whether the server makes tokens for it.
fn html(api: &Api) -> Vec<u8> {
    let html = include_str!("page.html");
    if api.playground.makes_tokens() {
        let (asks, given) = (r#"content="ask""#, r#"content="development""#);
        return html.replace(asks, given).into_bytes();
    }
    html.into()
}

/// Swagger UI's own files, but for those that ours stand in for.
fn asset(path: &str) -> Result<HttpResponse, ApiError> {
    let file = match path {
        "swagger-ui-bundle.js" | "swagger-ui.css" | "favicon-32x32.png" => {
            utoipa_swagger_ui::serve(path, Arc::new(Config::default()))
        }
        _ => Ok(None),
    };
    match file {
        Ok(Some(file)) => Ok(respond(&file.content_type, file.bytes.into_owned())),
        Ok(None) => Err(ApiError::new(
            Code::RouteNotFound,
            "see /docs for what there is",
        )),
        Err(_) => Err(ApiError::internal()),
    }
}

fn respond(kind: &str, bytes: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(bytes)
}
