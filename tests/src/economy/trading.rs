//! Two months of trading and paying, a quarter of an hour at a time.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;

use boltgrid_market::auction::Clearing;
use boltgrid_market::channels::{Flows, Graph, Limits, Named, Reach, View, naming, plan};
use boltgrid_market::clear::terms;
use boltgrid_market::settlement::{Contract, Metered};
use boltgrid_market::strategy::Contracted;
use boltgrid_protocol::confirm::TradeTerms;
use boltgrid_protocol::id::{ParticipantId, RosterIndex};
use boltgrid_protocol::units::{Energy, Msat};
use boltgrid_testnet::plant::{ROW_MS, TICKS_PER_INTERVAL};
use boltgrid_testnet::scenario::Scenario;

use super::credit::Credit;
use super::outcome::{Month, Outcome};
use super::wallet::{Route, Wallets};
use super::{Cell, DAY_INTERVALS, Economy, MONTHS};
use crate::village::{Cleared, Village};

/// The most energy that is paid for at once: 250 Wh.
const TRANCHE: Energy = Energy::from_milliwatt_hours(250_000);
/// The least that a channel must carry to be named: a tranche at the supplier's price of 300 sat/kWh.
const LEAST: Msat = Msat::from_satoshi_saturating(75);

/// A trade that both sides signed.
struct Firm {
    contract: Contract,
    /// Who pays whom, and at most how much; `None` at a price of zero.
    pays: Option<(RosterIndex, RosterIndex, Msat)>,
}

/// What is due and not paid.
struct Due {
    payer: RosterIndex,
    payee: RosterIndex,
    left: Msat,
    tranche: Msat,
    since: u64,
}

/// One grid over all months.
pub(super) struct Trading<'a> {
    economy: &'a Economy,
    limits: Limits,
    sat_per_vb: u64,
    village: Village,
    wallets: Wallets,
    credit: Credit,
    flows: Flows,
    dues: VecDeque<Due>,
    running: Vec<Firm>,
    month: Month,
    now: u64,
}

impl<'a> Trading<'a> {
    pub(super) fn new(economy: &'a Economy, scenario: &Arc<Scenario>, cell: &Cell) -> Self {
        let members = NonZeroUsize::new(cell.members).expect("a grid has members");
        let row = scenario.profiles.row_at(cell.season.from()).expect("the data cover the year");
        Self {
            village: Village::new(Arc::clone(scenario), members, row, TICKS_PER_INTERVAL),
            wallets: Wallets::new(cell.members, economy.coins, cell.sat_per_vb),
            credit: Credit::new(economy.credit),
            flows: Flows::new(),
            dues: VecDeque::new(),
            running: Vec::new(),
            month: Month::default(),
            now: 0,
            limits: economy.limits,
            sat_per_vb: cell.sat_per_vb,
            economy,
        }
    }

    /// Lives through all months.
    ///
    /// # Panics
    ///
    /// If money appears or gets lost.
    pub(super) fn run(mut self) -> Outcome {
        let before = self.wallets.total();
        let mut months = Vec::new();
        for _ in 0..MONTHS {
            let fees = self.wallets.fees;
            let deeds = self.wallets.deeds.clone();
            for _ in 0..self.economy.month_days * DAY_INTERVALS {
                self.step();
            }
            let mut month = std::mem::take(&mut self.month);
            month.fees = self.wallets.fees.saturating_sub(fees);
            month.deeds = self.wallets.deeds.clone();
            for (deed, count) in deeds {
                *month.deeds.get_mut(&deed).expect("counts only grow") -= count;
            }
            month.waiting =
                self.dues.iter().fold(Msat::ZERO, |sum, it| sum.saturating_add(it.left));
            let graph = self.wallets.graph(self.now);
            let within = |it: &&Due| graph.reach(it.payer, it.payee) != Reach::Beyond;
            let within = self.dues.iter().filter(within).map(|it| it.left);
            month.waiting_within = within.fold(Msat::ZERO, Msat::saturating_add);
            months.push(month);
        }
        let after = self.wallets.total().saturating_add(self.wallets.fees);
        assert_eq!(before, after, "money neither appears nor gets lost");
        let degrees: Vec<usize> = self.members().map(|it| self.wallets.degree(it)).collect();
        Outcome {
            months,
            channels_max: degrees.iter().copied().max().unwrap_or(0),
            channels: degrees.iter().sum::<usize>() / 2,
            pairs_beyond: self.pairs_beyond(),
            locked: self.wallets.locked(),
            owed_max: self.credit.owed_max,
            limit_used_max_ppm: self.credit.used_max_ppm,
        }
    }

    fn pairs_beyond(&self) -> usize {
        let graph = self.wallets.graph(self.now);
        let beyond = |one: RosterIndex, other| graph.reach(one, other) == Reach::Beyond;
        let pairs = self.members().flat_map(|one| self.members().map(move |other| (one, other)));
        pairs.filter(|(one, other)| one < other && beyond(*one, *other)).count()
    }

    fn members(&self) -> impl Iterator<Item = RosterIndex> + use<> {
        (0_u32..).take(self.village.len()).map(RosterIndex::new)
    }

    fn step(&mut self) {
        self.wallets.advance(self.now);
        let graph = self.wallets.graph(self.now);
        if self.now > 0 && self.now.is_multiple_of(DAY_INTERVALS) {
            self.plan(&graph);
        }
        let named: Vec<Named> = self.members().map(|me| self.named(me, &graph)).collect();
        let Cleared { clearing, situations, .. } = self.village.clear_next(&named);
        self.flows.record(&clearing, ROW_MS);
        let next = self.sign(&clearing);
        let contracted = contracted(&next, self.village.len());
        let (metered, _) = self.village.deliver(&situations, &contracted);
        let running = std::mem::replace(&mut self.running, next);
        self.settle(running, &metered);
        self.pay();
        self.now += 1;
    }

    fn plan(&mut self, graph: &Graph) {
        let members: Vec<RosterIndex> = self.members().collect();
        let plans: Vec<_> = members
            .iter()
            .map(|me| {
                let channels = self.wallets.of(*me, self.now);
                plan(&View {
                    me: *me,
                    members: &members,
                    graph,
                    flows: &self.flows,
                    channels: &channels,
                    onchain: self.wallets.coins(*me),
                    sat_per_vb: self.sat_per_vb,
                    limits: &self.limits,
                })
            })
            .collect();
        for (me, plan) in members.into_iter().zip(&plans) {
            self.wallets.carry_out(me, plan, self.now);
        }
    }

    fn named(&self, me: RosterIndex, graph: &Graph) -> Named {
        let channels = self.wallets.of(me, self.now);
        let named = naming(me, &channels, (graph, &self.flows), LEAST);
        if self.economy.prefers { named } else { Named { preferences: Vec::new(), ..named } }
    }

    /// Signs of the trades what every creditor lets its debtor owe.
    fn sign(&mut self, clearing: &Clearing) -> Vec<Firm> {
        let total = |of: fn(&TradeTerms) -> RosterIndex| {
            let mut sums: BTreeMap<RosterIndex, Energy> = BTreeMap::new();
            for terms in terms(clearing) {
                let sum = sums.entry(of(&terms)).or_default();
                *sum = sum.saturating_add(terms.energy_mwh);
            }
            sums
        };
        let (sold, bought) = (total(|it| it.seller), total(|it| it.buyer));
        let mut firm = Vec::new();
        for terms in terms(clearing) {
            let price = terms.price_msat_per_kwh;
            let amount = price.amount_floor(terms.energy_mwh).expect("a small amount");
            let (payer, payee) = if price.is_negative() {
                (terms.seller, terms.buyer)
            } else {
                (terms.buyer, terms.seller)
            };
            self.month.cleared = self.month.cleared.saturating_add(amount);
            let owes = amount > Msat::ZERO;
            let tranche = price.amount_floor(TRANCHE).expect("a small amount");
            let whole = (terms.energy_mwh, price);
            let part = if owes {
                self.credit.signs((payer, payee), whole, tranche)
            } else {
                terms.energy_mwh
            };
            let signed = price.amount_floor(part).expect("a part of it");
            self.month.lapsed = self.month.lapsed.saturating_add(amount.saturating_sub(signed));
            if part.is_zero() {
                self.month.trades_lapsed += 1;
                continue;
            }
            let (terms, amount) = (TradeTerms { energy_mwh: part, ..terms }, signed);
            self.month.trades += 1;
            firm.push(Firm {
                contract: Contract {
                    terms,
                    counterparty: ParticipantId::from_bytes([0; 32]),
                    seller_total: sold[&terms.seller],
                    buyer_total: bought[&terms.buyer],
                    seller_committed: Energy::ZERO,
                    buyer_committed: Energy::ZERO,
                    seller: None,
                    buyer: None,
                },
                pays: owes.then_some((payer, payee, amount)),
            });
        }
        firm
    }

    fn settle(&mut self, firm: Vec<Firm>, metered: &[Metered]) {
        let loss_ppm = self.village.charter.connection.loss_ppm;
        for Firm { contract, pays } in firm {
            let terms = contract.terms;
            let contract = Contract {
                seller: Some(metered[terms.seller.as_usize()]),
                buyer: Some(metered[terms.buyer.as_usize()]),
                ..contract
            };
            let delivered = contract.delivered(loss_ppm).expect("no total is zero");
            let delivered = delivered.expect("both meters were read");
            let Some((payer, payee, at_most)) = pays else { continue };
            let due = terms.price_msat_per_kwh.amount_floor(delivered).expect("a small amount");
            self.credit.settled((payer, payee), at_most, due);
            if due == Msat::ZERO {
                continue;
            }
            self.month.due = self.month.due.saturating_add(due);
            let tranches = delivered.to_milliwatt_hours().div_ceil(TRANCHE.to_milliwatt_hours());
            let tranche = due.to_millisatoshi().div_ceil(tranches.max(1));
            let tranche = Msat::from_millisatoshi(tranche).expect("a part of it");
            self.dues.push_back(Due { payer, payee, left: due, tranche, since: self.now });
        }
    }

    /// Pays what there is a route for, the oldest first.
    fn pay(&mut self) {
        let mut waiting = VecDeque::new();
        for mut due in std::mem::take(&mut self.dues) {
            while due.left > Msat::ZERO {
                let amount = due.tranche.min(due.left);
                let Some(route) = self.wallets.pay(due.payer, due.payee, amount, self.now) else {
                    break;
                };
                due.left = due.left.saturating_sub(amount);
                self.credit.paid(due.payer, due.payee, amount);
                self.month.note_payment(route, amount, self.now - due.since);
            }
            if due.left > Msat::ZERO {
                self.month.longest_wait = self.month.longest_wait.max(self.now - due.since);
                waiting.push_back(due);
            }
        }
        self.dues = waiting;
    }
}

fn contracted(firm: &[Firm], members: usize) -> Vec<Contracted> {
    let mut contracted = vec![Contracted::default(); members];
    for Firm { contract, .. } in firm {
        let terms = contract.terms;
        let sold = &mut contracted[terms.seller.as_usize()].sold;
        *sold = sold.saturating_add(terms.energy_mwh);
        let bought = &mut contracted[terms.buyer.as_usize()].bought;
        *bought = bought.saturating_add(terms.energy_mwh);
    }
    contracted
}

impl Month {
    fn note_payment(&mut self, route: Route, amount: Msat, waited: u64) {
        let paid = match (route, waited) {
            (Route::Direct, 0) => &mut self.direct,
            (Route::OverOne, 0) => &mut self.over_one,
            (Route::Direct | Route::OverOne, _) => &mut self.after_waiting,
        };
        *paid = paid.saturating_add(amount);
        self.payments += 1;
        self.longest_wait = self.longest_wait.max(waited);
    }
}
