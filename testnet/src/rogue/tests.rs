//! What each role does is what it says, an honest gatekeeper lets it in, and honest markets around it
//! decide all the same.

mod grid;

use std::collections::BTreeSet;
use std::sync::Arc;

use boltgrid::config::lightning::BitcoinNetwork;
use boltgrid::lightning::read;
use boltgrid_market::effect::Effect;
use boltgrid_market::notice::Notice;
use boltgrid_market::payments::Wanted;
use boltgrid_protocol::agreement::{Ack, Proposal, Vote};
use boltgrid_protocol::envelope::{Header, Kind, Payload, Signed};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::invoice::Invoice;
use boltgrid_protocol::order::Order;
use boltgrid_protocol::reading::Reading;
use boltgrid_protocol::units::Interval;

use super::{Deed, Role, Trick};
use grid::{Done, Grid};

/// What a rogue said itself, as far as it is of this kind.
fn said<T: Payload>(grid: &Grid, interval: Interval) -> Vec<(T, Option<Vec<ParticipantId>>)> {
    let author = grid.rogue_id();
    let bytes = grid.deeds.iter().filter_map(|Done { deed, .. }| match deed {
        Deed::Do(Effect::Gossip(_, bytes) | Effect::SendTo { bytes, .. }) => Some((bytes, None)),
        Deed::Whisper { bytes, to, .. } => Some((bytes, Some(to.clone()))),
        Deed::Do(_) => None,
    });
    bytes
        .filter(|(bytes, _)| {
            Header::peek(bytes)
                .is_ok_and(|it| (it.kind, it.interval, it.author) == (T::KIND, interval, author))
        })
        .map(|(bytes, to)| (Signed::<T>::decode(bytes.clone()).unwrap(), to))
        .map(|(signed, to)| (signed.verify(&grid.charter, &grid.roster).unwrap(), to))
        .map(|(verified, to)| {
            let bytes = verified.bytes().clone();
            (grid::body::<T>(&bytes), to)
        })
        .collect()
}

fn barred_by_all(grid: &Grid) -> bool {
    let id = grid.rogue_id();
    grid.honest().all(|node| {
        let barred = |it: &Notice| matches!(it, Notice::Barred { culprit, .. } if *culprit == id);
        node.notices.iter().any(barred)
    })
}

fn played(role: Role) -> (Grid, Interval) {
    let mut grid = Grid::new(role, 7, 5);
    let interval = grid.next_interval();
    grid.run_intervals(3);
    (grid, interval)
}

fn led(role: Role, seed: u64) -> (Grid, Interval) {
    let mut grid = Grid::new(role, 7, seed);
    let interval = grid.start_where_rogue_leads();
    grid.run_intervals(1);
    (grid, interval)
}

#[test]
fn honest_members_agree_trade_and_bar_whoever_convicts_itself() {
    for role in Role::ALL {
        let mut grid = Grid::new(role, 7, 1);
        let first = grid.start_where_rogue_leads();
        grid.run_intervals(3);
        for interval in (0..3).map(|count| first.plus(count)) {
            let cleared: Vec<_> = grid.honest().filter_map(|node| node.cleared(interval)).collect();
            assert_eq!(cleared.len(), 6, "{role}: all decide");
            assert!(cleared.iter().all(|it| it.clearing == cleared[0].clearing), "{role}");
            assert!(!cleared[0].trades.is_empty(), "{role}");
        }
        assert_eq!(barred_by_all(&grid), role.convicts_itself(), "{role}");
        let invalid = matches!(role, Role::Replayer | Role::Spammer);
        assert_eq!(grid.refused > 0, invalid, "{role}: {} refused by gatekeepers", grid.refused);
    }
}

#[test]
fn the_same_seed_and_inputs_give_the_same_deeds_and_another_seed_others() {
    for role in Role::ALL {
        let deeds = |seed| {
            let mut grid = Grid::new(role, 7, seed);
            grid.start_where_rogue_leads();
            grid.run_intervals(2);
            format!("{:?}", grid.deeds)
        };
        assert_eq!(deeds(3), deeds(3), "{role}");
    }
    let late = |seed| {
        let mut grid = Grid::new(Role::LatePartial, 7, seed);
        grid.run_intervals(1);
        format!("{:?}", grid.deeds)
    };
    assert_ne!(late(3), late(4));
}

#[test]
fn an_equivocator_tells_each_half_another_order_and_another_reading() {
    let (grid, interval) = played(Role::Equivocator);
    let orders = said::<Order>(&grid, interval);
    assert_eq!(orders.len(), 2);
    assert_ne!(orders[0].0, orders[1].0);
    let halves: BTreeSet<_> = orders.iter().flat_map(|(_, to)| to.clone().unwrap()).collect();
    assert_eq!(halves.len(), 6, "both halves together are everybody else");
    let readings = said::<Reading>(&grid, interval.next());
    assert_eq!(readings.len(), 2);
    assert_eq!(readings[0].0.at, readings[1].0.at);
    assert_ne!(readings[0].0.export_register_mwh, readings[1].0.export_register_mwh);
    assert_eq!(said::<Ack>(&grid, interval).len(), 2);
}

#[test]
fn a_late_partial_sender_reaches_one_half_around_the_gate() {
    let (grid, interval) = played(Role::LatePartial);
    let orders = said::<Order>(&grid, interval);
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].1.as_ref().map(Vec::len), Some(3));
    let schedule = grid.charter.interval.schedule(interval);
    let at = grid.said_at(Kind::Order, interval);
    assert!(at >= schedule.gate.minus_ms(1000) && at <= schedule.gate.plus_ms(350), "{at:?}");
    let me = grid.roster.index_of(&grid.rogue_id()).unwrap();
    assert!(grid.rogue.orders_of(interval, &[me]).is_empty(), "it hands it to nobody who asks");
}

#[test]
fn a_selective_acker_acks_what_it_does_not_hold_or_leaves_out_what_it_holds() {
    let (grid, interval) = played(Role::SelectiveAcker);
    let mut lies = 0;
    for interval in (0..3).map(|count| interval.plus(count)) {
        let acks = said::<Ack>(&grid, interval);
        assert_eq!(acks.len(), 1, "one ack only: nothing convicts it");
        // All seven order in time, so an honest ack is of all seven.
        lies += usize::from(acks[0].0.held.iter().count() != 7 || acks[0].1.is_some());
    }
    assert!(lies > 0);
}

#[test]
fn a_double_voter_votes_for_the_book_and_for_none() {
    let (grid, interval) = played(Role::DoubleVoter);
    let votes: Vec<Vote> = said(&grid, interval).into_iter().map(|(vote, _)| vote).collect();
    for stage in [votes[0].stage, votes[votes.len() - 1].stage] {
        let books: BTreeSet<_> =
            votes.iter().filter(|it| it.view == 0 && it.stage == stage).map(|it| it.book).collect();
        assert!(books.contains(&None) && books.len() >= 2, "{stage:?}: {books:?}");
    }
    let short = grid.rogue.certificate(interval.plus(2));
    let short = boltgrid_protocol::agreement::BookCertificate::from_bytes(&short.unwrap()).unwrap();
    assert!(short.verify(&grid.charter, &grid.roster).is_err());
}

#[test]
fn an_equivocating_leader_proposes_two_valid_books() {
    let (grid, interval) = led(Role::EquivocatingLeader, 5);
    let proposals: Vec<(Proposal, _)> = said(&grid, interval);
    let books: BTreeSet<_> =
        proposals.iter().map(|(it, _)| it.book.hash(&grid.roster, interval)).collect();
    assert!(books.len() >= 2, "{} books", books.len());
    assert!(proposals.iter().all(|(it, to)| it.view > 0 || to.as_ref().unwrap().len() == 3));
}

#[test]
fn with_enough_accomplices_an_equivocating_leader_splits_the_grid() {
    // Four voters bear one rogue; these are two, and the other one says nothing of its own.
    let mut grid = Grid::with_accomplices(Role::EquivocatingLeader, 4, 5, 1);
    // Votes travel without delay here, and of all of them both would see the same quorum first.
    grid.votes_held_up = true;
    let interval = grid.start_where_rogue_leads();
    grid.run_intervals(1);
    let books: BTreeSet<_> =
        grid.honest().filter_map(|node| node.cleared(interval)).map(|it| it.book).collect();
    assert_eq!(books.len(), 2, "agreement holds for too many rogues, so nothing attacks it");
}

#[test]
fn a_withholding_leader_costs_its_view_unless_a_few_hear_it() {
    let mut modes = BTreeSet::new();
    for seed in 0..6 {
        let (grid, interval) = led(Role::WithholdingLeader, seed);
        let proposals: Vec<(Proposal, _)> = said(&grid, interval);
        let first = proposals.into_iter().find(|(it, _)| it.view == 0);
        let to = first.map(|(_, to)| to.map(|to| to.len()));
        // What a few hear, they pass on.
        let costs = !matches!(to, Some(Some(_)));
        let cleared = grid.honest().filter_map(|node| node.cleared(interval));
        assert!(cleared.map(|it| it.view > 0).all(|late| late == costs), "{seed}: {to:?}");
        modes.insert(to);
    }
    assert_eq!(modes, BTreeSet::from([None, Some(None), Some(Some(2))]));
}

#[test]
fn a_replayer_says_again_what_others_said_and_in_other_headers() {
    let (grid, _) = played(Role::Replayer);
    let headers: Vec<Header> = grid
        .deeds
        .iter()
        .filter_map(|Done { deed, .. }| match deed {
            Deed::Do(Effect::Gossip(_, bytes)) => Header::peek(bytes).ok(),
            Deed::Do(_) | Deed::Whisper { .. } => None,
        })
        .collect();
    let others = headers.iter().filter(|it| it.author != grid.rogue_id()).count();
    assert!(others > 10, "{others} messages of others");
    assert!(headers.iter().any(|it| it.grid != grid.charter.grid_id()));
    assert!(headers.iter().any(|it| it.roster != grid.roster.hash()));
}

#[test]
fn a_spammer_says_much_of_every_kind() {
    let (grid, interval) = played(Role::Spammer);
    let interval = interval.next();
    assert!(said::<Order>(&grid, interval).len() > 20);
    assert!(said::<Ack>(&grid, interval).len() > 5);
    assert!(said::<Vote>(&grid, interval).len() > 30);
    assert!(grid.deeds.len() < 3000, "and yet it is bounded: {}", grid.deeds.len());
}

#[test]
fn a_lying_meter_shows_what_never_flowed_or_runs_backwards() {
    let mut grid = Grid::new(Role::LyingMeter, 7, 5);
    let first = grid.next_interval();
    grid.run_intervals(6);
    let exports: Vec<_> = (0..6)
        .flat_map(|count| said::<Reading>(&grid, first.plus(count)))
        .map(|(reading, _)| reading.export_register_mwh)
        .collect();
    assert!(exports.len() >= 5);
    assert!(exports.windows(2).any(|pair| pair[0] > pair[1]), "{exports:?}");
    assert!(exports.windows(2).any(|pair| pair[0] < pair[1]), "{exports:?}");
}

#[test]
fn one_who_never_confirms_sends_no_confirm() {
    let (grid, _) = played(Role::NeverConfirms);
    let confirmed = |done: &Done| matches!(done.deed, Deed::Do(Effect::SendTo { .. }));
    assert!(!grid.deeds.iter().any(confirmed));
    let lapsed = |it: &Notice| matches!(it, Notice::Lapsed { .. });
    assert!(grid.honest().any(|node| node.notices.iter().any(lapsed)));
}

#[test]
fn one_who_never_delivers_confirms_and_shows_a_meter_that_stands_still() {
    let (grid, interval) = played(Role::NeverDelivers);
    let readings: Vec<_> = (0..3)
        .flat_map(|count| said::<Reading>(&grid, interval.plus(count)))
        .map(|(reading, _)| (reading.import_register_mwh, reading.export_register_mwh))
        .collect();
    assert!(readings.len() >= 2 && readings.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(grid.deeds.iter().any(|it| matches!(it.deed, Deed::Do(Effect::SendTo { .. }))));
}

/// The invoices that a false payee sent, with what is wrong with each.
fn invoices(grid: &Grid) -> Vec<(Trick, Invoice, Arc<[u8]>)> {
    let sent = grid.deeds.iter().filter_map(|Done { deed, .. }| match deed {
        Deed::Do(Effect::Payment(Wanted::Send { invoice, .. })) => Some(invoice),
        Deed::Do(_) | Deed::Whisper { .. } => None,
    });
    sent.map(|bytes| {
        let interval = Header::peek(bytes).unwrap().interval;
        let trick = grid.rogue.trick_of(interval, bytes).unwrap();
        (trick, grid::body::<Invoice>(bytes), bytes.clone())
    })
    .collect()
}

#[test]
fn a_false_payee_asks_for_every_due_in_each_false_way_and_once_rightly() {
    let mut grid = Grid::new(Role::FalsePayee, 7, 1);
    grid.run_intervals(5);
    let invoices = invoices(&grid);
    let tricks: BTreeSet<Trick> = invoices.iter().map(|(trick, ..)| *trick).collect();
    let sent: Vec<Trick> = Trick::ALL.into_iter().filter(|it| *it != Trick::Again).collect();
    assert_eq!(tricks.into_iter().collect::<Vec<_>>(), sent);
    let rights = invoices.iter().filter(|(trick, ..)| *trick == Trick::Right);
    let rights: Vec<(&Invoice, &Arc<[u8]>)> = rights.map(|(_, it, bytes)| (it, bytes)).collect();
    let mut hashes = BTreeSet::new();
    for (right, bytes) in &rights {
        let times = rights.iter().filter(|(_, it)| it == bytes).count();
        assert_eq!(times, 2, "it is sent again");
        hashes.insert(right.payment_hash);
    }
    assert_eq!(hashes.len() * 2, rights.len());
    for (trick, invoice, _) in &invoices {
        let text = read(&invoice.bolt11, BitcoinNetwork::Regtest).unwrap();
        let fits =
            text.payment_hash == invoice.payment_hash && text.amount == Some(invoice.amount_msat);
        let is_about_the_text = matches!(trick, Trick::OtherHash | Trick::OtherAmount);
        assert_eq!(!fits, is_about_the_text, "{trick:?}");
    }
}

#[test]
fn a_false_payer_says_one_word_to_one_payee_about_one_interval_and_others_say_none() {
    let mut grid = Grid::new(Role::FalsePayee, 7, 1);
    let interval = grid.next_interval();
    grid.run_intervals(3);
    let payer = Grid::new(Role::FalsePayer, 7, 3);
    let mut words = BTreeSet::new();
    for (_, _, bytes) in invoices(&grid) {
        let signed = Signed::<Invoice>::decode(bytes).unwrap();
        let invoice = signed.verify(&grid.charter, &grid.roster).unwrap();
        let word = payer.rogue.word_on(&invoice).unwrap();
        assert_eq!(payer.rogue.word_on(&invoice), Some(word));
        assert_eq!(grid.rogue.word_on(&invoice), None);
        words.insert((invoice.interval(), format!("{word:?}")));
    }
    assert!(words.iter().any(|(of, _)| *of >= interval));
    let intervals: BTreeSet<_> = words.iter().map(|(of, _)| *of).collect();
    assert_eq!(intervals.len(), words.len());
}
