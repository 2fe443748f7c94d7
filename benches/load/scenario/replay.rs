//! A finished stream, read from its start again and again: what resuming costs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::{Bench, report_conditions, seconds};
use crate::bench::{Found, Load, options};
use crate::report::{Bar, Report};
use crate::response::Response;
use crate::server::Server;

/// How long the stream is.
pub(crate) const TOKENS: u32 = 10_000;

const EVENTS: u32 = TOKENS + 2;

/// How many read it at once.
const READERS: [(u32, &str); 2] = [(1, "replay, 1 reader"), (20, "replay, 20 readers")];

/// How many events a second must be replayed, whoever reads.
const BAR: Bar = Bar::AtLeast(500_000.0);

pub(super) fn run(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let window = bench.time(Duration::from_secs(3), Duration::from_secs(1));
    for (readers, name) in READERS {
        let what = format!("{name} of a stream of {TOKENS} tokens");
        let found = bench.both(&what, |server| measure(server, readers, window))?;
        let rate = found.each(|it| it.figure("/tokens/per_second"));
        let cpu = found.each(|it| it.cpu_us_per_token(0));
        report.barred(name, "events/s", rate, BAR);
        report.figure(name, "CPU per event, us", cpu);
        report_conditions(report, name, &found);
    }
    Ok(())
}

fn measure(server: &Server, readers: u32, window: Duration) -> anyhow::Result<Found> {
    let stream = generate(server)?;
    let mut load = options([
        ("api", "sse".to_owned()),
        ("streams", readers.to_string()),
        ("ramp", "0s".to_owned()),
        ("warm-up", "500ms".to_owned()),
        ("duration", seconds(window)),
    ]);
    load.push("--no-check".to_owned());
    let found = Load::run(server, &format!("/v1/streams/{stream}/events"), &load)?;
    let events = found.figure("/counts/events");
    let due = f64::from(EVENTS) * found.figure("/streams/finished");
    ensure!(
        (events - due).abs() < 0.5,
        "{events} events came, and {due} were due"
    );
    Ok(found)
}

/// Has the stream generated, and answers with its id.
fn generate(server: &Server) -> anyhow::Result<String> {
    let knobs = json!({
        "demo.tokens": TOKENS.to_string(),
        "demo.tokens_per_second": "0",
        "demo.first_token_delay_ms": "0",
    });
    let body = json!({"prompt": "Tell me about lighthouse keepers", "metadata": knobs}).to_string();
    let (address, token, length) = (server.address(), server.token(), body.len());
    let mut socket = TcpStream::connect(address)?;
    write!(
        socket,
        "POST /v1/streams HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut response = Response::new();
    let mut buffer = vec![0; 64 * 1024];
    while !response.has_ended() {
        let read = socket.read(&mut buffer)?;
        ensure!(read > 0, "the server closed a connection");
        response.read(&buffer[..read], |_| {})?;
    }
    let id = response.header("x-stream-id").map(str::to_owned);
    id.context("the stream has no id")
}
