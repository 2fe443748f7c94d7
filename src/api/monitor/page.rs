//! The operators' page at `/monitor` and its files. They hold nothing that is secret: what is, comes over
//! the feed, to who has a token.

use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::Embed;

use crate::api::playground::{file, no_such_file};
use crate::api::{Api, ApiError};

/// What the page may do: as the playground, but that it never makes markup of text at all.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The page's files. What it shares with the playground is served there.
#[derive(Embed)]
#[folder = "monitor"]
#[include = "index.html"]
#[include = "src/*.js"]
#[include = "styles/*.css"]
struct Page;

/// `/monitor`: the page, for anybody.
pub(in crate::api) async fn index(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    find(&request, &api, "index.html")
}

/// `/assets/monitor/...`: what it loads.
pub(in crate::api) async fn asset(
    request: HttpRequest,
    api: web::Data<Api>,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    find(&request, &api, &path)
}

fn find(request: &HttpRequest, api: &Api, path: &str) -> Result<HttpResponse, ApiError> {
    let found = Page::get(path).filter(|_| api.monitor.enabled);
    Ok(file(request, found.ok_or_else(no_such_file)?, POLICY))
}
