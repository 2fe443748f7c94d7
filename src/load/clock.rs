//! Waits until a moment more exactly than the runtime's timers, which tick each millisecond: a thread
//! that sleeps knows the time to within some microseconds.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Instant;

use tokio::sync::Notify;

/// An alarm clock.
pub(super) struct Clock {
    set: SyncSender<Instant>,
    rings: Arc<Notify>,
}

impl Clock {
    /// # Errors
    /// There is no thread for it.
    pub(super) fn new() -> io::Result<Self> {
        let (set, settings) = sync_channel(1);
        let rings = Arc::new(Notify::new());
        let bell = Arc::clone(&rings);
        std::thread::Builder::new()
            .name("clock".to_owned())
            .spawn(move || ring(&settings, &bell))?;
        Ok(Self { set, rings })
    }

    /// Waits until then.
    pub(super) async fn until(&self, due: Instant) -> io::Result<()> {
        while Instant::now() < due {
            self.set.send(due).map_err(io::Error::other)?;
            // It may have rung for an earlier setting.
            self.rings.notified().await;
        }
        Ok(())
    }
}

/// Rings whenever it is time, until nobody is left to set it.
fn ring(settings: &Receiver<Instant>, bell: &Notify) {
    while let Ok(mut due) = settings.recv() {
        loop {
            let left = due.saturating_duration_since(Instant::now());
            match settings.recv_timeout(left) {
                Ok(other) => due = other,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        bell.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_waits_again_and_again_and_never_too_short() {
        let clock = Clock::new().unwrap();
        clock.until(Instant::now()).await.unwrap();
        for _ in 0..20 {
            let due = Instant::now() + Duration::from_micros(300);
            clock.until(due).await.unwrap();
            assert!(Instant::now() >= due);
        }
    }

    #[tokio::test]
    async fn it_may_be_set_to_an_earlier_time() {
        let clock = Clock::new().unwrap();
        let late = clock.until(Instant::now() + Duration::from_secs(3600));
        let given_up = tokio::time::timeout(Duration::from_millis(5), late).await;
        assert!(given_up.is_err());
        let due = Instant::now() + Duration::from_millis(1);
        clock.until(due).await.unwrap();
    }
}
