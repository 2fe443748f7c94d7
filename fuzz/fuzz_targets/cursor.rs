//! A cursor is taken as it was sent or refused, whatever its bytes are.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tailrace::api::any_cursor::holds(input));
