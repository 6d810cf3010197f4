//! Charters in TOML: whatever is taken is valid, has one id, and can be computed with.

#![no_main]

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::codec;
use boltgrid_protocol::units::{Interval, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(charter) = Charter::from_toml(text) else { return };
    assert!(charter.check().is_ok());
    let bytes = codec::canonical(&charter);
    if let Ok(read) = codec::decode::<Charter>(&bytes, codec::ENCODED_MAX) {
        assert_eq!(read.grid_id(), charter.grid_id());
    }
    for at in [0, 1_781_136_000_000, u64::MAX] {
        let now = Timestamp::from_unix_ms(at);
        assert!((1..=12).contains(&charter.tariff.clock.month(now)));
        assert!(charter.price.contains(charter.tariff.at(now).feed_in_msat_per_kwh));
        let schedule = charter.interval.schedule(charter.interval.interval_at(now));
        assert!(schedule.gate <= schedule.delivery_starts);
    }
    assert!(
        charter.interval.schedule(Interval::from_number(u64::MAX)).views_end().to_unix_ms() > 0
    );
});
