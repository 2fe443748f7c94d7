//! Ctrl-C while an answer comes: the first cancels it, the second leaves.
//!
//! What is written may block, at a pager that nobody scrolls for one, and with it all that happens in
//! the runtime. So signals are taken by a thread of their own, which leaves for us where we cannot.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::end::End;

/// How long we may take to leave an answer by ourselves, which keeps what came of it.
const GRACE: Duration = Duration::from_millis(250);

/// How many may wait to be heard.
const WAITING: usize = 16;

/// The interrupts of the answer under way.
pub(super) struct Interrupts {
    /// The number of the answer under way; even while there is none.
    answer: Arc<AtomicU64>,
    /// For which answer each was.
    heard: Receiver<u64>,
}

impl Interrupts {
    /// Takes the signal over.
    ///
    /// # Errors
    /// The system does not let us.
    pub(super) fn take() -> io::Result<Self> {
        let answer = Arc::new(AtomicU64::new(0));
        let (sender, heard) = channel(WAITING);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let signals = {
            let _context = runtime.enter();
            signal(SignalKind::interrupt())?
        };
        let watched = Arc::clone(&answer);
        std::thread::Builder::new()
            .name("interrupts".to_owned())
            .spawn(move || runtime.block_on(watch(signals, &watched, &sender)))?;
        Ok(Self { answer, heard })
    }

    /// An answer begins. An interrupt that came before is not for it.
    pub(super) fn begin(&self) {
        self.answer.fetch_add(1, Ordering::SeqCst);
    }

    /// It is over.
    pub(super) fn end(&self) {
        self.answer.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits for the next that is for the answer under way.
    pub(super) async fn next(&mut self) {
        while let Some(answer) = self.heard.recv().await {
            if answer == self.answer.load(Ordering::SeqCst) {
                return;
            }
        }
        // The thread that would tell us is gone.
        std::future::pending::<()>().await;
    }
}

async fn watch(mut signals: Signal, answer: &AtomicU64, sender: &Sender<u64>) {
    let (mut interrupted, mut times) = (0, 0_u32);
    while signals.recv().await.is_some() {
        let now = answer.load(Ordering::SeqCst);
        // Where so many wait, nobody takes them, and one more says nothing new.
        if matches!(sender.try_send(now), Err(TrySendError::Closed(_))) {
            return;
        }
        if now != interrupted {
            (interrupted, times) = (now, 0);
        }
        times = times.saturating_add(1);
        if now % 2 == 1 && times > 1 {
            tokio::time::sleep(GRACE).await;
            if answer.load(Ordering::SeqCst) == now {
                std::process::exit(End::Cancelled.status().into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn an_interrupt_between_two_answers_does_not_cancel_the_next() {
        let (sender, heard) = channel(WAITING);
        let answer = Arc::new(AtomicU64::new(0));
        let mut interrupts = Interrupts { answer, heard };
        interrupts.begin();
        sender.try_send(1).unwrap();
        assert!(interrupts.next().now_or_never().is_some());
        // A second one that was not needed any more, and one at no answer at all.
        sender.try_send(1).unwrap();
        interrupts.end();
        sender.try_send(2).unwrap();
        interrupts.begin();
        assert!(interrupts.next().now_or_never().is_none());
        sender.try_send(3).unwrap();
        assert!(interrupts.next().now_or_never().is_some());
    }
}
