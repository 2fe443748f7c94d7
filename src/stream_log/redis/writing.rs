//! Looks after one stream that this node writes: its lease, its first entry and its end, and whatever
//! plain appends (`appending.rs`) cannot settle.
//!
//! An append here is checked by a script, and repeated until Redis has answered, since a repetition is told from a new one. If
//! Redis has forgotten what it had acknowledged (a failover), the mirror still has it, under the same
//! numbers, until a while after the end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::mirror::Mirror;
use super::outbox::HandOver;
use super::{Inner, REQUEST_PATIENCE, encoding};
use crate::redis::Ask;
use crate::stream::Batch;
use crate::stream_log::{LogError, Presence};

/// The fence of a stream's first writer, which `create` gives.
pub(super) const FIRST_FENCE: u64 = 1;

/// How much is written at once when what was lost is written again, in bytes.
const HEAL_BYTES: usize = 64 * 1024;

/// When, after the end, it is seen to that Redis still has everything.
const LOOKS_AFTER_THE_END: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];

/// Why the stream cannot be written any more.
enum Stop {
    /// Somebody else has ended it: the rest is to be read.
    Ended,
    /// It is left to another node.
    HandedOver,
    /// It is gone, or Redis is.
    Lost(LogError),
}

impl From<LogError> for Stop {
    fn from(error: LogError) -> Self {
        Self::Lost(error)
    }
}

/// Runs until the stream has ended.
pub(super) async fn run(mirror: Arc<Mirror>) {
    let Some(log) = mirror.log.upgrade() else {
        return;
    };
    match write(&mirror, &log).await {
        Ok(()) => mirror.outbox().is_tended = false,
        Err(Stop::Ended) => {
            tracing::warn!(stream.id = %mirror.id, "A stream was ended by another node: its writer was away for too long");
            mirror.fail_writer(LogError::Closed);
            mirror.outbox().is_tended = false;
            mirror.fetch(&log);
        }
        Err(Stop::HandedOver) => {
            mirror.outbox().is_tended = false;
            mirror.lose(LogError::Unavailable);
        }
        Err(Stop::Lost(error)) => {
            tracing::error!(stream.id = %mirror.id, %error, "A stream can no longer be logged");
            mirror.outbox().is_tended = false;
            mirror.fail_writer(error.clone());
            mirror.lose(error);
        }
    }
}

async fn write(mirror: &Mirror, log: &Inner) -> Result<(), Stop> {
    let every = log.config.lease * 3 / 10;
    let mut renewed = Instant::now();
    let mut ever = 0;
    loop {
        let due = tokio::select! {
            () = mirror.wake.notified() => false,
            () = sleep_until(renewed + every) => true,
        };
        if mirror.must_look() || due {
            renew(mirror, log, &mut ever).await?;
            renewed = Instant::now();
        }
        while let Some(batch) = mirror.take() {
            // Each token need not renew the lease; a tenth of it is often enough.
            let renews = renewed.elapsed() >= log.config.lease / 10;
            let is_end = match send(mirror, log, &batch, renews).await {
                Err(Stop::Lost(LogError::Full)) => {
                    mirror.refuse();
                    continue;
                }
                sent => sent?,
            };
            if renews {
                renewed = Instant::now();
            }
            if is_end {
                return guard(mirror, log, &mut ever).await;
            }
            let outbox = mirror.outbox();
            if outbox.checked > 0 && !outbox.closing {
                // The rest need not be checked.
                if !outbox.queue.is_empty() {
                    mirror.send_on(outbox);
                }
                break;
            }
        }
        let leaves = {
            let outbox = mirror.outbox();
            let is_idle = !outbox.in_flight && outbox.queue.is_empty() && outbox.again.is_none();
            is_idle && outbox.handing_over == HandOver::Asked
        };
        if leaves {
            hand_over(mirror, log).await?;
        }
    }
}

/// Leaves the stream to another node, if it is still ours.
async fn hand_over(mirror: &Mirror, log: &Inner) -> Result<(), Stop> {
    let mut script = log.on_stream(&log.scripts.leave, mirror.id);
    script
        .arg(mirror.outbox().fence)
        .arg(millis(log.config.lease));
    let left: Result<u8, _> = log.ask(REQUEST_PATIENCE, Ask::Script(&script)).await;
    let is_left = left == Ok(1);
    let mut outbox = mirror.outbox();
    outbox.handing_over = if is_left {
        HandOver::Done
    } else {
        HandOver::Refused
    };
    outbox.waits.wake();
    if is_left {
        return Err(Stop::HandedOver);
    }
    Ok(())
}

/// Sees to it that what has ended stays whole, for a while.
async fn guard(mirror: &Mirror, log: &Inner, ever: &mut u64) -> Result<(), Stop> {
    for pause in LOOKS_AFTER_THE_END {
        sleep(pause).await;
        match renew(mirror, log, ever).await {
            Ok(()) => {}
            // It was told and is here; that it cannot be found later is all that is lost.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Appends what follows what is in the mirror, and then adds it there. Answers whether it was the end.
async fn send(mirror: &Mirror, log: &Inner, batch: &Batch, renews: bool) -> Result<bool, Stop> {
    let first = mirror.open.next_seq();
    let lane = log.redis.lane(&log.keys.meta(mirror.id)).await;
    let epoch = lane.map_or(0, |lane| lane.epoch());
    while let Some(there) = append(mirror, log, batch, first, renews).await? {
        catch_up(mirror, log, there).await?;
    }
    mirror.outbox().checked = epoch;
    mirror.appended(batch, first);
    Ok(mirror.outbox().closed)
}

/// Appends once more what Redis lacks, which has the first `there` entries.
async fn heal(mirror: &Mirror, log: &Inner, mut there: u64) -> Result<(), Stop> {
    tracing::warn!(
        stream.id = %mirror.id, stream.entries = there,
        "Redis has lost what it had acknowledged: writing it again"
    );
    mirror.outbox().appends = None;
    let mut batch = Batch::default();
    loop {
        let next = mirror.open.next_seq();
        if there > next {
            return Err(Stop::Ended);
        }
        if there == next {
            return Ok(());
        }
        mirror
            .open
            .state()
            .entries
            .copy(there, &mut batch, HEAL_BYTES);
        there = match append(mirror, log, &batch, there, true).await? {
            Some(there) => there,
            None => batch.next_seq(),
        };
    }
}

/// Appends once more what Redis lacks, which has the first `there` entries; if there are none, then it
/// may have others, which are in the way.
async fn catch_up(mirror: &Mirror, log: &Inner, there: u64) -> Result<(), Stop> {
    if there > 0 {
        return heal(mirror, log, there).await;
    }
    let mut script = log.on_stream(&log.scripts.reset, mirror.id);
    script.arg(mirror.outbox().fence);
    let reset: u8 = log.ask(log.config.patience, Ask::Script(&script)).await?;
    if reset == 0 {
        return Err(Stop::Ended);
    }
    heal(mirror, log, 0).await
}

/// Asks Redis to append. If there is a gap, answers how many entries there are.
async fn append(
    mirror: &Mirror,
    log: &Inner,
    batch: &Batch,
    first: u64,
    renews: bool,
) -> Result<Option<u64>, Stop> {
    let terminal = batch
        .entries()
        .next_back()
        .filter(|last| last.kind.is_terminal());
    let append = match terminal {
        None => &log.scripts.append,
        Some(_) => &log.scripts.close,
    };
    let (fence, appends) = {
        let outbox = mirror.outbox();
        (outbox.fence, outbox.appends.unwrap_or_default())
    };
    let mut script = log.on_stream(append, mirror.id);
    script
        .arg(fence)
        .arg(first)
        .arg(first + batch.len() as u64 - 1)
        .arg(encoding::encode(batch))
        .arg(terminal.map_or("", |last| last.payload))
        .arg(if renews { millis(log.config.lease) } else { 0 })
        .arg(millis(log.config.most_life))
        .arg(millis(log.config.retention))
        .arg(millis(log.config.remembered()))
        .arg(log.keys.growth(mirror.id))
        .arg(appends);
    let asked = Instant::now();
    let (answer, last, cancel): (String, i64, u8) =
        log.ask(log.config.patience, Ask::Script(&script)).await?;
    log.appends.record(asked.elapsed());
    if cancel == 1 {
        mirror.open.cancel();
    }
    let there = u64::try_from(last + 1).unwrap_or_default();
    match answer.as_str() {
        "appended" | "duplicate" => Ok(None),
        "gap" if there < first + batch.len() as u64 => Ok(Some(there)),
        "missing" => {
            log.make_again(mirror).await?;
            Ok(Some(1))
        }
        _ => Err(Stop::Ended),
    }
}

/// Renews the lease, and hears what Redis has to say.
async fn renew(mirror: &Mirror, log: &Inner, ever: &mut u64) -> Result<(), Stop> {
    let mut script = log.on_stream(&log.scripts.renew, mirror.id);
    script
        .arg(mirror.outbox().fence)
        .arg(millis(log.config.lease))
        .arg(millis(log.config.most_life));
    let next = mirror.open.next_seq();
    let appends = mirror.outbox().appends;
    let answer = log.ask(log.config.patience, Ask::Script(&script)).await?;
    let (status, last, count, cancel, came, attended, left): Renewed = answer;
    if cancel == 1 {
        mirror.open.cancel();
    }
    let has_ended = mirror.outbox().closed;
    match status.as_str() {
        "live" => {}
        "closed" if has_ended => return Ok(()),
        "missing" => {
            log.make_again(mirror).await?;
            *ever = 0;
            return heal_alone(mirror, log, 1).await;
        }
        _ => return Err(Stop::Ended),
    }
    {
        let mut state = mirror.open.state();
        let left = if left == "polling" {
            Presence::Polling
        } else {
            Presence::Connected
        };
        state.attend_elsewhere(came.saturating_sub(*ever), attended == 1, left);
        *ever = came;
        mirror.open.wake_writer(&mut state);
    }
    let there = u64::try_from(last + 1).unwrap_or_default();
    let lacks = appends.is_some_and(|appends| count < appends);
    if lacks || there < next {
        let whole = if lacks { 0 } else { there };
        return heal_alone(mirror, log, whole).await;
    }
    let mut outbox = mirror.outbox();
    if outbox.appends.is_none() && !outbox.in_flight && mirror.open.next_seq() == there {
        outbox.appends = Some(count);
    }
    Ok(())
}

/// Heals while nothing else is appended; if something is, it is looked at again after that.
async fn heal_alone(mirror: &Mirror, log: &Inner, there: u64) -> Result<(), Stop> {
    {
        let mut outbox = mirror.outbox();
        outbox.checked = 0;
        if outbox.in_flight {
            drop(outbox);
            mirror.look_later();
            return Ok(());
        }
        outbox.in_flight = true;
    }
    let healed = catch_up(mirror, log, there).await;
    mirror.outbox().in_flight = false;
    healed
}

/// What is heard of a renewal: how the stream stands, its last sequence number, how many appends there
/// are, the cancel flag, how many readers came elsewhere, whether one is there, how the last one left.
type Renewed = (String, i64, u64, u8, u64, u8, String);

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
