//! Appends what all streams of this node have to say, together: one exchange with a server of Redis for
//! whatever is ready, and the next when that is answered.
//!
//! Alone, a token waits for nothing. What comes just after an exchange waits for a moment, since to wake
//! Redis costs it more than to append: so the busier a node is, the more goes together. After an exchange
//! that took long there is a pause as long, so that Redis has at least as much time for others.
//!
//! An append here is one plain command. It relies on a checked one before it (`writing.rs`) on the same
//! connections: Redis then has what came before. Whatever else happens is left to the stream's task.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::exchange::Exchange;
use super::mirror::Mirror;
use super::{Inner, keys};

/// How many streams are appended to in one exchange.
const MOST: usize = 2048;

/// The least time from an exchange's beginning to the next one's, and what each append in it adds to that
/// from some number on: a node appends at most 24,000 times a second.
const PACE: Duration = Duration::from_millis(1);
const EACH: Duration = Duration::from_micros(42);

/// The longest pause after an exchange for what it took.
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// The streams that have something to append: in a cluster by partition, since a server that hangs is to
/// be nothing to the others; else together.
pub(super) struct Appending(Vec<Queue>);

#[derive(Default)]
struct Queue {
    waiting: Mutex<Vec<Arc<Mirror>>>,
    wake: Notify,
}

impl Appending {
    pub(super) fn new(is_cluster: bool) -> Self {
        let queues = if is_cluster { keys::PARTITIONS } else { 1 };
        Self((0..queues).map(|_| Queue::default()).collect())
    }

    /// Starts what brings it to Redis.
    pub(super) fn start(self: &Arc<Self>, log: &Arc<Inner>) {
        for partition in (0..keys::PARTITIONS).take(self.0.len()) {
            log.spawn(run(Arc::downgrade(log), Arc::clone(self), partition));
        }
    }

    fn queue(&self, partition: u8) -> &Queue {
        &self.0[usize::from(partition) % self.0.len()]
    }

    /// Adds a stream, which is not among them.
    pub(super) fn push(&self, mirror: Arc<Mirror>) {
        let queue = self.queue(keys::partition(mirror.id));
        let mut waiting = queue.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = waiting.is_empty();
        waiting.push(mirror);
        drop(waiting);
        if is_first {
            queue.wake.notify_one();
        }
    }
}

impl Queue {
    fn take(&self) -> Vec<Arc<Mirror>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let most = waiting.len().min(MOST);
        waiting.drain(..most).collect()
    }
}

/// Runs until the log is gone.
async fn run(log: Weak<Inner>, appending: Arc<Appending>, partition: u8) {
    let queue = appending.queue(partition);
    loop {
        let streams = queue.take();
        if streams.is_empty() {
            queue.wake.notified().await;
            continue;
        }
        let Some(log) = log.upgrade() else { return };
        let began = Instant::now();
        let count = streams.len();
        append(&log, partition, streams).await;
        drop(log);
        let took = began.elapsed();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let next = PACE.max(EACH * count).max(took + took.min(LONGEST_PAUSE));
        sleep(next.saturating_sub(took)).await;
    }
}

async fn append(log: &Inner, partition: u8, streams: Vec<Arc<Mirror>>) {
    let Ok(lane) = log.redis.lane(&log.keys.leases(partition)).await else {
        for mirror in streams {
            mirror.send_alone();
        }
        return;
    };
    let mut exchange = Exchange::new(lane);
    for mirror in streams {
        exchange.add(mirror);
    }
    exchange.run(log).await;
}
