//! What passes, what is counted, and what ends a connection.

use boltgrid_protocol::units::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::hash::HashRate;

const WORKER: &str = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq.cellar";

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_000_000 + ms)
}

fn pass(session: &mut Session, from: Side, line: &str) -> Option<Event> {
    let heard = session.heard(from, line.as_bytes()).unwrap();
    assert!(heard.passes, "{line}");
    heard.event
}

/// A machine that is known to the pool and has one job, at a difficulty of 1024.
fn working() -> Session {
    let mut session = Session::new();
    let machine = |session: &mut Session, line: &str| pass(session, Side::Machine, line);
    let pool = |session: &mut Session, line: &str| pass(session, Side::Pool, line);
    machine(&mut session, r#"{"id":1,"method":"mining.subscribe","params":["cgminer/4.10"]}"#);
    pool(&mut session, r#"{"id":1,"result":[[["mining.notify","ae"]],"08000002",4],"error":null}"#);
    let authorize = format!(r#"{{"id":2,"method":"mining.authorize","params":["{WORKER}","x"]}}"#);
    machine(&mut session, &authorize);
    let known = pool(&mut session, r#"{"id":2,"result":true,"error":null}"#);
    assert_eq!(known, Some(Event::Authorized(WORKER.to_owned())));
    pool(&mut session, r#"{"id":null,"method":"mining.set_difficulty","params":[1024]}"#);
    pool(&mut session, &notify("job1"));
    session
}

fn notify(job: &str) -> String {
    format!(
        r#"{{"id":null,"method":"mining.notify","params":["{job}","00","01","02",[],"20000000","1d00ffff","5f5e1000",true]}}"#
    )
}

fn submit(id: u64, job: &str) -> String {
    format!(
        r#"{{"id":{id},"method":"mining.submit","params":["{WORKER}","{job}","00","5f5e1000","1"]}}"#
    )
}

fn difficulty(session: &mut Session, id: u64, job: &str) -> Option<Event> {
    pass(session, Side::Machine, &submit(id, job));
    pass(session, Side::Pool, &format!(r#"{{"id":{id},"result":true,"error":null}}"#))
}

#[test]
fn what_the_pool_takes_counts_at_the_difficulty_of_its_job() {
    let mut session = working();
    let Some(Event::Accepted(first)) = difficulty(&mut session, 10, "job1") else { panic!() };
    assert_eq!(first.hashes_floor(), 1024 << 32);
    pass(&mut session, Side::Pool, r#"{"id":null,"method":"mining.set_difficulty","params":[8]}"#);
    let Some(Event::Accepted(old)) = difficulty(&mut session, 11, "job1") else { panic!() };
    assert_eq!(old, first, "the new difficulty is for new jobs");
    pass(&mut session, Side::Pool, &notify("job2"));
    let Some(Event::Accepted(new)) = difficulty(&mut session, 12, "job2") else { panic!() };
    assert_eq!(new.hashes_floor(), 8 << 32);
    assert_eq!(difficulty(&mut session, 13, "unheard"), Some(Event::Uncounted));
}

#[test]
fn what_the_pool_refuses_or_nobody_asked_counts_nothing() {
    let mut session = working();
    pass(&mut session, Side::Machine, &submit(10, "job1"));
    let refusal = r#"{"id":10,"result":null,"error":[23,"low difficulty share",null]}"#;
    assert_eq!(pass(&mut session, Side::Pool, refusal), Some(Event::Refused));
    pass(&mut session, Side::Machine, &submit(11, "job1"));
    let no = r#"{"id":11,"result":false,"error":null}"#;
    assert_eq!(pass(&mut session, Side::Pool, no), Some(Event::Refused));
    for answer in [no, r#"{"id":99,"result":true,"error":null}"#] {
        assert_eq!(pass(&mut session, Side::Pool, answer), None, "answered once only");
    }
}

#[test]
fn a_difficulty_that_is_none_leaves_work_uncounted() {
    for odd in ["0", "-5", "\"1024\"", "null", "1e300"] {
        let mut session = working();
        let told = format!(r#"{{"id":null,"method":"mining.set_difficulty","params":[{odd}]}}"#);
        pass(&mut session, Side::Pool, &told);
        pass(&mut session, Side::Pool, &notify("job2"));
        assert_eq!(difficulty(&mut session, 10, "job2"), Some(Event::Uncounted), "{odd}");
    }
}

#[test]
fn what_is_not_understood_passes_and_what_is_hostile_ends_the_connection() {
    let mut session = working();
    for strange in [
        r#"{"id":"seven","method":"mining.submit","params":["a","job1"]}"#,
        r#"{"id":3,"method":"mining.extranonce.subscribe","params":[]}"#,
        r#"{"id":3,"method":"mining.submit","params":7}"#,
        r#"[1,2]"#,
    ] {
        assert_eq!(pass(&mut session, Side::Machine, strange), None, "{strange}");
    }
    let ends = |from, line: &str| working().heard(from, line.as_bytes()).unwrap_err();
    assert_eq!(ends(Side::Pool, "\u{6}{]"), Rejected::NotJson);
    assert_eq!(ends(Side::Machine, &"7".repeat(LINE_MAX + 1)), Rejected::Long);
    let away = r#"{"id":null,"method":"client.reconnect","params":["evil.example",3333,0]}"#;
    assert_eq!(ends(Side::Pool, away), Rejected::Reconnect);
    let odd = away.replace("null", "\"x\"");
    assert_eq!(ends(Side::Pool, &odd), Rejected::Reconnect, "whatever its id");
}

#[test]
fn a_machine_that_asks_and_asks_is_hung_up_on() {
    let mut session = working();
    let first =
        (100..).find(|id| session.heard(Side::Machine, submit(*id, "j").as_bytes()).is_err());
    assert_eq!(first, Some(356), "256 may wait");
}

#[test]
fn a_difficulty_is_asked_for_where_another_fits_and_its_answer_is_ours() {
    let rate = HashRate::from_gigahashes(184_000);
    assert_eq!(Session::new().ask(at(0), rate), None, "before the pool knows the machine");
    let mut session = working();
    let asked = session.ask(at(0), rate).unwrap();
    assert_eq!(
        asked,
        r#"{"id":1900000000,"method":"mining.suggest_difficulty","params":[262144]}"#
    );
    assert_eq!(session.ask(at(90_000), rate), None, "not while it is not answered");
    let answer = br#"{"id":1900000000,"result":true,"error":null}"#;
    let heard = session.heard(Side::Pool, answer).unwrap();
    assert_eq!(heard, Heard { passes: false, event: None });
    assert_eq!(session.ask(at(59_999), rate), None, "not so soon");
    assert!(session.ask(at(60_000), rate).is_some());
    let told = r#"{"id":null,"method":"mining.set_difficulty","params":[200000]}"#;
    let mut given = working();
    pass(&mut given, Side::Pool, told);
    assert_eq!(given.ask(at(0), rate), None, "it fits well enough");
    let less = HashRate::from_gigahashes(20_000);
    assert!(given.ask(at(0), less).is_some(), "a machine that was turned down");
}

#[test]
fn a_pool_that_does_not_give_it_is_asked_three_times() {
    let rate = HashRate::from_gigahashes(184_000);
    let mut session = working();
    let mut asked = 0;
    for minute in 0..20 {
        let Some(line) = session.ask(at(minute * 60_000), rate) else { continue };
        asked += 1;
        let id: serde_json::Value = serde_json::from_str(&line).unwrap();
        let id = id["id"].as_u64().unwrap();
        let no = format!(r#"{{"id":{id},"result":null,"error":[-3,"Method not found",null]}}"#);
        assert!(!session.heard(Side::Pool, no.as_bytes()).unwrap().passes);
    }
    assert_eq!(asked, 3);
}

/// An hour of a machine that says one rate and proves another.
fn hour(says: u64, proves: u64) -> Account {
    let mut account = Account::default();
    let share = Difficulty::fitting(HashRate::from_gigahashes(says.max(proves))).unwrap();
    let mut hashes = 0;
    for second in 0..3_600 {
        let now = at(second * 1_000);
        account.said(now, HashRate::from_gigahashes(says), Some(share));
        hashes += u128::from(proves) * 1_000_000_000;
        while hashes >= share.hashes_floor() {
            hashes -= share.hashes_floor();
            account.accepted(now, share);
        }
    }
    account
}

#[test]
fn accepted_work_bears_out_what_a_machine_says_or_does_not() {
    assert_eq!(hour(184_000, 184_000).proof(), Proof::Agrees);
    assert_eq!(hour(184_000, 150_000).proof(), Proof::Agrees, "shares come by chance");
    assert_eq!(hour(184_000, 92_000).proof(), Proof::Less);
    assert_eq!(hour(184_000, 0).proof(), Proof::Less, "it draws power for nothing");
    assert_eq!(hour(92_000, 184_000).proof(), Proof::More);
    assert_eq!(Account::default().proof(), Proof::Open);
    let mut young = Account::default();
    young.said(at(0), HashRate::from_gigahashes(184_000), None);
    assert_eq!(young.proof(), Proof::Open);
    let proved = hour(184_000, 184_000).proved(at(3_600_000)).unwrap().to_gigahashes();
    assert!((170_000..=190_000).contains(&proved), "{proved}");
}

#[test]
fn what_is_refused_or_cannot_be_counted_proves_nothing() {
    let mut account = hour(184_000, 0);
    let before = account.clone();
    account.refused();
    account.uncounted();
    let shares = (account.accepted, account.refused, account.uncounted);
    assert_eq!(shares, (0, before.refused + 1, before.uncounted + 1));
    assert_eq!((account.hashes, account.proof()), (0, Proof::Less));
}

#[test]
fn while_a_machine_is_not_heard_it_is_held_to_nothing() {
    let rate = HashRate::from_gigahashes(184_000);
    let share = Difficulty::fitting(rate).unwrap();
    let (mut steady, mut gone) = (Account::default(), Account::default());
    for second in 0..1_200 {
        steady.said(at(second * 1_000), rate, Some(share));
    }
    assert_eq!(steady.proof(), Proof::Less, "it says much and proves nothing");
    // Heard twice, a second apart, and again only after twenty minutes.
    for second in [0, 1, 1_199] {
        gone.said(at(second * 1_000), rate, Some(share));
    }
    assert_eq!(gone.proof(), Proof::Open, "a second of hashes is all that it has to prove");
}

proptest! {
    #[test]
    fn no_line_of_anybody_panics_and_own_ids_never_reach_the_machine(
        lines in proptest::collection::vec((any::<bool>(), ".{0,60}", 0_u64..3), 0..40),
    ) {
        let mut session = working();
        for (is_pool, junk, kind) in lines {
            let from = if is_pool { Side::Pool } else { Side::Machine };
            let line = match kind {
                0 => junk,
                1 => format!("{{\"id\":{},\"method\":{},\"params\":[{}]}}", junk.len(),
                    serde_json::to_string(&junk).unwrap(), junk.len()),
                _ => format!("{{\"id\":{},\"result\":true,\"error\":null}}", junk.len()),
            };
            if session.heard(from, line.as_bytes()).is_err() {
                session = working();
            }
        }
    }
}
