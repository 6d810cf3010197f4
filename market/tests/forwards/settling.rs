//! What forwards come to: both sides compute the same, and no meter's kilowatt-hour counts twice.

use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_market::settlement::{
    Contract, Delivery, ForwardContract, Metered, Settlement, before_losses_ceil, settle,
};
use boltgrid_protocol::charter::TariffPrices;
use boltgrid_protocol::confirm::TradeTerms;
use boltgrid_protocol::envelope::Verified;
use boltgrid_protocol::id::{MessageHash, ParticipantId, RosterIndex};
use boltgrid_protocol::message::Message;
use boltgrid_protocol::order::Side;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::{Energy, Interval, Power, Price, SignedMsat};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::{World, mwh, terms};

/// Lets everybody hear the reading of a node at the start of an interval.
fn read(world: &mut World, index: usize, interval: Interval, registers: (u64, u64)) {
    let at = world.charter.interval.start_of(interval);
    let body = Reading {
        at,
        sequence: interval.to_number(),
        previous: MessageHash::default(),
        import_register_mwh: mwh(registers.0),
        export_register_mwh: mwh(registers.1),
        power_mw: Power::ZERO,
        potential_mw: None,
        voltage_mv: None,
        frequency_mhz: None,
    };
    let key = world.nodes[index].key.clone();
    let roster = world.nodes[index].market.roster(interval);
    let author = (&key.participant_id(), &key);
    let charter = std::sync::Arc::clone(&world.charter);
    let reading = Verified::sign(&body, interval, author, (&charter, &roster)).unwrap();
    for to in 0..world.nodes.len() {
        let message = Box::new(Message::Reading(reading.clone()));
        world.input(to, Input::Heard { message, token: None });
    }
}

fn settled(world: &World, index: usize, interval: Interval) -> Settlement {
    let of = |notice: &Notice| {
        let Notice::Settled(it) = notice else { return None };
        (it.interval == interval).then(|| it.as_ref().clone())
    };
    world.nodes[index].notices.iter().find_map(of).expect("it was settled")
}

#[test]
fn both_sides_compute_the_same_from_the_same_readings() {
    let mut world = World::new();
    let offer = world.offer(0, terms(&world, 5000));
    world.accept(1, &offer, (0, 1), 2000);
    world.settle_mail();
    world.accept(2, &offer, (0, 1), 3000);
    world.settle_mail();
    let interval = world.first;
    let timing = world.charter.interval;
    world.now = timing.schedule(interval).orders_open;
    (0..4).for_each(|node| world.input(node, Input::Tick));
    world.now = timing.start_of(interval);
    (0..3).for_each(|node| read(&mut world, node, interval, (100, 100)));
    world.now = timing.start_of(interval.next());
    // Of 4000 that leave the seller's meter 3880 arrive: all of the first and 1880 of the second.
    read(&mut world, 0, interval.next(), (100, 4100));
    read(&mut world, 1, interval.next(), (2600, 100));
    read(&mut world, 2, interval.next(), (1100, 100));
    let sale = settled(&world, 0, interval);
    let delivered: Vec<_> = sale.forwards.iter().map(|it| it.delivered_mwh).collect();
    let (first, second) = (settled(&world, 1, interval), settled(&world, 2, interval));
    assert_eq!(first.forwards[0].delivered_mwh, mwh(2000));
    assert_eq!(second.forwards[0].delivered_mwh, mwh(1000), "the second took no more");
    assert_eq!(delivered.iter().map(|it| it.to_milliwatt_hours()).sum::<u64>(), 3000);
    for purchase in [&first, &second] {
        let bought = purchase.forwards[0];
        let sold = sale.forwards.iter().find(|it| it.acceptance == bought.acceptance).unwrap();
        assert_eq!(bought.due_msat, sold.due_msat.checked_neg().unwrap());
        assert_eq!(bought.delivered_mwh, sold.delivered_mwh);
    }
    assert_eq!(first.forwards[0].due_msat, SignedMsat::from_millisatoshi(-300));
    assert!(sale.entry().is_ok() && first.entry().is_ok(), "the ledger balances");
}

/// One side's interval: forwards stacked one on the other, one spot trade beyond them, and a meter.
#[derive(Clone, Debug)]
struct Interval1 {
    sells: bool,
    energies: Vec<u64>,
    others: Vec<(u64, u64)>,
    spot: u64,
    metered: (u64, u64),
    other: (u64, u64),
    price: i64,
}

fn interval() -> impl Strategy<Value = Interval1> {
    let registers = || (0..20_000_u64, 0..20_000_u64);
    (any::<bool>(), vec(1..4_000_u64, 0..5), vec((0..9_000_u64, 0..20_000_u64), 5))
        .prop_flat_map(move |(sells, energies, others)| {
            (
                Just((sells, energies, others)),
                1..4_000_u64,
                registers(),
                registers(),
                -200_000..400_000_i64,
            )
        })
        .prop_map(|((sells, energies, others), spot, metered, other, price)| Interval1 {
            sells,
            energies,
            others,
            spot,
            metered,
            other,
            price,
        })
}

impl Interval1 {
    fn meter((import, export): (u64, u64)) -> Metered {
        Metered { import: mwh(import), export: mwh(export) }
    }

    /// The forwards, as this side sees them or as the others do.
    fn forwards(&self, mine: bool) -> Vec<ForwardContract> {
        let mut before = 0;
        let mut forwards = Vec::new();
        for (energy, (others_before, others_meter)) in self.energies.iter().zip(&self.others) {
            let theirs = if self.sells { (*others_meter, 0) } else { (0, *others_meter) };
            let (my_meter, their_meter) =
                (Some(Self::meter(self.metered)), Some(Self::meter(theirs)));
            let (seller_before, buyer_before, seller, buyer) = if self.sells {
                (before, *others_before, my_meter, their_meter)
            } else {
                (*others_before, before, their_meter, my_meter)
            };
            forwards.push(ForwardContract {
                acceptance: MessageHash::default(),
                side: if self.sells == mine { Side::Sell } else { Side::Buy },
                counterparty: ParticipantId::default(),
                energy_mwh: mwh(*energy),
                price_msat_per_kwh: Price::from_msat_per_kwh(self.price),
                seller_before: mwh(seller_before),
                buyer_before: mwh(buyer_before),
                seller,
                buyer,
            });
            before += energy;
        }
        forwards
    }

    fn settle(&self) -> Settlement {
        let (me, other) = (RosterIndex::new(0), RosterIndex::new(1));
        let (seller, buyer) = if self.sells { (me, other) } else { (other, me) };
        let committed = mwh(self.energies.iter().sum());
        let (seller_committed, buyer_committed) =
            if self.sells { (committed, Energy::ZERO) } else { (Energy::ZERO, committed) };
        let spot = Contract {
            terms: TradeTerms {
                index: 0,
                seller,
                buyer,
                energy_mwh: mwh(self.spot),
                price_msat_per_kwh: Price::from_msat_per_kwh(self.price),
            },
            counterparty: ParticipantId::default(),
            seller_total: mwh(self.spot),
            buyer_total: mwh(self.spot),
            seller_committed,
            buyer_committed,
            seller: Some(Self::meter(self.other)),
            buyer: Some(Self::meter(self.other)),
        };
        let metered = Some(Self::meter(self.metered));
        settle(&delivery(me, metered), &[spot], &self.forwards(true)).unwrap()
    }
}

fn delivery(me: RosterIndex, metered: Option<Metered>) -> Delivery {
    Delivery {
        interval: Interval::from_number(7),
        me,
        metered,
        prices: TariffPrices {
            retail_msat_per_kwh: Price::from_msat_per_kwh(300_000),
            feed_in_msat_per_kwh: Price::from_msat_per_kwh(-30_000),
        },
        loss_ppm: 30_000,
    }
}

proptest! {
    #[test]
    fn forwards_and_spot_never_deliver_more_than_the_meter_shows(it in interval()) {
        let settlement = it.settle();
        let sum = settlement
            .forwards
            .iter()
            .map(|forward| forward.delivered_mwh)
            .chain(settlement.trades.iter().map(|trade| trade.delivered_mwh))
            .fold(Energy::ZERO, Energy::saturating_add);
        let meter = Interval1::meter(it.metered);
        if it.sells {
            prop_assert!(before_losses_ceil(sum, 30_000).unwrap() <= meter.net_export());
        } else {
            prop_assert!(sum <= meter.net_import());
        }
        prop_assert!(settlement.entry().is_ok());
    }

    #[test]
    fn the_other_side_of_every_forward_owes_the_same(it in interval()) {
        let mine = it.settle().forwards;
        for (place, theirs) in it.forwards(false).into_iter().enumerate() {
            let meter = if it.sells { theirs.buyer } else { theirs.seller };
            let settled = settle(&delivery(RosterIndex::new(1), meter), &[], &[theirs]).unwrap();
            prop_assert_eq!(settled.forwards[0].delivered_mwh, mine[place].delivered_mwh);
            let owed = settled.forwards[0].due_msat.checked_neg();
            prop_assert_eq!(owed, Some(mine[place].due_msat));
        }
    }

    #[test]
    fn ranges_that_overlap_are_not_settled(it in interval()) {
        let mut forwards = it.forwards(true);
        prop_assume!(!forwards.is_empty());
        forwards.push(forwards[0]);
        let metered = Some(Interval1::meter(it.metered));
        prop_assert!(settle(&delivery(RosterIndex::new(0), metered), &[], &forwards).is_err());
    }
}
