//! One exchange with one server of Redis, in which many streams are appended to.
//!
//! A stream that is read here only costs a plain command. Those that are read on other nodes too go
//! through a script, which tells those readers what it has appended, and nothing that was refused: one
//! call for all of them, or in a cluster, where a script may touch the keys of one slot, for all of a
//! partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use redis::{Pipeline, ServerErrorKind, Value, pipe};

use super::mirror::Mirror;
use super::{Inner, encoding, keys};
use crate::redis::Lane;
use crate::stream::Batch;

/// How many streams one call of the script appends to: Redis does nothing else meanwhile.
const MOST_IN_A_CALL: usize = 128;

/// What goes to one server.
pub(super) struct Exchange {
    lane: Lane,
    epoch: u64,
    /// Streams that are read here only.
    plain: Vec<Append>,
    /// Streams that are read elsewhere, by what one call may touch.
    relayed: BTreeMap<u8, Vec<Append>>,
}

struct Append {
    mirror: Arc<Mirror>,
    batch: Batch,
    last: u64,
}

impl Append {
    fn id(&self) -> String {
        keys::entry(self.mirror.outbox().fence, self.last)
    }

    /// Redis has it, or nobody knows what became of it.
    fn end(self, is_done: bool) {
        if is_done {
            self.mirror.appended(&self.batch);
            self.mirror.go_on();
        } else {
            self.mirror.take_back(self.batch);
        }
    }
}

impl Exchange {
    pub(super) fn new(lane: Lane) -> Self {
        Self {
            epoch: lane.epoch(),
            lane,
            plain: Vec::new(),
            relayed: BTreeMap::new(),
        }
    }

    pub(super) fn is_with(&self, lane: &Lane) -> bool {
        self.lane.is(lane)
    }

    /// Takes what the stream has to say.
    pub(super) fn add(&mut self, mirror: Arc<Mirror>) {
        let Some(batch) = mirror.take_together(self.epoch) else {
            return;
        };
        let is_read_elsewhere = mirror.open.state().is_read_elsewhere();
        let append = Append {
            last: mirror.open.next_seq() + batch.len() as u64 - 1,
            batch,
            mirror,
        };
        if is_read_elsewhere {
            let group = if self.lane.is_of_a_cluster() {
                keys::partition(append.mirror.id)
            } else {
                0
            };
            self.relayed.entry(group).or_default().push(append);
        } else {
            self.plain.push(append);
        }
    }

    fn commands(&self, log: &Inner, knows_script: bool) -> Pipeline {
        let mut commands = pipe();
        for append in &self.plain {
            commands
                .cmd("XADD")
                .arg(log.keys.entries(append.mirror.id))
                .arg("NOMKSTREAM")
                .arg(append.id())
                .arg("b")
                .arg(encoding::encode(&append.batch));
        }
        for appends in self.calls() {
            let mut script = log.scripts.relay.prepare_invoke();
            for append in appends {
                script
                    .key(log.keys.entries(append.mirror.id))
                    .arg(append.id())
                    .arg(encoding::encode(&append.batch))
                    .arg(log.keys.growth(append.mirror.id))
                    .arg(&encoding::place(append.last)[..]);
            }
            commands.add_command(if knows_script {
                script.by_hash()
            } else {
                script.in_full()
            });
        }
        commands
    }

    fn calls(&self) -> impl Iterator<Item = &[Append]> {
        let groups = self.relayed.values();
        groups.flat_map(|appends| appends.chunks(MOST_IN_A_CALL))
    }

    /// Appends. Answers whether the server knew the script.
    pub(super) async fn run(self, log: &Inner, mut knows_script: bool) -> bool {
        let commands = self.commands(log, knows_script);
        if commands.is_empty() {
            return knows_script;
        }
        let answers = self.lane.ask_all(self.epoch, &commands).await;
        // If there are no answers, nobody knows what became of it.
        let mut answers = answers.unwrap_or_default().into_iter();
        for append in self.plain {
            append.end(matches!(answers.next(), Some(Value::BulkString(_))));
        }
        for appends in self.relayed.into_values() {
            let mut appends = appends.into_iter().peekable();
            while appends.peek().is_some() {
                let answer = answers.next();
                if let Some(Value::ServerError(error)) = &answer {
                    knows_script = error.kind() != Some(ServerErrorKind::NoScript);
                } else {
                    knows_script = true;
                }
                let done = match answer {
                    Some(Value::Array(done)) => done,
                    _ => Vec::new(),
                };
                let mut done = done.into_iter();
                for append in appends.by_ref().take(MOST_IN_A_CALL) {
                    append.end(matches!(done.next(), Some(Value::Int(1))));
                }
            }
        }
        knows_script
    }
}
