//! Fetches one stream that another node writes, for as long as it is read here.

use std::sync::Arc;
use std::time::Duration;

use redis::cmd;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use super::hub::Request;
use super::mirror::{Mirror, Succession};
use super::writing::{self, millis};
use super::{HEALING, Inner, encoding};
use crate::redis::Ask;
use crate::stream::{Batch, StreamId};
use crate::stream_log::{LogError, Presence, Status, Writer};

/// How often Redis is asked whether a message went astray.
const EVERY: Duration = Duration::from_secs(1);

/// How long a node that says nothing more counts as a reader.
const ATTENDANCE: Duration = Duration::from_secs(5);

/// How long to wait until Redis has acknowledged that we listen.
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(5);

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
        // If the hub has no room it is about to connect anew, and a message too many does no harm.
        let _full = log.hub.send(Request::Leave(mirror.id)).await;
    }
    match followed {
        Ok(None) => {}
        Ok(Some(succession)) => succeed(mirror, &log, succession).await,
        Err(error) => {
            mirror.leave_untended();
            mirror.lose(error);
        }
    }
}

/// Writes the stream, if all of it is here.
async fn succeed(mirror: Arc<Mirror>, log: &Inner, succession: Succession) {
    let fetched = fetch(&mirror, log).await;
    if fetched.is_err() || mirror.open.next_seq() <= succession.last {
        mirror.leave_untended();
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
    fetch(mirror, log).await?;
    let mut attended = false;
    let mut looked = Instant::now();
    // Since when Redis knows nothing of it.
    let mut since = None;
    while mirror.open.status() == Status::Running {
        if let Some(succession) = mirror.outbox().succession.take() {
            return Ok(Some(succession));
        }
        if !*listens {
            *listens = true;
            let (acknowledge, acknowledged) = oneshot::channel();
            let _gone = log.hub.send(Request::Join(mirror.id, acknowledge)).await;
            let _late = timeout(ACKNOWLEDGEMENT, acknowledged).await;
            fetch(mirror, log).await?;
            continue;
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
            if last >= mirror.open.next_seq() {
                fetch(mirror, log).await?;
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
            fetch(mirror, log).await?;
        }
    }
    mirror.leave_untended();
    Ok(None)
}

/// Reads what Redis has and the mirror has not.
async fn fetch(mirror: &Mirror, log: &Inner) -> Result<(), LogError> {
    loop {
        let next = mirror.open.next_seq();
        let read = range(log, mirror.id, next).await?;
        let count = read.len();
        for batch in read {
            if mirror.merge(&batch) {
                tracing::warn!(
                    stream.id = %mirror.id, stream.next = next,
                    "Entries of a stream are missing in Redis: waiting for them"
                );
                return Ok(());
            }
        }
        if count < STEP {
            return Ok(());
        }
    }
}

/// An entry of a Redis stream: its id, and its one field.
type StoredEntry = (String, Vec<(String, Vec<u8>)>);

/// Some batches from the one on that has the entry `next`.
pub(super) async fn range(log: &Inner, id: StreamId, next: u64) -> Result<Vec<Batch>, LogError> {
    let mut command = cmd("XRANGE");
    command
        .arg(log.keys.entries(id))
        .arg(format!("{next}-0"))
        .arg("+")
        .arg("COUNT")
        .arg(STEP);
    let read: Vec<StoredEntry> = log.ask(log.config.patience, Ask::Command(&command)).await?;
    let mut batches = Vec::with_capacity(read.len());
    for (name, fields) in read {
        let last = name.split_once('-').and_then(|(last, _)| last.parse().ok());
        let batch = last.and_then(|last| encoding::decode(&fields.first()?.1, last));
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
