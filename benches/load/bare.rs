//! The peer: an actix-web handler that streams the same events at the same pace and does nothing
//! else. What it costs is the floor for whoever stands on actix-web.
//!
//! It has the same settings as ours (one worker, HTTP/1.1, no delay) and reads the same requests.
//! Its events are ready bytes: there is no token to check, no limit, no log, nothing to encode.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{self, Bytes};
use actix_web::{App, HttpResponse, HttpServer};
use async_stream::stream;
use serde::Deserialize;
use socket2::{Domain, Socket, Type};
use tokio::time::{Instant, sleep_until};

use crate::bench::Wanted;
use crate::scenario::REPLAYED_TOKENS;

/// The argument that makes this program the bare server.
pub(crate) const ARGUMENT: &str = "bare-server";

/// Stands where a stream's id would.
const STREAM: &str = "019aa3c1f2d87cc2b3a4d5e6f7a8b9c0";

/// Pieces of text as the demo generator makes them.
const TEXTS: [&str; 12] = [
    " What",
    " strikes",
    " a",
    " newcomer",
    " about",
    " lighthou",
    "se",
    " keepers",
    " is",
    " how",
    " much",
    ".",
];

/// Serves on a port of its own until it is killed, and says which as Tailrace does.
pub(crate) fn serve() -> anyhow::Result<()> {
    crate::machine::raise_file_limit()?;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(4096)?;
    let listener: TcpListener = socket.into();
    let address = listener.local_addr()?;
    let ready = web::Data::new(Ready::new());
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(ready.clone())
                .route("/v1/streams", web::post().to(create))
                .route("/v1/streams/{id}/events", web::get().to(replay))
        })
        .workers(1)
        .h1_allow_half_closed(false)
        .tcp_nodelay(true)
        .disable_signals()
        .listen(listener)?
        .run();
        eprintln!(r#"{{"message":"Listening","address":"{address}"}}"#);
        server.await?;
        Ok(())
    })
}

/// The events of a stream, made once.
struct Ready {
    start: Bytes,
    tokens: Vec<Bytes>,
}

impl Ready {
    fn new() -> Self {
        let token =
            |(seq, text): (u32, &&str)| event(seq, "token", &format!("\"text\":\"{text}\""));
        let seqs = 1..=REPLAYED_TOKENS;
        Self {
            start: event(0, "start", &format!("\"stream\":\"{STREAM}\"")),
            tokens: seqs.zip(TEXTS.iter().cycle()).map(token).collect(),
        }
    }

    /// The token event at this place of a stream of any length.
    fn token(&self, number: u32) -> Bytes {
        self.tokens[number as usize % self.tokens.len()].clone()
    }
}

fn event(seq: u32, name: &str, rest: &str) -> Bytes {
    Bytes::from(format!(
        "data: {{\"type\":\"{name}\",\"seq\":{seq},{rest}}}\nevent: {name}\nid: {STREAM}.{seq}\n\n"
    ))
}

/// The end of a stream of so many tokens.
fn done(tokens: u32) -> Bytes {
    event(tokens + 1, "done", "\"finish_reason\":\"stop\"")
}

/// What we read of a request's body.
#[derive(Deserialize)]
struct Body {
    metadata: BTreeMap<String, String>,
}

impl Body {
    fn wanted(&self) -> Wanted {
        let knob = |name| self.metadata.get(name)?.parse().ok();
        Wanted {
            tokens: knob("demo.tokens").unwrap_or_default(),
            tokens_per_second: knob("demo.tokens_per_second").unwrap_or_default(),
            stall_after: knob("demo.stall_after"),
        }
    }
}

async fn create(body: web::Json<Body>, ready: web::Data<Ready>) -> HttpResponse {
    let wanted = body.wanted();
    let started = Instant::now();
    answer().streaming(stream! {
        yield Ok::<_, Infallible>(ready.start.clone());
        for number in 0..wanted.tokens {
            if wanted.stall_after == Some(number) {
                pending::<()>().await;
            }
            if wanted.tokens_per_second > 0 {
                let after = f64::from(number) / f64::from(wanted.tokens_per_second);
                let due = started + Duration::from_secs_f64(after);
                if due > Instant::now() {
                    sleep_until(due).await;
                }
            }
            yield Ok(ready.token(number));
        }
        yield Ok(done(wanted.tokens));
    })
}

async fn replay(ready: web::Data<Ready>) -> HttpResponse {
    answer().streaming(stream! {
        yield Ok::<_, Infallible>(ready.start.clone());
        for number in 0..REPLAYED_TOKENS {
            yield Ok(ready.token(number));
        }
        yield Ok(done(REPLAYED_TOKENS));
    })
}

fn answer() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-cache, no-transform"))
        .insert_header(("X-Stream-Id", STREAM));
    response
}
