//! What is counted for operators, and the page that Prometheus reads.
//!
//! One [`Metrics`] for each server, handed to whoever counts. What a part of the program knows anyway (the
//! log's bytes, whether Redis answers) is not counted here: the page is given it when it is made. Nothing
//! is done for each token but two additions in [`GapMeter`]; the rest is counted once a request, a reader
//! or a generation.
//!
//! The values of all labels are those of the configuration and of the program, never a caller's: whatever
//! else comes is [`OTHER`] or the model [`PASSED_THROUGH`].

mod buckets;
pub mod catalogue;
mod family;
mod gaps;
mod labels;
mod pace;
mod page;
mod process;
mod series;

pub use family::{CountBy, Counting, Timing};
pub use gaps::GapMeter;
pub use labels::{Cut, Reader, Takeover};
pub use pace::{Pace, Paced, Spread};
pub use page::{Format, Samples};
pub use series::Series;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use self::family::{Counters, Encode, Gauges, Timings};
use self::pace::Paces;

/// The model of those that are not configured but come from the server whose models are all ours.
pub const PASSED_THROUGH: &str = "(upstream)";

/// What callers say and nobody has configured.
pub const OTHER: &str = "(other)";

/// A method that HTTP does not have, as OpenTelemetry calls it.
pub const OTHER_METHOD: &str = "_OTHER";

/// The failure of a generation that is this server's own.
const INTERNAL_ERROR: &str = "internal_error";

/// What OpenTelemetry calls what our models do.
const OPERATION: &str = "chat";

/// What the labels may say, and how much is counted.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The names of the configured models.
    pub models: BTreeSet<String>,
    /// The names of the plans.
    pub plans: BTreeSet<String>,
    /// The plan of whoever names none of them.
    pub default_plan: String,
    /// The codes of errors.
    pub problems: Vec<&'static str>,
    /// Those of them that say that a credential was not accepted.
    pub auth_failures: Vec<&'static str>,
    /// Why a generation may not be admitted.
    pub reasons: Vec<&'static str>,
    /// Whether models of another server are served by their own names.
    pub passes_through: bool,
    /// What keeps the streams.
    pub store: &'static str,
    /// About how many threads generate.
    pub threads: usize,
    /// Whether it is measured how fast tokens come.
    pub paces: bool,
}

impl Scope {
    /// A plan as labels have it.
    fn plan<'a>(&'a self, named: Option<&'a str>) -> &'a str {
        let known = named.filter(|plan| self.plans.contains(*plan));
        known.unwrap_or(&self.default_plan)
    }
}

/// Everything that one server counts. A clone is another handle on the same.
#[derive(Clone)]
pub struct Metrics(Arc<Families>);

struct Families {
    scope: ArcSwap<Scope>,
    paces: Paces,
    requests: Timings,
    problems: Counters,
    auth_failures: Counters,
    rejections: Counters,
    generation: Timings,
    first_token: Timings,
    per_token: Timings,
    generations: Counters,
    tokens: Counters,
    generating: Gauges,
    takeovers: Counters,
    attempts: Counters,
    readers: Gauges,
    resumes: Counters,
    replayed: Counters,
    readers_cut: Counters,
    follow: Timings,
    reloads: Counters,
    refused: Gauges,
}

/// How a generation ended, and what it took. Of finish reason and error one is empty, or both if another
/// node goes on.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// Why it is complete.
    pub finish_reason: &'a str,
    /// The code of its failure.
    pub error_type: &'a str,
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens that were generated here.
    pub output_tokens: u64,
    /// From its start.
    pub took: Duration,
    /// From its start, if it had one here.
    pub first_token: Option<Duration>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(Scope::default())
    }
}

impl Metrics {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        use catalogue as about;
        let metrics = Self(Arc::new(Families {
            paces: Paces::default(),
            scope: ArcSwap::from_pointee(scope),
            requests: Timings::with_buckets(about::HTTP_DURATION, buckets::REQUEST),
            problems: Counters::new(about::PROBLEMS),
            auth_failures: Counters::new(about::AUTH_FAILURES),
            rejections: Counters::new(about::REJECTIONS),
            generation: Timings::with_buckets(about::GENERATION_DURATION, buckets::GENERATION),
            first_token: Timings::with_buckets(about::FIRST_TOKEN, buckets::FIRST_TOKEN),
            per_token: Timings::with_buckets(about::PER_TOKEN, buckets::PER_TOKEN),
            generations: Counters::new(about::GENERATIONS),
            tokens: Counters::new(about::TOKENS),
            generating: Gauges::new(about::GENERATING),
            takeovers: Counters::new(about::TAKEOVERS),
            attempts: Counters::new(about::UPSTREAM_ATTEMPTS),
            readers: Gauges::new(about::READERS),
            resumes: Counters::new(about::RESUMES),
            replayed: Counters::new(about::REPLAYED),
            readers_cut: Counters::new(about::READERS_CUT),
            follow: Timings::with_buckets(about::LOG_FOLLOW, buckets::STORE),
            reloads: Counters::new(about::RELOADS),
            refused: Gauges::new(about::REFUSED),
        }));
        metrics.begin();
        metrics
    }

    /// Counts by these labels from now on. Models that are gone keep theirs, for their streams go on.
    pub fn replace_scope(&self, mut scope: Scope) {
        let all = &*self.0;
        scope.models.extend(all.scope.load().models.iter().cloned());
        all.scope.store(Arc::new(scope));
        self.begin();
    }

    /// Series that are there from the start: of a counter that is not, Prometheus does not see the first.
    fn begin(&self) {
        let all = &*self.0;
        for reader in Reader::ALL {
            all.readers.of(&[reader.name()]);
        }
        for reader in [Reader::Sse, Reader::Ndjson] {
            all.resumes.of(&[reader.name()]);
        }
        for cut in Cut::ALL {
            all.readers_cut.of(&[cut.name()]);
        }
        for result in Takeover::ALL {
            all.takeovers.of(&[result.name()]);
        }
        let scope = all.scope.load();
        for model in &scope.models {
            all.generating.of(&[model]);
        }
        // The one failure of which a single one is an alert.
        let passed_through = scope.passes_through.then_some(PASSED_THROUGH);
        let models = scope.models.iter().map(String::as_str);
        for model in models.chain(passed_through) {
            all.generations.of(&[model, "", INTERNAL_ERROR]);
        }
        for code in &scope.problems {
            all.problems.of(&[code]);
        }
        for code in &scope.auth_failures {
            all.auth_failures.of(&[code]);
        }
        for plan in &scope.plans {
            for reason in &scope.reasons {
                all.rejections.of(&[reason, plan]);
            }
        }
        all.replayed.of(&[]);
        for result in ["taken", "refused"] {
            all.reloads.of(&[result]);
        }
        all.refused.of(&[]);
    }

    /// A request was answered, so long after it came. The route is a pattern of ours.
    pub fn answered(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        let series = [
            self::method(method),
            route.unwrap_or(OTHER),
            &status.to_string(),
        ];
        self.0.requests.of(&series).record(took);
    }

    /// A request was answered with an error of this code.
    pub fn problem(&self, code: &str) {
        self.0.problems.of(&[code]).inc();
    }

    /// A credential was not accepted.
    pub fn auth_failure(&self, code: &str) {
        self.0.auth_failures.of(&[code]).inc();
    }

    /// A generation of somebody on this plan was not admitted.
    pub fn rejected(&self, reason: &str, plan: Option<&str>) {
        let scope = self.0.scope.load();
        self.0.rejections.of(&[reason, scope.plan(plan)]).inc();
    }

    /// What counts how fast the generations of this model for somebody on this plan are; if that is to be
    /// counted.
    #[must_use]
    pub fn pace(&self, model: &str, plan: Option<&str>) -> Option<Arc<Pace>> {
        let scope = self.0.scope.load();
        let plan = scope.plan(plan);
        let pace = || self.0.paces.of(self.model(model), plan, scope.threads);
        scope.paces.then(pace)
    }

    /// All that there are so far, ordered by model.
    #[must_use]
    pub fn paces(&self) -> Vec<Arc<Pace>> {
        self.0.paces.all()
    }

    /// A generation runs for as long as this lives.
    #[must_use]
    pub fn generating(&self, model: &str) -> Counting {
        Counting::new(self.0.generating.of(&[self.model(model)]))
    }

    /// A generation has ended here.
    pub fn ended(&self, model: &str, ended: &Ended<'_>) {
        let all = &*self.0;
        let model = self.model(model);
        let Ended {
            finish_reason,
            error_type,
            ..
        } = *ended;
        for (kind, count) in [
            ("input", ended.input_tokens),
            ("output", ended.output_tokens),
        ] {
            let series = [model, kind, finish_reason, error_type];
            all.tokens.of(&series).inc_by(count);
        }
        if let Some(first) = ended.first_token {
            all.first_token.of(&[OPERATION, model]).record(first);
        }
        if finish_reason.is_empty() && error_type.is_empty() {
            return;
        }
        let series = [model, finish_reason, error_type];
        all.generations.of(&series).inc();
        let series = [OPERATION, model, error_type];
        all.generation.of(&series).record(ended.took);
        let after_first = ended.output_tokens.saturating_sub(1);
        if let Some(first) = ended.first_token
            && let Ok(tokens @ 1..) = u32::try_from(after_first)
            && error_type.is_empty()
        {
            let each = ended.took.saturating_sub(first) / tokens;
            all.per_token.of(&[OPERATION, model]).record(each);
        }
    }

    /// A generation has moved, or was to move.
    pub fn takeover(&self, result: Takeover) {
        self.0.takeovers.of(&[result.name()]).inc();
    }

    /// An upstream was asked or passed over. Its name and the outcome's are the configuration's and ours.
    pub fn attempt(&self, model: &str, upstream: &str, outcome: &str) {
        let series = [self.model(model), upstream, outcome];
        self.0.attempts.of(&series).inc();
    }

    /// A reader follows for as long as this lives.
    #[must_use]
    pub fn reading(&self, reader: Reader) -> Counting {
        Counting::new(self.0.readers.of(&[reader.name()]))
    }

    /// A reader has come back; so many events it has missed.
    pub fn resumed(&self, reader: Reader, missed: u64) {
        self.0.resumes.of(&[reader.name()]).inc();
        self.0.replayed.of(&[]).inc_by(missed);
    }

    /// A reader's answer was broken off.
    pub fn cut(&self, why: Cut) {
        self.0.readers_cut.of(&[why.name()]).inc();
    }

    /// The log took so long to find a stream for a reader.
    pub fn followed(&self, took: Duration) {
        self.0.follow.of(&[self.0.scope.load().store]).record(took);
    }

    /// The configuration was loaded again, and either taken or refused.
    pub fn reloaded(&self, is_taken: bool) {
        let result = if is_taken { "taken" } else { "refused" };
        self.0.reloads.of(&[result]).inc();
        self.0.refused.of(&[]).set((!is_taken).into());
    }

    fn model<'a>(&self, name: &'a str) -> &'a str {
        if self.0.scope.load().models.contains(name) {
            name
        } else {
            PASSED_THROUGH
        }
    }
}

/// A request's method, of those that there are.
#[must_use]
pub fn method(method: &str) -> &'static str {
    let methods = [
        "GET", "POST", "HEAD", "DELETE", "OPTIONS", "PUT", "PATCH", "CONNECT", "TRACE",
    ];
    let mut methods = methods.into_iter();
    methods.find(|it| *it == method).unwrap_or(OTHER_METHOD)
}

impl Families {
    fn all(&self) -> [&dyn Encode; 19] {
        [
            &self.requests,
            &self.problems,
            &self.auth_failures,
            &self.rejections,
            &self.generation,
            &self.first_token,
            &self.per_token,
            &self.generations,
            &self.tokens,
            &self.generating,
            &self.takeovers,
            &self.attempts,
            &self.readers,
            &self.resumes,
            &self.replayed,
            &self.readers_cut,
            &self.follow,
            &self.reloads,
            &self.refused,
        ]
    }
}
