//! An upstream's answer reads the same however its bytes are cut, and none makes the client panic.
//!
//! The input's first bytes are the cuts, so that a corpus is mostly plain text. The client's source
//! is taken alone, which is much quicker to build than the whole server.

#![no_main]
#![allow(dead_code, unreachable_pub)]

#[path = "../../src/http_client/any_cut.rs"]
mod any_cut;
mod cuts;
#[path = "../../src/http_client/framing.rs"]
mod framing;
#[path = "../../src/http_client/head.rs"]
mod head;
#[path = "../../src/http_client/settings.rs"]
mod settings;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let (sizes, answer) = cuts::read(input);
    any_cut::changes_nothing(answer, &sizes);
});
