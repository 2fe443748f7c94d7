//! Who waits for an open stream: its writer and its followers.

use std::task::{Context, Waker};

use slab::Slab;

/// Somebody who may wait. The waker is kept when it is used: the same task waits again and again.
#[derive(Default)]
pub(in crate::stream_log) struct Waiting {
    waker: Option<Waker>,
    waits: bool,
}

impl Waiting {
    /// The task of this context waits.
    pub(in crate::stream_log) fn wait(&mut self, context: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => self.waker = Some(context.waker().clone()),
        }
        self.waits = true;
    }

    /// Wakes whoever waits.
    pub(in crate::stream_log) fn wake(&mut self) {
        if std::mem::take(&mut self.waits)
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }
}

/// The followers of a stream. Nearly always there is one: it lies beside the stream's state.
#[derive(Default)]
pub(in crate::stream_log) struct Followers {
    first: Option<Waiting>,
    others: Option<Box<Slab<Waiting>>>,
}

impl Followers {
    pub(in crate::stream_log) const fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_none()
    }

    pub(in crate::stream_log) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.as_ref().map_or(0, |others| others.len())
    }

    /// A slot for one more.
    pub(in crate::stream_log) fn insert(&mut self) -> usize {
        if self.first.is_none() {
            self.first = Some(Waiting::default());
            return 0;
        }
        self.others
            .get_or_insert_default()
            .insert(Waiting::default())
            + 1
    }

    pub(in crate::stream_log) fn get_mut(&mut self, slot: usize) -> Option<&mut Waiting> {
        match slot.checked_sub(1) {
            None => self.first.as_mut(),
            Some(slot) => self.others.as_mut()?.get_mut(slot),
        }
    }

    pub(in crate::stream_log) fn remove(&mut self, slot: usize) {
        let Some(slot) = slot.checked_sub(1) else {
            self.first = None;
            return;
        };
        if let Some(others) = &mut self.others {
            others.try_remove(slot);
            if others.is_empty() {
                self.others = None;
            }
        }
    }

    /// Wakes all that wait.
    pub(in crate::stream_log) fn wake(&mut self) {
        if let Some(first) = &mut self.first {
            first.wake();
        }
        for (_, other) in self.others.iter_mut().flat_map(|others| others.iter_mut()) {
            other.wake();
        }
    }
}
