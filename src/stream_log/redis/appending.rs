//! Appends what all streams of this node have to say, together: one exchange with Redis for whatever is
//! ready, and the next when that is answered.
//!
//! Alone, a token waits for nothing. The busier the node and Redis are, the more there is in each
//! exchange, and the fewer appends there are: after one that took long there is a pause as long, so that
//! Redis has at least as much time for others.
//!
//! An append here is one plain command. It relies on a checked one before it (`writing.rs`) on the same
//! connections: Redis then has what came before. Whatever else happens is left to the stream's task.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Pipeline, Value, pipe};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::mirror::Mirror;
use super::{Inner, encoding, keys};
use crate::redis::Lane;
use crate::stream::Batch;

/// How many streams are appended to in one exchange.
const MOST: usize = 512;

/// An exchange that takes longer is followed by a pause, which is no longer than the second.
const QUICK: Duration = Duration::from_millis(2);
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
    // What readers on other nodes are told of the exchanges before.
    let mut news = Vec::new();
    while let Some(inner) = log.upgrade() {
        let streams = inner.appending.take();
        if streams.is_empty() && news.is_empty() {
            // The log must be able to go.
            let appending = Arc::clone(&inner.appending);
            drop(inner);
            appending.wake.notified().await;
            continue;
        }
        let started = Instant::now();
        let exchanges = exchanges(&inner, streams, news).await;
        let exchanges = exchanges.into_iter().filter(|it| !it.commands.is_empty());
        let told = exchanges.map(|exchange| exchange.run(&inner));
        news = join_all(told).await;
        news.retain(|(_, news)| !news.is_empty());
        drop(inner);
        let took = started.elapsed();
        if took > QUICK {
            sleep(took.min(LONGEST_PAUSE)).await;
        }
    }
}

/// What is said on a channel.
type News = (String, Vec<u8>);

/// What goes to one server.
struct Exchange {
    lane: Lane,
    epoch: u64,
    commands: Pipeline,
    appends: Vec<(Arc<Mirror>, Batch, Vec<u8>)>,
}

async fn exchanges(
    log: &Inner,
    streams: Vec<Arc<Mirror>>,
    news: Vec<(Lane, Vec<News>)>,
) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for (lane, news) in news {
        let mut exchange = Exchange::new(lane);
        for (channel, said) in news {
            exchange
                .commands
                .cmd("PUBLISH")
                .arg(channel)
                .arg(said)
                .ignore();
        }
        exchanges.push(exchange);
    }
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
            exchanges.push(Exchange::new(lane.clone()));
            exchanges.len() - 1
        });
        exchanges[at].add(log, mirror);
    }
    exchanges
}

impl Exchange {
    fn new(lane: Lane) -> Self {
        Self {
            epoch: lane.epoch(),
            lane,
            commands: pipe(),
            appends: Vec::new(),
        }
    }

    fn add(&mut self, log: &Inner, mirror: Arc<Mirror>) {
        let Some(batch) = mirror.take_together(self.epoch) else {
            return;
        };
        let last = mirror.open.next_seq() + batch.len() as u64 - 1;
        let entry = encoding::encode(&batch);
        self.commands
            .cmd("XADD")
            .arg(log.keys.entries(mirror.id))
            .arg("NOMKSTREAM")
            .arg(keys::entry(mirror.outbox().fence, last))
            .arg("b")
            .arg(&entry);
        self.appends.push((mirror, batch, entry));
    }

    /// Answers what readers elsewhere are to be told.
    async fn run(self, log: &Inner) -> (Lane, Vec<News>) {
        let mut news = Vec::new();
        let answers = self.lane.ask_all(self.epoch, &self.commands).await;
        // If there are no answers, nobody knows what became of it.
        let mut answers = answers.unwrap_or_default().into_iter();
        let mut said = self.commands.len() - self.appends.len();
        while said > 0 {
            let _heard = answers.next();
            said -= 1;
        }
        for (mirror, batch, entry) in self.appends {
            if !matches!(answers.next(), Some(Value::BulkString(_))) {
                mirror.take_back(batch);
                continue;
            }
            if mirror.appended(&batch) {
                let last = mirror.open.next_seq() - 1;
                news.push((log.keys.growth(mirror.id), encoding::news(last, &entry)));
            }
            mirror.go_on();
        }
        (self.lane, news)
    }
}
