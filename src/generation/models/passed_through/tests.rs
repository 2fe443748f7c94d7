//! One question for all who ask, and what becomes of an old list.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, join_all};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::generator::{Deltas, Prompt};

/// A server that lists one model, or fails, after letting others have a turn.
#[derive(Default)]
struct Listing {
    asked: AtomicUsize,
    fails: Mutex<bool>,
}

impl Generator for Listing {
    fn generate(&self, _: Arc<Prompt>, _: CancellationToken) -> Deltas {
        Box::pin(futures_util::stream::empty())
    }
}

impl ModelServer for Listing {
    fn models(&self) -> LocalBoxFuture<'_, Result<Vec<String>, GeneratorError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            if *self.fails.lock().unwrap() {
                return Err(GeneratorError::retryable("out"));
            }
            Ok(vec!["small".to_owned()])
        }
        .boxed_local()
    }
}

fn passed_through() -> (Arc<Listing>, PassedThrough) {
    let server = Arc::new(Listing::default());
    let passed = PassedThrough::new(Arc::clone(&server) as Arc<dyn ModelServer>);
    (server, passed)
}

impl Listing {
    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }

    fn fail(&self, fails: bool) {
        *self.fails.lock().unwrap() = fails;
    }
}

impl PassedThrough {
    /// As if so much time had passed.
    fn wait(&self, time: Duration) {
        let mut known = self.known();
        if let Some((at, _)) = &mut known.listed {
            *at -= time;
        }
        if let Some((at, _)) = &mut known.failed {
            *at -= time;
        }
    }
}

#[tokio::test]
async fn all_who_ask_share_one_question() {
    let (server, passed) = passed_through();
    let all = join_all((0..50).map(|_| passed.has("small"))).await;
    assert!(all.into_iter().all(|has| has == Ok(true)));
    assert_eq!(server.asked(), 1);
    passed.wait(LIST_AGE);
    let all = join_all((0..50).map(|_| passed.has("small"))).await;
    assert!(all.into_iter().all(|has| has == Ok(true)));
    assert_eq!(server.asked(), 1, "also when the list is old");
    for _ in 0..3 {
        passed.wait(PAUSE);
        let all = join_all((0..50).map(|at| {
            let name = format!("unknown {at}");
            let passed = &passed;
            async move { passed.has(&name).await }
        }));
        assert!(all.await.into_iter().all(|has| has == Ok(false)));
        assert_eq!(server.asked(), 1, "and when names are unknown");
    }
}

#[tokio::test]
async fn an_old_list_is_believed_while_no_new_one_comes() {
    let (server, passed) = passed_through();
    assert_eq!(passed.has("small").await, Ok(true));
    server.fail(true);
    passed.wait(2 * LIST_AGE);
    for _ in 0..20 {
        assert_eq!(passed.has("small").await, Ok(true));
        assert_eq!(passed.names().await.unwrap().len(), 1);
    }
    assert_eq!(server.asked(), 2, "a failure is not repeated at once");
    assert!(passed.has("new").await.is_err(), "it may be new");
    passed.wait(PAUSE);
    server.fail(false);
    assert_eq!(passed.has("new").await, Ok(false));
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn without_a_list_a_failure_is_everybodys() {
    let (server, passed) = passed_through();
    server.fail(true);
    let all = join_all((0..50).map(|_| passed.has("small"))).await;
    assert!(all.into_iter().all(|has| has.is_err()));
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn whoever_leaves_while_asking_leaves_it_to_the_next() {
    let (server, passed) = passed_through();
    {
        let leaving = std::pin::pin!(passed.has("small"));
        assert_eq!(leaving.now_or_never(), None);
    }
    assert_eq!(passed.has("small").await, Ok(true));
    assert_eq!(server.asked(), 2);
}
