//! Fuzzes [`boltgrid_fuzz::direct`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    boltgrid_fuzz::direct(bytes);
});
