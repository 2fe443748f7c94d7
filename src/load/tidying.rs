//! What goes on at the server when nobody reads it any more is ended when the load is over.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
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
    ids: RefCell<BTreeSet<String>>,
    /// Requests that are under way. They are not given up when the load is over: what they begin would go on.
    asking: RefCell<JoinSet<()>>,
}

impl Left {
    /// A generation that may go on.
    pub(super) fn add(&self, id: Option<String>) {
        self.ids.borrow_mut().extend(id);
    }

    /// How many there may be.
    pub(super) fn count(&self) -> usize {
        let mut asking = self.asking.borrow_mut();
        while asking.try_join_next().is_some() {}
        self.ids.borrow().len() + asking.len()
    }

    /// Ends them, where nobody else does, and gives up with `stop`. Says what may go on.
    pub(super) async fn tidy(
        &self,
        target: &Target,
        stop: impl Future<Output = ()>,
    ) -> Option<String> {
        let go_on = Cell::new(0);
        let why = tokio::select! {
            biased;
            // First, so that it has counted them.
            () = self.end_all(target, &go_on) => "as they could not be cancelled",
            () = stop => "as Ctrl-C has ended the wait for their cancellation",
        };
        let go_on = go_on.get();
        (go_on > 0).then(|| format!("Generations that may go on at the server, {why}: {go_on}."))
    }

    /// Ends them. `go_on` is always how many may go on.
    async fn end_all(&self, target: &Target, go_on: &Cell<usize>) {
        const AT_ONCE: usize = 32;
        let mut asking = std::mem::take(&mut *self.asking.borrow_mut());
        let count = |asking: &JoinSet<()>| go_on.set(self.ids.borrow().len() + asking.len());
        let answered = async {
            count(&asking);
            while asking.join_next().await.is_some() {
                count(&asking);
            }
        };
        let _late = timeout(TIDYING, answered).await;
        let ids = self.ids.take();
        let cancelling = futures_util::stream::iter(&ids)
            .map(|id| target.cancel(id))
            .buffer_unordered(AT_ONCE)
            .for_each(|cancelled| {
                let is_over = match cancelled {
                    Err(NoStream::Refused(refused)) => matches!(refused.status, 404 | 410),
                    other => other.is_ok(),
                };
                go_on.set(go_on.get() - usize::from(is_over));
                std::future::ready(())
            });
        let _late = timeout(TIDYING, cancelling).await;
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
    let mut waiting = Waiting { load, told, id };
    let told = (&mut waiting.told).await;
    told.unwrap_or(Err(NoStream::Silent))
}

/// Who waits for the answer to a request, which may come just before they leave.
struct Waiting<'a, T> {
    load: &'a Load,
    told: oneshot::Receiver<Result<T, NoStream>>,
    id: fn(&T) -> Option<String>,
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        // What comes later is left where it comes.
        self.told.close();
        if let Ok(Ok(answer)) = self.told.try_recv() {
            self.load.left.add((self.id)(&answer));
        }
    }
}
