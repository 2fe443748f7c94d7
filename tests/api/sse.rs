//! A strict reader of our event streams: it fails on any breach of the contract's framing rules.

use std::collections::VecDeque;
use std::io;

use sha2::{Digest as _, Sha256};

use crate::client::{Body, Response};
pub use crate::event::Event;
use crate::event::parse_block;

impl Event {
    pub fn is_terminal(&self) -> bool {
        self.kind == "done" || self.kind == "error"
    }
}

/// The events of one response.
pub struct Events {
    pub stream: String,
    pub heartbeats: usize,
    body: Body,
    ready: VecDeque<Event>,
    seen: u64,
    last: Option<Event>,
}

impl Events {
    pub fn of(response: Response) -> Self {
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), Some("text/event-stream"));
        let cache = response.header("cache-control").unwrap();
        assert!(
            cache == "no-cache, no-transform" || cache == "no-store, no-transform",
            "{cache}"
        );
        assert_eq!(response.header("x-accel-buffering"), Some("no"));
        assert_eq!(response.header("content-encoding"), None);
        Self {
            stream: response
                .header("x-stream-id")
                .unwrap_or_default()
                .to_owned(),
            heartbeats: 0,
            body: response.body,
            ready: VecDeque::new(),
            seen: 0,
            last: None,
        }
    }

    /// The next event; `None` at a clean end of the body.
    pub fn next(&mut self) -> io::Result<Option<Event>> {
        while self.ready.is_empty() {
            match self.body.chunk()? {
                // One event is never split over two writes, so each chunk holds whole ones.
                Some(chunk) => self.parse(std::str::from_utf8(&chunk).unwrap()),
                None => {
                    let last = self.last.as_ref();
                    assert!(
                        last.is_some_and(Event::is_terminal),
                        "ended cleanly after {last:?}"
                    );
                    return Ok(None);
                }
            }
        }
        Ok(self.ready.pop_front())
    }

    pub fn expect(&mut self) -> Event {
        self.next().unwrap().expect("another event")
    }

    /// All events to the clean end.
    pub fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().unwrap() {
            events.push(event);
        }
        events
    }

    fn parse(&mut self, mut chunk: &str) {
        assert!(!chunk.contains('\r') && !chunk.starts_with('\u{feff}'));
        while !chunk.is_empty() {
            if let Some(rest) = chunk.strip_prefix(":\n") {
                self.heartbeats += 1;
                chunk = rest;
                continue;
            }
            let (block, rest) = chunk.split_once("\n\n").expect("a whole event");
            assert!(
                block.len() + 2 <= 60 * 1024,
                "an event of {} bytes",
                block.len()
            );
            let event = parse_block(block, self.seen == 0);
            if let Some(last) = &self.last {
                assert_eq!(event.seq, last.seq + 1, "ids are contiguous");
                assert!(!last.is_terminal(), "nothing follows the terminal event");
            }
            self.seen += 1;
            self.last = Some(event.clone());
            self.ready.push_back(event);
            chunk = rest;
        }
    }
}

/// The answer text of these events.
pub fn text(events: &[Event]) -> String {
    let tokens = events.iter().filter(|event| event.kind == "token");
    tokens
        .map(|event| event.data["text"].as_str().unwrap())
        .collect()
}

/// Checks a whole stream from its start: contiguous, one terminal event, and its digest.
pub fn check_whole(events: &[Event]) {
    assert_eq!(events[0].kind, "start");
    let seqs = events.iter().map(|event| event.seq);
    assert!(seqs.eq(0..events.len() as u64));
    let terminals = events.iter().filter(|event| event.is_terminal()).count();
    assert_eq!(terminals, 1);
    let last = events.last().unwrap();
    assert!(last.is_terminal());
    if last.kind == "done" {
        let digest = Sha256::digest(text(events).as_bytes());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(last.data["text_sha256"], digest.as_str());
    }
}
