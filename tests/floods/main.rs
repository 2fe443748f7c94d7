//! Many clients at once that mean no good, against the program itself: readers that never read, requests
//! that come a byte at a time, and more connections than there may be. Those that mean well are served
//! meanwhile, and when it is over the process is as it was.
//!
//!     cargo test --test floods                     what the test command runs
//!     cargo test --test floods -- --ignored long_  the same with more of them, as scripts/test --long does

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::single_match_else,
    reason = "a test is no library: it stops where something is wrong, and says what it measured"
)]

#[path = "../api/client.rs"]
#[expect(dead_code, reason = "the API tests use all of it")]
mod client;
#[path = "../support/event.rs"]
mod event;
mod flood;
#[path = "../support/program.rs"]
#[expect(dead_code, reason = "the API tests use all of it")]
mod program;
#[path = "../api/server.rs"]
#[expect(dead_code, unused_imports, reason = "the API tests use all of it")]
mod server;
mod slow;
#[path = "../api/sse.rs"]
#[expect(dead_code, reason = "the API tests use all of it")]
mod sse;
mod stalled;
mod target;
#[path = "../support/token.rs"]
mod token;
