//! The shapes of the configuration file, and every default. `tailrace.example.toml` documents them
//! and a test keeps it true.

#![expect(missing_docs, reason = "tailrace.example.toml explains each key, once")]

mod auth;
mod model;
mod store;
mod traces;

pub(super) use auth::{AuthSection, JwksSection, KeyEntry};
pub(super) use model::{CommandModel, Kind, Model, RouteModel, Section, Upstream};
pub(super) use store::{RedisSection, RedisTlsSection};
pub(super) use traces::TracesSection;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use serde::Deserialize;

use crate::limit::Plan;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    pub bind: String,
    pub workers: usize,
    pub max_connections: usize,
    pub public_url: Option<String>,
    pub allowed_origins: Vec<String>,
    pub trusted_proxies: Vec<IpNet>,
    #[serde(with = "humantime_serde")]
    pub drain_delay: Duration,
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub watch_interval: Duration,
    pub default_model: Option<String>,
    pub upstream: Option<Upstream>,
    pub log: LogSection,
    pub metrics: MetricsSection,
    pub traces: TracesSection,
    pub tls: Option<TlsSection>,
    pub http: HttpSection,
    pub auth: AuthSection,
    pub limits: LimitSection,
    pub generation: GenerationSection,
    pub store: Store,
    pub memory: MemorySection,
    pub redis: RedisSection,
    pub playground: PlaygroundSection,
    pub monitor: MonitorSection,
    pub models: BTreeMap<String, Section>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            bind: "127.0.0.1:8080".to_owned(),
            workers: 0,
            max_connections: 25_000,
            public_url: None,
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
            watch_interval: Duration::from_secs(2),
            default_model: None,
            upstream: None,
            log: LogSection::default(),
            metrics: MetricsSection::default(),
            traces: TracesSection::default(),
            tls: None,
            http: HttpSection::default(),
            auth: AuthSection::default(),
            limits: LimitSection::default(),
            generation: GenerationSection::default(),
            store: Store::Memory,
            memory: MemorySection::default(),
            redis: RedisSection::default(),
            playground: PlaygroundSection::default(),
            monitor: MonitorSection::default(),
            models: BTreeMap::new(),
        }
    }
}

/// How the server logs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSection {
    pub format: LogFormat,
    pub level: String,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            level: "info".to_owned(),
        }
    }
}

/// Where the metrics are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSection {
    pub bind: Option<String>,
}

/// For whom the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people in a terminal, else for programs.
    Auto,
    /// For people.
    Human,
    /// For programs: one JSON object a line.
    Json,
}

/// A certificate, to serve HTTPS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    pub certificate: PathBuf,
    pub private_key: PathBuf,
}

/// The bounds of connections and requests.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSection {
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    pub body_limit: ByteSize,
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub head_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub keep_alive: Duration,
    #[serde(with = "humantime_serde")]
    pub peer_timeout: Duration,
}

impl Default for HttpSection {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(4),
            body_limit: ByteSize::mib(1),
            body_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(75),
            peer_timeout: Duration::from_secs(25),
        }
    }
}

/// How much may be generated.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSection {
    pub max_streams: u32,
    pub max_principals: usize,
    pub default_reservation: u32,
    pub failed_authentications_per_minute: u32,
    pub default_plan: String,
    pub plans: BTreeMap<String, Plan>,
}

impl Default for LimitSection {
    fn default() -> Self {
        let plan = Plan {
            requests_per_minute: 60,
            burst: 20,
            streams: 10,
            tokens_per_minute: 100_000,
        };
        Self {
            max_streams: 10_000,
            max_principals: 100_000,
            default_reservation: 1_000,
            failed_authentications_per_minute: 60,
            default_plan: "default".to_owned(),
            plans: BTreeMap::from([("default".to_owned(), plan)]),
        }
    }
}

/// The times within which every generation ends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GenerationSection {
    #[serde(with = "humantime_serde")]
    pub first_token_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub total_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub abandon_after: Duration,
    pub takeover: Takeover,
}

/// What becomes of a generation whose node is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Takeover {
    /// It ends with an error.
    Off,
    /// Another node goes on with it.
    Continue,
}

impl Default for GenerationSection {
    fn default() -> Self {
        Self {
            first_token_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(120),
            total_timeout: Duration::from_secs(3600),
            abandon_after: Duration::from_secs(60),
            takeover: Takeover::Off,
        }
    }
}

/// The embedded log's sizes and times.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemorySection {
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
    pub max_bytes: ByteSize,
    pub max_stream_bytes: ByteSize,
}

impl Default for MemorySection {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(600),
            max_bytes: ByteSize::mib(512),
            max_stream_bytes: ByteSize::mib(16),
        }
    }
}

/// The chat page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlaygroundSection {
    pub enabled: bool,
}

impl Default for PlaygroundSection {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// The operators' page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MonitorSection {
    pub enabled: bool,
}

impl Default for MonitorSection {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// Where streams are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// In this process.
    Memory,
    /// In Redis, for several nodes.
    Redis,
}
