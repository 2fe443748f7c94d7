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
    let Due { lost, .. } = due(log, partition).await?;
    for id in lost {
        if end(log, id).await? {
            tracing::warn!(stream.id = %id, "Ended a stream whose producer is gone");
        }
    }
    Ok(())
}

/// Streams of a partition that nobody writes.
pub(super) struct Due {
    /// Their writers are gone.
    pub(super) lost: Vec<StreamId>,
    /// Their writers have left them to other nodes.
    pub(super) left: Vec<StreamId>,
}

pub(super) async fn due(log: &Inner, partition: u8) -> Result<Due, LogError> {
    let leases = log.keys.leases(partition);
    let mut due = log.scripts.due.key(&leases);
    due.key(log.keys.left(partition)).arg(MOST);
    let (lost, left): (Vec<String>, Vec<String>) =
        log.ask(Duration::ZERO, Ask::Script(&due)).await?;
    let ids = |texts: Vec<String>| texts.iter().filter_map(|id| id.parse().ok()).collect();
    // While Redis was away nobody could renew: writers that are still there have a lease's time.
    let up = log.redis.up_for_key(&leases);
    let has_been_up = up.is_some_and(|up| up >= log.config.lease);
    Ok(Due {
        lost: if has_been_up { ids(lost) } else { Vec::new() },
        left: ids(left),
    })
}

async fn end(log: &Inner, id: StreamId) -> Result<bool, LogError> {
    let grace = log.config.lease * 2 / 5;
    // Whoever would go on with it is to have had as much time since Redis is back.
    let up = log.redis.up_for_key(&log.keys.meta(id));
    let grace = match up {
        Some(up) if up >= log.config.lease + grace => grace,
        _ => log.config.most_life,
    };
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
        .arg(millis(grace))
        .arg(MOST_CLAIMS);
    let ended: u8 = log.ask(Duration::ZERO, Ask::Script(&script)).await?;
    Ok(ended == 1)
}
