//! One reader of one stream: comes at a cursor, is cut, hops to another node, comes back with its last
//! id, until it has seen the end.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep, timeout_at};

use crate::checker::{History, Seen};
use crate::event::parse_block;
use crate::http::{Answer, ask};
use crate::world::{World, between, count};

/// What is known of a stream while it is read.
#[derive(Default)]
pub struct Progress {
    pub id: OnceCell<String>,
    /// The furthest that any reader has seen.
    pub last: Cell<u64>,
    pub nodes: RefCell<BTreeSet<usize>>,
}

pub struct Reader {
    world: Rc<World>,
    progress: Rc<Progress>,
    subject: usize,
    chance: StdRng,
    history: History,
    /// Whether it ever leaves of its own accord.
    is_restless: bool,
    node: usize,
}

/// How a connection ended.
enum Left {
    /// The stream has ended, cleanly.
    Complete,
    Broken,
    Breach(String),
}

impl Reader {
    pub fn new(
        world: &Rc<World>,
        progress: &Rc<Progress>,
        subject: usize,
        mut chance: StdRng,
        name: String,
        after: Option<u64>,
    ) -> Self {
        count(&world.counts.readers);
        Self {
            node: world.any_way(&mut chance),
            is_restless: chance.random_bool(0.8),
            world: Rc::clone(world),
            progress: Rc::clone(progress),
            subject,
            chance,
            history: History {
                name,
                after,
                seen: Vec::new(),
                steps: Vec::new(),
                breach: None,
                is_audit: false,
            },
        }
    }

    /// Reads to the end at once, when all is over.
    pub async fn audit(mut self) -> History {
        self.is_restless = false;
        self.history.is_audit = true;
        self.read(None).await
    }

    fn step(&mut self, what: String) {
        self.history.steps.push((self.world.now(), what));
    }

    /// The sequence number of what it saw last.
    fn last(&self) -> Option<u64> {
        let last = self.history.seen.last().map(|seen| seen.seq);
        last.or(self.history.after)
    }

    /// Reads on from an answer that has come from this node, or as a newcomer, to the end.
    pub async fn read(mut self, mut answer: Option<(usize, Answer)>) -> History {
        loop {
            if self.world.has_given_up() {
                self.step("gave up".to_owned());
                return self.history;
            }
            let answer = match answer.take() {
                Some((node, answer)) => {
                    self.node = node;
                    Ok(answer)
                }
                None => self.come_back().await,
            };
            let left = match answer {
                Ok(answer) if answer.status == 200 => self.follow(answer).await,
                Ok(answer) => self.refused(answer.status),
                Err(error) => {
                    self.step(format!("node {}: {error}", self.node));
                    sleep(between(&mut self.chance, 20, 100)).await;
                    Left::Broken
                }
            };
            match left {
                Left::Complete => {
                    if self.is_restless && self.chance.random_bool(0.1) {
                        self.come_back_for_nothing().await;
                    }
                    return self.history;
                }
                Left::Broken => {}
                Left::Breach(breach) => {
                    self.step(breach.clone());
                    self.history.breach = Some(breach);
                    return self.history;
                }
            }
            let node = self.world.any_way(&mut self.chance);
            if node != self.node {
                count(&self.world.counts.hops);
            }
            self.node = node;
            sleep(between(&mut self.chance, 0, 300)).await;
        }
    }

    /// Asks for what comes after the last event.
    async fn come_back(&mut self) -> io::Result<Answer> {
        count(&self.world.counts.connections);
        let id = self.progress.id.get().expect("readers come to a stream");
        let path = format!("/v1/streams/{id}/events");
        let cursor = self.last().map(|last| format!("{id}.{last}"));
        let mut headers = vec![("Authorization", self.world.credentials(self.subject))];
        if let Some(cursor) = &cursor {
            headers.push(("Last-Event-ID", cursor));
        }
        let address = self.world.way(self.node);
        ask(address, "GET", &path, &headers, "").await
    }

    /// A browser that comes back with the last id of all is told that there is nothing more.
    async fn come_back_for_nothing(&mut self) {
        while !self.world.has_given_up() {
            match self.come_back().await.map(|answer| (answer.status, answer)) {
                Ok((204, _)) => return,
                // Where Redis has just lost the end, nobody but its writer knows of it: until that has
                // written it again, the stream is followed, to an end at which nothing is left to say.
                Ok((200, answer)) if self.world.may_miss_writes() => {
                    let seen = self.history.seen.len();
                    let left = self.follow(answer).await;
                    if let Left::Breach(breach) = left {
                        self.history.breach = Some(breach);
                        return;
                    }
                    if self.history.seen.len() > seen {
                        self.history.breach = Some("events after the end".to_owned());
                        return;
                    }
                }
                Ok((status @ (200 | 400 | 404 | 410), _)) => {
                    let node = self.node;
                    let breach = format!("{status} of node {node} in place of 204 after the end");
                    self.history.breach = Some(breach);
                    return;
                }
                Ok(_) | Err(_) => self.node = self.world.any_way(&mut self.chance),
            }
            sleep(between(&mut self.chance, 50, 200)).await;
        }
    }

    fn refused(&mut self, status: u16) -> Left {
        let last = self.last();
        let what = format!("node {} answered {status} after {last:?}", self.node);
        match status {
            500 | 502 | 503 | 504 => {
                self.step(what);
                Left::Broken
            }
            _ => Left::Breach(what),
        }
    }

    async fn follow(&mut self, mut answer: Answer) -> Left {
        self.step(format!(
            "came to node {} after {:?}",
            self.node,
            self.last()
        ));
        let stays = if self.is_restless {
            between(&mut self.chance, 200, 5_000)
        } else {
            std::time::Duration::from_secs(3600)
        };
        let leaves = Instant::now() + stays;
        let mut unread = Vec::new();
        let mut first = true;
        loop {
            match timeout_at(leaves, answer.chunk()).await {
                Err(_) => {
                    count(&self.world.counts.cuts);
                    self.step(format!("was cut after {:?}", self.last()));
                    return Left::Broken;
                }
                Ok(Ok(Some(chunk))) => {
                    unread.extend_from_slice(&chunk);
                    if let Err(breach) = self.take(&mut unread, &mut first) {
                        return Left::Breach(breach);
                    }
                }
                Ok(Ok(None)) => {
                    return match self.history.seen.last() {
                        Some(last) if last.is_terminal() => Left::Complete,
                        last => Left::Breach(format!(
                            "the body of node {} ended cleanly after {last:?}",
                            self.node
                        )),
                    };
                }
                Ok(Err(error)) => {
                    let silent = error.kind() == io::ErrorKind::TimedOut;
                    let counts = &self.world.counts;
                    count(if silent {
                        &counts.silent
                    } else {
                        &counts.broken
                    });
                    self.step(format!("node {} broke off: {error}", self.node));
                    // Whoever has the end and then lost the connection has all there is.
                    let has_end = self.history.seen.last().is_some_and(Seen::is_terminal);
                    return if has_end {
                        Left::Complete
                    } else {
                        Left::Broken
                    };
                }
            }
        }
    }

    /// Takes the whole events out of what has come, which may end within a character.
    fn take(&mut self, unread: &mut Vec<u8>, first: &mut bool) -> Result<(), String> {
        loop {
            if unread.starts_with(b":\n") {
                unread.drain(..2);
                continue;
            }
            let Some(end) = unread.windows(2).position(|two| two == b"\n\n") else {
                return Ok(());
            };
            let block: Vec<u8> = unread.drain(..end + 2).collect();
            let block = String::from_utf8(block).map_err(|error| format!("no UTF-8: {error}"))?;
            let block = block.trim_end_matches('\n');
            let parse = || parse_block(block, std::mem::take(first));
            let Ok(event) = catch_unwind(AssertUnwindSafe(parse)) else {
                return Err(format!("not an event of ours: {block:?}"));
            };
            let id = self.progress.id.get().map_or("", String::as_str);
            if event.id != format!("{id}.{}", event.seq) {
                return Err(format!("an event of another stream: {block:?}"));
            }
            let json = block.lines().next().unwrap_or_default();
            let seen = Seen {
                at: self.world.now(),
                seq: event.seq,
                kind: event.kind,
                json: json.strip_prefix("data: ").unwrap_or_default().to_owned(),
            };
            count(&self.world.counts.events);
            if !seen.is_terminal() {
                let last = &self.progress.last;
                last.set(last.get().max(seen.seq));
            }
            self.history.seen.push(seen);
        }
    }
}
