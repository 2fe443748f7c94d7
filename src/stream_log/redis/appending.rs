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
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::exchange::Exchange;
use super::mirror::Mirror;
use super::{Inner, keys};
use crate::redis::Lane;

/// How many streams are appended to in one exchange.
const MOST: usize = 2048;

/// The least time from an exchange's beginning to the next one's, and what each append in it adds to that
/// from some number on: a node appends at most 24,000 times a second.
const PACE: Duration = Duration::from_millis(1);
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
        let exchanges = exchanges(&inner, streams).await.into_iter();
        join_all(exchanges.map(|exchange| exchange.run(&inner))).await;
        drop(inner);
        let took = began.elapsed();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let next = PACE.max(EACH * count).max(took + took.min(LONGEST_PAUSE));
        sleep(next.saturating_sub(took)).await;
    }
}

/// What the streams have to say, by who is told.
async fn exchanges(log: &Inner, streams: Vec<Arc<Mirror>>) -> Vec<Exchange> {
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
        let at = exchanges.iter().position(|exchange| exchange.is_with(lane));
        let at = at.unwrap_or_else(|| {
            exchanges.push(Exchange::new(lane.clone()));
            exchanges.len() - 1
        });
        exchanges[at].add(mirror);
    }
    exchanges
}
