//! What this node listens to: one connection, on which every stream that is read here and written
//! elsewhere has a channel, and the writers here have one together.
//!
//! A message says that there is something to look at, or what is new as far as its writer knows. When
//! the connection breaks, everybody looks, and once more when it is back.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Msg, Value};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::mirror::{Merged, Mirror};
use super::{Inner, encoding, following};
use crate::stream::StreamId;
use crate::stream_log::LogError;

/// How many requests may wait for the connection.
pub(super) const QUEUE: usize = 1024;

/// The pause before the connection is made again.
const PAUSE: Duration = Duration::from_millis(200);

/// How long the server may take to acknowledge.
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(5);

/// How often it is asked whether it is still there: a connection that is dead is as silent as one on
/// which nobody has anything to say.
const ASKING: Duration = Duration::from_secs(3);

/// What the hub is asked.
pub(super) enum Request {
    /// Wake the stream's reader from now on, for the first time when Redis has acknowledged that.
    Join(StreamId),
    /// Nobody reads it here any more.
    Leave(StreamId),
}

/// Runs until the log is gone.
pub(super) async fn run(log: Weak<Inner>, mut requests: mpsc::Receiver<Request>) {
    let mut streams = HashMap::new();
    while let Some(inner) = log.upgrade() {
        let listening = listen(&inner, &streams).await;
        drop(inner);
        match listening {
            Ok((sink, messages)) => {
                let over = serve(&log, &mut requests, &mut streams, sink, messages).await;
                if over.is_none() {
                    return;
                }
            }
            Err(()) => sleep(PAUSE).await,
        }
        // Whoever waits is woken when the connection is back, and looks each second until then.
        while let Ok(request) = requests.try_recv() {
            match request {
                Request::Join(id) => join(&mut streams, id),
                Request::Leave(id) => _ = leave(&mut streams, id),
            }
        }
    }
}

async fn listen(
    inner: &Arc<Inner>,
    streams: &HashMap<StreamId, usize>,
) -> Result<(PubSubSink, PubSubStream), ()> {
    let (mut sink, messages) = inner.redis.listen().await?.split();
    let mut channels = vec![inner.keys.control(&inner.node)];
    channels.extend(streams.keys().map(|id| inner.keys.growth(*id)));
    let subscribed = timeout(ACKNOWLEDGEMENT, sink.subscribe(&channels)).await;
    if !matches!(subscribed, Ok(Ok(()))) {
        return Err(());
    }
    inner.wake_all();
    Ok((sink, messages))
}

/// Serves until the connection breaks; nothing when the log is gone.
async fn serve(
    log: &Weak<Inner>,
    requests: &mut mpsc::Receiver<Request>,
    streams: &mut HashMap<StreamId, usize>,
    sink: PubSubSink,
    mut messages: PubSubStream,
) -> Option<()> {
    let mut silence = pin!(silence(sink.clone()));
    let mut subscriptions = pin!(subscribe(log, requests, streams, sink));
    loop {
        tokio::select! {
            () = &mut silence => {
                tracing::warn!("What Redis publishes is heard no more: listening anew");
                log.upgrade()?.wake_all();
                return Some(());
            }
            message = messages.next() => match message {
                None => {
                    log.upgrade()?.wake_all();
                    return Some(());
                }
                Some(message) => hear(&*log.upgrade()?, &message),
            },
            over = &mut subscriptions => return over,
        }
    }
}

/// Does what is asked, all that waits at once, until Redis does not; nothing when the log is gone.
async fn subscribe(
    log: &Weak<Inner>,
    requests: &mut mpsc::Receiver<Request>,
    streams: &mut HashMap<StreamId, usize>,
    mut sink: PubSubSink,
) -> Option<()> {
    loop {
        let mut waiting = Vec::new();
        if requests.recv_many(&mut waiting, QUEUE).await == 0 {
            return None;
        }
        let (mut joined, mut left) = (HashSet::new(), HashSet::new());
        for request in waiting {
            match request {
                Request::Join(id) => {
                    join(streams, id);
                    joined.insert(id);
                }
                Request::Leave(id) => {
                    if leave(streams, id) {
                        left.insert(id);
                    }
                }
            }
        }
        // What counts is how it stands after all of them.
        joined.retain(|id| streams.contains_key(id));
        left.retain(|id| !streams.contains_key(id));
        let keys = log.upgrade()?.keys.clone();
        let channels =
            |ids: &HashSet<StreamId>| -> Vec<_> { ids.iter().map(|id| keys.growth(*id)).collect() };
        if !joined.is_empty() {
            let subscribed = sink.subscribe(channels(&joined));
            if !matches!(timeout(ACKNOWLEDGEMENT, subscribed).await, Ok(Ok(()))) {
                return Some(());
            }
            let inner = log.upgrade()?;
            for mirror in joined.iter().filter_map(|id| inner.mirror(*id)) {
                mirror.look();
            }
        }
        if !left.is_empty() {
            let unsubscribed = sink.unsubscribe(channels(&left));
            if !matches!(timeout(ACKNOWLEDGEMENT, unsubscribed).await, Ok(Ok(()))) {
                return Some(());
            }
        }
    }
}

/// Ends when the connection is dead.
async fn silence(mut sink: PubSubSink) {
    loop {
        sleep(ASKING).await;
        let answer = timeout(ACKNOWLEDGEMENT, sink.ping::<Value>()).await;
        if !matches!(answer, Ok(Ok(_))) {
            return;
        }
    }
}

/// A mirror may be left and another made before the hub hears of either.
fn join(streams: &mut HashMap<StreamId, usize>, id: StreamId) {
    *streams.entry(id).or_default() += 1;
}

/// Answers whether nobody is left.
fn leave(streams: &mut HashMap<StreamId, usize>, id: StreamId) -> bool {
    let Some(count) = streams.get_mut(&id) else {
        return false;
    };
    *count -= 1;
    let last = *count == 0;
    if last {
        streams.remove(&id);
    }
    last
}

/// The stream that the message is about has something to look at.
fn hear(inner: &Inner, message: &Msg) {
    let channel = message.get_channel_name();
    let said = message.get_payload_bytes();
    let is_control = channel == inner.keys.control(&inner.node);
    let id = if is_control {
        str::from_utf8(said).ok()
    } else {
        channel.get(channel.len().saturating_sub(32)..)
    };
    let Some(mirror) = id.and_then(|id| inner.mirror(id.parse().ok()?)) else {
        return;
    };
    if is_control || !is_merged(inner, &mirror, said) {
        mirror.look();
    }
}

/// Merges what is new, if the message says what. Answers whether nothing is left to look at.
fn is_merged(inner: &Inner, mirror: &Mirror, said: &[u8]) -> bool {
    let Some((fence, batch)) = encoding::heard(said) else {
        return false;
    };
    {
        let outbox = mirror.outbox();
        // What we say ourselves is here, though others of this node may listen to it.
        if fence == outbox.fence {
            return true;
        }
        // What another writer has to say may follow something else than what is here: Redis knows.
        if fence != outbox.seen {
            return false;
        }
    }
    match mirror.merge(&batch) {
        Merged::Agrees => true,
        Merged::Gap => false,
        Merged::Contradicts => {
            following::contradicted(mirror);
            following::give_up(mirror, inner, LogError::Unavailable);
            true
        }
    }
}
