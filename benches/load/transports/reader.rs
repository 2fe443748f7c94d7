//! One reader of one stream, over any transport, through any number of cuts.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures_util::StreamExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::seen::{Seen, Story};
use super::transport::{Resume, Site, Transport};
use super::wire::{Line, Wire};
use crate::response::Response;
use crate::upstream::PERIOD;

/// How long the network is away after a cut.
pub(super) const AWAY: Duration = Duration::from_millis(200);

/// How many events pass from one cut to the next: any number of these, not counting what was there before.
/// Else a reader that begins again would never come to an end.
const BETWEEN_CUTS: std::ops::RangeInclusive<u32> = 20..=80;

/// How much is read at once, as long as a connection's buffer often is.
const READ_BYTES: usize = 4 * 1024;

/// What a server makes of the key that we send (RFC 6455, section 1.3).
const ACCEPTED: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    seq: u64,
    text: Option<&'a str>,
}

/// The answer to a poll.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    events: Vec<Event<'a>>,
    closed: bool,
}

/// When the connection of a reader is cut.
pub(super) struct Cuts {
    random: StdRng,
    /// After so many more events.
    after: u32,
}

impl Cuts {
    /// The same cuts each time for the reader of this number.
    pub(super) fn of(number: u64) -> Self {
        let mut random = StdRng::seed_from_u64(number);
        let after = random.random_range(BETWEEN_CUTS);
        Self { random, after }
    }
}

/// A reader, and what it has seen.
pub(super) struct Reader {
    site: Rc<Site>,
    transport: Transport,
    stream: String,
    resume: Resume,
    cuts: Option<Cuts>,
    seen: Rc<Seen>,
    /// The number of the last event.
    after: Option<u64>,
    /// How many events have come over this connection, and how many bytes with the last of them.
    events: u64,
    bytes_then: u64,
    /// Whether the last event of the stream has come.
    ended: bool,
    story: Story,
}

impl Reader {
    /// A reader of this stream whose connection holds.
    pub(super) fn new(
        site: &Rc<Site>,
        transport: Transport,
        stream: String,
        seen: &Rc<Seen>,
    ) -> Self {
        Self {
            site: Rc::clone(site),
            transport,
            stream,
            resume: Resume::Cursor,
            cuts: None,
            seen: Rc::clone(seen),
            after: None,
            events: 0,
            bytes_then: 0,
            ended: false,
            story: Story::default(),
        }
    }

    /// Its connection is cut, and it goes on like this.
    pub(super) fn with_cuts(mut self, cuts: Cuts, resume: Resume) -> Self {
        self.cuts = Some(cuts);
        self.resume = resume;
        self
    }

    /// Reads to the end.
    pub(super) async fn read(mut self) -> anyhow::Result<Story> {
        loop {
            let wire = Wire::connect(self.site.address, &self.seen.traffic).await?;
            let line = wire.line();
            self.events = 0;
            self.bytes_then = 0;
            let outcome = match self.transport {
                Transport::WebSocket => self.messages(wire).await,
                Transport::LongPolling(round_trip) => self.pages(wire, round_trip).await,
                Transport::Nobody | Transport::Sse | Transport::Ndjson => self.lines(wire).await,
            };
            match outcome {
                Err(error) if line.left.get() != Some(0) => return Err(error),
                Err(_cut) if !self.ended => {}
                _ => return Ok(self.story),
            }
            self.story.cuts += 1;
            self.story.thrown_away += line.traffic.down.get() - self.bytes_then;
            sleep(AWAY).await;
            self.story.behind_since = Some(Instant::now());
        }
    }

    /// Asks for what it has not seen.
    async fn ask(&self, wire: &mut Wire) -> anyhow::Result<()> {
        let Self {
            transport, stream, ..
        } = self;
        let request = self
            .site
            .follow(*transport, stream, self.after, self.resume);
        wire.write_all(request.as_bytes()).await?;
        self.seen.request();
        Ok(())
    }

    /// The head of the first answer on a connection is there.
    fn answered(&mut self, line: &Line, head_bytes: usize) {
        if self.story.cuts > 0 {
            self.story.asked_again += line.traffic.up.get();
            self.story.answered_again += head_bytes as u64;
        }
    }

    /// One answer that goes on: an event is whole at its empty line in SSE, at each line in NDJSON.
    async fn lines(&mut self, mut wire: Wire) -> anyhow::Result<()> {
        let line = wire.line();
        let mut response = Response::new();
        let mut buffer = vec![0; READ_BYTES];
        let mut body = Vec::new();
        let mut data = Vec::new();
        let is_sse = self.transport != Transport::Ndjson;
        self.ask(&mut wire).await?;
        let mut is_first = true;
        while !response.has_ended() {
            let read = wire.read(&mut buffer).await?;
            ensure!(read > 0, "the server closed a connection");
            response.read(&buffer[..read], |piece| body.extend_from_slice(piece))?;
            if is_first && response.bytes() > 0 {
                is_first = false;
                self.answered(&line, response.head_bytes());
            }
            let mut from = 0;
            while let Some(length) = memchr::memchr(b'\n', &body[from..]) {
                let text = &body[from..from + length];
                from += length + 1;
                if !is_sse {
                    self.event(text, &line)?;
                } else if let Some(json) = text.strip_prefix(b"data: ") {
                    data.clear();
                    data.extend_from_slice(json);
                } else if text.is_empty() {
                    self.event(&data, &line)?;
                }
            }
            body.drain(..from);
        }
        Ok(())
    }

    /// One answer after the other.
    async fn pages(&mut self, mut wire: Wire, round_trip: Duration) -> anyhow::Result<()> {
        let line = wire.line();
        let mut response = Response::new();
        let mut buffer = vec![0; READ_BYTES];
        let mut body = Vec::new();
        let mut is_first = true;
        loop {
            self.ask(&mut wire).await?;
            while !response.has_ended() {
                let read = wire.read(&mut buffer).await?;
                ensure!(read > 0, "the server closed a connection");
                response.read(&buffer[..read], |piece| body.extend_from_slice(piece))?;
            }
            if std::mem::take(&mut is_first) {
                self.answered(&line, response.head_bytes());
            }
            let page: Page<'_> = serde_json::from_slice(&body)?;
            for event in &page.events {
                self.take(event, &line)?;
            }
            if page.closed {
                return Ok(());
            }
            body.clear();
            response.reset();
            if !round_trip.is_zero() {
                sleep(round_trip).await;
            }
        }
    }

    /// One message for each event.
    async fn messages(&mut self, mut wire: Wire) -> anyhow::Result<()> {
        let line = wire.line();
        self.ask(&mut wire).await?;
        let mut head = Vec::new();
        let end = loop {
            let read = wire.read_buf(&mut head).await?;
            ensure!(read > 0, "the server closed a connection");
            if let Some(at) = memchr::memmem::find(&head, b"\r\n\r\n") {
                break at + 4;
            }
        };
        let part = head.split_off(end);
        let said = String::from_utf8_lossy(&head);
        ensure!(
            said.starts_with("HTTP/1.1 101 ") && said.contains(ACCEPTED),
            "an unexpected answer:\n{said}"
        );
        self.answered(&line, end);
        let config = WebSocketConfig::default().read_buffer_size(READ_BYTES);
        let socket = WebSocketStream::from_partially_read(wire, part, Role::Client, Some(config));
        let mut socket = socket.await;
        while let Some(message) = socket.next().await {
            match message? {
                Message::Text(text) => self.event(text.as_bytes(), &line)?,
                Message::Close(_) => return Ok(()),
                other => bail!("an unexpected message: {other:?}"),
            }
        }
        Ok(())
    }

    fn event(&mut self, json: &[u8], line: &Line) -> anyhow::Result<()> {
        let event = serde_json::from_slice(json).context("an event is no JSON")?;
        self.take(&event, line)
    }

    /// An event has come, whole.
    fn take(&mut self, event: &Event<'_>, line: &Line) -> anyhow::Result<()> {
        ensure!(event.kind != "error", "a generation failed");
        let is_new = self.story.event(usize::try_from(event.seq)?);
        self.after = Some(event.seq);
        let age = event.text.and_then(|text| self.seen.token(text));
        self.ended = event.kind == "done";
        if age.is_some_and(|age| age <= PERIOD) || self.ended {
            self.story.caught_up();
        }
        self.events += 1;
        self.bytes_then = line.traffic.down.get();
        if let Some(cuts) = &mut self.cuts
            && line.left.get().is_none()
            && is_new
        {
            cuts.after = cuts.after.saturating_sub(1);
            if cuts.after == 0 {
                // Anywhere in what comes next.
                let usual = self.bytes_then / self.events;
                line.left.set(Some(cuts.random.random_range(0..=usual)));
                cuts.after = cuts.random.random_range(BETWEEN_CUTS);
            }
        }
        Ok(())
    }
}
