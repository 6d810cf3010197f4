//! Fuzzes [`boltgrid_fuzz::gatekeeper`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    boltgrid_fuzz::gatekeeper(bytes);
});
