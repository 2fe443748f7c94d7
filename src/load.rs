//! A load generator for servers that stream Server-Sent Events: what `tailrace bench` runs.
//!
//! It starts streams by a [`Plan`], reads all of them on one thread with the HTTP client and the parser
//! that the rest of the program has, checks what every one of them says, and counts. It knows no
//! terminal and writes no file: what it finds is a [`Findings`]. Why it is one thread, and a process of
//! its own for our benchmarks too: docs/adr/0018-one-load-tool-the-benchmarks-run-it-as-a-process.md.

#![expect(
    clippy::cast_precision_loss,
    reason = "what is counted here stays far below 2^52"
)]

mod bad_request;
mod blocks;
mod clock;
mod connection;
mod dialect;
mod findings;
mod first_token;
mod native;
mod plan;
mod quantiles;
mod reader;
mod recorder;
mod refusal;
mod run;
mod schedule;
mod session;
mod stamp;
mod stream;
mod target;
mod tidying;
mod timeline;
mod usage;
mod warnings;
mod watch;

pub use self::findings::{Client, Counts, Findings, Memory, ProcessUsage, Streams, Tokens};
pub use self::plan::{Arrivals, Fan, Plan, Shares};
pub use self::quantiles::{Quantiles, Summary};
pub use self::refusal::Refused;
pub use self::run::{GivenUp, Live, Phase, Stopped, run};
pub use self::stamp::{Stamps, now as microseconds, write as write_stamp};
pub use self::target::{Api, Call, Target};
pub use self::timeline::{Moment, Seen};
pub use self::usage::{Usage, busy_seconds, machine};
