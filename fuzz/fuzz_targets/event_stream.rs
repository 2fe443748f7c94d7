//! Events of an upstream read the same however their bytes are cut, and within their bound.
//!
//! The input's first bytes are the bound and the cuts, so that a corpus is mostly plain text. The
//! parser's source is taken alone, which is much quicker to build than the whole server.

#![no_main]
#![allow(dead_code, unreachable_pub)]

#[path = "../../src/event_stream/any_cut.rs"]
mod any_cut;
mod cuts;
#[path = "../../src/event_stream.rs"]
mod event_stream;

use event_stream::{EventStream, EventStreamError, ServerEvent};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((&bound, input)) = input.split_first() else {
        return;
    };
    let (sizes, body) = cuts::read(input);
    any_cut::changes_nothing(body, &sizes, usize::from(bound) * 4);
});
