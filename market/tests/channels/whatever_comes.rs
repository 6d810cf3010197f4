//! What must hold whatever flows, coins, channels and limits there are.

use boltgrid_market::channels::{Action, ChannelState, Limits, Reason};
use boltgrid_protocol::units::Msat;
use proptest::collection::vec;
use proptest::prelude::*;

use super::world::{Channel, World, at, flows, sat};

/// Rounds after which nothing is left to do: one frees places, one fills them, one makes sure.
const ROUNDS: usize = 4;

fn limits() -> impl Strategy<Value = Limits> {
    (1_usize..6, 0_u64..50_000, 1_u64..90, 1_u64..400).prop_map(
        |(channels_max, reserve, fill_days, horizon_days)| Limits {
            channels_max,
            anchor_reserve: sat(reserve),
            fill_days,
            horizon_days,
            ..Limits::default()
        },
    )
}

fn world() -> impl Strategy<Value = World> {
    (2_u32..8).prop_flat_map(|members| {
        let payments = vec((0..members, 0..members, 0_u64..20_000), 0..30);
        let coins = vec(0_u64..2_000_000, members as usize);
        let channel = (0..members, 0..members, 0_u64..500_000, 0_u64..500_000, 0_u64..120);
        let state = prop_oneof![
            Just(ChannelState::Usable),
            Just(ChannelState::Away),
            Just(ChannelState::Pending)
        ];
        let channels = vec((channel, state), 0..6);
        (payments, coins, channels, limits(), 1_u64..60).prop_map(
            |(payments, coins, channels, limits, sat_per_vb)| {
                let payments: Vec<_> =
                    payments.into_iter().filter(|(payer, payee, _)| payer != payee).collect();
                let mut world = World::new(coins.len(), flows(&payments));
                world.coins = coins.into_iter().map(sat).collect();
                (world.limits, world.sat_per_vb) = (limits, sat_per_vb);
                for (id, ((one, other, ours, theirs, idle_days), state)) in (1..).zip(channels) {
                    let ends = [one, other];
                    let holds = [sat(ours), sat(theirs)];
                    if one != other {
                        world.channels.push(Channel { id, ends, holds, idle_days, state });
                    }
                }
                world
            },
        )
    })
}

proptest! {
    #[test]
    fn plans_that_are_carried_out_leave_nothing_to_do(mut world in world()) {
        for _ in 0..ROUNDS {
            if world.live() == 0 {
                return Ok(());
            }
        }
        let plans: Vec<_> = (0..world.len()).map(|me| world.plan(me)).collect();
        prop_assert!(plans.iter().all(|plan| plan.steps.is_empty()), "{plans:#?}");
    }

    #[test]
    fn no_plan_spends_what_is_reserved_or_opens_beyond_the_limits(world in world()) {
        for me in 0..world.len() {
            let plan = world.plan(me);
            let own = world.own(me);
            let (mut spent, mut opened) = (Msat::ZERO, 0);
            for step in &plan.steps {
                match step.action {
                    Action::Open { capacity, partner } => {
                        prop_assert!(capacity >= world.limits.capacity_min);
                        prop_assert!(capacity <= world.limits.capacity_max);
                        prop_assert!(partner != at(me));
                        prop_assert!(own.iter().all(|it| it.partner != Some(partner)), "twice");
                        spent = spent.saturating_add(capacity).saturating_add(step.fee);
                        opened += 1;
                    }
                    Action::SpliceIn { amount, .. } => {
                        spent = spent.saturating_add(amount).saturating_add(step.fee);
                    }
                    Action::CloseTogether { .. } | Action::CloseAlone { .. } => {}
                }
            }
            let channels = own.len() + opened;
            prop_assert!(opened == 0 || channels <= world.limits.channels_max);
            let reserve = world.limits.anchor_reserve.saturating_mul(channels as u64);
            let left = world.coins[me as usize].saturating_sub(spent);
            prop_assert!(spent == Msat::ZERO || left >= reserve, "{left} left, {reserve} reserved");
        }
    }

    #[test]
    fn of_two_members_at_most_one_opens(world in world()) {
        let opens = |me: u32| -> Vec<(u32, u32)> {
            let steps = world.plan(me).steps;
            steps
                .iter()
                .filter_map(|step| match step.action {
                    Action::Open { partner, .. } => Some((me, partner.get())),
                    Action::SpliceIn { .. }
                    | Action::CloseTogether { .. }
                    | Action::CloseAlone { .. } => None,
                })
                .collect()
        };
        let all: Vec<_> = (0..world.len()).flat_map(opens).collect();
        for (one, other) in &all {
            prop_assert!(!all.contains(&(*other, *one)), "{all:?}");
        }
    }

    #[test]
    fn every_step_says_why_with_numbers(world in world()) {
        for me in 0..world.len() {
            let plan = world.plan(me);
            let explained = plan.steps.iter().filter(|step| step.reason != Reason::Left);
            for said in explained.map(|step| step.reason.to_string()) {
                prop_assert!(said.contains(|c: char| c.is_ascii_digit()), "{said}");
            }
            for said in plan.waiting.iter().map(ToString::to_string) {
                prop_assert!(said.contains(|c: char| c.is_ascii_digit()), "{said}");
            }
        }
    }
}
