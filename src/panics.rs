//! Panics: the log says where each was, and whoever catches one learns the same. Never what it said, which may
//! hold a prompt.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook};

thread_local! {
    /// Where this thread has panicked, until somebody catches it.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Logs panics from now on.
pub fn watch() {
    set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(String::new, ToString::to_string);
        tracing::error!(panic.place = %place, "A task panicked");
        // A thread that is ending has nobody who catches it.
        _ = PLACE.try_with(|it| *it.borrow_mut() = place);
    }));
}

/// Something has panicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panicked {
    /// Where; empty if nobody watches.
    pub place: String,
}

impl Panicked {
    /// Panics on, for another to catch; it is not logged again.
    pub fn go_on(self) -> ! {
        resume_unwind(Box::new(self))
    }
}

/// Does something that may panic. What it has left half done must not matter.
///
/// # Errors
/// It has panicked.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic: Box<dyn Any + Send>| {
        panic.downcast::<Panicked>().map_or_else(
            |_| Panicked {
                place: PLACE.take(),
            },
            |before| *before,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_goes_on_keeps_its_place() {
        let first = Panicked {
            place: "a.rs:1:2".to_owned(),
        };
        PLACE.set("b.rs:3:4".to_owned());
        let again = first.clone();
        assert_eq!(caught(|| again.go_on()), Err::<(), _>(first));
        let other = caught(|| resume_unwind(Box::new("a prompt")));
        let place = "b.rs:3:4".to_owned();
        assert_eq!(other, Err::<(), _>(Panicked { place }));
    }
}
