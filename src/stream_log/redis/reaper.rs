//! Ends streams whose writers are gone: their leases have run out. Every node does, and the first one
//! wins.

use std::sync::Weak;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::writing::millis;
use super::{Inner, encoding, record};
use crate::redis::Ask;
use crate::stream::{Batch, StreamId};
use crate::stream_log::LogError;
use crate::stream_log::open::producer_lost;

/// How many streams of a partition are ended at once.
const MOST: usize = 64;

/// How often a stream may be gone on with by another node: what brings down three nodes is to end.
pub(super) const MOST_CLAIMS: u64 = 3;

/// Runs until the log is gone.
pub(super) async fn run(log: Weak<Inner>) {
    while let Some(inner) = log.upgrade() {
        // All at once: in a cluster, those of one server need not wait for another's.
        let reaping = (0..super::keys::PARTITIONS).map(|partition| reap(&inner, partition));
        // What fails is tried again, and said by whoever asks Redis.
        let _some_failed = join_all(reaping).await;
        // Nodes that were started together do not all ask together.
        let every = inner.config.lease / 10;
        drop(inner);
        sleep(every.mul_f64(rand::random_range(0.5..1.5))).await;
    }
}

async fn reap(log: &Inner, partition: u8) -> Result<(), LogError> {
    for id in due(log, partition).await? {
        if end(log, id).await? {
            tracing::warn!(stream.id = %id, "Ended a stream whose producer is gone");
        }
    }
    Ok(())
}

/// Streams of a partition whose writers are gone.
pub(super) async fn due(log: &Inner, partition: u8) -> Result<Vec<StreamId>, LogError> {
    let leases = log.keys.leases(partition);
    let mut due = log.scripts.due.key(&leases);
    due.arg(MOST);
    let due: Vec<String> = log.ask(Duration::ZERO, Ask::Script(&due)).await?;
    // While Redis was away nobody could renew: writers that are still there have a lease's time.
    let up = log.redis.up_for_key(&leases);
    if up.is_none_or(|up| up < log.config.lease) {
        return Ok(Vec::new());
    }
    Ok(due.iter().filter_map(|id| id.parse().ok()).collect())
}

async fn end(log: &Inner, id: StreamId) -> Result<bool, LogError> {
    let terminal = producer_lost();
    let mut batch = Batch::default();
    batch.push_terminal(&terminal);
    let mut script = log.on_stream(&log.scripts.reap, id);
    script
        .arg(encoding::encode(&batch))
        .arg(record::terminal_text(&terminal))
        .arg(millis(log.config.retention))
        .arg(millis(log.config.remembered()))
        .arg(log.keys.growth(id))
        .arg(log.keys.control(""))
        .arg(millis(log.config.lease * 2 / 5))
        .arg(MOST_CLAIMS);
    let ended: u8 = log.ask(Duration::ZERO, Ask::Script(&script)).await?;
    Ok(ended == 1)
}
