//! A node that has paid and been paid for long starts again as soon as a new one: what it reads does
//! not grow with its past.

use boltgrid_market::effect::Slot;

use crate::world::{FIRST, World};

/// A day of five-minute intervals, in which a due that is paid is still remembered (P31), and some.
const DAY: u64 = 6 * 64;

/// Lives through so many intervals with a payment in each. Returns how many records a node reads when
/// it starts again: those of the last summary's interval, and all after it.
fn records_read_after(intervals: u64) -> usize {
    let mut world = World::new();
    for place in 0..intervals {
        let ended = world.charter.interval.schedule(FIRST.plus(place)).delivery_ends;
        world.now = world.now.max(ended);
        world.settle(place, (250_000, 80_000));
        world.go_well_for(2_000);
        let paid = u64::try_from(world.lightning.flights.len()).expect("a count");
        assert_eq!(paid, place + 1, "all is paid at once");
    }
    let slots = world.nodes[0].journal.keys();
    let summed_up = slots.clone().filter(|slot| matches!(slot, Slot::Summary(_)));
    let summed_up = summed_up.map(|slot| slot.interval()).max().expect("there is a summary");
    let is_read = |slot: &&Slot| matches!(slot, Slot::Payment(at, _) if *at >= summed_up);
    slots.filter(is_read).count()
}

#[test]
fn what_a_restart_reads_does_not_grow_with_the_past() {
    let (short, long) = (records_read_after(DAY), records_read_after(3 * DAY));
    // Payment hashes are remembered a thousand to a record, up to four of these.
    assert!(long <= short + 4, "{short} records after one day and {long} after three");
}
