//! One exchange with one server of Redis, in which many streams are appended to; and after it one more, in
//! which readers on other nodes are told what was appended, and nothing that was refused.

use std::sync::Arc;

use redis::{Value, pipe};
use tokio::time::Instant;

use super::mirror::Mirror;
use super::{Inner, encoding, keys};
use crate::redis::Lane;
use crate::stream::Batch;

/// What goes to one server.
pub(super) struct Exchange {
    lane: Lane,
    epoch: u64,
    appends: Vec<Append>,
}

struct Append {
    mirror: Arc<Mirror>,
    batch: Batch,
    /// The sequence numbers of its first and its last entry.
    first: u64,
    last: u64,
    entry: Vec<u8>,
}

impl Exchange {
    pub(super) fn new(lane: Lane) -> Self {
        Self {
            epoch: lane.epoch(),
            lane,
            appends: Vec::new(),
        }
    }

    /// Takes what the stream has to say.
    pub(super) fn add(&mut self, mirror: Arc<Mirror>) {
        if let Some(batch) = mirror.take_together(self.epoch) {
            let first = mirror.open.next_seq();
            self.appends.push(Append {
                first,
                last: first + batch.len() as u64 - 1,
                entry: encoding::encode(&batch),
                batch,
                mirror,
            });
        }
    }

    pub(super) async fn run(self, log: &Inner) {
        if self.appends.is_empty() {
            return;
        }
        let mut appends = pipe();
        for append in &self.appends {
            appends
                .cmd("XADD")
                .arg(log.keys.entries(append.mirror.id))
                .arg("NOMKSTREAM")
                .arg(keys::entry(append.mirror.outbox().fence, append.last))
                .arg("b")
                .arg(&append.entry);
        }
        let asked = Instant::now();
        let answers = self.lane.ask_all(self.epoch, &appends).await;
        if answers.as_ref().is_ok_and(|answers| !answers.is_empty()) {
            log.appends.record(asked.elapsed());
        }
        // If there are no answers, nobody knows what became of it.
        let mut answers = answers.unwrap_or_default().into_iter();
        let mut news = pipe();
        for append in self.appends {
            if !matches!(answers.next(), Some(Value::BulkString(_))) {
                append.mirror.take_back(append.batch);
                continue;
            }
            append.mirror.appended(&append.batch, append.first);
            if append.mirror.open.state().is_read_elsewhere() {
                news.cmd("PUBLISH")
                    .arg(log.keys.growth(append.mirror.id))
                    .arg(encoding::news(
                        append.mirror.outbox().fence,
                        append.last,
                        &append.entry,
                    ));
            }
            append.mirror.go_on();
        }
        if !news.is_empty() {
            // Those who do not hear it look each second.
            let _unheard = self.lane.ask_all(self.epoch, &news).await;
        }
    }
}
