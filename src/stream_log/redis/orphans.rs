//! Goes on with streams whose writers are gone: whoever claims one has its fence, and is its writer.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::keys::PARTITIONS;
use super::reaper::{self, Due, MOST_CLAIMS};
use super::writing::millis;
use super::{Inner, REQUEST_PATIENCE};
use crate::redis::Ask;
use crate::stream::{Batch, StreamId};
use crate::stream_log::{LogError, Orphan};

/// How many streams are claimed at once. Other nodes may take others.
const MOST_AT_ONCE: usize = 16;

impl Inner {
    pub(super) async fn orphans(self: &Arc<Self>) -> Vec<Orphan> {
        loop {
            // Nodes do not all look at the same place first.
            let start = rand::random_range(0..PARTITIONS);
            for step in 0..PARTITIONS {
                let orphans = self.orphans_of((start + step) % PARTITIONS).await;
                let orphans = orphans.unwrap_or_default();
                if !orphans.is_empty() {
                    return orphans;
                }
            }
            sleep((self.config.lease / 10).mul_f64(rand::random_range(0.5..1.5))).await;
        }
    }

    async fn orphans_of(self: &Arc<Self>, partition: u8) -> Result<Vec<Orphan>, LogError> {
        let Due { lost, left } = reaper::due(self, partition).await?;
        // A writer of this node that was away for too long renews its own lease, or is fenced.
        let is_ours = |id| self.mirror(id).is_some_and(|mirror| mirror.is_written());
        let ids = left.into_iter().chain(lost).filter(|id| !is_ours(*id));
        let claims = ids.take(MOST_AT_ONCE).map(|id| self.claim(id));
        let claims = join_all(claims).await.into_iter();
        // What could not be claimed is found again.
        Ok(claims.filter_map(|claim| claim.ok().flatten()).collect())
    }

    async fn claim(self: &Arc<Self>, id: StreamId) -> Result<Option<Orphan>, LogError> {
        let mut script = self.on_stream(&self.scripts.claim, id);
        script
            .arg(&self.node)
            .arg(millis(self.config.lease))
            .arg(MOST_CLAIMS)
            .arg(self.keys.control(""));
        let claimed: Option<(u64, u64, String)> =
            self.ask(REQUEST_PATIENCE, Ask::Script(&script)).await?;
        let Some((fence, last, job)) = claimed else {
            return Ok(None);
        };
        let mirror = self.mirror_or_new(id);
        let writer = mirror.succeed(self, fence, last).await?;
        let mut entries = Batch::default();
        mirror
            .open
            .state()
            .entries
            .copy(0, &mut entries, usize::MAX);
        tracing::warn!(stream.id = %id, stream.last = last, "Goes on with a stream whose producer is gone");
        Ok(Some(Orphan {
            id,
            job,
            entries,
            writer,
        }))
    }
}
