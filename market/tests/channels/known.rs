//! Situations that people know.

use boltgrid_market::channels::{
    Action, ChannelId, ChannelState, Graph, Limits, Loads, OwnChannel, Reach, Reason, Waiting,
    naming, wanted,
};
use boltgrid_protocol::id::RosterIndex;
use boltgrid_protocol::order::Preference;
use boltgrid_protocol::units::{Msat, SignedMsat};

use super::world::{Channel, World, at, flows, sat};

/// Member 0 sells to four houses, which do not trade with each other much.
fn a_seller() -> World {
    World::new(
        5,
        flows(&[(1, 0, 1_000), (2, 0, 900), (3, 0, 800), (4, 0, 700), (1, 2, 300), (3, 4, 300)]),
    )
}

#[test]
fn a_member_that_many_trade_with_is_the_one_that_others_reach_each_other_over() {
    let mut world = a_seller();
    world.live();
    let graph = world.graph();
    assert_eq!(graph.degree(at(0)), 4);
    assert_eq!(graph.links().count(), 4, "a tree");
    assert_eq!(graph.reach(at(1), at(2)), Reach::OverOne);
    assert_eq!(graph.reach(at(3), at(4)), Reach::OverOne);
}

#[test]
fn where_nobody_passes_payments_on_everybody_who_pays_has_a_channel_of_its_own() {
    let mut world = World { passes_on: false, ..a_seller() };
    world.live();
    let graph = world.graph();
    assert_eq!(graph.links().count(), 6, "one for each pair that trades");
    for (one, other) in [(1, 0), (2, 0), (3, 0), (4, 0), (1, 2), (3, 4)] {
        assert_eq!(graph.reach(at(one), at(other)), Reach::Direct);
    }
    assert_eq!(graph.reach(at(1), at(3)), Reach::Beyond, "over the seller goes nothing");
    let load = Loads::of(&graph, &flows(&[(1, 3, 500)])).between(at(1), at(0));
    assert!(load.is_idle(), "{load:?}");
    assert!(world.plan(1).waiting.is_empty(), "with whom nothing is traded nothing is to be said");
}

#[test]
fn the_plan_says_with_whom_nothing_can_be_paid() {
    let said = |world: &World, me| -> Vec<String> {
        let waiting = world.plan(me).waiting.into_iter();
        let beyond = waiting.filter(|it| matches!(it, Waiting::Beyond { .. }));
        beyond.map(|it| it.to_string()).collect()
    };
    // Two pairs, and 30 sat a day between them: a quarter of that in a year is less than a channel costs.
    let mut world = World::new(4, flows(&[(0, 1, 9_000), (2, 3, 9_000), (0, 2, 30)]));
    world.live();
    for (me, with) in [(0, 2), (2, 0)] {
        let [text] = &said(&world, me)[..] else { panic!("{:?}", world.plan(me)) };
        assert!(text.contains(&format!("with member {with} some 30 sat a day")), "{text}");
        assert!(text.contains("36 sat a day") || text.contains("35 sat a day"), "{text}");
    }
    assert_eq!(said(&world, 1), [""; 0], "who has a way to all with whom it trades");
    world.flows = flows(&[(0, 1, 9_000), (2, 3, 9_000), (0, 2, 50)]);
    assert_eq!(said(&world, 0), [""; 0], "and not where a channel is about to be opened");
    world.live();
    assert_eq!(world.graph().reach(at(0), at(2)), Reach::Direct);
}

#[test]
fn whoever_pays_opens_and_fills_the_channel_for_the_days_to_come() {
    let world = a_seller();
    let plan = world.plan(1);
    let [step] = plan.steps[..] else { panic!("{plan:?}") };
    let Action::Open { partner, capacity } = step.action else { panic!("{step:?}") };
    assert_eq!(partner, at(0));
    // 1 000 a day for itself and 300 for member 2, for 60 days and a week, and what cannot be spent.
    assert!((sat(87_100)..sat(93_000)).contains(&capacity), "{capacity}");
    assert_eq!(step.fee, sat(1_530));
    let explained = step.reason.to_string();
    assert!(explained.contains("1300 sat a day more"), "{explained}");
    assert_eq!(world.plan(0).steps, [], "the seller waits to be opened to");
    assert_eq!(world.plan(0).waiting.len(), 4);
    assert!(world.plan(0).waiting[0].to_string().contains("it pays more over it, so it opens"));
}

#[test]
fn those_who_pay_each_other_alike_take_turns() {
    let alike = |one, other| {
        let graph = {
            let mut graph = Graph::new();
            graph.link(at(one), at(other));
            graph
        };
        let loads = Loads::of(&graph, &flows(&[(one, other, 1_000), (other, one, 950)]));
        assert_eq!(loads.opener(at(one), at(other)), loads.opener(at(other), at(one)));
        loads.opener(at(one), at(other)).get()
    };
    assert_eq!((alike(0, 1), alike(0, 2), alike(1, 2), alike(1, 3)), (1, 0, 2, 1));
}

#[test]
fn the_higher_the_fees_the_fewer_channels_are_worth_them() {
    let flows = flows(&[(1, 0, 1_000), (2, 0, 200), (3, 0, 20)]);
    let members: Vec<_> = (0..4).map(at).collect();
    let worth = |sat_per_vb| {
        wanted(&members, &Graph::new(), &flows, (&Limits::default(), sat_per_vb)).len()
    };
    // 322 vB to open and close, half of it for each side. Three percent of a year's payments are
    // 219 sat for member 3, 2 190 for member 2 and 10 950 for member 1.
    assert_eq!(
        (worth(1), worth(2), worth(13), worth(14), worth(68), worth(69)),
        (3, 2, 2, 1, 1, 0)
    );
}

#[test]
fn a_channel_that_brings_next_to_nothing_within_reach_is_not_opened_by_those_who_could() {
    let flows = flows(&[(0, 1, 9_000), (2, 3, 9_000), (0, 2, 3)]);
    let members: Vec<_> = (0..4).map(at).collect();
    let found = wanted(&members, &Graph::new(), &flows, (&Limits::default(), 1));
    let pairs: Vec<_> = found.iter().map(|it| (it.one.get(), it.other.get())).collect();
    // A quarter of 3 sat a day for a year is less than 322 sat.
    assert_eq!(pairs, [(0, 1), (2, 3)]);
}

#[test]
fn nobody_gets_more_channels_than_the_owner_allows() {
    let payments: Vec<_> = (1..12).map(|payer| (payer, 0, 5_000)).collect();
    let mut world = World::new(12, flows(&payments));
    world.live();
    assert_eq!(world.graph().degree(at(0)), 5);
}

#[test]
fn without_coins_a_member_waits_and_says_what_it_takes() {
    let mut world = a_seller();
    world.coins[1] = sat(60_000);
    let plan = world.plan(1);
    assert_eq!(plan.steps, []);
    let [waiting] = plan.waiting[..] else { panic!("{plan:?}") };
    assert!(matches!(waiting, Waiting::ForCoins { .. }));
    let said = waiting.to_string();
    assert!(said.contains("takes 76530 sat") && said.contains("60000 sat"), "{said}");
}

fn own(spendable: u64, drained_a_day: i64) -> OwnChannel {
    OwnChannel {
        id: ChannelId(7),
        partner: Some(at(0)),
        capacity: sat(100_000),
        spendable: sat(spendable),
        receivable: sat(100_000 - spendable),
        drained_a_day: Some(SignedMsat::from_millisatoshi(drained_a_day * 1_000)),
        idle_ms: 0,
        state: ChannelState::Usable,
    }
}

fn with_channel(mut world: World) -> World {
    let state = ChannelState::Usable;
    let holds = [sat(50_000); 2];
    world.channels.push(Channel { id: 7, ends: [1, 0], holds, idle_days: 0, state });
    world
}

#[test]
fn a_channel_that_runs_dry_is_refilled_before_it_is() {
    let world = with_channel(a_seller());
    let steps = |channel| world.plan_with(1, &[channel]).steps;
    assert_eq!(steps(own(3_900, 1_300)), [], "it lasts for three days");
    let [step] = steps(own(2_900, 1_300))[..] else { panic!("not one step") };
    let Action::SpliceIn { amount, .. } = step.action else { panic!("{step:?}") };
    assert_eq!(amount, sat(83_000), "three percent of which are its fee, and 60 days more or less");
    assert_eq!(step.fee, sat(2_490), "a splice is one transaction");
    assert!(matches!(step.reason, Reason::Drains { .. }));
    assert_eq!(steps(own(2_900 + 83_000, 1_300)), [], "once it is refilled it lasts");
    let [step] = steps(own(2_900, 2_000))[..] else { panic!("not one step") };
    let Action::SpliceIn { amount, .. } = step.action else { panic!("{step:?}") };
    assert_eq!(amount, sat(60 * 2_000 - 2_900));
}

#[test]
fn a_dry_channel_that_stands_still_is_refilled_though_on_balance_we_are_paid_over_it() {
    let world = with_channel(World::new(2, flows(&[(1, 0, 500), (0, 1, 800)])));
    let steps = |channel| world.plan_with(1, &[channel]).steps;
    let [step] = steps(own(10, 0))[..] else { panic!("not one step") };
    let Action::SpliceIn { amount, .. } = step.action else { panic!("{step:?}") };
    assert_eq!(amount, sat(83_000), "what makes its fee three percent; 60 days are less");
    assert_eq!(steps(own(10, -300)), [], "it is filling by itself");
    assert_eq!(steps(own(600, 0)), [], "it can pay what is expected of a day");
}

#[test]
fn a_trickle_is_not_worth_refilling_for() {
    let world = with_channel(World::new(2, flows(&[(1, 0, 10)])));
    let plan = world.plan_with(1, &[own(0, 10)]);
    assert_eq!(plan.steps, []);
    assert!(matches!(plan.waiting[..], [Waiting::NotWorthRefilling { .. }]), "{plan:?}");
}

#[test]
fn an_idle_channel_is_closed_together_and_alone_only_if_the_partner_is_away() {
    let world = with_channel(World::new(2, flows(&[])));
    let days = |days: u64| days * 86_400_000;
    let action = |idle_ms, state| {
        let channel = OwnChannel { idle_ms, state, ..own(50_000, 0) };
        world.plan_with(1, &[channel]).steps.first().map(|step| step.action)
    };
    let channel = ChannelId(7);
    assert_eq!(action(days(59), ChannelState::Usable), None);
    assert_eq!(action(days(60), ChannelState::Usable), Some(Action::CloseTogether { channel }));
    assert_eq!(action(days(60), ChannelState::Away), Some(Action::CloseAlone { channel }));
    assert_eq!(action(days(60), ChannelState::Closing), None);
}

#[test]
fn a_channel_that_others_pay_over_is_not_idle_whatever_its_own_trade() {
    // Members 1 and 2 trade with each other only, and 0 is between them.
    let mut world = World::new(3, flows(&[(1, 2, 500)]));
    for (id, ends) in [(1, [1, 0]), (2, [2, 0])] {
        let state = ChannelState::Usable;
        let holds = [sat(50_000); 2];
        world.channels.push(Channel { id, ends, holds, idle_days: 90, state });
    }
    assert_eq!(world.plan(0).steps, []);
    assert_eq!(world.plan(1).steps, []);
}

#[test]
fn a_channel_with_one_who_left_is_closed() {
    let world = World::new(2, flows(&[]));
    let channel = OwnChannel { partner: None, ..own(50_000, 0) };
    let plan = world.plan_with(1, &[channel]);
    assert!(matches!(plan.steps[0].reason, Reason::Left), "{plan:?}");
}

#[test]
fn an_order_names_its_partners_and_those_that_are_reached_over_them() {
    let mut world = a_seller();
    world.live();
    let (graph, channels) = (world.graph(), world.own(1));
    let named = naming(at(1), &channels, (&graph, &world.flows), sat(75));
    assert_eq!(named.partners, [at(0)]);
    let others: Vec<_> = [2, 3, 4].map(|it| Preference::Partner(at(it))).to_vec();
    assert_eq!(named.preferences, others, "whom it trades with most first");
    let dry = naming(at(1), &channels, (&graph, &world.flows), Msat::MAX);
    assert_eq!(dry.partners, Vec::<RosterIndex>::new(), "a channel that carries too little");
    assert_eq!(dry.preferences, []);
}
