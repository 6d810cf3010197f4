//! Fuzzes [`boltgrid_fuzz::offers`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    boltgrid_fuzz::offers(bytes);
});
