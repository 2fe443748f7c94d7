//! The server that all transports are measured on: Tailrace as a library, with one WebSocket route
//! beside its own. Tailrace has no WebSocket; this one follows the same log from the same cursor.
//!
//! It lacks what a product would need and what no token pays for: it checks no `Origin`, knows no
//! tickets, and sends no pings.

use std::cell::RefCell;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::error::{ErrorForbidden, ErrorUnauthorized};
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::{Message, MessageStream, Session};
use anyhow::Context as _;
use serde::Deserialize;
use tailrace::api::{Api, encode};
use tailrace::app::App;
use tailrace::config::Config;
use tailrace::generation::Subscription;
use tailrace::metrics::Reader;
use tailrace::stream::{Batch, Entry, StreamId};
use tailrace::stream_log::Access;
use tailrace::telemetry;

/// The argument that makes this program that server.
pub(crate) const ARGUMENT: &str = "transports-server";

/// How many bytes of entries are taken at once, as for the product's bodies.
const READ_BYTES: usize = 4 * 1024;

/// Serves until it is killed, with the configuration that the environment names, and says where.
pub(crate) fn serve() -> anyhow::Result<()> {
    let mut environment = std::env::vars_os();
    let path = environment.find_map(|(name, value)| (name == "TAILRACE_CONFIG").then_some(value));
    let config = Config::load(path.as_deref().map(Path::new))?;
    telemetry::init(&config)?;
    crate::machine::raise_file_limit()?;
    actix_web::rt::System::new().block_on(async {
        let app = App::build_with(&config, |routes| {
            routes.route("/websocket/{id}", web::get().to(follow));
        })?;
        let address = app.address();
        eprintln!(r#"{{"message":"Listening","address":"{address}"}}"#);
        app.run(std::future::pending).await.context("it failed")?;
        Ok(())
    })
}

/// Where a client wants to go on.
#[derive(Deserialize)]
struct Wanted {
    /// After this event.
    after: Option<u64>,
    /// With what comes from now on: what a server without a log can do at best.
    #[serde(default)]
    live: bool,
}

async fn follow(
    request: HttpRequest,
    body: web::Payload,
    api: web::Data<Api>,
    id: web::Path<String>,
    wanted: web::Query<Wanted>,
) -> actix_web::Result<HttpResponse> {
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|header| header.to_str().ok()?.strip_prefix("Bearer "))
        .ok_or_else(|| ErrorUnauthorized("a token is missing"))?;
    let principal = api.jwt.verify(token).map_err(ErrorUnauthorized)?;
    let viewer = principal.viewer();
    let id: StreamId = id.parse().map_err(ErrorForbidden)?;
    let after = if wanted.live {
        let access = Access::Owner(viewer.owner());
        let described = api.generations.describe(access, id).await;
        Some(described.map_err(ErrorForbidden)?.last_seq)
    } else {
        wanted.after
    };
    let subscription = api
        .generations
        .subscribe(&viewer, id, after, Reader::Sse)
        .await
        .map_err(ErrorForbidden)?;
    let (response, session, messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(listen(session, messages));
    Ok(response.map_body(|_, answers| {
        BoxBody::new(Frames {
            subscription,
            answers,
            has_ended: false,
        })
    }))
}

/// Answers pings until the client has gone.
async fn listen(mut session: Session, mut messages: MessageStream) {
    while let Some(Ok(message)) = messages.recv().await {
        match message {
            Message::Ping(bytes) if session.pong(&bytes).await.is_ok() => {}
            Message::Ping(_) | Message::Close(_) => return,
            _ => {}
        }
    }
}

thread_local! {
    /// Room to read and encode in, one for each thread, as the product's bodies have it.
    static SCRATCH: RefCell<(Batch, Vec<u8>)> = RefCell::default();
}

/// What the server sends once the connection is a WebSocket: each event as a text of its own, those that
/// are ready together in one write, and a close after the last. It is a body like the product's, with no
/// channel between log and connection, so that only the framing differs.
struct Frames {
    subscription: Subscription,
    /// What the library has to say: pongs, and that the client closed.
    answers: BoxBody,
    has_ended: bool,
}

impl MessageBody for Frames {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        const CLOSE: &[u8] = &[0x88, 0];
        let this = self.get_mut();
        if this.has_ended {
            return Poll::Ready(None);
        }
        SCRATCH.with_borrow_mut(|(batch, bytes)| {
            match this.subscription.poll_read(context, batch, READ_BYTES) {
                Poll::Ready(Ok(true)) => {
                    bytes.clear();
                    for entry in batch.entries() {
                        text(&entry, bytes);
                    }
                    Poll::Ready(Some(Ok(Bytes::copy_from_slice(bytes))))
                }
                Poll::Ready(Ok(false)) => {
                    this.has_ended = true;
                    Poll::Ready(Some(Ok(Bytes::from_static(CLOSE))))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error.into()))),
                Poll::Pending => Pin::new(&mut this.answers).poll_next(context),
            }
        })
    }
}

/// Appends an event as one frame, without a mask (RFC 6455, section 5.2): a text's first byte, a length
/// of one byte or of three, and the text.
fn text(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0x81, 0]);
    encode::json(entry, out);
    let length = out.len() - start - 2;
    match u8::try_from(length) {
        Ok(short) if short < 126 => out[start + 1] = short,
        _ => {
            // No event is longer than 60 KiB.
            out[start + 1] = 126;
            let long = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
            out.splice(start + 2..start + 2, long);
        }
    }
}
