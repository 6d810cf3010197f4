//! A grid whose members plan their channels and have them at once.

use boltgrid_market::auction::{Clearing, Trade};
use boltgrid_market::channels::{
    Action, ChannelId, ChannelState, Flows, Graph, Limits, OwnChannel, Plan, View, fee, plan,
};
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::units::{Energy, Interval, Msat, Price};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

pub(crate) const fn at(index: u32) -> RosterIndex {
    RosterIndex::new(index)
}

pub(crate) const fn sat(sat: u64) -> Msat {
    Msat::from_satoshi_saturating(sat)
}

/// Payments a day: payer, payee, satoshis.
pub(crate) fn flows(payments: &[(u32, u32, u64)]) -> Flows {
    let mut flows = Flows::new();
    for (payer, payee, sat) in payments {
        // At 100 sat a kWh, in an interval of its own, as nobody else shall share in it.
        let energy_mwh = Energy::from_milliwatt_hours(sat * 10_000);
        let clearing = Clearing {
            interval: Interval::default(),
            price_msat_per_kwh: Some(Price::from_msat_per_kwh(100_000)),
            volume_mwh: energy_mwh,
            trades: vec![Trade { seller: at(*payee), buyer: at(*payer), energy_mwh }],
        };
        flows.record(&clearing, 0);
    }
    flows.pass(DAY_MS);
    flows
}

/// A channel between two members, the first of whom opened it.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) id: u128,
    pub(crate) ends: [u32; 2],
    pub(crate) holds: [Msat; 2],
    pub(crate) idle_days: u64,
    pub(crate) state: ChannelState,
}

/// All members.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) flows: Flows,
    pub(crate) limits: Limits,
    pub(crate) sat_per_vb: u64,
    pub(crate) coins: Vec<Msat>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) passes_on: bool,
}

impl World {
    /// Members without channels.
    pub(crate) fn new(members: usize, flows: Flows) -> Self {
        let coins = vec![sat(1_000_000); members];
        let limits = Limits::default();
        Self { flows, limits, sat_per_vb: 10, coins, channels: Vec::new(), passes_on: true }
    }

    pub(crate) fn own(&self, me: u32) -> Vec<OwnChannel> {
        let own = self.channels.iter().filter_map(|it| {
            let side = it.ends.iter().position(|end| *end == me)?;
            Some(OwnChannel {
                id: ChannelId(it.id),
                partner: Some(at(it.ends[1 - side])),
                capacity: it.holds[0].saturating_add(it.holds[1]),
                spendable: it.holds[side],
                receivable: it.holds[1 - side],
                drained_a_day: None,
                idle_ms: it.idle_days * DAY_MS,
                state: it.state,
            })
        });
        own.collect()
    }

    pub(crate) fn graph(&self) -> Graph {
        let mut graph = Graph::new().passing_on(self.passes_on);
        for Channel { ends: [one, other], .. } in &self.channels {
            graph.link(at(*one), at(*other));
        }
        graph
    }

    pub(crate) fn plan(&self, me: u32) -> Plan {
        self.plan_with(me, &self.own(me))
    }

    pub(crate) fn plan_with(&self, me: u32, channels: &[OwnChannel]) -> Plan {
        let members: Vec<_> = (0..self.len()).map(at).collect();
        plan(&View {
            me: at(me),
            members: &members,
            graph: &self.graph(),
            flows: &self.flows,
            channels,
            onchain: self.coins[me as usize],
            sat_per_vb: self.sat_per_vb,
            limits: &self.limits,
        })
    }

    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.coins.len()).expect("a few members")
    }

    /// All plan at the same time, then all plans are carried out. Returns how many steps there were.
    pub(crate) fn live(&mut self) -> usize {
        let members = self.len();
        let plans: Vec<Plan> = (0..members).map(|me| self.plan(me)).collect();
        for (me, plan) in (0..members).zip(&plans) {
            self.carry_out(me, plan);
        }
        plans.iter().map(|plan| plan.steps.len()).sum()
    }

    fn carry_out(&mut self, me: u32, plan: &Plan) {
        for step in &plan.steps {
            let deed = step.action.deed();
            assert_eq!(step.fee, fee(deed, self.sat_per_vb));
            match step.action {
                Action::Open { partner, capacity } => {
                    self.spend(me, capacity.saturating_add(step.fee));
                    let id = u128::from(me) << 64 | u128::from(partner.get()) << 32 | 1;
                    let ends = [me, partner.get()];
                    let holds = [capacity, Msat::ZERO];
                    let state = ChannelState::Usable;
                    self.channels.push(Channel { id, ends, holds, idle_days: 0, state });
                }
                Action::SpliceIn { channel, amount, .. } => {
                    self.spend(me, amount.saturating_add(step.fee));
                    let channel =
                        self.channels.iter_mut().find(|it| it.id == channel.0).expect("it is ours");
                    let side = channel.ends.iter().position(|end| *end == me).expect("it is ours");
                    channel.holds[side] = channel.holds[side].saturating_add(amount);
                }
                Action::CloseTogether { channel } | Action::CloseAlone { channel } => {
                    // The other side may have closed it at the same time.
                    let there = self.channels.iter().position(|it| it.id == channel.0);
                    if let Some(closed) = there.map(|place| self.channels.remove(place)) {
                        for (end, holds) in closed.ends.into_iter().zip(closed.holds) {
                            let coins = &mut self.coins[end as usize];
                            *coins = coins.saturating_add(holds);
                        }
                    }
                }
            }
        }
    }

    fn spend(&mut self, me: u32, amount: Msat) {
        let coins = &mut self.coins[me as usize];
        assert!(*coins >= amount, "member {me} spends {amount} of {coins}");
        *coins = coins.saturating_sub(amount);
    }
}
