//! How the server stops: first it drains, then it ends what is left, then it goes.
//!
//! Only the phases and their order; who signals and who listens is in `app.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// How long readers may take to be told how their streams ended.
const FAREWELL: Duration = Duration::from_secs(5);

/// The phases of a stop, as tokens to look at and to wait for.
#[derive(Debug, Clone, Default)]
pub struct Phases {
    /// No new generation is started; readiness fails.
    pub draining: CancellationToken,
    /// What still runs ends now with `server_stopping`.
    pub stopping: Stopping,
}

/// Fires once, when what still runs must end. Looking whether it has costs every producer a read of
/// one flag, and no lock.
#[derive(Debug, Clone, Default)]
pub struct Stopping {
    flag: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Stopping {
    /// Ends what still runs.
    pub fn fire(&self) {
        self.flag.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Whether it has fired.
    #[must_use]
    pub fn has_fired(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }

    /// Waits until it fires.
    pub fn fired(&self) -> WaitForCancellationFutureOwned {
        self.token.clone().cancelled_owned()
    }
}

/// The signals that ask for a stop: SIGINT (Ctrl-C) and SIGTERM.
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Takes over the signals of this process.
    ///
    /// # Errors
    /// The operating system refused.
    pub fn install() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Drains: live generations may finish within `limit`, then they are ended, and their readers are
/// given time to be told.
pub async fn drain(
    phases: &Phases,
    producers: &TaskTracker,
    readers: &TaskTracker,
    limit: Duration,
) {
    phases.draining.cancel();
    producers.close();
    tracing::info!(
        generations = producers.len(),
        limit_s = limit.as_secs(),
        "Draining: no new generations; live ones may finish; a second signal stops at once"
    );
    if tokio::time::timeout(limit, producers.wait()).await.is_err() {
        tracing::warn!(
            generations = producers.len(),
            "The drain time is over: ending what is left"
        );
        phases.stopping.fire();
        let _late = tokio::time::timeout(FAREWELL, producers.wait()).await;
    }
    readers.close();
    let _slow = tokio::time::timeout(FAREWELL, readers.wait()).await;
}
