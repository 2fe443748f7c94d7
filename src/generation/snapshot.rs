//! A stream as it stands: what a client that was not there would have seen by now.

use crate::stream::{Batch, Cursor, Kind, StreamId, Terminal};
use crate::stream_log::{Access, Description, LogError, StreamLog};

/// How much of the log is read in one step, in bytes.
const STEP_BYTES: usize = 64 * 1024;

/// A stream's description and its text, of one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// All but the entries. Its `last_seq` and `terminal` fit the text.
    pub description: Description,
    /// The answer so far.
    pub text: String,
    /// The reasoning so far.
    pub reasoning: String,
}

impl Snapshot {
    /// The cursor of the last entry that the text contains.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        Cursor {
            stream: self.description.id,
            seq: self.description.last_seq,
        }
    }
}

/// Reads a stream to its present end.
pub(super) async fn take(
    log: &dyn StreamLog,
    access: Access<'_>,
    id: StreamId,
) -> Result<Snapshot, LogError> {
    let mut description = log.describe(access, id).await?;
    let (mut text, mut reasoning) = (String::new(), String::new());
    let mut after = None;
    loop {
        let batch: Batch = log.read(access, id, after, STEP_BYTES).await?;
        let mut terminal: Option<Terminal> = None;
        for entry in batch.entries() {
            match entry.kind {
                Kind::Text => text.push_str(entry.payload),
                Kind::Reasoning => reasoning.push_str(entry.payload),
                Kind::Start | Kind::ToolCall => {}
                Kind::Done | Kind::Error => terminal = entry.terminal(),
            }
            after = Some(entry.seq);
        }
        // The stream may have grown since it was described: what was read decides.
        if let Some(seq) = after {
            description.last_seq = seq;
        }
        if terminal.is_some() || batch.is_empty() {
            description.terminal = terminal;
            return Ok(Snapshot {
                description,
                text,
                reasoning,
            });
        }
    }
}
