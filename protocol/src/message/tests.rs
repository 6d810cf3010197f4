//! Tests of the gate: who and what comes in, when, and by what name the rest is counted.

use super::*;
use crate::charter::Charter;
use crate::fixture::{
    CHARTER, Grid, INTERVAL, certified, enrolment, invoice, key, now, order, peer_record,
};
use crate::id::RosterIndex;

/// What the gate says to an order of this interval at [`now`].
fn admit_order_of(interval: Interval) -> Result<Kind, &'static str> {
    let grid = Grid::sample();
    let order = grid.try_sign(RosterIndex::new(0), interval, &order(0)).unwrap();
    let admitted = grid.gatekeeper().admit(Arc::clone(order.bytes()), now(&grid.charter));
    admitted.map(|message| message.kind()).map_err(|rejected| rejected.reason())
}

#[test]
fn a_message_of_every_kind_comes_in_as_what_it_is() {
    let grid = Grid::sample();
    let mut gate = grid.gatekeeper();
    let mut kinds: Vec<Kind> = grid
        .messages()
        .into_iter()
        .map(|(name, bytes)| {
            let kind = Header::peek(&bytes).unwrap().kind;
            let message = gate.admit(bytes, now(&grid.charter));
            assert_eq!(message.map(|message| message.kind()), Ok(kind), "{name}");
            kind
        })
        .collect();
    kinds.dedup();
    assert_eq!(kinds.len(), 15);
}

#[test]
fn messages_come_in_three_intervals_late_or_early_and_no_more() {
    assert_eq!(admit_order_of(INTERVAL.minus(INTERVALS_BACK)), Ok(Kind::Order));
    assert_eq!(admit_order_of(INTERVAL.minus(INTERVALS_BACK + 1)), Err("stale"));
    assert_eq!(admit_order_of(INTERVAL.plus(INTERVALS_AHEAD)), Ok(Kind::Order));
    assert_eq!(admit_order_of(INTERVAL.plus(INTERVALS_AHEAD + 1)), Err("future"));
    assert_eq!(admit_order_of(Interval::from_number(u64::MAX)), Err("future"));
    assert_eq!(admit_order_of(Interval::from_number(0)), Err("stale"));
}

#[test]
fn an_invoice_comes_in_however_long_ago_its_interval_was() {
    let grid = Grid::sample();
    let admit = |interval| {
        let signed = grid.try_sign(RosterIndex::new(1), interval, &invoice()).unwrap();
        let admitted = grid.gatekeeper().admit(Arc::clone(signed.bytes()), now(&grid.charter));
        admitted.map(|message| message.kind()).map_err(|rejected| rejected.reason())
    };
    assert_eq!(admit(INTERVAL.minus(INTERVALS_BACK + 1)), Ok(Kind::Invoice));
    assert_eq!(admit(INTERVAL.plus(INTERVALS_AHEAD + 1)), Err("future"));
}

#[test]
fn what_is_past_comes_in_however_old_but_never_unsigned_or_of_days_to_come() {
    let grid = Grid::sample();
    let (mut gate, now) = (grid.gatekeeper(), now(&grid.charter));
    let mut of = |interval, forge: u8| {
        let order = grid.try_sign(RosterIndex::new(0), interval, &order(0)).unwrap();
        let mut bytes = order.bytes().to_vec();
        *bytes.last_mut().unwrap() ^= forge;
        let admitted = gate.admit_past(bytes, now);
        admitted.map(|message| message.kind()).map_err(|rejected| rejected.reason())
    };
    let old = INTERVAL.minus(INTERVALS_BACK + 1);
    assert_eq!(of(old, 0), Ok(Kind::Order));
    assert_eq!(of(old, 1), Err("bad_signature"));
    assert_eq!(of(INTERVAL.plus(INTERVALS_AHEAD + 1), 0), Err("future"));
    let record = grid.sign(0, &peer_record(&grid.charter));
    let admitted = grid.gatekeeper().admit_past(Arc::clone(record.bytes()), now);
    assert_eq!(admitted.unwrap_err().reason(), "wrong_kind");
}

#[test]
fn a_peer_record_comes_in_while_it_holds() {
    let grid = Grid::sample();
    let record = grid.sign(0, &peer_record(&grid.charter));
    let mut gate = grid.gatekeeper();
    let mut at = |at| {
        let admitted = gate.admit(Arc::clone(record.bytes()), at);
        admitted.map(|_| ()).map_err(|rejected| rejected.reason())
    };
    let made_at = record.body().made_at;
    let skew_ms = grid.charter.interval.clock_skew_max_ms;
    assert_eq!(at(made_at), Ok(()));
    assert_eq!(at(made_at.minus_ms(skew_ms)), Ok(()));
    assert_eq!(at(made_at.minus_ms(skew_ms + 1)), Err("future"));
    assert_eq!(at(record.body().expires_at.minus_ms(1)), Ok(()));
    assert_eq!(at(record.body().expires_at), Err("stale"));
}

#[test]
fn another_grids_messages_are_refused_before_anything_else() {
    let theirs = Grid::sample();
    let ours = Charter::from_toml(&CHARTER.replace("Lindenhof", "Eichenhof")).unwrap();
    let member = certified(enrolment(&ours, &key(1, 0), &key(2, 0)));
    let ours = Arc::new(ours);
    let mut gate =
        Gatekeeper::new(Arc::clone(&ours), Rosters::new(Arc::clone(&ours), vec![member]).unwrap());
    for (name, bytes) in theirs.messages() {
        let rejected = gate.admit(bytes, Timestamp::from_unix_ms(0)).unwrap_err();
        assert_eq!(rejected.reason(), "wrong_grid", "{name}");
    }
}

fn kind_of(bytes: &[u8]) -> Kind {
    Header::peek(bytes).unwrap().kind
}

#[test]
fn a_message_under_another_roster_is_refused() {
    let grid = Grid::sample();
    let mut gate = Grid::of(6, 4).gatekeeper();
    for (name, bytes) in grid.messages() {
        let result = gate.admit(Arc::clone(&bytes), now(&grid.charter)).map(|_| ());
        if kind_of(&bytes).is_bound() {
            assert_eq!(result.unwrap_err().reason(), "wrong_roster", "{name}");
        } else {
            assert_eq!(result, Ok(()), "{name} outlives rosters");
        }
    }
}

#[test]
fn strangers_are_refused_and_so_are_members_who_sign_for_others() {
    let grid = Grid::sample();
    let body = order(0);
    let stranger = key(9, 9);
    let gate = (grid.charter.as_ref(), grid.roster.as_ref());
    let sign = |author: &_, key: &_| Verified::sign(&body, INTERVAL, (author, key), gate);
    let member = grid.people[0].key.participant_id();
    let as_stranger = sign(&stranger.participant_id(), &stranger);
    assert_eq!(as_stranger.unwrap_err(), MessageRejected::NotAMember);
    assert_eq!(sign(&member, &stranger).unwrap_err(), MessageRejected::BadSignature);
    let with_meter_key = sign(&member, &grid.people[0].meter);
    assert_eq!(with_meter_key.unwrap_err(), MessageRejected::BadSignature);
}

#[test]
fn those_who_do_not_vote_cannot_ack_vote_or_propose() {
    let grid = Grid::sample();
    let last = RosterIndex::new(4);
    let ack = grid.acks_and_book().0[0].body().clone();
    let refused = grid.try_sign(last, INTERVAL, &ack).unwrap_err();
    assert_eq!(refused, MessageRejected::NotAVoter);
    let refused = grid.try_sign(last, INTERVAL, &crate::fixture::vote(None)).unwrap_err();
    assert_eq!(refused, MessageRejected::NotAVoter);
    assert!(grid.try_sign(last, INTERVAL, &grid.proposal().1).is_err());
}

#[test]
fn where_nobody_is_enrolled_nothing_comes_in() {
    let grid = Grid::sample();
    let far_ahead = Interval::from_number(11_000_000);
    let at = grid.charter.interval.start_of(far_ahead);
    for (name, bytes) in grid.messages() {
        let kind = kind_of(&bytes);
        if kind == Kind::Invoice {
            continue;
        }
        let expected = if kind.is_bound() { "stale" } else { "no_roster" };
        let rejected = grid.gatekeeper().admit(bytes, at).unwrap_err();
        assert_eq!(rejected.reason(), expected, "{name}");
    }
}

#[test]
fn every_refusal_has_a_name_to_count_it_by() {
    use crate::codec::CodecRejected;
    let oversize = CodecRejected::Oversize { len: 2, limit: 1 };
    let reasons = [
        EntryRejected::Stale,
        EntryRejected::Future,
        EntryRejected::NoRoster,
        MessageRejected::Codec(oversize).into(),
        MessageRejected::Codec(CodecRejected::Malformed).into(),
        MessageRejected::Codec(CodecRejected::BadVersion(2)).into(),
        MessageRejected::WrongKind.into(),
        MessageRejected::WrongGrid.into(),
        MessageRejected::WrongRoster.into(),
        MessageRejected::NotAMember.into(),
        MessageRejected::NotAVoter.into(),
        MessageRejected::BadSignature.into(),
        MessageRejected::Order(crate::order::OrderRejected::Empty).into(),
        MessageRejected::Body("").into(),
    ]
    .map(|rejected: EntryRejected| rejected.reason());
    let mut distinct = reasons.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), reasons.len());
}
