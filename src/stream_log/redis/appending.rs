//! Appends what all streams of this node have to say, together: one exchange with Redis for whatever is
//! ready, and the next when that is answered.
//!
//! Alone, a token waits for nothing. What comes just after an exchange waits for a moment, since to wake
//! Redis costs it more than to append: so the busier a node is, the more goes together. After an exchange
//! that took long there is a pause as long, so that Redis has at least as much time for others.
//!
//! An append here is one plain command. It relies on a checked one before it (`writing.rs`) on the same
//! connections: Redis then has what came before. Whatever else happens is left to the stream's task.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Pipeline, ServerErrorKind, Value, pipe};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::mirror::Mirror;
use super::{Inner, encoding, keys};
use crate::redis::Lane;
use crate::stream::Batch;

/// How many streams are appended to in one exchange.
const MOST: usize = 2048;

/// The least time from an exchange's beginning to the next one's, and what each append in it adds to that
/// from some number on: a node appends at most 24,000 times a second.
const PACE: Duration = Duration::from_millis(3);
const EACH: Duration = Duration::from_micros(42);

/// The longest pause after an exchange for what it took.
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// The streams that have something to append.
#[derive(Default)]
pub(super) struct Appending {
    waiting: Mutex<Vec<Arc<Mirror>>>,
    wake: Notify,
}

impl Appending {
    /// Adds a stream, which is not among them.
    pub(super) fn push(&self, mirror: Arc<Mirror>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = waiting.is_empty();
        waiting.push(mirror);
        drop(waiting);
        if is_first {
            self.wake.notify_one();
        }
    }

    fn take(&self) -> Vec<Arc<Mirror>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let most = waiting.len().min(MOST);
        waiting.drain(..most).collect()
    }
}

/// Runs until the log is gone.
pub(super) async fn run(log: Weak<Inner>) {
    let mut knows_script = true;
    while let Some(inner) = log.upgrade() {
        let streams = inner.appending.take();
        if streams.is_empty() {
            // The log must be able to go.
            let appending = Arc::clone(&inner.appending);
            drop(inner);
            appending.wake.notified().await;
            continue;
        }
        let began = Instant::now();
        let count = streams.len();
        let exchanges = exchanges(&inner, streams, knows_script).await;
        let exchanges = exchanges.into_iter().filter(|it| !it.appends.is_empty());
        knows_script = join_all(exchanges.map(Exchange::run))
            .await
            .iter()
            .all(|it| *it);
        drop(inner);
        let took = began.elapsed();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let next = PACE.max(EACH * count).max(took + took.min(LONGEST_PAUSE));
        sleep(next.saturating_sub(took)).await;
    }
}

/// What goes to one server.
struct Exchange {
    lane: Lane,
    epoch: u64,
    commands: Pipeline,
    appends: Vec<(Arc<Mirror>, Batch)>,
    /// Whether the server knows the script by its hash.
    knows_script: bool,
}

async fn exchanges(log: &Inner, streams: Vec<Arc<Mirror>>, knows_script: bool) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    let mut lanes: [Option<Lane>; keys::PARTITIONS as usize] = Default::default();
    for mirror in streams {
        let partition = keys::partition(mirror.id);
        let known = &mut lanes[usize::from(partition)];
        if known.is_none() {
            *known = log.redis.lane(&log.keys.leases(partition)).await.ok();
        }
        let Some(lane) = known.as_ref() else {
            mirror.send_alone();
            continue;
        };
        let at = exchanges.iter().position(|exchange| exchange.lane.is(lane));
        let at = at.unwrap_or_else(|| {
            exchanges.push(Exchange {
                epoch: lane.epoch(),
                lane: lane.clone(),
                commands: pipe(),
                appends: Vec::new(),
                knows_script,
            });
            exchanges.len() - 1
        });
        exchanges[at].add(log, mirror);
    }
    exchanges
}

impl Exchange {
    fn add(&mut self, log: &Inner, mirror: Arc<Mirror>) {
        let Some(batch) = mirror.take_together(self.epoch) else {
            return;
        };
        let last = mirror.open.next_seq() + batch.len() as u64 - 1;
        let stream = log.keys.entries(mirror.id);
        let id = keys::entry(mirror.outbox().fence, last);
        let entry = encoding::encode(&batch);
        if mirror.open.state().is_read_elsewhere() {
            let mut script = log.scripts.relay.key(stream);
            script
                .arg(id)
                .arg(entry)
                .arg(log.keys.growth(mirror.id))
                .arg(&encoding::place(last)[..]);
            self.commands.add_command(if self.knows_script {
                script.by_hash()
            } else {
                // Those after it find it known.
                self.knows_script = true;
                script.in_full()
            });
        } else {
            self.commands
                .cmd("XADD")
                .arg(stream)
                .arg("NOMKSTREAM")
                .arg(id)
                .arg("b")
                .arg(entry);
        }
        self.appends.push((mirror, batch));
    }

    /// Answers whether the server knew the script.
    async fn run(self) -> bool {
        let answers = self.lane.ask_all(self.epoch, &self.commands).await;
        // If there are no answers, nobody knows what became of it.
        let mut answers = answers.unwrap_or_default().into_iter();
        let mut knows_script = true;
        for (mirror, batch) in self.appends {
            match answers.next() {
                Some(Value::BulkString(_)) => {
                    mirror.appended(&batch);
                    mirror.go_on();
                    continue;
                }
                Some(Value::ServerError(error)) => {
                    knows_script &= error.kind() != Some(ServerErrorKind::NoScript);
                }
                _ => {}
            }
            mirror.take_back(batch);
        }
        knows_script
    }
}
