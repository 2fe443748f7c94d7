//! Whether a server of Redis answers, since when, and what the log says of it: a line when that
//! changes, and no line for each request that suffers from it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::fault::{Fault, Kind};
use super::meter::Meter;

/// For how long what some commands meet and others do not is believed to go on.
const MEMORY: Duration = Duration::from_secs(10);

/// How one server is.
pub(super) struct Health {
    state: Mutex<State>,
    /// Counts what goes wrong, of all servers together.
    meter: Meter,
}

#[derive(Default)]
struct State {
    /// Since when it has answered without a failure in between.
    up_since: Option<Instant>,
    /// Why it is of no use.
    down: Option<Trouble>,
    /// What only some commands meet.
    partial: Option<Trouble>,
    /// What its operator was warned of.
    warned: Option<String>,
}

struct Trouble {
    kind: Kind,
    began: Instant,
    last: Instant,
    refused: u64,
}

impl Trouble {
    fn new(kind: Kind) -> Self {
        let now = Instant::now();
        Self {
            kind,
            began: now,
            last: now,
            refused: 1,
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn again(&mut self) {
        self.refused += 1;
        self.last = Instant::now();
    }
}

impl Health {
    pub(super) fn new(meter: Meter) -> Self {
        Self {
            state: Mutex::default(),
            meter,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long it has answered; nothing if it does not, or cannot be used.
    pub(super) fn up_for(&self) -> Option<Duration> {
        self.state().up_since.map(|since| since.elapsed())
    }

    /// Notes that it did what it was asked.
    pub(super) fn answered(&self, address: &str) {
        let mut state = self.state();
        // That reading goes well does not say that writing does.
        let is_over = |trouble: &Trouble| trouble.last.elapsed() >= MEMORY;
        if let Some(partial) = state.partial.take_if(|partial| is_over(partial)) {
            tracing::info!(
                redis.address = address,
                redis.refused = partial.refused,
                redis.trouble_ms = partial.millis(),
                "Redis does again what it is asked"
            );
        }
        if state.up_since.is_some() {
            return;
        }
        if let Some(down) = &state.down {
            if is_partial(&down.kind) && !is_over(down) {
                return;
            }
            tracing::info!(
                redis.address = address,
                redis.refused = down.refused,
                redis.away_ms = down.millis(),
                "Redis answers again"
            );
        } else {
            tracing::info!(redis.address = address, "Redis answers");
        }
        state.down = None;
        state.up_since = Some(Instant::now());
    }

    /// Notes that it did not do what it was asked then.
    pub(super) fn failed(&self, address: &str, fault: &Fault, asked: Instant) {
        self.meter.faults.add(fault.kind.name());
        let mut state = self.state();
        // It has come back since; this is what it was asked before.
        if state.up_since.is_some_and(|since| asked < since) {
            return;
        }
        let is_down = !matches!(fault.kind, Kind::Full | Kind::Other);
        let place = if is_down {
            state.up_since = None;
            &mut state.down
        } else {
            &mut state.partial
        };
        match place {
            Some(trouble) if trouble.kind == fault.kind => trouble.again(),
            _ => {
                *place = Some(Trouble::new(fault.kind.clone()));
                drop(state);
                tracing::error!(
                    redis.address = address,
                    redis.error = fault.text,
                    "{}. {}",
                    what(&fault.kind),
                    fault.advice()
                );
            }
        }
    }

    /// Warns of what Redis is set up for, unless it was said before.
    pub(super) fn warn(&self, address: &str, warning: Option<String>) {
        let mut state = self.state();
        if let Some(text) = warning.as_ref().filter(|_| state.warned != warning) {
            tracing::warn!(redis.address = address, "{text}");
        }
        state.warned = warning;
    }
}

/// Whether others than the one that met it may go well.
const fn is_partial(kind: &Kind) -> bool {
    matches!(kind, Kind::Permission | Kind::WrongType)
}

const fn what(kind: &Kind) -> &'static str {
    match kind {
        Kind::Away => "Redis does not answer",
        Kind::Untrusted => "There is no trust between Redis and us",
        Kind::Starting => "Redis is not ready",
        Kind::ReadOnly => "Redis does not take writes",
        Kind::Full => "Redis has no memory left",
        Kind::Login => "Redis does not let us in",
        Kind::Permission => "Redis does not allow what it was asked",
        Kind::WrongType => "Redis has something else under a name of ours",
        Kind::Unsuitable => "Redis cannot be used",
        Kind::NoMaster => "Redis has no master",
        Kind::NoScript | Kind::Moved(_) | Kind::Ask(_) | Kind::Other => {
            "Redis did not do what it was asked"
        }
    }
}
