//! Everything that is counted, at one moment; and what two moments say together.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::api::Api;
use crate::api::wire::monitor::{Count, Pace, Quantiles, Rejected, Tally};
use crate::generation::{Live, Seen};
use crate::metrics::catalogue::{
    self, Description, GENERATIONS, HTTP_DURATION, PROBLEMS, READERS, REDIS_FAULTS, REJECTIONS,
};
use crate::metrics::{Paced, Samples, Series, Spread};

/// How many of the oldest streams are shown, and how many of the newest.
const SHOWN_EACH: usize = 100;

const WANTED: &[&Description] = &[GENERATIONS, HTTP_DURATION, PROBLEMS, READERS, REJECTIONS];

/// What was counted until a moment.
pub(super) struct Moment {
    pub(super) at: Instant,
    pub(super) samples: Samples,
    pub(super) seen: Vec<Seen>,
    series: Vec<Series>,
}

impl Moment {
    /// Now; with the streams that are to be shown, and how many there are.
    pub(super) fn now(api: &Api, mut samples: Samples) -> (Self, Vec<std::sync::Arc<Live>>, usize) {
        samples.look_at_process();
        let paces = api.metrics.paces();
        let (shown, count, seen) = api.generations.running().look(&paces, SHOWN_EACH);
        let series = api.metrics.series(WANTED);
        let at = Instant::now();
        let moment = Self {
            at,
            samples,
            seen,
            series,
        };
        (moment, shown, count)
    }

    fn of(&self, about: &'static Description) -> impl Iterator<Item = (&[String], f64)> {
        let series = self.series.iter().filter(move |it| it.about == about);
        series.map(|it| (it.labels.as_slice(), it.value))
    }

    /// How many seconds passed since.
    pub(super) fn since(&self, earlier: &Self) -> f64 {
        let passed = self.at.saturating_duration_since(earlier.at);
        passed.as_secs_f64().max(0.001)
    }

    /// How many requests were answered.
    pub(super) fn requests(&self) -> f64 {
        self.of(HTTP_DURATION).map(|(_, count)| count).sum()
    }

    /// How much processor time was used, in seconds.
    pub(super) fn cpu(&self) -> Option<f64> {
        self.samples.number(catalogue::PROCESS_CPU)
    }

    pub(super) fn readers(&self) -> Vec<Count> {
        let readers = self.of(READERS).map(|(labels, count)| Count {
            name: labels.join(" "),
            count: whole(count),
        });
        let mut readers: Vec<_> = readers.collect();
        readers.sort_by(|one, other| one.name.cmp(&other.name));
        readers
    }

    /// How often requests were answered with each error.
    fn errors(&self) -> BTreeMap<String, u64> {
        let problems = self.of(PROBLEMS);
        by_code(problems.filter_map(|(labels, count)| Some((labels.first()?, count))))
    }

    pub(super) fn errors_since(&self, earlier: &Self) -> Vec<Tally> {
        tallies(&self.errors(), &earlier.errors())
    }

    /// How often generations ended with each error.
    fn failures(&self) -> BTreeMap<String, u64> {
        let ends = self.of(GENERATIONS);
        by_code(ends.filter_map(|(labels, count)| Some((labels.last()?, count))))
    }

    pub(super) fn failures_since(&self, earlier: &Self) -> Vec<Tally> {
        tallies(&self.failures(), &earlier.failures())
    }

    fn faults(&self) -> BTreeMap<String, u64> {
        let faults = self.samples.numbers(REDIS_FAULTS);
        let faults = faults.map(|(labels, count)| (labels.join(" "), whole(count)));
        faults.collect()
    }

    pub(super) fn faults_since(&self, earlier: &Self) -> Vec<Tally> {
        tallies(&self.faults(), &earlier.faults())
    }

    pub(super) fn rejections_since(&self, earlier: &Self) -> Vec<Rejected> {
        let before: BTreeMap<_, _> = earlier.of(REJECTIONS).collect();
        let now = self.of(REJECTIONS).filter_map(|(labels, count)| {
            let [reason, plan] = labels else { return None };
            let earlier = before.get(labels).copied().unwrap_or_default();
            Some(Rejected {
                reason: reason.clone(),
                plan: plan.clone(),
                last_window: whole(count - earlier),
                total: whole(count),
            })
        });
        let mut now: Vec<_> = now.filter(|it| it.total > 0).collect();
        now.sort_by(|one, other| {
            let often = |it: &Rejected| std::cmp::Reverse((it.last_window, it.total));
            let name = |it: &Rejected| (it.plan.clone(), it.reason.clone());
            let order = often(one).cmp(&often(other));
            order.then_with(|| name(one).cmp(&name(other)))
        });
        now
    }

    /// How fast generations were: all together, by model, and by plan. Tokens a second are since `last`, all
    /// else since `window`.
    pub(super) fn paces(&self, last: Option<&Self>, window: &Self) -> [Vec<Pace>; 3] {
        let of_all: (bool, fn(&Seen) -> &str) = (true, |_| "");
        let of_models: fn(&Seen) -> &str = |seen| &seen.model;
        let of_plans: fn(&Seen) -> &str = |seen| &seen.plan;
        [of_all, (false, of_models), (false, of_plans)].map(|(is_total, name)| {
            let mut sums: BTreeMap<&str, Sum> = BTreeMap::new();
            if self.seen.is_empty() && is_total {
                sums.insert("", Sum::default());
            }
            for seen in &self.seen {
                let sum = sums.entry(name(seen)).or_default();
                sum.add(seen, last, window);
            }
            let seconds = last.map(|last| self.since(last));
            let paces = sums.into_iter();
            paces.map(|(name, sum)| sum.pace(name, seconds)).collect()
        })
    }

    fn find(&self, seen: &Seen) -> Option<&Paced> {
        let same = |it: &&Seen| it.model == seen.model && it.plan == seen.plan;
        Some(&self.seen.iter().find(same)?.paced)
    }
}

/// What some models and plans did together.
#[derive(Default)]
struct Sum {
    running: u64,
    started: u64,
    tokens: u64,
    first_token: Spread,
    gap: Spread,
}

impl Sum {
    fn add(&mut self, seen: &Seen, last: Option<&Moment>, window: &Moment) {
        let (now, nothing) = (&seen.paced, Paced::default());
        let before = window.find(seen).unwrap_or(&nothing);
        let last = last.and_then(|last| last.find(seen)).unwrap_or(&nothing);
        self.running += seen.running;
        self.started += now.started.saturating_sub(before.started);
        self.tokens += now.tokens.saturating_sub(last.tokens);
        self.first_token
            .add(&now.first_token.since(&before.first_token));
        self.gap.add(&now.gap.since(&before.gap));
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of seconds are far from what a double can hold"
    )]
    fn pace(self, name: &str, seconds: Option<f64>) -> Pace {
        Pace {
            name: name.to_owned(),
            running: self.running,
            started: self.started,
            tokens_per_second: seconds.map(|seconds| tenths(self.tokens as f64 / seconds)),
            first_token: quantiles(&self.first_token),
            gap: quantiles(&self.gap),
        }
    }
}

fn quantiles(spread: &Spread) -> Quantiles {
    let millis = |share| Some(tenths(spread.quantile(share)? * 1000.0));
    Quantiles {
        count: spread.count(),
        p50_ms: millis(0.5),
        p95_ms: millis(0.95),
        p99_ms: millis(0.99),
    }
}

/// The counts of each code together; what went well has none.
fn by_code<'a>(counts: impl Iterator<Item = (&'a String, f64)>) -> BTreeMap<String, u64> {
    let mut codes = BTreeMap::new();
    for (code, count) in counts.filter(|(code, _)| !code.is_empty()) {
        *codes.entry(code.clone()).or_default() += whole(count);
    }
    codes
}

fn tallies(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> Vec<Tally> {
    let tallies = now.iter().map(|(code, total)| Tally {
        code: code.clone(),
        last_window: total.saturating_sub(before.get(code).copied().unwrap_or_default()),
        total: *total,
    });
    let mut tallies: Vec<_> = tallies.filter(|it| it.total > 0).collect();
    tallies.sort_by_key(|it| std::cmp::Reverse((it.last_window, it.total)));
    tallies
}

/// A count that Prometheus keeps as a double.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is a count"
)]
pub(super) fn whole(count: f64) -> u64 {
    count.max(0.0) as u64
}

/// No reader of the feed wants more digits.
pub(super) fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
