//! A node that has paid and been paid for long starts again as soon as a new one: what it reads does
//! not grow with its past.

use boltgrid_market::effect::Slot;

use crate::world::{FIRST, Job, World};

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

/// Tranches of an interval in which as much was delivered as is paid in one go.
const TRANCHES: u64 = 64;
/// Intervals after which more hashes were used than are remembered.
const BUSY: u64 = 4_096 / TRANCHES + 2;

#[test]
fn a_payment_that_is_held_up_while_thousands_are_made_counts_when_it_arrives() {
    let mut world = World::new();
    // Settled late, so that all of it is within the hour in which an invoice is good.
    world.now = world.charter.interval.schedule(FIRST.plus(BUSY)).delivery_ends;
    world.settle(0, (250_000, 80_000));
    while world.pending().is_empty() {
        for node in [0, 1] {
            for job in std::mem::take(&mut world.nodes[node].jobs) {
                world.work(node, job);
            }
        }
        for parcel in std::mem::take(&mut world.mail) {
            world.deliver(&parcel);
        }
        world.pass(50);
    }
    let held = world.pending()[0];
    world.stuck = Some(held);
    for place in 1..=BUSY {
        world.settle(place, (TRANCHES * 250_000, 80_000));
        world.go_well_for(20_000);
    }
    world.go_well_for(600_000);
    let flights = u64::try_from(world.lightning.flights.len()).expect("a count");
    assert_eq!(flights, 1 + BUSY * TRANCHES, "all others are paid");
    assert!(world.nodes[1].jobs.iter().all(|job| !matches!(job, Job::Pay { .. })));
    // And a restart in between, which reads hashes from the summary.
    world.crash(0);
    world.crash(1);

    world.stuck = None;
    world.go_well_for(60_000);
    assert_eq!(world.paid_by(1), world.owed_by(1), "once, and no more");
    for node in [0, 1] {
        assert_eq!(world.nodes[node].engine.unpaid().count(), 0, "node {node}");
    }
}
