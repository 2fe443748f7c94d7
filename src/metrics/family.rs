//! Counters and times by labels, for what happens once a request or a generation.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::catalogue::Description;

/// The labels of a series: names and values.
pub(super) type Labels = Vec<(&'static str, String)>;

/// The labels of a metric with these values, in the order of its description.
pub(super) fn labels(about: &Description, values: &[&str]) -> Labels {
    debug_assert_eq!(about.labels.len(), values.len(), "{}", about.name);
    let values = values.iter().map(|value| (*value).to_owned());
    about.labels.iter().copied().zip(values).collect()
}

/// Writes the head of a metric; its series come after that.
pub(super) fn describe<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    about: &Description,
    unit: Option<&'a prometheus_client::registry::Unit>,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    let (stem, _) = about.stem();
    encoder.encode_descriptor(stem, about.help, unit, about.kind.vendors())
}

/// What a page can be made of.
pub(super) trait Encode {
    fn about(&self) -> &'static Description;
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result;
}

/// A metric with labels.
pub(super) struct By<M: Clone, C = fn() -> M> {
    about: &'static Description,
    family: Family<Labels, M, C>,
}

pub(super) type Counters = By<Counter<u64, AtomicU64>>;
pub(super) type Gauges = By<Gauge>;
pub(super) type Timings = By<Timing, TimingOf>;

impl<M: Clone + Default> By<M> {
    pub(super) fn new(about: &'static Description) -> Self {
        Self {
            about,
            family: Family::new_with_constructor(M::default),
        }
    }
}

impl Timings {
    pub(super) fn with_buckets(about: &'static Description, buckets: &'static [f64]) -> Self {
        Self {
            about,
            family: Family::new_with_constructor(TimingOf(buckets)),
        }
    }
}

impl<M: Clone, C: prometheus_client::metrics::family::MetricConstructor<M>> By<M, C> {
    /// The series with these values of its labels.
    pub(super) fn of(&self, values: &[&str]) -> M {
        self.family.get_or_create_owned(&labels(self.about, values))
    }
}

impl<M, C> Encode for By<M, C>
where
    M: Clone + EncodeMetric + prometheus_client::metrics::TypedMetric,
    C: prometheus_client::metrics::family::MetricConstructor<M>,
{
    fn about(&self) -> &'static Description {
        self.about
    }

    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let (_, unit) = self.about.stem();
        self.family
            .encode(describe(encoder, self.about, unit.as_ref())?)
    }
}

/// How long something took. Whoever measures it keeps one, and a scrape looks at it.
#[derive(Debug, Clone)]
pub struct Timing(pub(super) Histogram);

impl Timing {
    /// With these upper bounds of its buckets, in seconds.
    #[must_use]
    pub fn new(buckets: &[f64]) -> Self {
        Self(Histogram::new(buckets.iter().copied()))
    }

    /// It took so long.
    pub fn record(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

/// From a tenth of a millisecond to ten seconds: what is asked of a store.
impl Default for Timing {
    fn default() -> Self {
        Self::new(super::buckets::STORE)
    }
}

impl EncodeMetric for Timing {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> prometheus_client::metrics::MetricType {
        self.0.metric_type()
    }
}

impl prometheus_client::metrics::TypedMetric for Timing {
    const TYPE: prometheus_client::metrics::MetricType =
        prometheus_client::metrics::MetricType::Histogram;
}

/// Makes a [`Timing`] with these buckets.
#[derive(Clone)]
pub(super) struct TimingOf(&'static [f64]);

impl prometheus_client::metrics::family::MetricConstructor<Timing> for TimingOf {
    fn new_metric(&self) -> Timing {
        Timing::new(self.0)
    }
}

/// Counts one of something for as long as it lives.
#[derive(Debug)]
pub struct Counting(Gauge);

impl Counting {
    pub(super) fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts by a name of a few, for whoever has no labels otherwise. A scrape looks at it.
#[derive(Debug, Clone)]
pub struct CountBy(Arc<std::sync::Mutex<std::collections::BTreeMap<&'static str, u64>>>);

impl CountBy {
    /// None of these so far.
    #[must_use]
    pub fn of(names: &[&'static str]) -> Self {
        let names = names.iter().map(|name| (*name, 0));
        Self(Arc::new(std::sync::Mutex::new(names.collect())))
    }

    /// One more of that name.
    pub fn add(&self, name: &'static str) {
        *self.table().entry(name).or_default() += 1;
    }

    /// How many there are of each name.
    #[must_use]
    pub fn counted(&self) -> Vec<(&'static str, u64)> {
        self.table().iter().map(|(name, n)| (*name, *n)).collect()
    }

    fn table(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<&'static str, u64>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
