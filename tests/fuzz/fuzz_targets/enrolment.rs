//! Fuzzes [`boltgrid_fuzz::enrolment`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    boltgrid_fuzz::enrolment(bytes);
});
