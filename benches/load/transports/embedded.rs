//! The server that all transports are measured on: Tailrace as a library, with one WebSocket route
//! beside its own. Tailrace has no WebSocket; this one follows the same log from the same cursor.
//!
//! It lacks what a product would need and what no token pays for: it checks no `Origin`, knows no
//! tickets, and sends no pings.

use std::future::poll_fn;
use std::path::Path;

use actix_web::error::{ErrorForbidden, ErrorInternalServerError, ErrorUnauthorized};
use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{Message, MessageStream, Session};
use anyhow::Context as _;
use serde::Deserialize;
use tailrace::api::{Api, encode};
use tailrace::app::App;
use tailrace::config::Config;
use tailrace::generation::Subscription;
use tailrace::stream::{Batch, StreamId};
use tailrace::stream_log::{Access, Presence};
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
    telemetry::init(&config.file.log)?;
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
        .subscribe(&viewer, id, after, Presence::Connected)
        .await
        .map_err(ErrorForbidden)?;
    let (response, session, messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(async move {
        let reader = session.clone();
        tokio::select! {
            _ = send(subscription, session) => {}
            () = listen(reader, messages) => {}
        }
    });
    Ok(response)
}

/// Sends each event as a text of its own, and closes after the last.
async fn send(mut subscription: Subscription, mut session: Session) -> actix_web::Result<()> {
    let mut batch = Batch::default();
    loop {
        let more = poll_fn(|context| subscription.poll_read(context, &mut batch, READ_BYTES));
        if !more.await.map_err(ErrorInternalServerError)? {
            break;
        }
        for entry in batch.entries() {
            let mut json = Vec::with_capacity(64);
            encode::json(&entry, &mut json);
            let text = String::from_utf8(json).map_err(ErrorInternalServerError)?;
            session.text(text).await.map_err(ErrorInternalServerError)?;
        }
    }
    session.close(None).await.map_err(ErrorInternalServerError)
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
