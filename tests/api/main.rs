//! The product over a real port, against the contract with clients: framing, resume, endings,
//! credentials, limits, errors. Faults are injected by the demo's knobs and by cutting connections.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::needless_pass_by_value,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::single_match_else,
    reason = "a test is no library: it stops where something is wrong, and tables are long"
)]

mod anthropic;
mod auth;
mod bad_requests;
mod bench;
mod bench_faults;
mod bench_results;
mod chat_completions;
mod client;
mod collector;
mod command;
mod connections;
mod cors;
mod create;
mod edge;
mod edge_secrets;
mod endings;
#[path = "../support/event.rs"]
mod event;
mod follow;
mod forgeries;
mod forgery;
mod http10;
mod http_client;
mod issuer;
mod jwks;
mod limits;
mod logprobs;
mod metrics;
mod metrics_bounds;
mod metrics_page;
mod metrics_redis;
mod monitor;
mod native_tools;
mod nginx;
mod nodes;
mod openai;
mod openai_quirks;
mod operators;
mod playground;
mod process;
#[path = "../support/program.rs"]
mod program;
mod providers;
mod redis;
mod redis_cluster;
mod redis_config;
mod redis_faults;
#[path = "../support/redis_group.rs"]
mod redis_group;
mod redis_limits;
mod redis_sentinel;
#[path = "../support/redis_server.rs"]
mod redis_server;
mod redis_tls;
mod reload;
mod resume;
mod route;
mod route_breaker;
mod route_leaving;
mod route_log;
mod server;
mod service;
mod sse;
mod takeover;
mod tls;
mod tls_upstream;
#[path = "../support/token.rs"]
mod token;
mod traces;
mod traces_collector;
mod traces_context;
mod upstream;
mod upstream_timeouts;
