//! Every metric: its name, what kind it is, its labels, and what it says. `docs/metrics.md` has the same
//! list for operators, and a test compares the two.

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

/// A metric as it is described on the page.
#[derive(Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name in Prometheus.
    pub name: &'static str,
    /// What kind it is.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence without its full stop.
    pub help: &'static str,
}

/// What kind a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It is as it is now.
    Gauge,
    /// How long something took, in buckets.
    Histogram,
}

impl Kind {
    /// As the page calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }

    pub(super) const fn vendors(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Histogram => MetricType::Histogram,
        }
    }
}

impl Description {
    /// The name as `OpenMetrics` has it for the family: without what its samples end in.
    pub(super) fn family(&self) -> &'static str {
        match self.kind {
            Kind::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            Kind::Gauge | Kind::Histogram => self.name,
        }
    }

    /// The family's name without its unit, and the unit.
    pub(super) fn stem(&self) -> (&'static str, Option<Unit>) {
        let family = self.family();
        let units = [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes)];
        let mut found = units
            .into_iter()
            .filter_map(|(suffix, unit)| Some((family.strip_suffix(suffix)?, Some(unit))));
        found.next().unwrap_or((family, None))
    }
}

macro_rules! catalogue {
    ($($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(
            #[doc = $help]
            pub const $constant: &Description = &Description {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )+

        /// All of them, in the order of the page.
        pub const ALL: &[&Description] = &[$($constant),+];
    };
}

catalogue! {
    HTTP_DURATION: Histogram "http_server_request_duration_seconds"
        ["http_request_method", "http_route", "http_response_status_code"]
        "How long requests took until the head of their answer was ready";
    PROBLEMS: Counter "tailrace_problems_total" ["code"]
        "Requests that were answered with an error, by its code";
    AUTH_FAILURES: Counter "tailrace_authentication_failures_total" ["code"]
        "Credentials that were not accepted, by the code of the answer";
    REJECTIONS: Counter "tailrace_rejections_total" ["reason", "plan"]
        "Generations that were not admitted, by the limit or `draining`, and the plan";

    GENERATION_DURATION: Histogram "gen_ai_server_request_duration_seconds"
        ["gen_ai_operation_name", "gen_ai_request_model", "error_type"]
        "How long generations took from their start to their last token";
    FIRST_TOKEN: Histogram "gen_ai_server_time_to_first_token_seconds"
        ["gen_ai_operation_name", "gen_ai_request_model"]
        "How long generations took to their first token";
    PER_TOKEN: Histogram "gen_ai_server_time_per_output_token_seconds"
        ["gen_ai_operation_name", "gen_ai_request_model"]
        "How long a token took after the first one, on average over each generation that ended well";
    GAPS: Histogram "gen_ai_client_operation_time_per_output_chunk_seconds"
        ["gen_ai_operation_name", "gen_ai_request_model"]
        "The time between one arrival of tokens from the generator and the next";
    GENERATIONS: Counter "tailrace_generations_total"
        ["gen_ai_request_model", "finish_reason", "error_type"]
        "Generations that have ended, by how";
    TOKENS: Counter "tailrace_tokens_total"
        ["gen_ai_request_model", "gen_ai_token_type", "finish_reason", "error_type"]
        "Tokens of generations that have ended";
    GENERATING: Gauge "tailrace_generations_active" ["gen_ai_request_model"]
        "Generations that run on this node now";
    TAKEOVERS: Counter "tailrace_takeovers_total" ["result"]
        "Generations that this node has taken over from others, could not take over, or has left to others";
    UPSTREAM_ATTEMPTS: Counter "tailrace_upstream_attempts_total"
        ["gen_ai_request_model", "upstream", "outcome"]
        "Upstreams that were asked or passed over, by what came of it";
    BREAKER_OPEN: Gauge "tailrace_upstream_breaker_open" ["gen_ai_request_model", "upstream"]
        "Whether an upstream of a route is left alone now since it has failed";

    READERS: Gauge "tailrace_readers_active" ["kind"]
        "Answers that follow a stream now, by their form";
    RESUMES: Counter "tailrace_resumes_total" ["kind"]
        "Readers that came with a cursor to go on after it, by the form of the answer";
    REPLAYED: Counter "tailrace_replayed_events_total" []
        "Events that were in the log already when a reader resumed before them";
    READERS_CUT: Counter "tailrace_readers_cut_total" ["reason"]
        "Readers whose answer was broken off before its end, other than by themselves, as far as we can tell";

    TCP_TIMEOUTS: Counter "tailrace_tcp_timeouts_total" []
        "Connections that the kernel has given up since their other end took nothing, of all in its network namespace";

    LOG_STREAMS: Gauge "tailrace_log_streams" ["store"]
        "Streams that this process holds in memory; with Redis, those that are read or written here";
    LOG_BYTES: Gauge "tailrace_log_bytes" ["store"]
        "Bytes that the streams take in the memory of this process";
    LOG_MOST_BYTES: Gauge "tailrace_log_max_bytes" []
        "The most that streams may take in memory; only without Redis";
    EVICTIONS: Counter "tailrace_log_evictions_total" []
        "Streams that were forgotten before their retention had passed, for want of memory; only without Redis";
    LOG_APPEND: Histogram "tailrace_log_append_duration_seconds" ["store"]
        "How long the log took to take entries: with Redis each exchange, in memory the last append of each stream";
    LOG_FOLLOW: Histogram "tailrace_log_follow_duration_seconds" ["store"]
        "How long the log took to find a stream and a place in it for a reader";

    REDIS_UP: Gauge "tailrace_redis_up" []
        "Whether Redis answers; in a cluster, some of it";
    REDIS_FAULTS: Counter "tailrace_redis_faults_total" ["kind"]
        "Questions that Redis did not do, by what was wrong";
    REDIS_ROUND_TRIP: Histogram "tailrace_redis_round_trip_seconds" []
        "How long Redis took to answer";

    SPANS: Counter "tailrace_spans_total" ["result"]
        "Spans that have ended and were sampled, by what became of them; only with a collector";

    LIMIT_STREAMS: Gauge "tailrace_limit_streams" []
        "Generations that hold a place in this process";
    LIMIT_MOST_STREAMS: Gauge "tailrace_limit_max_streams" []
        "Generations that this process may run at once";
    READY: Gauge "tailrace_ready" []
        "Whether new generations should be sent here, as /readyz says it";
    KEY_FETCHES: Counter "tailrace_jwks_fetches_total" ["url", "result"]
        "How often an identity provider was asked for its keys, by whether it answered";
    KEYS: Gauge "tailrace_jwks_keys" ["url"]
        "Keys of an identity provider that are believed now";
    RELOADS: Counter "tailrace_reloads_total" ["result"]
        "How often the configuration was loaded again, by whether it was taken";
    REFUSED: Gauge "tailrace_configuration_refused" []
        "Whether the configuration as it stands in the files was refused, and an older one is in force";
    DRAINING: Gauge "tailrace_draining" []
        "Whether this node has been told to stop";
    WORKERS: Gauge "tailrace_workers" []
        "Threads that serve requests";
    BUILD_INFO: Gauge "tailrace_build_info" ["version", "store"]
        "Always 1; its labels say what runs";

    PROCESS_CPU: Counter "process_cpu_seconds_total" []
        "Processor time that the process has used";
    PROCESS_RESIDENT: Gauge "process_resident_memory_bytes" []
        "Memory of the process that is in RAM";
    PROCESS_VIRTUAL: Gauge "process_virtual_memory_bytes" []
        "Address space of the process";
    PROCESS_FDS: Gauge "process_open_fds" []
        "File descriptors that are open";
    PROCESS_MOST_FDS: Gauge "process_max_fds" []
        "File descriptors that may be open";
    PROCESS_START: Gauge "process_start_time_seconds" []
        "When the process started, in seconds since the Unix epoch";
}
