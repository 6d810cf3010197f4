//! Fuzzes [`boltgrid_fuzz::charter`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    boltgrid_fuzz::charter(bytes);
});
