//! Fuzzes [`boltgrid_fuzz::sml`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    boltgrid_fuzz::sml(bytes);
});
