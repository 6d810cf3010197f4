//! Fuzzes [`boltgrid_fuzz::canonical`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    boltgrid_fuzz::canonical(bytes);
});
