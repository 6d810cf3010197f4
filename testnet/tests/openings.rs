//! Real nodes whose readings are masked, one with a false meter: everybody sees a gap and nobody whose it
//! is; once all of them have opened to one member, that member's node puts it first among those it could be. Whoever is no member can
//! open nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use boltgrid::clock;
use boltgrid::network::behaviour::{BehaviourEvent, Openness, swarm};
use boltgrid::network::identity::{identity_of, peer_of};
use boltgrid::rpc::OpeningRpcClient;
use boltgrid::rpc::client::client;
use boltgrid::rpc::opening::{GivenOutcome, GivenReport, RulingReport};
use boltgrid_protocol::charter::Disclosure;
use boltgrid_protocol::direct::{Answer, Question, Request, Response};
use boltgrid_protocol::id::RosterHash;
use boltgrid_protocol::masking::{Cohort, OpeningRefused, OpeningWord, share};
use boltgrid_protocol::signing::Keypair;
use boltgrid_protocol::units::{Interval, NetEnergy};
use boltgrid_testnet::run::RunOptions;
use boltgrid_testnet::run::fleet::Fleet;
use boltgrid_testnet::run::founding::{Role, key};
use boltgrid_testnet::run::stage::Stage;
use futures::StreamExt;
use libp2p::request_response::{Event, Message};
use libp2p::swarm::SwarmEvent;
use tokio::time::{sleep, timeout};

/// Some intervals take no longer than this, on a machine that is busy as well.
const PATIENCE: Duration = Duration::from_secs(400);
const LOOK: Duration = Duration::from_millis(300);
const ANSWER_TIME: Duration = Duration::from_secs(60);
const PROGRAM: &str = env!("CARGO_BIN_EXE_boltgrid-testnet");
const SITES: usize = 10;
/// To whom all open: one of the sites.
const ARBITER: usize = 0;
/// Whose meter shows a fifth of what flows.
const LIAR: usize = 6;
/// So many sums must have been even before.
const EVEN_MIN: usize = 8;
/// In so many intervals the gap must stand.
const GAP_MIN: u32 = 5;

/// What the command line says of a running node.
fn cli(config: &Path, args: &[&str]) -> String {
    let mut child = Command::new(PROGRAM)
        .args(["node", "--"])
        .args(args)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It ends when its standard input does.
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

struct Grid {
    stage: Stage,
    fleet: Fleet,
}

impl Grid {
    async fn start(options: &RunOptions) -> Self {
        let stage = Stage::set(options).await.unwrap();
        let places = (stage.places.clone(), stage.feeders.clone());
        let fleet = Fleet::start(PROGRAM.into(), places, &BTreeMap::new(), &|_, _| {}).unwrap();
        Self { stage, fleet }
    }

    /// The intervals whose sum the arbiter held against the busbar's meter and found even, until it says
    /// of a gap in so many intervals; or until so many were even, where none is waited for.
    async fn sums(&mut self, gap_min: Option<u32>) -> BTreeSet<u64> {
        let (began, mut even) = (Instant::now(), BTreeSet::new());
        loop {
            self.fleet.check_alive().unwrap();
            let balances = self.fleet.balances().await;
            let name = &self.stage.places[ARBITER].name;
            let told = balances.iter().find(|(node, _)| node == name);
            let feeder = told.and_then(|(_, feeders)| feeders.first());
            if let Some(feeder) = feeder {
                let sum = feeder.balance.as_ref();
                even.extend(
                    sum.filter(|it| it.gap_mwh.unsigned_abs() <= it.tolerance_mwh)
                        .map(|it| it.interval),
                );
                let is_over = match gap_min {
                    None => even.len() >= EVEN_MIN,
                    Some(least) => feeder.gap.as_ref().is_some_and(|it| it.intervals >= least),
                };
                if is_over {
                    return even;
                }
            }
            assert!(began.elapsed() < PATIENCE, "{feeder:?}");
            sleep(LOOK).await;
        }
    }

    /// What a site opens to the arbiter, or would.
    async fn open(&self, site: usize, first: u64, last: u64, is_dry: bool) -> Vec<GivenReport> {
        let place = &self.stage.places[site];
        let node = client(place.rpc, Some(&place.token), ANSWER_TIME).unwrap();
        let to = self.stage.places[ARBITER].participant.to_string();
        node.open(to, first.to_string(), last.to_string(), Some(is_dry)).await.unwrap()
    }

    async fn openings(&self) -> Vec<RulingReport> {
        let place = &self.stage.places[ARBITER];
        client(place.rpc, Some(&place.token), ANSWER_TIME).unwrap().openings().await.unwrap()
    }
}

/// What the arbiter answers to an opening that comes from the owner of this key, over a connection of its
/// own.
async fn said_to(grid: &Grid, who: &Keypair, interval: u64) -> Response {
    let interval = Interval::from_number(interval);
    // What it opens is of no cohort that there is.
    let roster = RosterHash::from_bytes([7; 32]);
    let others = (1..9).map(|seed| Keypair::from_seed(&[seed; 32]).participant_id());
    let sites = others.chain([who.participant_id()]).collect();
    let cohort = Cohort::new(&roster, ("none", interval), &sites, 9).unwrap();
    let net = NetEnergy::from_milliwatt_hours(1_000);
    let opening = share(&cohort, who, net).unwrap().1.without_masks();
    let request = Request::Ask(Question::Open { interval, opening }).to_bytes();

    let openness = Openness { connections_max: 4, mdns: false, ..Openness::default() };
    let grid_id = grid.stage.charter.grid_id();
    let (mut swarm, _) = swarm(&identity_of(who), &grid_id, openness).unwrap();
    let place = &grid.stage.places[ARBITER];
    swarm.dial(place.address.clone()).unwrap();
    let peer = peer_of(&place.participant).unwrap();
    let talk = async {
        loop {
            let event = swarm.select_next_some().await;
            if let SwarmEvent::ConnectionEstablished { .. } = event {
                swarm.behaviour_mut().direct.send_request(&peer, request.clone());
            } else if let SwarmEvent::Behaviour(BehaviourEvent::Direct(event)) = event
                && let Event::Message { message, .. } = event
                && let Message::Response { response, .. } = message
            {
                return Response::from_bytes(&response).unwrap();
            }
        }
    };
    timeout(PATIENCE, talk).await.expect("the arbiter answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_arbiter_to_whom_all_sites_open_names_the_false_meter_first_and_an_outsider_is_refused()
{
    let options = RunOptions {
        nodes: NonZeroUsize::new(SITES),
        interval_ms: 12_000,
        readings: Disclosure::Masked,
        chain: None,
        ..RunOptions::default()
    };
    let mut grid = Grid::start(&options).await;
    let before = grid.sums(None).await;
    grid.stage.plant.lock().unwrap().falsify(clock::now(), LIAR, 20);
    grid.sums(Some(GAP_MIN)).await;
    let now = grid.stage.charter.interval.interval_at(clock::now()).to_number();
    let (first, last) = (*before.first().unwrap(), now - 2);
    assert!(last - first < 24, "{first}..{last}");

    // Nothing is open, and what would be is told first.
    assert_eq!(grid.openings().await, []);
    let dry = grid.open(LIAR, first, last, true).await;
    let ready = dry.iter().filter(|it| it.net_mwh.is_some()).count();
    assert!(ready >= EVEN_MIN + 3, "{dry:?}");
    assert!(dry.iter().all(|it| it.outcome == GivenOutcome::NotSent && it.masks == 0), "{dry:?}");
    let (config, arbiter) =
        (grid.stage.places[1].config.clone(), grid.stage.places[ARBITER].participant.to_string());
    let span = format!("{first}..{last}");
    let shown = cli(&config, &["meter", "open", "--to", &arbiter, "--intervals", &span]);
    assert!(shown.contains("nothing was sent"), "{shown}");
    assert_eq!(grid.openings().await, []);

    // All but one open, and nothing can be said; then the last one does.
    let kept = |given: &[GivenReport], outcome: GivenOutcome| {
        given.iter().any(|it| it.outcome == outcome)
            && given.iter().all(|it| it.outcome == outcome || it.net_mwh.is_none())
    };
    for site in (0..SITES).filter(|site| ![1, LIAR].contains(site)) {
        let given = grid.open(site, first, last, false).await;
        assert!(kept(&given, GivenOutcome::Waits), "{site}: {given:?}");
    }
    let given = grid.open(LIAR, first, last, false).await;
    assert!(kept(&given, GivenOutcome::Waits), "{given:?}");
    let sent = cli(&config, &["meter", "open", "--to", &arbiter, "--intervals", &span, "--yes"]);
    assert!(sent.contains("kept; a gap stands"), "{sent}");
    let rulings = grid.openings().await;
    let liar = grid.stage.places[LIAR].participant.to_string();
    let gap = rulings[0].gap.as_ref().expect("the gap stands in the open too");
    let first_named = &gap.suspects[0];
    assert_eq!(first_named.participant, liar, "{gap:?}");
    assert!((190_000..=210_000).contains(&first_named.shows_ppm), "{gap:?}");
    assert!(gap.located.is_none() || gap.located.as_ref() == Some(&liar), "{gap:?}");
    let shown = cli(&grid.stage.places[ARBITER].config, &["meter", "openings"]);
    assert!(shown.contains("A GAP STANDS") && shown.contains(&liar), "{shown}");
    // Each is told of itself: what the arbiter's owner sees of it.
    for (site, place) in grid.stage.places.iter().enumerate() {
        let it = &grid.open(site, last - 1, last - 1, false).await[0];
        let whose = place.participant.to_string();
        let suspect = gap.suspects.iter().find(|it| it.participant == whose);
        let named = gap.located.as_ref().is_none_or(|it| *it == whose);
        let wanted = suspect.filter(|_| named).map(|it| it.shows_ppm);
        assert_eq!(it.shows_ppm, wanted, "{site}: {it:?}");
        assert_eq!(it.outcome == GivenOutcome::Cleared, wanted.is_none(), "{site}: {it:?}");
    }

    // A member of no cohort is told so; who is no member is not answered.
    let member = key(options.seed, Role::Participant, 3);
    let word = OpeningWord::Refused(OpeningRefused::NotHeard);
    let early = first - 1_000;
    assert_eq!(said_to(&grid, &member, early).await, Response::Answer(Answer::Open(word)));
    let stranger = key(options.seed, Role::Stranger, 0);
    assert_eq!(said_to(&grid, &stranger, early).await, Response::Refused);
    assert_eq!(grid.openings().await, rulings);

    let slow = grid.fleet.stop().await.unwrap();
    assert!(slow.is_empty(), "{slow:?}");
    grid.stage.farm.stop().await;
}
