//! The playground: a chat page at `/`, its files in the binary, and a token for it in development.
//!
//! The page uses the public API only. Its files are those of `playground/` and of the JavaScript
//! client as they stand in the repository: nothing is built. A debug build reads them from there for
//! each request, so that a change is seen at the next reload.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, EntityTag, HOST, Header as _, HeaderMap,
    HeaderName, IfNoneMatch, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse, web};
use arc_swap::ArcSwapOption;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rust_embed::{Embed, EmbeddedFile};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::problem::{ApiError, Code};
use super::{Api, connection, docs};
use crate::auth::Minter;

/// What the page may do: nothing that does not come from this server. Markup in a model's answer can
/// neither run, nor load, nor send anything, and text only becomes markup through `DOMPurify`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify";

/// The page's files.
#[derive(Embed)]
#[folder = "playground"]
#[include = "index.html"]
#[include = "images/*"]
#[include = "src/*"]
#[include = "styles/*"]
#[include = "vendor/*"]
#[exclude = "*.ts"]
#[exclude = "*.mts"]
struct Page;

/// The JavaScript client, which the page uses as anybody may.
#[derive(Embed)]
#[folder = "clients/js/src"]
#[include = "*.js"]
struct Client;

/// Whether there is a playground, and how it comes by tokens.
pub struct Playground {
    /// Whether it is served at all.
    pub enabled: bool,
    /// Makes its tokens in development mode. Without it the page asks its user for one.
    pub development: ArcSwapOption<Minter>,
}

impl Playground {
    /// Whether pages of this server may ask it for a token.
    #[must_use]
    pub fn makes_tokens(&self) -> bool {
        self.enabled && self.development.load().is_some()
    }
}

/// `/`: the page, or, if there is none, the way to the documentation.
pub(super) async fn index(request: HttpRequest, api: web::Data<Api>) -> HttpResponse {
    let playground = &api.playground;
    let Some(page) = Page::get("index.html").filter(|_| playground.enabled) else {
        return docs::index().await;
    };
    let mut html = String::from_utf8_lossy(&page.data).into_owned();
    if playground.makes_tokens() {
        html = html.replace(
            r#"<meta name="tailrace-token" content="ask" />"#,
            r#"<meta name="tailrace-token" content="development" />"#,
        );
    }
    let hash = Sha256::digest(html.as_bytes()).into();
    answer(
        &request,
        "text/html; charset=utf-8",
        hash,
        html.into(),
        POLICY,
    )
}

/// `/assets/...`: what the page loads; `/assets/client/...` is the JavaScript client.
///
/// # Errors
/// There is no such file, or no playground.
pub(super) async fn asset(
    request: HttpRequest,
    api: web::Data<Api>,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let found = match path.strip_prefix("client/") {
        _ if !(api.playground.enabled || api.monitor.enabled && shares(&path)) => None,
        Some(name) => Client::get(name),
        // The page itself is at `/` only, where it is told how it comes by tokens.
        None if *path == "index.html" => None,
        None => Page::get(&path),
    };
    let found = found.ok_or_else(no_such_file)?;
    Ok(file(&request, found, POLICY))
}

pub(super) fn no_such_file() -> ApiError {
    ApiError::new(Code::RouteNotFound, "there is no such file")
}

/// What other pages of this server use too.
fn shares(path: &str) -> bool {
    let folders = ["images/", "vendor/inter/", "vendor/jetbrains-mono/"];
    let files = [
        "client/parser.js",
        "src/announce.js",
        "src/dom.js",
        "src/early.js",
        "src/theme.js",
        "styles/base.css",
    ];
    folders.iter().any(|folder| path.starts_with(folder)) || files.contains(&path)
}

/// A file of the binary's.
pub(super) fn file(
    request: &HttpRequest,
    file: EmbeddedFile,
    policy: &'static str,
) -> HttpResponse {
    let EmbeddedFile { data, metadata } = file;
    let kind = match metadata.mimetype() {
        // RFC 9239 has one name for it, whatever the file is called.
        "application/javascript" => "text/javascript; charset=utf-8".to_owned(),
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    };
    let hash = metadata.sha256_hash();
    answer(request, &kind, hash, data.into_owned(), policy)
}

/// A file, or 304 if the browser has it. It is asked each time, so that an upgrade is seen at once.
fn answer(
    request: &HttpRequest,
    kind: &str,
    hash: [u8; 32],
    body: Vec<u8>,
    policy: &'static str,
) -> HttpResponse {
    let tag = EntityTag::new_strong(URL_SAFE_NO_PAD.encode(hash));
    let has_it = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        Err(_) => false,
    };
    let mut response = if has_it {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((ETAG, tag))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header(("Cross-Origin-Opener-Policy", "same-origin"))
        .insert_header(("Cross-Origin-Resource-Policy", "same-origin"));
    if has_it {
        response.finish()
    } else {
        response.content_type(kind).body(body)
    }
}

/// `POST /playground/token`: a token for the page of a server in development mode.
///
/// It is for that page only, so it does not stand in `openapi.yaml`, and in production it does not
/// exist. Whoever can ask it from this machine could also read the key; pages of other origins must
/// not get one, see [`is_from_own_page`].
///
/// # Errors
/// The server is not in development mode, or it was not its own page that asked.
pub(super) async fn token(
    request: HttpRequest,
    api: web::Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let minter = api.playground.development.load_full();
    let minter = minter.filter(|_| api.playground.enabled).ok_or_else(|| {
        ApiError::new(
            Code::RouteNotFound,
            "only a server in development mode makes tokens; `tailrace token` makes one otherwise",
        )
    })?;
    let is_secure = connection::Handle::of(&request).is_some_and(|it| it.is_secure());
    let scheme = if is_secure { "https://" } else { "http://" };
    if !is_from_own_page(request.headers(), scheme) {
        return Err(ApiError::new(
            Code::OriginNotAllowed,
            "only the page that this server serves on its own machine gets a token",
        ));
    }
    let token = minter.mint().map_err(|_| ApiError::internal())?;
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(json!({"token": token, "expires_in": minter.lifetime().as_secs()})))
}

/// Whether our own page asks, on this machine: another page sends its own origin, and a name that was
/// rebound to our address stands in `Host`. Most proxies that show a development server to others say
/// for whom they ask; one that says nothing looks as if it were a browser here.
fn is_from_own_page(headers: &HeaderMap, scheme: &str) -> bool {
    let only = |name| {
        let mut values = headers.get_all(name);
        let value = values.next()?.to_str().ok();
        value.filter(|_| values.next().is_none())
    };
    let (Some(host), Some(origin)) = (only(HOST), only(ORIGIN)) else {
        return false;
    };
    let own = origin
        .strip_prefix(scheme)
        .is_some_and(|origin| origin.eq_ignore_ascii_case(host));
    let same_site = headers
        .get_all("sec-fetch-site")
        .all(|site| site == "same-origin");
    own && is_loopback(host) && same_site && !headers.keys().any(is_of_a_proxy)
}

/// Whether a header is one by which proxies and tunnels say for whom they ask.
fn is_of_a_proxy(name: &HeaderName) -> bool {
    let name = name.as_str();
    let named = [
        "forwarded",
        "via",
        "x-real-ip",
        "x-client-ip",
        "true-client-ip",
    ];
    named.contains(&name) || name.starts_with("x-forwarded-") || name.starts_with("cf-")
}

/// Whether the host of a `Host` header is this machine whatever a name server says.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || address
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_nobody_can_rebind_are_this_machine() {
        for host in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1:1",
            "127.8.9.1",
            "[::1]:8080",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.nip.io:80",
            "192.168.0.1",
            "[::2]:1",
            "[127.0.0.1",
            "0.0.0.0",
            "notlocalhost",
            "localhost:80:80",
            "localhost:80x",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
