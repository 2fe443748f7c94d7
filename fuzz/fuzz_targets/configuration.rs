//! A configuration is read or refused in words, as text and as variables.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tailrace::config::any_text::holds(input));
