//! Goes on with streams whose writers are gone: whoever claims one has its fence, and is its writer.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::keys::PARTITIONS;
use super::reaper::{self, Due, MOST_CLAIMS};
use super::writing::millis;
use super::{Inner, REQUEST_PATIENCE};
use crate::redis::Ask;
use crate::stream::{Batch, StreamId};
use crate::stream_log::{LogError, Orphan};

impl Inner {
    pub(super) async fn find_orphans(self: &Arc<Self>, found: mpsc::Sender<Orphan>) {
        loop {
            // Nodes do not all look at the same place first.
            let start = rand::random_range(0..PARTITIONS);
            for step in 0..PARTITIONS {
                let due = reaper::due(self, (start + step) % PARTITIONS).await;
                let Ok(Due { lost, left }) = due else {
                    continue;
                };
                let left = left.into_iter().map(|id| (id, true));
                for (id, was_left) in left.chain(lost.into_iter().map(|id| (id, false))) {
                    // A writer of this node that was away for too long renews its own lease, or is
                    // fenced.
                    if self.mirror(id).is_some_and(|mirror| mirror.is_settled()) {
                        continue;
                    }
                    let Ok(place) = found.clone().reserve_owned().await else {
                        return;
                    };
                    // One that takes long is nothing to the others.
                    let log = Arc::clone(self);
                    self.spawn(async move {
                        // What cannot be claimed is found again.
                        if let Ok(Some(orphan)) = log.claim(id).await {
                            if was_left {
                                tracing::info!(stream.id = %id, "Goes on with a stream that another node has left");
                            } else {
                                tracing::warn!(stream.id = %id, "Goes on with a stream whose producer is lost");
                            }
                            place.send(orphan);
                        }
                    });
                }
            }
            sleep((self.config.lease / 10).mul_f64(rand::random_range(0.5..1.5))).await;
        }
    }

    async fn claim(self: &Arc<Self>, id: StreamId) -> Result<Option<Orphan>, LogError> {
        let mut script = self.on_stream(&self.scripts.claim, id);
        script
            .arg(&self.node)
            .arg(millis(self.config.lease))
            .arg(MOST_CLAIMS)
            .arg(self.keys.control(""));
        let claimed: Option<(u64, u64, u8, String)> =
            self.ask(REQUEST_PATIENCE, Ask::Script(&script)).await?;
        let Some((fence, last, cancel, job)) = claimed else {
            return Ok(None);
        };
        let mirror = self.mirror_to_write(id);
        let writer = mirror.succeed(self, fence, last).await?;
        if cancel == 1 {
            mirror.open.cancel();
        }
        let mut entries = Batch::default();
        mirror
            .open
            .state()
            .entries
            .copy(0, &mut entries, usize::MAX);
        Ok(Some(Orphan {
            id,
            job,
            entries,
            writer,
        }))
    }
}
