//! Feeds what libFuzzer makes up to the target of this name.
#![no_main]

#[path = "../src/netrc.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
