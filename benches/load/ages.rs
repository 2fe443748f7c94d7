//! How old tokens are when they arrive, told by the time that stands in each.

use hdrhistogram::Histogram;

use crate::fleet::Audience;
use crate::stamp::{self, Stamps};

/// The ages of all tokens of some connections.
pub(crate) struct Ages {
    by_connection: Vec<Stamps>,
    /// In microseconds.
    age: Histogram<u64>,
}

impl Ages {
    /// Nothing has arrived yet on so many connections.
    pub(crate) fn new(connections: usize) -> anyhow::Result<Self> {
        Ok(Self {
            by_connection: (0..connections).map(|_| Stamps::default()).collect(),
            age: histogram()?,
        })
    }

    /// Only what arrives from now on counts.
    pub(crate) fn begin(&mut self) -> anyhow::Result<()> {
        self.age = histogram()?;
        Ok(())
    }

    /// How many tokens have arrived.
    pub(crate) fn count(&self) -> u64 {
        self.age.len()
    }

    /// The age that this part of them did not exceed, in milliseconds.
    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        self.age.value_at_quantile(quantile) as f64 / 1e3
    }
}

impl Audience for Ages {
    fn body(&mut self, number: usize, piece: &[u8]) {
        let age = &mut self.age;
        self.by_connection[number].read(piece, stamp::now(), |microseconds| {
            age.saturating_record(microseconds);
        });
    }
}

fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_max(stamp::CYCLE, 3)?)
}
