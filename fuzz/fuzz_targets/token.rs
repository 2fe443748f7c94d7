//! No token passes that the issuer did not sign, and of those that it did, none that says too little.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tailrace::auth::any_token::holds(input));
