//! How the server stops: first it says so and serves on, then it drains, then it ends what is left, then
//! it goes.
//!
//! Only the phases and their order; who signals and who listens is in `app.rs`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

/// The most that may pass from the end of the drain time until the process is gone, whatever hangs: who stops
/// it waits longer. It is the sum of what follows, and a second for what has no time of its own.
pub const FAREWELLS: Duration =
    Duration::from_secs(TELL.as_secs() + CLOSE.as_secs() + LAST_SPANS.as_secs() + 1);

/// How long streams may take to end when they must, and how long readers may take to be told how theirs did.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long both may take together.
const TELL: Duration = Duration::from_secs(8);

/// How long connections may take then to close.
pub const CLOSE: Duration = Duration::from_secs(2);

/// How long the collector may take at the end to take the last spans.
pub const LAST_SPANS: Duration = Duration::from_secs(1);

/// The phases of a stop, as tokens to look at and to wait for.
#[derive(Debug, Clone, Default)]
pub struct Phases {
    /// Readiness fails, and each answer closes its connection; everything is still served.
    pub leaving: CancellationToken,
    /// No new generation is started.
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

    /// Watches it for one task.
    #[must_use]
    pub fn watch(&self) -> StopWatch {
        StopWatch {
            flag: Arc::clone(&self.flag),
            fired: Box::pin(self.token.clone().cancelled_owned()),
            waits: false,
        }
    }
}

/// One task's eye on [`Stopping`].
pub struct StopWatch {
    flag: Arc<AtomicBool>,
    fired: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Whether the future knows whom to wake; it is told once, and then only the flag is looked at.
    waits: bool,
}

impl StopWatch {
    /// Whether it has fired. If not, the task of the first such call is woken when it does.
    pub fn poll_fired(&mut self, context: &mut Context<'_>) -> bool {
        if self.flag.load(Ordering::Acquire) {
            return true;
        }
        if self.waits {
            return false;
        }
        self.waits = true;
        self.fired.as_mut().poll(context).is_ready()
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

/// How long the phases take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// How long everything is served on.
    pub delay: Duration,
    /// How long live generations may take to finish then.
    pub limit: Duration,
}

/// Serves on for a while, for whoever has not heard yet that the server leaves. Then it drains: live
/// generations may finish within a limit, then they are ended (or left to other nodes, with `leaves`), and
/// their readers are given time to be told. `settle` is done meanwhile.
pub async fn drain(
    phases: &Phases,
    producers: &TaskTracker,
    readers: &TaskTracker,
    Times { delay, limit }: Times,
    leaves: bool,
    settle: impl Future<Output = ()>,
) {
    phases.leaving.cancel();
    if !delay.is_zero() {
        tracing::info!(
            delay_s = delay.as_secs(),
            "Leaving: no longer ready, and serving on until that is known; a second signal stops at once"
        );
        tokio::time::sleep(delay).await;
    }
    phases.draining.cancel();
    producers.close();
    tracing::info!(
        generations = producers.len(),
        limit_s = limit.as_secs(),
        "Draining: no new generations; live ones may finish; a second signal stops at once"
    );
    let is_late = timeout(limit, producers.wait()).await.is_err();
    let told = Instant::now() + TELL;
    if is_late {
        let generations = producers.len();
        if leaves {
            tracing::info!(
                generations,
                "The drain time is over: leaving the rest to other nodes"
            );
        } else {
            tracing::warn!(generations, "The drain time is over: ending what is left");
        }
        phases.stopping.fire();
        let _late = timeout(FAREWELL, producers.wait()).await;
    }
    readers.close();
    let telling = timeout_at(told.min(Instant::now() + FAREWELL), readers.wait());
    let _slow = tokio::join!(telling, timeout_at(told, settle));
}
