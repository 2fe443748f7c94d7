//! Connections that wait for the next request, for each thread and upstream.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Endpoint;
use super::connection::Connection;

/// How many of an upstream are kept by one thread.
const MOST: usize = 32;

/// How long one is kept. Servers built on uvicorn, cpp-httplib and Node close idle ones after 5 s;
/// a request that is sent in that moment is lost.
const LONGEST: Duration = Duration::from_secs(4);

thread_local! {
    static IDLE: RefCell<HashMap<usize, Vec<(Instant, Connection)>>> = RefCell::default();
}

/// The endpoint lives as long as the server, so its address names it.
fn key(endpoint: &Arc<Endpoint>) -> usize {
    Arc::as_ptr(endpoint).addr()
}

/// A connection that was used before and is still there.
pub(super) fn take(endpoint: &Arc<Endpoint>) -> Option<Connection> {
    IDLE.with_borrow_mut(|idle| {
        let connections = idle.get_mut(&key(endpoint))?;
        while let Some((since, connection)) = connections.pop() {
            if since.elapsed() > LONGEST {
                // The others wait even longer.
                connections.clear();
            } else if connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    })
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
