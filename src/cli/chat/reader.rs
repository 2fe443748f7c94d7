//! Reads one generation to its end, over as many connections as it takes.
//!
//! Every event is given out once, in order, and what was given out is what the server says it sent.

use std::rc::Rc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::Sender;

use super::backoff::Backoff;
use super::event::{Event, Said, is_stream_id};
use super::server::{Fault, Refusal, Server};
use crate::event_stream::EventStream;
use crate::http_client::Answer;
use crate::stream::hex;

/// The most that one event may have, in bytes. The server's have at most 60 KiB, before escapes.
const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// How long nothing may come, not even a heartbeat, which is due each 4 s unless it is configured
/// otherwise.
const SILENCE: Duration = Duration::from_secs(15);

/// What there is to say.
#[derive(Debug)]
pub(super) enum Heard {
    Event(Event),
    /// The connection is lost, and will be made again.
    Lost {
        why: String,
        again: Duration,
    },
    /// It goes on after this event; so many had been generated meanwhile.
    Resumed {
        after: u64,
        replayed: usize,
    },
    /// Nothing more comes.
    Failed(Failure),
}

/// Why the end of the generation cannot be read.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server refuses, and would again.
    Refused(Refusal),
    /// It could not be reached in time.
    Unreachable {
        why: String,
        begun: bool,
        /// Whether it has ever answered.
        heard: bool,
    },
    /// It does not know the stream any more.
    Gone(Refusal),
    /// What it sent is not what it says it sent.
    Wrong(String),
}

/// Reads one generation.
pub(super) struct Reader {
    server: Rc<Server>,
    request: Vec<u8>,
    key: String,
    backoff: Backoff,
    heard: Sender<Heard>,
    /// The stream's id, once it is known.
    stream: Option<String>,
    /// The event that comes next.
    next: u64,
    text: Sha256,
    resumed: Option<u64>,
}

/// How one connection came to its end.
enum Ended {
    /// With the last event, or nobody listens any more.
    Well,
    Lost(Fault),
    Failed(Failure),
}

impl Reader {
    /// Will ask the server this. With the same key it is the same generation.
    pub(super) fn new(
        server: Rc<Server>,
        request: Vec<u8>,
        key: String,
        timeout: Option<Duration>,
        heard: Sender<Heard>,
    ) -> Self {
        Self {
            server,
            request,
            key,
            backoff: Backoff::new(timeout),
            heard,
            stream: None,
            next: 0,
            text: Sha256::new(),
            resumed: None,
        }
    }

    /// Reads until the end, and says how it goes.
    pub(super) async fn run(mut self) {
        loop {
            let failure = match self.connect().await {
                Ended::Well => return,
                Ended::Failed(failure) => failure,
                Ended::Lost(Fault::Gone(refusal)) if self.stream.is_some() => {
                    Failure::Gone(refusal)
                }
                Ended::Lost(Fault::Refused(refusal) | Fault::Gone(refusal)) => {
                    Failure::Refused(refusal)
                }
                Ended::Lost(Fault::Passing { why, again, heard }) => {
                    if heard {
                        self.backoff.heard();
                    }
                    match self.backoff.next(again) {
                        Some(again) => {
                            if self.heard.send(Heard::Lost { why, again }).await.is_err() {
                                return;
                            }
                            tokio::time::sleep(again).await;
                            continue;
                        }
                        None => Failure::Unreachable {
                            why,
                            begun: self.stream.is_some(),
                            heard: self.backoff.heard,
                        },
                    }
                }
            };
            let _gone = self.heard.send(Heard::Failed(failure)).await;
            return;
        }
    }

    /// Makes a connection and reads what comes on it.
    async fn connect(&mut self) -> Ended {
        let asked = match &self.stream {
            None => self.server.create(&self.request, &self.key).await,
            Some(stream) => {
                self.resumed = Some(self.next - 1);
                self.server.follow(stream, self.next - 1).await
            }
        };
        match asked {
            Ok(answer) => {
                self.backoff.heard();
                self.read(answer).await
            }
            Err(fault) => Ended::Lost(fault),
        }
    }

    async fn read(&mut self, mut answer: Answer) -> Ended {
        let mut events = EventStream::new(MAX_EVENT_BYTES);
        let lost = |why: String| {
            Ended::Lost(Fault::Passing {
                why,
                again: None,
                heard: true,
            })
        };
        loop {
            // All that has arrived is taken together: it is what we had missed.
            let mut found = Vec::new();
            let mut unreadable = None;
            let mut take = |piece: &[u8]| {
                let pushed = events.push(piece, |event| found.push(event.data.to_owned()));
                unreadable = unreadable.take().or(pushed.err());
            };
            let mut read = tokio::time::timeout(SILENCE, answer.read(&mut take)).await;
            while let Ok(Ok(true)) = read {
                let more = std::future::poll_fn(|context| {
                    std::task::Poll::Ready(answer.poll_read(context, &mut take))
                });
                match more.await {
                    std::task::Poll::Ready(more) => read = Ok(more),
                    std::task::Poll::Pending => break,
                }
            }
            if let Some(error) = unreadable {
                return Ended::Failed(Failure::Wrong(format!("What came cannot be read: {error}")));
            }
            // A heartbeat is a sign of life too.
            if matches!(read, Ok(Ok(true))) && found.is_empty() {
                self.backoff.progress();
            }
            match self.take(&found).await {
                Ok(false) => {}
                Ok(true) => return Ended::Well,
                Err(failure) => return Ended::Failed(failure),
            }
            match read {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => return lost("the answer ended before its last event".to_owned()),
                Ok(Err(error)) => return lost(error.to_string()),
                Err(_) => return lost("nothing came, not even a heartbeat".to_owned()),
            }
        }
    }

    /// Gives out what is new. `true` if nothing more is to come.
    async fn take(&mut self, found: &[String]) -> Result<bool, Failure> {
        let mut new = Vec::new();
        for json in found {
            let event = Event::parse(json)
                .map_err(|error| Failure::Wrong(format!("An event cannot be read: {error}")))?;
            if event.seq < self.next {
                continue;
            }
            if event.seq > self.next {
                let missed = self.next;
                return Err(Failure::Wrong(format!("The event {missed} did not come.")));
            }
            self.next += 1;
            self.check(&event.said)?;
            new.push(event);
        }
        if new.is_empty() {
            return Ok(false);
        }
        self.backoff.progress();
        if let Some(after) = self.resumed.take() {
            let replayed = new.iter().filter(|event| !event.is_last()).count();
            let resumed = Heard::Resumed { after, replayed };
            if self.heard.send(resumed).await.is_err() {
                return Ok(true);
            }
        }
        for event in new {
            let is_last = event.is_last();
            if self.heard.send(Heard::Event(event)).await.is_err() || is_last {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn check(&mut self, said: &Said) -> Result<(), Failure> {
        match said {
            Said::Start { stream } if !is_stream_id(stream) => {
                return Err(Failure::Wrong("The stream has no name.".to_owned()));
            }
            Said::Start { stream } => self.stream = Some(stream.clone()),
            Said::Token { text } => self.text.update(text),
            Said::Done { text_sha256, .. } => {
                let digest = self.text.finalize_reset();
                if hex(&digest) != *text_sha256 {
                    let wrong = "The text that came is not the one that was generated.";
                    return Err(Failure::Wrong(wrong.to_owned()));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
