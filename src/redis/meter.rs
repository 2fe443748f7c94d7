//! What is counted of Redis, of all its servers together, for metrics.

use super::fault::NAMES;
use crate::metrics::{CountBy, Timing};

/// A clone is another handle on the same counts.
#[derive(Debug, Clone)]
pub struct Meter {
    /// How long answers took.
    pub round_trips: Timing,
    /// What was not done, by what was wrong.
    pub faults: CountBy,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            round_trips: Timing::default(),
            faults: CountBy::of(&NAMES),
        }
    }
}
