//! Fuzzes [`boltgrid_fuzz::p1`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    boltgrid_fuzz::p1(bytes);
});
