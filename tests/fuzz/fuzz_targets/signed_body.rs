//! Fuzzes [`boltgrid_fuzz::signed_body`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    boltgrid_fuzz::signed_body(bytes);
});
