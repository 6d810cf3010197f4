//! A second clearing, written from the rules alone: slow, naive, and by other means than the first.
//!
//! It tries every limit as a price, fills level by level with sums anew each time, and pairs by
//! laying both sides along a line. It shares no code with `boltgrid_market::auction` but the types of
//! its input.

use std::collections::{BTreeMap, BTreeSet};

use boltgrid_market::auction::{AuctionRules, BookOrder};
use boltgrid_protocol::order::{Preference, Side, Source};

/// The outcome, in plain numbers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) price: Option<i64>,
    pub(crate) volume: u64,
    /// By participant and step; above zero.
    pub(crate) executions: BTreeMap<(u32, usize), u64>,
    /// By seller and buyer; above zero.
    pub(crate) trades: BTreeMap<(u32, u32), u64>,
    pub(crate) digest: [u8; 32],
}

#[derive(Clone, Debug)]
struct Line {
    participant: u32,
    step: usize,
    side: Side,
    source: Source,
    limit: i64,
    outside: bool,
    lot: [u8; 32],
    offered: u128,
    executed: u128,
}

pub(crate) fn clear(interval: u64, rules: &AuctionRules, book: &[BookOrder]) -> Outcome {
    let orders = orders(book);
    let mut lines = lines(interval, rules, &orders);

    cut(&mut lines, Side::Sell, rules.import_cap.to_milliwatt_hours(), true);
    cut(&mut lines, Side::Buy, rules.export_cap.to_milliwatt_hours(), true);
    if most_matched(&lines) > u128::from(u64::MAX) {
        cut(&mut lines, Side::Sell, u64::MAX, false);
        cut(&mut lines, Side::Buy, u64::MAX, false);
    }
    let volume = most_matched(&lines);
    fill(&mut lines, Side::Sell, volume, false);
    fill(&mut lines, Side::Buy, volume, false);

    let price = price(&lines);
    let volume = u64::try_from(volume).expect("both sides were cut to 64 bits");
    let trades = trades(&orders, &lines);
    Outcome {
        price,
        volume,
        executions: lines
            .iter()
            .filter(|line| line.executed > 0)
            .map(|line| ((line.participant, line.step), narrow(line.executed)))
            .collect(),
        digest: digest(interval, price, volume, &trades),
        trades,
    }
}

/// Takes what is not among the best `cap` of one side out of the market.
fn cut(lines: &mut [Line], side: Side, cap: u64, outside_only: bool) {
    fill(lines, side, u128::from(cap), outside_only);
    for line in lines.iter_mut().filter(|l| l.side == side && (l.outside || !outside_only)) {
        line.offered = line.executed;
    }
}

/// The most that any one price matches. Only limits need be tried.
fn most_matched(lines: &[Line]) -> u128 {
    let limits: BTreeSet<i64> = lines.iter().map(|line| line.limit).collect();
    limits.into_iter().map(|price| matched_at(lines, price)).max().unwrap_or(0)
}

/// What one price matches.
fn matched_at(lines: &[Line], price: i64) -> u128 {
    let supply: u128 =
        lines.iter().filter(|l| l.side == Side::Sell && l.limit <= price).map(|l| l.offered).sum();
    let demand: u128 =
        lines.iter().filter(|l| l.side == Side::Buy && l.limit >= price).map(|l| l.offered).sum();
    supply.min(demand)
}

fn orders(book: &[BookOrder]) -> BTreeMap<u32, &BookOrder> {
    let mut orders: BTreeMap<u32, &BookOrder> = BTreeMap::new();
    for order in book {
        let held = orders.entry(order.participant.get()).or_insert(order);
        if order.hash < held.hash {
            *held = order;
        }
    }
    orders
}

fn lines(interval: u64, rules: &AuctionRules, orders: &BTreeMap<u32, &BookOrder>) -> Vec<Line> {
    let floor = rules.band.floor_msat_per_kwh.to_msat_per_kwh();
    let ceiling = rules.band.ceiling_msat_per_kwh.to_msat_per_kwh();
    let mut lines = Vec::new();
    for (participant, order) in orders {
        let steps = &order.order.steps;
        let crossed = steps.iter().any(|buy| {
            steps.iter().any(|sell| {
                (buy.side, sell.side) == (Side::Buy, Side::Sell)
                    && buy.limit_msat_per_kwh >= sell.limit_msat_per_kwh
            })
        });
        for (place, step) in steps.iter().enumerate().filter(|_| !crossed) {
            let limit = step.limit_msat_per_kwh.to_msat_per_kwh();
            let offered = u128::from(step.energy_mwh.to_milliwatt_hours());
            if limit < floor || limit > ceiling || offered == 0 {
                continue;
            }
            let mut ticket = interval.to_le_bytes().to_vec();
            ticket.extend(order.hash.as_bytes());
            ticket.push(u8::try_from(place).expect("few steps"));
            lines.push(Line {
                participant: *participant,
                step: place,
                side: step.side,
                source: step.source,
                limit,
                outside: order.outside,
                lot: blake3::derive_key("boltgrid 1 lot", &ticket),
                offered,
                executed: 0,
            });
        }
    }
    lines
}

/// Executes the best `cap` of one side, limit by limit.
fn fill(lines: &mut [Line], side: Side, cap: u128, outside_only: bool) {
    let mut class: Vec<&mut Line> =
        lines.iter_mut().filter(|l| l.side == side && (l.outside || !outside_only)).collect();
    let mut levels: Vec<i64> = class.iter().map(|line| line.limit).collect();
    levels.sort_unstable();
    levels.dedup();
    if side == Side::Buy {
        levels.reverse();
    }
    let mut left = cap;
    for level in levels {
        let mut tied: Vec<_> = class.iter_mut().filter(|line| line.limit == level).collect();
        let whole: u128 = tied.iter().map(|line| line.offered).sum();
        let given = whole.min(left);
        left -= given;
        for line in &mut tied {
            line.executed =
                if given == whole { line.offered } else { given * line.offered / whole };
        }
        let rounded: u128 = tied.iter().map(|line| line.executed).sum();
        if given < whole {
            tied.sort_by_key(|line| (whole - given * line.offered % whole, line.lot));
        }
        for line in tied.iter_mut().take(usize::try_from(given - rounded).expect("few are left")) {
            line.executed += 1;
        }
    }
}

/// The middle of [max(marginal ask, best excluded bid), min(marginal bid, best excluded ask)].
fn price(lines: &[Line]) -> Option<i64> {
    let limits = |side, executed: bool| {
        lines
            .iter()
            .filter(move |line| line.side == side)
            .filter(move |l| if executed { l.executed > 0 } else { l.executed < l.offered })
            .map(|line| i128::from(line.limit))
    };
    let marginal_ask = limits(Side::Sell, true).max()?;
    let marginal_bid = limits(Side::Buy, true).min()?;
    let low = limits(Side::Buy, false).max().map_or(marginal_ask, |bid| bid.max(marginal_ask));
    let high = limits(Side::Sell, false).min().map_or(marginal_bid, |ask| ask.min(marginal_bid));
    assert!(low <= high, "no price is accepted by everyone");
    Some(i64::try_from((low + high).div_euclid(2)).expect("a mean is no larger"))
}

fn trades(orders: &BTreeMap<u32, &BookOrder>, lines: &[Line]) -> BTreeMap<(u32, u32), u64> {
    let mut left: BTreeMap<(Side, u32), u64> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.executed > 0) {
        *left.entry((line.side, line.participant)).or_default() += narrow(line.executed);
    }
    let mut trades = BTreeMap::new();
    pair_channels(orders, &mut left, &mut trades);
    pair_preferences(orders, lines, &mut left, &mut trades);
    pair_rest(&left, &mut trades);
    trades
}

type Left = BTreeMap<(Side, u32), u64>;
type Trades = BTreeMap<(u32, u32), u64>;

fn trade(left: &mut Left, trades: &mut Trades, (seller, buyer): (u32, u32), most: u64) -> u64 {
    let supply = left.get(&(Side::Sell, seller)).copied().unwrap_or(0);
    let demand = left.get(&(Side::Buy, buyer)).copied().unwrap_or(0);
    let energy = supply.min(demand).min(most);
    if energy > 0 {
        left.insert((Side::Sell, seller), supply - energy);
        left.insert((Side::Buy, buyer), demand - energy);
        *trades.entry((seller, buyer)).or_default() += energy;
    }
    energy
}

fn pair_channels(orders: &BTreeMap<u32, &BookOrder>, left: &mut Left, trades: &mut Trades) {
    let names = |one: u32, other: u32| {
        orders[&one].order.channel_partners.iter().any(|partner| partner.get() == other)
    };
    let mut pairs = Vec::new();
    for ((_, seller), supply) in left.iter().filter(|((side, _), _)| *side == Side::Sell) {
        for ((_, buyer), demand) in left.iter().filter(|((side, _), _)| *side == Side::Buy) {
            if names(*seller, *buyer) && names(*buyer, *seller) {
                pairs.push((u64::MAX - supply.min(demand), *seller, *buyer));
            }
        }
    }
    pairs.sort_unstable();
    for (_, seller, buyer) in pairs {
        trade(left, trades, (seller, buyer), u64::MAX);
    }
}

fn pair_preferences(
    orders: &BTreeMap<u32, &BookOrder>,
    lines: &[Line],
    left: &mut Left,
    trades: &mut Trades,
) {
    let mut stock: Vec<Line> = lines.iter().filter(|line| line.executed > 0).cloned().collect();
    stock.sort_by_key(|line| (u128::MAX - line.executed, line.participant));
    for place in 0..8 {
        let mut wishers: Vec<(u64, u32, Side)> =
            left.iter().map(|((side, who), energy)| (u64::MAX - energy, *who, *side)).collect();
        wishers.retain(|(energy, ..)| *energy < u64::MAX);
        wishers.sort_unstable_by_key(|(energy, who, _)| (*energy, *who));
        for (_, who, side) in wishers {
            let pair = |other| if side == Side::Buy { (other, who) } else { (who, other) };
            match orders[&who].order.preferences.get(place) {
                None => {}
                Some(Preference::Partner(partner)) => {
                    trade(left, trades, pair(partner.get()), u64::MAX);
                }
                Some(Preference::Source(source)) => {
                    for line in stock.iter_mut().filter(|l| l.side != side && l.source == *source) {
                        let most = narrow(line.executed);
                        line.executed -=
                            u128::from(trade(left, trades, pair(line.participant), most));
                    }
                }
            }
        }
    }
}

/// Lays what is left of both sides along a line, largest first: who overlaps, trades.
fn pair_rest(left: &Left, trades: &mut Trades) {
    let spans = |side: Side| {
        let mut members: Vec<(u64, u32)> =
            left.iter().filter(|((s, _), _)| *s == side).map(|((_, who), e)| (*e, *who)).collect();
        members.sort_by_key(|(energy, who)| (u64::MAX - energy, *who));
        let mut start = 0;
        members
            .into_iter()
            .map(|(energy, who)| {
                start += u128::from(energy);
                (start - u128::from(energy), start, who)
            })
            .collect::<Vec<(u128, u128, u32)>>()
    };
    let buyers = spans(Side::Buy);
    for (sell_start, sell_end, seller) in spans(Side::Sell) {
        for (buy_start, buy_end, buyer) in &buyers {
            let (start, end) = (sell_start.max(*buy_start), sell_end.min(*buy_end));
            if start < end {
                *trades.entry((seller, *buyer)).or_default() += narrow(end - start);
            }
        }
    }
}

fn digest(interval: u64, price: Option<i64>, volume: u64, trades: &Trades) -> [u8; 32] {
    let mut bytes = interval.to_le_bytes().to_vec();
    match price {
        Some(price) => {
            bytes.push(1);
            bytes.extend(price.to_le_bytes());
        }
        None => bytes.extend([0; 9]),
    }
    bytes.extend(volume.to_le_bytes());
    for ((seller, buyer), energy) in trades {
        bytes.extend(seller.to_le_bytes());
        bytes.extend(buyer.to_le_bytes());
        bytes.extend(energy.to_le_bytes());
    }
    blake3::derive_key("boltgrid 1 clearing", &bytes)
}

fn narrow(mwh: u128) -> u64 {
    u64::try_from(mwh).expect("both sides were cut to 64 bits")
}
