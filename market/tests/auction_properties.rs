//! What must hold of every clearing, on random books: small ones full of ties and negative prices,
//! and ones at the edge of what the types can hold. The reference in `reference` must agree.

mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use boltgrid_market::auction::{AuctionRules, BookOrder, Clearing, clear, executions};
use boltgrid_protocol::charter::PriceBand;
use boltgrid_protocol::id::{MessageHash, RosterIndex};
use boltgrid_protocol::order::{Order, Preference, Side, Source, Step};
use boltgrid_protocol::units::{Energy, Interval, Price};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

const INTERVAL: Interval = Interval::from_number(7);

/// From which amounts a book is drawn.
#[derive(Clone)]
struct Shape {
    limits: RangeInclusive<i64>,
    energies: BoxedStrategy<u64>,
    caps: BoxedStrategy<u64>,
    orders: RangeInclusive<usize>,
}

/// Few limits and little energy: ties, and rounding that shows.
fn tied() -> Shape {
    Shape {
        limits: -4..=4,
        energies: (1_u64..=7).boxed(),
        caps: prop_oneof![0_u64..=20, Just(u64::MAX)].boxed(),
        orders: 0..=10,
    }
}

/// Many limits and household amounts.
fn ordinary() -> Shape {
    Shape {
        limits: -200_000..=300_000,
        energies: (1_u64..=2_000_000).boxed(),
        caps: (0_u64..=10_000_000).boxed(),
        orders: 0..=24,
    }
}

/// The largest energies and the widest band.
fn extreme() -> Shape {
    Shape {
        limits: i64::MIN..=i64::MAX,
        energies: prop_oneof![1_u64..=3, u64::MAX - 3..=u64::MAX, any::<u64>()].boxed(),
        caps: prop_oneof![Just(0), Just(u64::MAX), any::<u64>()].boxed(),
        orders: 0..=8,
    }
}

fn energy(mwh: u64) -> Energy {
    Energy::from_milliwatt_hours(mwh)
}

fn price(msat_per_kwh: i64) -> Price {
    Price::from_msat_per_kwh(msat_per_kwh)
}

fn member(index: usize) -> RosterIndex {
    RosterIndex::new(u32::try_from(index).expect("rosters are small"))
}

fn rules(limits: &RangeInclusive<i64>, import_cap: u64, export_cap: u64) -> AuctionRules {
    AuctionRules {
        band: PriceBand {
            floor_msat_per_kwh: price(*limits.start()),
            ceiling_msat_per_kwh: price(*limits.end()),
        },
        import_cap: energy(import_cap),
        export_cap: energy(export_cap),
    }
}

fn source() -> impl Strategy<Value = Source> {
    select(vec![Source::Load, Source::Pv, Source::Battery])
}

/// One to four steps, buys below `split` and sells from it on.
fn steps(shape: &Shape) -> impl Strategy<Value = Vec<Step>> + use<> {
    let limits = shape.limits.clone();
    let step = (limits.clone(), shape.energies.clone(), source());
    (limits, vec(step, 1..=4)).prop_map(|(split, steps)| {
        let step = |(limit, energy_mwh, source)| Step {
            side: if limit < split { Side::Buy } else { Side::Sell },
            source,
            energy_mwh: energy(energy_mwh),
            limit_msat_per_kwh: price(limit),
        };
        steps.into_iter().map(step).collect()
    })
}

prop_compose! {
    fn book_order(shape: &Shape, index: usize, count: usize)(
        steps in steps(shape),
        outside in prop::bool::weighted(0.3),
        lot in any::<[u8; 31]>(),
        partners in subsequence((0..count).filter(|i| *i != index).collect::<Vec<_>>(), 0..count.min(4)),
        wishes in vec((any::<Index>(), proptest::option::of(source())), 0..=2),
    ) -> BookOrder {
        let mut hash = [u8::try_from(index).expect("rosters are small"); 32];
        hash[..31].copy_from_slice(&lot);
        let preference = |(other, source): (Index, Option<Source>)| match source {
            Some(source) => Preference::Source(source),
            None => Preference::Partner(member((index + 1 + other.index(count)) % (count + 1))),
        };
        BookOrder {
            participant: member(index),
            hash: MessageHash::from_bytes(hash),
            outside,
            order: Order {
                steps,
                channel_partners: partners.into_iter().map(member).collect(),
                preferences: wishes.into_iter().map(preference).collect(),
                ..Order::default()
            },
        }
    }
}

/// A book in any order, and the rules of its auction.
fn market(shape: Shape) -> impl Strategy<Value = (AuctionRules, Vec<BookOrder>)> {
    let rules = (shape.caps.clone(), shape.caps.clone(), Just(shape.limits.clone()))
        .prop_map(|(import_cap, export_cap, limits)| rules(&limits, import_cap, export_cap));
    let book = shape.orders.clone().prop_flat_map(move |count| {
        let orders: Vec<_> = (0..count).map(|index| book_order(&shape, index, count)).collect();
        orders.prop_shuffle()
    });
    (rules, book)
}

fn any_market() -> impl Strategy<Value = (AuctionRules, Vec<BookOrder>)> {
    prop_oneof![3 => market(tied()), 1 => market(ordinary()), 1 => market(extreme())]
}

/// Every executed step with what of it executes.
fn executed<'book>(
    rules: &AuctionRules,
    book: &'book [BookOrder],
) -> Vec<(&'book BookOrder, Step, u64)> {
    let orders: BTreeMap<_, _> = book.iter().map(|order| (order.participant, order)).collect();
    executions(INTERVAL, rules, book)
        .into_iter()
        .map(|execution| {
            let order = orders[&execution.participant];
            let step = order.order.steps[usize::from(execution.step)];
            (order, step, execution.energy.to_milliwatt_hours())
        })
        .collect()
}

/// What one step executes.
fn executed_by(
    rules: &AuctionRules,
    book: &[BookOrder],
    participant: RosterIndex,
    step: u8,
) -> Energy {
    executions(INTERVAL, rules, book)
        .into_iter()
        .find(|execution| (execution.participant, execution.step) == (participant, step))
        .map_or(Energy::ZERO, |execution| execution.energy)
}

fn clear_now(rules: &AuctionRules, book: &[BookOrder]) -> Clearing {
    clear(INTERVAL, rules, book)
}

/// Whether a pair is named, by either side and in any way.
fn is_named(seller: &BookOrder, buyer: &BookOrder) -> bool {
    let wishes = |one: &BookOrder, other: &BookOrder| {
        one.order.preferences.iter().any(|preference| match preference {
            Preference::Partner(partner) => *partner == other.participant,
            Preference::Source(source) => {
                other.order.steps.iter().any(|step| step.source == *source)
            }
        })
    };
    are_partners(seller, buyer) || wishes(seller, buyer) || wishes(buyer, seller)
}

fn are_partners(one: &BookOrder, other: &BookOrder) -> bool {
    one.order.channel_partners.contains(&other.participant)
        && other.order.channel_partners.contains(&one.participant)
}

fn one_step(index: usize, side: Side, limit: i64, energy_mwh: u64) -> BookOrder {
    let source = if side == Side::Buy { Source::Load } else { Source::Pv };
    let step =
        Step { side, source, energy_mwh: energy(energy_mwh), limit_msat_per_kwh: price(limit) };
    BookOrder {
        participant: member(index),
        hash: MessageHash::from_bytes([u8::try_from(index).expect("rosters are small"); 32]),
        outside: false,
        order: Order { steps: vec![step], ..Order::default() },
    }
}

const OPEN: RangeInclusive<i64> = -1000..=1000;

fn open_rules() -> AuctionRules {
    rules(&OPEN, u64::MAX, u64::MAX)
}

fn trades(clearing: &Clearing) -> Vec<(u32, u32, u64)> {
    let plain = |t: &boltgrid_market::auction::Trade| {
        (t.seller.get(), t.buyer.get(), t.energy_mwh.to_milliwatt_hours())
    };
    clearing.trades.iter().map(plain).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8000))]

    #[test]
    fn the_reference_agrees_on_everything((rules, book) in any_market()) {
        let clearing = clear_now(&rules, &book);
        let ours = reference::Outcome {
            price: clearing.price_msat_per_kwh.map(Price::to_msat_per_kwh),
            volume: clearing.volume_mwh.to_milliwatt_hours(),
            executions: executions(INTERVAL, &rules, &book)
                .into_iter()
                .map(|e| {
                    let key = (e.participant.get(), usize::from(e.step));
                    (key, e.energy.to_milliwatt_hours())
                })
                .collect(),
            trades: trades(&clearing).into_iter().map(|(s, b, energy)| ((s, b), energy)).collect(),
            digest: *clearing.digest().as_bytes(),
        };
        prop_assert_eq!(ours, reference::clear(INTERVAL.to_number(), &rules, &book));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn nobody_executes_beyond_its_limit_or_its_step((rules, book) in any_market()) {
        let price = clear_now(&rules, &book).price_msat_per_kwh;
        for (_, step, executed) in executed(&rules, &book) {
            let price = price.expect("what executes has a price");
            prop_assert!(executed <= step.energy_mwh.to_milliwatt_hours());
            match step.side {
                Side::Buy => prop_assert!(price <= step.limit_msat_per_kwh),
                Side::Sell => prop_assert!(price >= step.limit_msat_per_kwh),
            }
        }
    }

    #[test]
    fn bought_sold_and_traded_energy_is_the_volume((rules, book) in any_market()) {
        let clearing = clear_now(&rules, &book);
        let volume = u128::from(clearing.volume_mwh.to_milliwatt_hours());
        let mut by_member = BTreeMap::<_, i128>::new();
        let (mut bought, mut sold, mut traded) = (0_u128, 0_u128, 0_u128);
        for (order, step, executed) in executed(&rules, &book) {
            let side = match step.side { Side::Buy => &mut bought, Side::Sell => &mut sold };
            *side += u128::from(executed);
            let sign = if step.side == Side::Buy { 1 } else { -1 };
            *by_member.entry(order.participant).or_default() += sign * i128::from(executed);
        }
        for trade in &clearing.trades {
            let energy = trade.energy_mwh.to_milliwatt_hours();
            prop_assert!(energy > 0);
            prop_assert!(trade.seller != trade.buyer);
            traded += u128::from(energy);
            *by_member.entry(trade.buyer).or_default() -= i128::from(energy);
            *by_member.entry(trade.seller).or_default() += i128::from(energy);
        }
        prop_assert_eq!((bought, sold, traded), (volume, volume, volume));
        prop_assert!(by_member.into_values().all(|difference| difference == 0));
        prop_assert_eq!(clearing.price_msat_per_kwh.is_some(), volume > 0);
        prop_assert!(clearing.trades.is_sorted_by(|a, b| (a.seller, a.buyer) < (b.seller, b.buyer)));
    }

    #[test]
    fn no_price_in_the_band_matches_more((mut rules, book) in market(tied())) {
        (rules.import_cap, rules.export_cap) = (energy(u64::MAX), energy(u64::MAX));
        let at = |price: i64, side: Side| -> u64 {
            let agrees = |step: &&Step| match side {
                Side::Buy => step.limit_msat_per_kwh.to_msat_per_kwh() >= price,
                Side::Sell => step.limit_msat_per_kwh.to_msat_per_kwh() <= price,
            };
            let steps = book.iter().flat_map(|order| order.order.side(side));
            steps.filter(agrees).map(|step| step.energy_mwh.to_milliwatt_hours()).sum()
        };
        let most = tied().limits.map(|price| at(price, Side::Buy).min(at(price, Side::Sell))).max();
        let volume = clear_now(&rules, &book).volume_mwh.to_milliwatt_hours();
        prop_assert_eq!(Some(volume), most);
    }

    #[test]
    fn the_order_of_the_book_changes_nothing(
        (market, shuffled) in any_market()
            .prop_flat_map(|market| (Just(market.clone()), Just(market.1).prop_shuffle()))
    ) {
        let (rules, book) = market;
        let (one, other) = (clear_now(&rules, &book), clear_now(&rules, &shuffled));
        prop_assert_eq!(one.digest(), other.digest());
        prop_assert_eq!(one, other);
        prop_assert_eq!(
            executions(INTERVAL, &rules, &book),
            executions(INTERVAL, &rules, &shuffled)
        );
    }

    #[test]
    fn another_order_never_lowers_the_volume_and_moves_the_price_its_way(
        (rules, mut book) in any_market(),
        new in any::<Index>(),
        one_side in select(vec![Side::Buy, Side::Sell]),
    ) {
        prop_assume!(!book.is_empty());
        let last = book.len() - 1;
        book.swap(new.index(last + 1), last);
        book[last].order.steps.retain(|step| step.side == one_side);
        // With a capacity, a newcomer from outside may take the place of others.
        book[last].outside = false;
        let before = clear_now(&rules, &book[..last]);
        let after = clear_now(&rules, &book);
        prop_assert!(after.volume_mwh >= before.volume_mwh);
        // At the largest volume, what is cut off to stay there no longer moves the price.
        prop_assume!(after.volume_mwh < energy(u64::MAX));
        if let Some((before, after)) = before.price_msat_per_kwh.zip(after.price_msat_per_kwh) {
            match one_side {
                Side::Buy => prop_assert!(after >= before),
                Side::Sell => prop_assert!(after <= before),
            }
        }
    }

    #[test]
    fn a_better_limit_never_executes_less(
        (rules, mut book) in any_market(),
        (order, step) in any::<(Index, Index)>(),
        by in prop_oneof![1_i64..=4, 1_i64..=i64::MAX],
    ) {
        prop_assume!(!book.is_empty());
        let order = order.index(book.len());
        let step = step.index(book[order].order.steps.len());
        let participant = book[order].participant;
        let place = u8::try_from(step).unwrap();
        let before = executed_by(&rules, &book, participant, place);
        let volume_before = clear_now(&rules, &book).volume_mwh;
        let others = book[order].order.clone();
        let changed = &mut book[order].order.steps[step];
        let limit = changed.limit_msat_per_kwh.to_msat_per_kwh();
        let (floor, ceiling) = (rules.band.floor_msat_per_kwh, rules.band.ceiling_msat_per_kwh);
        changed.limit_msat_per_kwh = match changed.side {
            Side::Buy => price(limit.saturating_add(by)).min(ceiling),
            Side::Sell => price(limit.saturating_sub(by)).max(floor),
        };
        let changed = *changed;
        prop_assume!(others.steps.iter().all(|other| match changed.side {
            Side::Buy => other.side == Side::Buy
                || other.limit_msat_per_kwh > changed.limit_msat_per_kwh,
            Side::Sell => other.side == Side::Sell
                || other.limit_msat_per_kwh < changed.limit_msat_per_kwh,
        }));
        prop_assert!(executed_by(&rules, &book, participant, place) >= before);
        prop_assert!(clear_now(&rules, &book).volume_mwh >= volume_before);
    }

    #[test]
    fn nothing_trades_outside_the_band_or_above_the_capacity(
        (mut rules, book) in any_market(),
        narrow in prop::bool::ANY,
    ) {
        if narrow {
            (rules.band.floor_msat_per_kwh, rules.band.ceiling_msat_per_kwh) = (price(-2), price(2));
        }
        let clearing = clear_now(&rules, &book);
        prop_assert!(clearing.price_msat_per_kwh.is_none_or(|price| rules.band.contains(price)));
        let (mut import, mut export) = (0_u128, 0_u128);
        for (order, step, executed) in executed(&rules, &book) {
            prop_assert!(rules.band.contains(step.limit_msat_per_kwh));
            if order.outside {
                let side = match step.side { Side::Buy => &mut export, Side::Sell => &mut import };
                *side += u128::from(executed);
            }
        }
        prop_assert!(import <= u128::from(rules.import_cap.to_milliwatt_hours()));
        prop_assert!(export <= u128::from(rules.export_cap.to_milliwatt_hours()));
    }

    #[test]
    fn ties_share_within_one_milliwatt_hour_and_larger_remainders_round_up(
        energies in vec(prop_oneof![1_u64..=9, 1_u64..=u64::MAX], 1..12),
        wanted in any::<Index>(),
        side in select(vec![Side::Buy, Side::Sell]),
    ) {
        let whole: u128 = energies.iter().map(|energy| u128::from(*energy)).sum();
        let most = usize::try_from(whole.min(u128::from(u64::MAX))).unwrap();
        let wanted = 1 + u64::try_from(wanted.index(most)).unwrap();
        let other = match side { Side::Buy => Side::Sell, Side::Sell => Side::Buy };
        let mut book: Vec<_> =
            energies.iter().zip(1..).map(|(e, index)| one_step(index, side, -5, *e)).collect();
        book.push(one_step(0, other, -5, wanted));
        let mut rounded_up = whole;
        let mut rounded_down = 0;
        for (energy, index) in energies.iter().zip(1..) {
            let got = executed_by(&open_rules(), &book, member(index), 0).to_milliwatt_hours();
            let exact = u128::from(wanted) * u128::from(*energy);
            let (floor, remainder) = (exact / whole, exact % whole);
            if u128::from(got) == floor {
                rounded_down = rounded_down.max(remainder);
            } else {
                prop_assert_eq!(u128::from(got), floor + 1);
                rounded_up = rounded_up.min(remainder);
            }
        }
        prop_assert!(rounded_up >= rounded_down);
        prop_assert!(rounded_up > 0);
    }

    #[test]
    fn pairing_needs_few_trades_beyond_the_named_pairs((rules, book) in any_market()) {
        let clearing = clear_now(&rules, &book);
        let orders: BTreeMap<_, _> = book.iter().map(|order| (order.participant, order)).collect();
        let sellers: BTreeSet<_> = clearing.trades.iter().map(|trade| trade.seller).collect();
        let buyers: BTreeSet<_> = clearing.trades.iter().map(|trade| trade.buyer).collect();
        let others = clearing
            .trades
            .iter()
            .filter(|trade| !is_named(orders[&trade.seller], orders[&trade.buyer]))
            .count();
        prop_assert!(others <= (sellers.len() + buyers.len()).saturating_sub(1));
    }

    #[test]
    fn channel_partners_trade_with_each_other_first((rules, book) in any_market()) {
        let clearing = clear_now(&rules, &book);
        let orders: BTreeMap<_, _> = book.iter().map(|order| (order.participant, order)).collect();
        // By member: all it trades, and what of it with partners.
        let mut traded = BTreeMap::<_, (u64, u64)>::new();
        for trade in &clearing.trades {
            let energy = trade.energy_mwh.to_milliwatt_hours();
            let partners = are_partners(orders[&trade.seller], orders[&trade.buyer]);
            for member in [trade.seller, trade.buyer] {
                let sums = traded.entry(member).or_default();
                sums.0 += energy;
                sums.1 += if partners { energy } else { 0 };
            }
        }
        let sellers: BTreeSet<_> = clearing.trades.iter().map(|trade| trade.seller).collect();
        let buyers: BTreeSet<_> = clearing.trades.iter().map(|trade| trade.buyer).collect();
        for seller in &sellers {
            for buyer in buyers.iter().filter(|b| are_partners(orders[seller], orders[b])) {
                let only_partners = |member| traded[member].0 == traded[member].1;
                prop_assert!(only_partners(seller) || only_partners(buyer));
            }
        }
    }

    #[test]
    fn what_cannot_be_in_a_book_is_left_out(
        (rules, book) in any_market(),
        (duplicate, crossed) in any::<(Index, Index)>(),
    ) {
        prop_assume!(!book.is_empty());
        let mut spoilt = book.clone();
        // The same member once more, with a larger hash and other steps.
        let mut second = book[duplicate.index(book.len())].clone();
        second.hash = MessageHash::from_bytes([0xff; 32]);
        second.order.steps.iter_mut().for_each(|step| step.energy_mwh = energy(5));
        spoilt.insert(crossed.index(book.len()), second);
        // Somebody who would trade with itself.
        let mut both = one_step(200, Side::Buy, 0, 3);
        both.order.steps.extend(one_step(200, Side::Sell, 0, 3).order.steps);
        spoilt.push(both);
        prop_assert_eq!(clear_now(&rules, &spoilt), clear_now(&rules, &book));
    }
}

#[test]
fn the_price_is_the_middle_of_what_everyone_accepts() {
    let check = |orders: &[(Side, i64, u64)], price_and_volume: Option<(i64, u64)>| {
        let book: Vec<_> = orders
            .iter()
            .enumerate()
            .map(|(index, (side, limit, energy))| one_step(index, *side, *limit, *energy))
            .collect();
        let clearing = clear_now(&open_rules(), &book);
        let got = clearing
            .price_msat_per_kwh
            .map(|price| (price.to_msat_per_kwh(), clearing.volume_mwh.to_milliwatt_hours()));
        assert_eq!(got, price_and_volume, "{orders:?}");
    };
    use Side::{Buy, Sell};
    check(&[], None);
    check(&[(Buy, 10, 1)], None);
    check(&[(Buy, 4, 1), (Sell, 5, 1)], None);
    check(&[(Buy, 10, 1), (Sell, 5, 1)], Some((7, 1)));
    check(&[(Buy, -5, 1), (Sell, -10, 1)], Some((-8, 1)));
    check(&[(Buy, 5, 1), (Sell, 5, 9)], Some((5, 1)));
    // A partly executed step is excluded by its remainder.
    check(&[(Buy, 10, 1), (Sell, 4, 2)], Some((4, 1)));
    check(&[(Buy, 10, 2), (Sell, 4, 1)], Some((10, 1)));
    // Excluded offers bound the price from both sides.
    check(&[(Buy, 20, 5), (Sell, 0, 5), (Buy, 8, 1), (Sell, 13, 1)], Some((10, 5)));
    check(&[(Buy, -1, 3), (Buy, -3, 3), (Sell, -9, 3)], Some((-2, 3)));
}

#[test]
fn capacity_cuts_in_merit_order_and_what_is_cut_does_not_move_the_price() {
    let outside = |order| BookOrder { outside: true, ..order };
    let book = [
        one_step(0, Side::Buy, 100, 50),
        outside(one_step(1, Side::Sell, 10, 4)),
        outside(one_step(2, Side::Sell, 20, 6)),
        outside(one_step(3, Side::Sell, 20, 2)),
        outside(one_step(4, Side::Sell, 30, 9)),
    ];
    let rules = rules(&OPEN, 8, 0);
    let clearing = clear_now(&rules, &book);
    assert_eq!(trades(&clearing), [(1, 0, 4), (2, 0, 3), (3, 0, 1)]);
    assert_eq!(clearing.price_msat_per_kwh, Some(price(100)));
}

#[test]
fn a_first_preference_comes_before_another_member_s_size() {
    let mut book =
        [one_step(0, Side::Sell, 0, 5), one_step(1, Side::Buy, 9, 9), one_step(2, Side::Buy, 9, 4)];
    book[0].order.steps.push(one_step(0, Side::Sell, 0, 5).order.steps[0]);
    book[0].order.steps[1].energy_mwh = energy(8);
    assert_eq!(trades(&clear_now(&open_rules(), &book)), [(0, 1, 9), (0, 2, 4)]);
    book[2].order.steps[0].energy_mwh = energy(7);
    book[2].order.preferences = vec![Preference::Source(Source::Battery)];
    let mut battery = one_step(3, Side::Sell, 0, 3);
    battery.order.steps[0].source = Source::Battery;
    let book = [&book[..], &[battery]].concat();
    // The buyer of battery energy gets all there is of it, the smaller seller notwithstanding.
    assert_eq!(trades(&clear_now(&open_rules(), &book)), [(0, 1, 9), (0, 2, 4), (3, 2, 3)]);
}

#[test]
fn the_digest_depends_on_everything() {
    let clearing =
        clear_now(&open_rules(), &[one_step(0, Side::Sell, 0, 5), one_step(1, Side::Buy, 9, 9)]);
    let changes: [fn(&mut Clearing); 7] = [
        |c| c.interval = c.interval.next(),
        |c| c.price_msat_per_kwh = None,
        |c| c.price_msat_per_kwh = Some(Price::ZERO),
        |c| c.volume_mwh = energy(6),
        |c| c.trades[0].seller = member(2),
        |c| c.trades[0].energy_mwh = energy(6),
        |c| c.trades.clear(),
    ];
    let mut digests = BTreeSet::from([clearing.digest()]);
    for change in changes {
        let mut changed = clearing.clone();
        change(&mut changed);
        digests.insert(changed.digest());
    }
    assert_eq!(digests.len(), changes.len() + 1);
}
