//! Follows, reads and cancels a stream for whoever may.

use std::sync::Arc;
use tokio::time::{Instant, sleep};

use super::{HEALING, Inner, REQUEST_PATIENCE, following, keys};
use crate::redis::Ask;
use crate::stream::{Batch, StreamId};
use crate::stream_log::{Access, Follower, LogError, Presence};

impl Inner {
    pub(super) async fn follow(
        self: &Arc<Self>,
        access: Access<'_>,
        id: StreamId,
        after: Option<u64>,
        presence: Presence,
    ) -> Result<Follower, LogError> {
        let started = Instant::now();
        let mirror = self.mirror_or_new(id);
        let known = loop {
            let record = self.find_record(access, id).await?;
            let known = record.last().max(mirror.open.next_seq().saturating_sub(1));
            if after.is_none_or(|after| after <= known) {
                break known;
            }
            // It has lost entries and gets them again.
            if record.has_ended() || started.elapsed() > HEALING {
                return Err(LogError::BeyondEnd);
            }
            sleep(HEALING / 40).await;
        };
        let slot = mirror.open.join();
        mirror.fetch(self);
        mirror.wake.notify_one();
        let next = after.map_or(0, |seq| seq + 1);
        let backlog = (known + 1).saturating_sub(next);
        Ok(Follower::new(mirror, slot, next, presence).behind(backlog))
    }

    pub(super) async fn read(
        &self,
        access: Access<'_>,
        id: StreamId,
        after: Option<u64>,
        max_bytes: usize,
    ) -> Result<Batch, LogError> {
        let last = self.find_record(access, id).await?.last();
        let next = after.map_or(0, |seq| seq + 1);
        let mut batch = Batch::starting_at(next);
        if let Some(mirror) = self.mirror(id)
            && mirror.open.next_seq() > next
        {
            mirror
                .open
                .state()
                .entries
                .copy(next, &mut batch, max_bytes);
            return Ok(batch);
        }
        if after.is_some_and(|after| after > last) {
            return Err(LogError::BeyondEnd);
        }
        let mut from = keys::entry(1, next);
        while batch.is_empty() && next <= last {
            let read = following::range(self, id, &from).await?;
            let Some((at, _)) = read.last() else { break };
            from = at.after();
            for (_, read) in read {
                // What another writer came after stands there once more in part.
                if read.next_seq() <= batch.next_seq() {
                    continue;
                }
                let from = batch.next_seq();
                if read.first_seq() > from {
                    break;
                }
                batch.extend_from(&read, from, max_bytes);
                if batch.next_seq() < read.next_seq() {
                    break;
                }
            }
        }
        Ok(batch)
    }

    pub(super) async fn cancel(&self, access: Access<'_>, id: StreamId) -> Result<(), LogError> {
        if self.find_record(access, id).await?.has_ended() {
            return Ok(());
        }
        let mut script = self.on_stream(&self.scripts.cancel, id);
        script.arg(self.keys.control(""));
        self.ask(REQUEST_PATIENCE, Ask::Script(&script)).await
    }
}
