//! Fuzzes [`boltgrid_fuzz::modbus_map`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    boltgrid_fuzz::modbus_map(bytes);
});
