//! What this node listens to: one connection, on which every stream that is read here and written
//! elsewhere has a channel, and the writers here have one together.
//!
//! A message only says that there is something to look at. When the connection breaks, everybody
//! looks, and once more when it is back.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Msg, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::Inner;
use crate::stream::StreamId;

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
    /// Wake the stream's reader from now on; answered when Redis has acknowledged.
    Join(StreamId, oneshot::Sender<()>),
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
        // Whoever waits for an acknowledgement goes on without one, and looks each second.
        while let Ok(request) = requests.try_recv() {
            match request {
                Request::Join(id, _) => join(&mut streams, id),
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
    mut sink: PubSubSink,
    mut messages: PubSubStream,
) -> Option<()> {
    let mut silence = pin!(silence(sink.clone()));
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
            request = requests.recv() => {
                let inner = log.upgrade()?;
                let done = async {
                    match request? {
                        Request::Join(id, acknowledge) => {
                            join(streams, id);
                            let subscribed = sink.subscribe(inner.keys.growth(id));
                            let subscribed = timeout(ACKNOWLEDGEMENT, subscribed).await;
                            let _gone = acknowledge.send(());
                            Some(matches!(subscribed, Ok(Ok(()))))
                        }
                        Request::Leave(id) => {
                            if !leave(streams, id) {
                                return Some(true);
                            }
                            let left = sink.unsubscribe(inner.keys.growth(id));
                            Some(matches!(timeout(ACKNOWLEDGEMENT, left).await, Ok(Ok(()))))
                        }
                    }
                };
                if !done.await? {
                    return Some(());
                }
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
    let id = if channel == inner.keys.control(&inner.node) {
        String::from_utf8(message.get_payload_bytes().to_vec()).ok()
    } else {
        channel
            .get(channel.len().saturating_sub(32)..)
            .map(str::to_owned)
    };
    if let Some(mirror) = id.and_then(|id| inner.mirror(id.parse().ok()?)) {
        mirror.look();
    }
}
