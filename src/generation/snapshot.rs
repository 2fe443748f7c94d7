//! A stream as it stands: what a client that was not there would have seen by now.

use std::sync::Arc;

use async_stream::stream;
use futures_util::Stream;

use crate::stream::{Kind, Owner};
use crate::stream_log::{Access, Description, LogError, StreamLog};

/// How much of the log is read in one step, in bytes. A text is never held whole: it may be as
/// large as a stream, and its reader slow.
const STEP_BYTES: usize = 16 * 1024;

/// A stream's description, and its text up to the entry that the description knows as the last.
pub struct Snapshot {
    /// All but the text.
    pub description: Description,
    log: Arc<dyn StreamLog>,
    owner: Owner,
}

impl Snapshot {
    pub(super) fn new(description: Description, log: Arc<dyn StreamLog>, owner: Owner) -> Self {
        Self {
            description,
            log,
            owner,
        }
    }

    /// The texts of the entries of this kind, in order, in pieces.
    pub fn texts(&self, kind: Kind) -> impl Stream<Item = Result<String, LogError>> + use<> {
        let (log, owner) = (Arc::clone(&self.log), self.owner.clone());
        let (id, last) = (self.description.id, self.description.last_seq);
        stream! {
            let mut after = None;
            while after.is_none_or(|seq| seq < last) {
                let read = log.read(Access::Owner(&owner), id, after, STEP_BYTES).await;
                let batch = match read {
                    Ok(batch) => batch,
                    Err(error) => {
                        yield Err(error);
                        return;
                    }
                };
                let entries = batch.entries().take_while(|entry| entry.seq <= last);
                let mut texts = String::new();
                for entry in entries {
                    after = Some(entry.seq);
                    if entry.kind == kind {
                        texts.push_str(entry.payload);
                    }
                }
                yield Ok(texts);
            }
        }
    }
}
