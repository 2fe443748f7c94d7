//! Tailrace streams the tokens of language models over Server-Sent Events and loses none of them.
//!
//! The walk of one request, `POST /v1/streams`:
//!
//! 1. [`api`] reads the credentials and [`auth`] makes a [`auth::Principal`] of them: who calls.
//! 2. [`limit`] admits the principal with a [`limit::Permit`], which settles what was really used
//!    when it is dropped.
//! 3. [`generation`] starts a producer, which runs a [`generator`] into the [`stream_log`] and
//!    holds the permit until its one terminal entry is written.
//! 4. [`generation`] subscribes the caller: replay after a cursor, then follow the tail.
//! 5. [`api`] encodes what the subscription yields, with heartbeats, as the response body.
//!
//! Every response follows the log, the first connection too, so resuming is the same code with
//! another cursor. The vocabulary that all of them share is [`stream`].

pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod event_stream;
pub mod generation;
pub mod generator;
pub mod http_client;
pub mod limit;
pub mod load;
pub mod metrics;
pub mod panics;
pub mod plot;
pub mod redis;
#[cfg(test)]
mod seeds;
pub mod shutdown;
pub mod stream;
pub mod stream_log;
pub mod telemetry;
pub mod traces;

/// Compiles the Rust of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
