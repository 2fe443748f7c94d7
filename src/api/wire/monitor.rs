//! The JSON shapes of the monitor's feed: figures and names, never a prompt, a text or a credential.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stream::StreamId;

/// One event of the monitor's feed; `type` tells which.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(discriminator(property_name = "type", mapping(
    ("state" = "#/components/schemas/MonitorState"),
    ("drain" = "#/components/schemas/MonitorDrain"),
    ("end" = "#/components/schemas/MonitorEnd"),
)))]
pub(in crate::api) enum MonitorEvent {
    /// How the server stands: at once, then each second.
    State(Box<MonitorState>),
    /// The server has been told to stop, and lets its generations finish.
    Drain(MonitorDrain),
    /// The last of this feed.
    End(MonitorEnd),
}

/// Always `state`.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum StateType {
    /// The only value.
    State,
}

/// Always `drain`.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum DrainType {
    /// The only value.
    Drain,
}

/// Always `end`.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum EndType {
    /// The only value.
    End,
}

/// How the server stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::api) struct MonitorState {
    /// Which event this is.
    pub r#type: StateType,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What `last_window` counts: the time that has been watched, at most a minute, in milliseconds.
    pub window_ms: u64,
    /// This node.
    pub node: NodeState,
    /// What runs on this node.
    pub streams: LiveStreams,
    /// All models and plans together.
    pub total: Pace,
    /// Each model that had a generation.
    pub models: Vec<Pace>,
    /// Each plan that had one.
    pub plans: Vec<Pace>,
    /// HTTP requests that were answered, in a second; null for the first state.
    pub requests_per_second: Option<f64>,
    /// Requests that were answered with an error, by its code; those of the window first.
    pub errors: Vec<Tally>,
    /// Generations that ended with an error, by its code; those of the window first. Where nothing was answered
    /// before, such an end is the answer to a request too, and stands among `errors` as well.
    pub failures: Vec<Tally>,
    /// Generations that were not admitted, by why; those of the window first.
    pub rejections: Vec<Rejected>,
    /// Answers that follow a stream now, by their form.
    pub readers: Vec<Count>,
    /// Upstreams of routes.
    pub upstreams: Vec<UpstreamState>,
    /// Redis; null without it.
    pub redis: Option<RedisState>,
    /// The nodes that share limits and streams, this one among them; empty without Redis.
    pub nodes: Vec<PeerState>,
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum Standing {
    /// It takes new generations.
    Serving,
    /// It was told to stop, and serves on until whoever sends requests has heard of it.
    Leaving,
    /// It was told to stop: it takes no new ones, and lets those that run finish.
    Draining,
    /// It can take none now: Redis is away, or it has no keys.
    Unready,
    /// What a node of another version says, and this one does not know.
    #[serde(other)]
    Unknown,
}

/// One node.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::api) struct NodeState {
    /// The name of its machine and the port where it listens.
    pub name: String,
    /// The version of Tailrace.
    pub version: &'static str,
    /// Where it keeps streams: `memory` or `redis`.
    pub store: &'static str,
    /// What it does.
    pub state: Standing,
    /// When it started, in milliseconds since the Unix epoch. Counts since the start are those of one name and
    /// start.
    pub started_ms: u64,
    /// How long it has run, in seconds.
    pub uptime_s: u64,
    /// How long it may still drain, in milliseconds; null unless it drains.
    pub drain_left_ms: Option<u64>,
    /// Threads that serve requests.
    pub workers: u64,
    /// How much processor time it used in a second: 1 is one core. Null for the first state.
    pub cpu: Option<f64>,
    /// Memory that is in RAM.
    pub memory_bytes: Option<u64>,
    /// File descriptors that are open: one for each connection.
    pub descriptors: Option<u64>,
    /// File descriptors that may be open.
    pub max_descriptors: Option<u64>,
    /// Generations that hold a place.
    pub places: u64,
    /// Places that there are.
    pub max_places: u64,
    /// Bytes that streams take in its memory.
    pub log_bytes: u64,
    /// Bytes that they may take; null with Redis.
    pub max_log_bytes: Option<u64>,
}

/// Generations that run on a node: the oldest and the newest of them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::api) struct LiveStreams {
    /// How many run.
    pub count: usize,
    /// Some of them, oldest first: all, if they are at most 200.
    pub shown: Vec<LiveStream>,
}

/// One generation that runs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::api) struct LiveStream {
    /// Its stream.
    #[schema(value_type = String)]
    pub id: StreamId,
    /// The subject of the token that asked for it.
    pub owner: String,
    /// The issuer of that token; empty if it has none.
    pub issuer: String,
    /// The public name of its model.
    pub model: String,
    /// Its plan.
    pub plan: String,
    /// How long it has run.
    pub age_ms: u64,
    /// Whether a token has come.
    pub has_begun: bool,
    /// How many tokens have come.
    pub tokens: u64,
    /// How many came in a second, over some seconds; null when it was not seen before.
    pub tokens_per_second: Option<f64>,
    /// How many follow it on this node.
    pub readers: usize,
    /// Whether somebody follows it on another node.
    pub read_elsewhere: bool,
}

/// How fast generations are.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(in crate::api) struct Pace {
    /// Of which model or plan; empty for all together.
    pub name: String,
    /// How many run.
    pub running: u64,
    /// How many began within the window.
    pub started: u64,
    /// How many tokens came in a second; null for the first state.
    pub tokens_per_second: Option<f64>,
    /// How long first tokens took, of those within the window.
    pub first_token: Quantiles,
    /// How long passed between one arrival of tokens and the next, within the window.
    pub gap: Quantiles,
}

/// What a share of some times did not exceed, in milliseconds: read from buckets, so not more exact than
/// these; null if there were none.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
pub(in crate::api) struct Quantiles {
    /// How many there were.
    pub count: u64,
    /// Half of them.
    pub p50_ms: Option<f64>,
    /// 95 %.
    pub p95_ms: Option<f64>,
    /// 99 %.
    pub p99_ms: Option<f64>,
}

/// How often something happened.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::api) struct Tally {
    /// The code.
    pub code: String,
    /// How often within the window.
    pub last_window: u64,
    /// How often since the start.
    pub total: u64,
}

/// How often generations were not admitted.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::api) struct Rejected {
    /// The limit: `requests`, `tokens`, `tokens_ever`, `streams` of the plan, or `server`; or `draining`.
    pub reason: String,
    /// The plan.
    pub plan: String,
    /// How often within the window.
    pub last_window: u64,
    /// How often since the start.
    pub total: u64,
}

/// How many there are.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::api) struct Count {
    /// Of what.
    pub name: String,
    /// How many.
    pub count: u64,
}

/// An upstream of a route.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::api) struct UpstreamState {
    /// The route's model.
    pub model: String,
    /// The upstream.
    pub upstream: String,
    /// Whether it is left alone now, since it has failed.
    pub rests: bool,
}

/// What is known of Redis.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::api) struct RedisState {
    /// Whether it answers; of a cluster, some of it.
    pub up: bool,
    /// What it did not do, by why; those of the window first.
    pub faults: Vec<Tally>,
}

/// A node as the others know it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::api) struct PeerState {
    /// Its name in this run.
    pub id: String,
    /// Whether it is this one.
    pub is_this: bool,
    /// How long ago it was heard.
    pub heard_ms: u64,
    /// What it said then; null if it is of a version that says nothing.
    pub said: Option<PeerNote>,
}

/// What a node says of itself to the others.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(in crate::api) struct PeerNote {
    /// The name of its machine and the port where it listens.
    pub name: String,
    /// The version of Tailrace.
    pub version: String,
    /// What it does.
    pub state: Standing,
    /// How many generations it runs.
    pub streams: u64,
    /// How long it has run, in seconds.
    pub uptime_s: u64,
}

/// The server has been told to stop.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::api) struct MonitorDrain {
    /// Which event this is.
    pub r#type: DrainType,
    /// How long generations that run may still take, in milliseconds.
    pub drain_left_ms: u64,
    /// How many run.
    pub streams: usize,
}

/// Why a feed ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum EndReason {
    /// It has lasted ten minutes: whoever still has a valid token comes again.
    Again,
    /// The server stops.
    Stopping,
}

/// The last event of a feed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(in crate::api) struct MonitorEnd {
    /// Which event this is.
    pub r#type: EndType,
    /// Why.
    pub reason: EndReason,
}
