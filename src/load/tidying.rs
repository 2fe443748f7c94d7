//! What goes on at the server when nobody reads it any more is ended when the load is over.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::refusal::NoStream;
use super::run::Load;
use super::target::Target;

/// How long that may take, each half of it.
const TIDYING: Duration = Duration::from_secs(5);

/// Generations that we have left, and those of which we do not know yet whether there are any.
#[derive(Default)]
pub(super) struct Left {
    ids: RefCell<Vec<String>>,
    /// Requests that are under way. They are not given up when the load is over: what they begin would go on.
    asking: RefCell<JoinSet<()>>,
}

impl Left {
    /// A generation that may go on.
    pub(super) fn add(&self, id: Option<String>) {
        self.ids.borrow_mut().extend(id);
    }

    /// Ends them, where nobody else does. Answers how many may go on.
    pub(super) async fn tidy(&self, target: &Target) -> usize {
        const AT_ONCE: usize = 32;
        let mut asking = std::mem::take(&mut *self.asking.borrow_mut());
        let answered = async { while asking.join_next().await.is_some() {} };
        let _late = timeout(TIDYING, answered).await;
        let mut ids = self.ids.take();
        ids.sort_unstable();
        ids.dedup();
        let mut go_on = ids.len() + asking.len();
        let cancelling = futures_util::stream::iter(&ids)
            .map(|id| target.cancel(id))
            .buffer_unordered(AT_ONCE)
            .for_each(|cancelled| {
                let is_over = match cancelled {
                    Err(NoStream::Refused(refused)) => matches!(refused.status, 404 | 410),
                    other => other.is_ok(),
                };
                go_on -= usize::from(is_over);
                std::future::ready(())
            });
        let _late = timeout(TIDYING, cancelling).await;
        go_on
    }
}

/// Asks for a stream, of which `id` tells the name. If it goes on when nobody reads it, it is ended also when
/// whoever has asked for it leaves before the answer.
pub(super) async fn start<T: 'static>(
    load: &Rc<Load>,
    ask: impl AsyncFnOnce(&Target) -> Result<T, NoStream> + 'static,
    id: fn(&T) -> Option<String>,
) -> Result<T, NoStream> {
    if !load.target.call.goes_on {
        return ask(&load.target).await;
    }
    let (tell, told) = oneshot::channel();
    let asker = Rc::clone(load);
    let asking = async move {
        if let Err(Ok(answer)) = tell.send(ask(&asker.target).await) {
            asker.left.add(id(&answer));
        }
    };
    {
        let mut all = load.left.asking.borrow_mut();
        while all.try_join_next().is_some() {}
        all.spawn_local(asking);
    }
    told.await.unwrap_or(Err(NoStream::Silent))
}
