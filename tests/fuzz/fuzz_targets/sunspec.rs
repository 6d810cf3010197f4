//! Fuzzes [`boltgrid_fuzz::sunspec`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    boltgrid_fuzz::sunspec(bytes);
});
