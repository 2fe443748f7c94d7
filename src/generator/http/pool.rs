//! Connections that wait for the next request, for each thread and upstream.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::poll_fn;

use super::Endpoint;
use super::connection::Connection;

/// How many of an upstream are kept by one thread.
const MOST: usize = 32;

/// How long one is kept. Servers close idle ones after a minute or less.
const LONGEST: Duration = Duration::from_secs(15);

thread_local! {
    static IDLE: RefCell<HashMap<usize, Vec<(Instant, Connection)>>> = RefCell::default();
}

/// The endpoint lives as long as the server, so its address names it.
fn key(endpoint: &Arc<Endpoint>) -> usize {
    Arc::as_ptr(endpoint).addr()
}

/// A connection that was used before and is still there.
pub(super) async fn take(endpoint: &Arc<Endpoint>) -> Option<Connection> {
    loop {
        let (since, mut connection) =
            IDLE.with_borrow_mut(|idle| idle.get_mut(&key(endpoint))?.pop())?;
        if since.elapsed() > LONGEST {
            // The others wait even longer.
            IDLE.with_borrow_mut(|idle| idle.remove(&key(endpoint)));
            return None;
        }
        let usable = poll_fn(|context| std::task::Poll::Ready(connection.poll_usable(context)));
        if usable.await {
            return Some(connection);
        }
    }
}

/// Keeps a connection whose answer has been read to its end.
pub(super) fn put_back(endpoint: &Arc<Endpoint>, connection: Connection) {
    IDLE.with_borrow_mut(|idle| {
        let connections = idle.entry(key(endpoint)).or_default();
        connections.retain(|(since, _)| since.elapsed() <= LONGEST);
        if connections.len() < MOST {
            connections.push((Instant::now(), connection));
        }
    });
}
