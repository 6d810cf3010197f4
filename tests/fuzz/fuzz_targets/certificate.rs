//! Fuzzes [`boltgrid_fuzz::certificate`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    boltgrid_fuzz::certificate(bytes);
});
