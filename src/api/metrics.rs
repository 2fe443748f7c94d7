//! The page of metrics, on a listener of its own: for whoever watches the server, and not for its users.
//!
//! It has a thread of its own, so that it is there when the others have too much to do.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::{ACCEPT, ALLOW, CACHE_CONTROL, HeaderValue};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

use crate::metrics::Format;

/// Makes the page, as things stand.
pub type Page = Arc<dyn Fn(Format) -> Result<String, fmt::Error> + Send + Sync>;

/// How long Prometheus may take to say what it wants, in seconds.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves `/metrics` until it is stopped.
///
/// # Errors
/// The listener cannot be used.
pub fn serve(listener: TcpListener, page: Page) -> io::Result<Server> {
    let page = web::Data::new(page);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(page.clone())
            .service(
                web::resource("/metrics")
                    .route(web::get().to(show))
                    .route(web::head().to(show))
                    .default_service(web::to(not_allowed)),
            )
            .default_service(web::to(not_found))
    })
    .workers(1)
    .client_request_timeout(HEAD_TIMEOUT)
    .h1_allow_half_closed(false)
    .shutdown_timeout(1)
    .disable_signals();
    Ok(server.listen(listener)?.run())
}

async fn show(request: HttpRequest, page: web::Data<Page>) -> HttpResponse {
    let accepted = request.headers().get_all(ACCEPT);
    let format = wanted(accepted);
    match page(format) {
        Ok(text) => HttpResponse::Ok()
            .content_type(format.content_type())
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(text),
        Err(error) => {
            tracing::error!(%error, "The page of metrics could not be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}

async fn not_allowed() -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header((ALLOW, "GET, HEAD"))
        .finish()
}

async fn not_found() -> HttpResponse {
    HttpResponse::NotFound().body("see /metrics\n")
}

/// The format that is liked best; of equals `OpenMetrics`, and Prometheus' own for whoever says nothing.
fn wanted<'a>(accepted: impl Iterator<Item = &'a HeaderValue>) -> Format {
    let (mut open, mut plain) = (0.0, 0.0);
    let values = accepted.filter_map(|value| value.to_str().ok());
    for range in values.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        // OpenMetrics has a version before 1.0, which is another format.
        let is_new = |part: &str| !part.starts_with("version=") || part == "version=1.0.0";
        let fits = parts.clone().all(is_new);
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
        let quality: f64 = quality.unwrap_or(1.0);
        match kind.as_str() {
            "application/openmetrics-text" if fits => open = quality.max(open),
            "text/plain" | "text/*" | "*/*" => plain = quality.max(plain),
            _ => {}
        }
    }
    if open > 0.0 && open >= plain {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_the_one_that_is_liked_best() {
        let of = |accept: &'static str| wanted([HeaderValue::from_static(accept)].iter());
        for accept in [
            "",
            "*/*",
            "text/html",
            "text/plain",
            "text/plain;version=0.0.4",
        ] {
            assert_eq!(of(accept), Format::Prometheus, "{accept}");
        }
        // What Prometheus 2.42 and 3.4 send.
        let two = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let three = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for accept in [two, three, "application/openmetrics-text"] {
            assert_eq!(of(accept), Format::OpenMetrics, "{accept}");
        }
        assert_eq!(
            of("application/openmetrics-text;version=0.0.1"),
            Format::Prometheus
        );
        assert_eq!(
            of("application/openmetrics-text;q=0.2, text/plain"),
            Format::Prometheus
        );
    }
}
