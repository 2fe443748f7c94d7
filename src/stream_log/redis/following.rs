//! Fetches one stream that another node writes, for as long as it is read here.

use std::sync::Arc;
use std::time::Duration;

use redis::cmd;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, sleep_until};

use super::hub::Request;
use super::mirror::{Merged, Mirror, Succession};
use super::writing::{self, millis};
use super::{HEALING, Inner, encoding, keys};
use crate::redis::Ask;
use crate::stream::{Batch, StreamId};
use crate::stream_log::{LogError, Presence, Status, Writer};

/// How often Redis is asked whether a message went astray.
const EVERY: Duration = Duration::from_secs(1);

/// How long a node that says nothing more counts as a reader.
const ATTENDANCE: Duration = Duration::from_secs(5);

/// How many entries of Redis are read at once; each is a batch.
const STEP: usize = 64;

/// Runs until all of the stream is here, or nobody reads it here; or goes on as its writer.
pub(super) async fn run(mirror: Arc<Mirror>) {
    let Some(log) = mirror.log.upgrade() else {
        return;
    };
    let mut listens = false;
    let followed = follow(&mirror, &log, &mut listens).await;
    if listens {
        leave(&log, mirror.id);
    }
    match followed {
        Ok(None) => {}
        Ok(Some(succession)) => succeed(mirror, &log, succession).await,
        Err(error) => give_up(&mirror, &log, error),
    }
}

/// Nothing more comes here: whoever reads it is told, and whoever comes next begins anew.
pub(super) fn give_up(mirror: &Mirror, log: &Inner, error: LogError) {
    mirror.lose(error);
    if let Some(this) = mirror.itself() {
        log.forget(mirror.id, &Arc::downgrade(&this));
    }
    mirror.leave_untended();
}

pub(super) fn contradicted(mirror: &Mirror) {
    tracing::warn!(
        stream.id = %mirror.id, stream.next = mirror.open.next_seq(),
        "Redis has lost the end of a stream that is read here, and it went on or ended otherwise: its readers must resume"
    );
}

/// Listens no more. The hub must hear of it, but nobody waits for that.
fn leave(log: &Inner, id: StreamId) {
    if let Err(TrySendError::Full(request)) = log.hub.try_send(Request::Leave(id)) {
        let hub = log.hub.clone();
        log.spawn(async move { _ = hub.send(request).await });
    }
}

/// Writes the stream, if all of it is here.
async fn succeed(mirror: Arc<Mirror>, log: &Inner, succession: Succession) {
    let fetched = fetch(&mirror, log, &mut None).await;
    if fetched.is_err() || mirror.open.next_seq() <= succession.last {
        give_up(&mirror, log, LogError::Unavailable);
        return;
    }
    mirror.outbox().fence = succession.fence;
    // If nobody takes it, it is dropped, and the stream ends as it must.
    let _gone = succession.done.send(Writer::new(Arc::clone(&mirror) as _));
    writing::run(mirror).await;
}

/// Answers who wants to write it.
async fn follow(
    mirror: &Mirror,
    log: &Inner,
    listens: &mut bool,
) -> Result<Option<Succession>, LogError> {
    let mut gap = None;
    fetch(mirror, log, &mut gap).await?;
    let mut attended = false;
    let mut looked = Instant::now();
    // Since when Redis knows nothing of it.
    let mut since = None;
    while mirror.open.status() == Status::Running {
        if let Some(succession) = mirror.outbox().succession.take() {
            return Ok(Some(succession));
        }
        if !*listens {
            // If the hub has no room, this looks each second, and asks again.
            *listens = log.hub.try_send(Request::Join(mirror.id)).is_ok();
        }
        let (attends, (ever, left)) = {
            let state = mirror.open.state();
            (state.is_followed(), state.visits())
        };
        let came = ever.saturating_sub(mirror.outbox().reported);
        if attends != attended || came > 0 || looked.elapsed() >= EVERY {
            let (status, last) = attend(mirror, log, came, attends, left).await?;
            looked = Instant::now();
            attended = attends;
            mirror.outbox().reported = ever;
            if status == "missing" {
                // Its writer makes it again, if there is one.
                if since.get_or_insert(looked).elapsed() > HEALING {
                    return Err(LogError::Expired);
                }
            } else {
                since = None;
            }
            let is_closed = status == "closed";
            if is_closed || last >= mirror.open.next_seq() {
                fetch(mirror, log, &mut gap).await?;
            }
            if is_closed && mirror.open.status() == Status::Running {
                // Nothing is added to it any more, and what would be its end for us is not there.
                contradicted(mirror);
                return Err(LogError::Unavailable);
            }
        }
        if !attends {
            if mirror.is_deserted() {
                return Ok(None);
            }
            continue;
        }
        tokio::select! {
            () = mirror.wake.notified() => {}
            () = sleep_until(looked + EVERY) => {}
        }
        if mirror.must_look() {
            fetch(mirror, log, &mut gap).await?;
        }
    }
    mirror.leave_untended();
    Ok(None)
}

/// Reads what Redis has and the mirror has not. Entries may be missing from `gap` on, which is said once.
async fn fetch(mirror: &Mirror, log: &Inner, gap: &mut Option<u64>) -> Result<(), LogError> {
    loop {
        let next = mirror.open.next_seq();
        let fence = {
            let outbox = mirror.outbox();
            outbox.seen.max(outbox.fence).max(writing::FIRST_FENCE)
        };
        let read = range(log, mirror.id, &keys::entry(fence, next)).await?;
        let count = read.len();
        for (at, batch) in read {
            match mirror.merge(&batch) {
                Merged::Agrees => mirror.outbox().seen = at.fence,
                Merged::Gap => {
                    let next = mirror.open.next_seq();
                    if gap.replace(next) != Some(next) {
                        tracing::warn!(
                            stream.id = %mirror.id, stream.next = next,
                            "Entries of a stream are missing in Redis: waiting for them"
                        );
                    }
                    return Ok(());
                }
                Merged::Contradicts => {
                    contradicted(mirror);
                    return Err(LogError::Unavailable);
                }
            }
        }
        if count < STEP {
            return Ok(());
        }
    }
}

/// An entry of a Redis stream: its id, and its one field.
type StoredEntry = (String, Vec<(String, Vec<u8>)>);

/// Where an entry of a Redis stream stands.
pub(super) struct At {
    pub(super) fence: u64,
    last: u64,
}

impl At {
    fn parse(id: &str) -> Option<Self> {
        let (fence, last) = id.split_once('-')?;
        Some(Self {
            fence: fence.parse().ok()?,
            last: last.parse().ok()?,
        })
    }

    /// Where the next one may stand.
    pub(super) fn after(&self) -> String {
        keys::entry(self.fence, self.last.saturating_add(1))
    }
}

/// Some batches from that place on, and where they stand.
pub(super) async fn range(
    log: &Inner,
    id: StreamId,
    from: &str,
) -> Result<Vec<(At, Batch)>, LogError> {
    let mut command = cmd("XRANGE");
    command
        .arg(log.keys.entries(id))
        .arg(from)
        .arg("+")
        .arg("COUNT")
        .arg(STEP);
    let read: Vec<StoredEntry> = log.ask(log.config.patience, Ask::Command(&command)).await?;
    let mut batches = Vec::with_capacity(read.len());
    for (name, fields) in read {
        let batch = At::parse(&name).and_then(|at| {
            let batch = encoding::decode(&fields.first()?.1, at.last)?;
            Some((at, batch))
        });
        let Some(batch) = batch else {
            tracing::error!(stream.id = %id, "An entry in Redis is not one of ours");
            return Err(LogError::Unavailable);
        };
        batches.push(batch);
    }
    Ok(batches)
}

/// Tells the writer's node who reads here, and asks how far the stream is.
async fn attend(
    mirror: &Mirror,
    log: &Inner,
    came: u64,
    attends: bool,
    left: Presence,
) -> Result<(String, u64), LogError> {
    let mut script = log.on_stream(&log.scripts.attend, mirror.id);
    script
        .arg(&log.node)
        .arg(came)
        .arg(u8::from(attends))
        .arg(match left {
            Presence::Connected => "connected",
            Presence::Polling => "polling",
        })
        .arg(millis(ATTENDANCE))
        .arg(log.keys.control(""));
    let (status, last): (String, i64) = log.ask(log.config.patience, Ask::Script(&script)).await?;
    Ok((status, u64::try_from(last).unwrap_or_default()))
}
