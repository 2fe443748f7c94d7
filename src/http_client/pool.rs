//! Connections that wait for the next request, for each thread and client, and are closed in time whether
//! that comes or not: nobody asks again for a client that a reload has dropped.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::Endpoint;
use super::connection::Connection;
use super::framing::Framing;

/// How many of a client are kept by one thread.
const MOST: usize = 32;

/// How long one is kept. Servers built on uvicorn, cpp-httplib and Node close idle ones after 5 s;
/// a request that is sent in that moment is lost.
const LONGEST: Duration = Duration::from_secs(4);

/// How often those that are kept are looked through. So much longer one may be open.
const SWEEP: Duration = Duration::from_secs(1);

thread_local! {
    static IDLE: RefCell<HashMap<u64, Vec<Idle>>> = RefCell::default();
    /// The task that looks through them, while there are any.
    static SWEEPING: RefCell<Option<AbortHandle>> = const { RefCell::new(None) };
}

struct Idle {
    since: Instant,
    connection: Connection,
    /// What was left of the last answer: often only its end, which comes a moment later.
    framing: Framing,
}

impl Idle {
    /// Whether the connection is still there, the last answer has ended, and nothing else has come.
    fn is_usable(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        while !self.framing.is_over() {
            let mut is_end = false;
            let read = self.connection.poll_read(&mut context, |mut rest| {
                while let Ok(Some(_)) = self.framing.next(&mut rest) {}
                is_end = rest.is_empty();
            });
            if !is_end || !matches!(read, Poll::Ready(Ok(true))) {
                return false;
            }
        }
        self.connection.is_quiet()
    }
}

/// A number for an endpoint that no other has, also after it is gone.
pub(super) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A connection that was used before and is still there.
pub(super) fn take(endpoint: &Endpoint) -> Option<Connection> {
    IDLE.with_borrow_mut(|idle| {
        let connections = idle.get_mut(&endpoint.id)?;
        while let Some(mut idle) = connections.pop() {
            if idle.since.elapsed() > LONGEST {
                // The others wait even longer.
                connections.clear();
            } else if idle.is_usable() {
                return Some(idle.connection);
            }
        }
        None
    })
}

/// Keeps a connection, of whose last answer this much is left.
pub(super) fn put_back(endpoint: &Endpoint, connection: Connection, framing: Framing) {
    // Without a runtime nobody would close it.
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    IDLE.with_borrow_mut(|idle| {
        let connections = idle.entry(endpoint.id).or_default();
        if connections.len() < MOST {
            connections.push(Idle {
                since: Instant::now(),
                connection,
                framing,
            });
        }
    });
    SWEEPING.with_borrow_mut(|sweeping| {
        if sweeping.as_ref().is_none_or(AbortHandle::is_finished) {
            *sweeping = Some(runtime.spawn(sweep()).abort_handle());
        }
    });
}

/// Closes what has been kept for long enough, until nothing is kept. Each of our runtimes has one thread,
/// so that this is the one whose connections they are.
async fn sweep() {
    loop {
        tokio::time::sleep(SWEEP).await;
        let is_over = IDLE.with_borrow_mut(|idle| {
            idle.retain(|_, connections| {
                connections.retain(|idle| idle.since.elapsed() <= LONGEST);
                !connections.is_empty()
            });
            idle.is_empty()
        });
        if is_over {
            return;
        }
    }
}
