//! Our driver and the check of effects against the fakes, and their watts at the site's meter.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

use boltgrid_miners::drivers::{AsicConfig, DeviceError, Machine, MachineConfig, Stated, discover};
use boltgrid_miners::effect::{Action, Check, Notice, OnContactLost, Standing, Why};
use boltgrid_miners::machine::{Control, SetPoint};
use boltgrid_protocol::units::Timestamp;

use super::*;
use crate::plant::{Plant, PlantOptions, SiteTruth, TICKS_PER_INTERVAL};
use crate::scenario::{RURAL1, Scenario};

const EPOCH_MS: u64 = 1_700_000_000_000;
/// Silence after which contact counts as lost.
const LOST_MS: u64 = 20_000;

/// Machines at noon, and a clock that is set by hand.
struct Noon {
    farm: MinerFarm,
    plant: SharedPlant,
    ms: Arc<AtomicU64>,
}

impl Noon {
    /// One machine at the second site; `None`, said aloud, where its port is not for us.
    async fn start(kind: MinerKind) -> Option<Self> {
        let scenario = Arc::new(Scenario::builtin(RURAL1).unwrap());
        let options = PlantOptions {
            nodes: NonZeroUsize::new(3).unwrap(),
            seed: 7,
            interval_ms: 10_000,
            ticks_per_interval: TICKS_PER_INTERVAL,
            start_row: scenario.profiles.row_at("2016-05-25T12:00:00").unwrap(),
            epoch: Timestamp::from_unix_ms(EPOCH_MS),
        };
        let plant = Arc::new(Mutex::new(Plant::new(scenario, options).unwrap()));
        let ms = Arc::new(AtomicU64::new(EPOCH_MS));
        let hand = Arc::clone(&ms);
        let clock: Clock = Arc::new(move || Timestamp::from_unix_ms(hand.load(Ordering::SeqCst)));
        let spec = MinerSpec { site: 1, kind, has_relay: false };
        match MinerFarm::start(&plant, &clock, &[spec], true).await {
            Ok(farm) => Some(Self { farm, plant, ms }),
            Err(MinerError::Bind { source, .. })
                if kind == MinerKind::Bitaxe
                    && source.kind() == io::ErrorKind::PermissionDenied =>
            {
                println!("skipped: port 80 is for root only here");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.ms.load(Ordering::SeqCst))
    }

    fn pass(&self, seconds: u64) {
        self.ms.fetch_add(seconds * 1_000, Ordering::SeqCst);
        self.plant.lock().unwrap().step_to(self.now());
    }

    fn machine(&self) -> &MinerDescription {
        &self.farm.machines()[0]
    }

    fn site(&self) -> SiteTruth {
        self.plant.lock().unwrap().site_truth(1)
    }

    fn config(&self) -> (MachineConfig, Stated) {
        let address = self.machine().address.ip().to_string();
        let rated_w = u32::try_from(self.machine().rating.rated.to_milliwatts() / 1_000).unwrap();
        let stated = Stated {
            rated_w: Some(rated_w),
            settle_s: Some(8),
            warm_up_s: Some(0),
            ..Stated::default()
        };
        (MachineConfig::Asic(AsicConfig { address, credentials_file: None }), stated)
    }

    async fn open(&self) -> Machine {
        let (config, stated) = self.config();
        Machine::open(&config, stated, "fake").await.unwrap()
    }

    /// Lets the machine follow for so many seconds, and says what its check wants by then.
    async fn follow(&self, machine: &mut Machine, check: &mut Check, seconds: u64) -> Vec<Action> {
        let mut wanted = Vec::new();
        for _ in 0..seconds {
            self.pass(1);
            let mut actions = match machine.observe(self.now()).await {
                Ok(seen) => check.observed(&seen),
                Err(_) => Vec::new(),
            };
            actions.extend(check.tick(self.now()));
            for action in &actions {
                if let Action::Command(set_point) = action
                    && machine.command(*set_point).await.is_err()
                {
                    check.refused();
                }
            }
            wanted.extend(actions);
        }
        wanted
    }

    async fn tell(&self, machine: &mut Machine, check: &mut Check, set_point: SetPoint) {
        let actions = check.command(self.now(), set_point);
        assert_eq!(actions, [Action::Command(set_point)]);
        if machine.command(set_point).await.is_err() {
            check.refused();
        }
    }

    fn check(&self, machine: &Machine) -> Check {
        Check::new(machine.abilities().clone(), LOST_MS, OnContactLost::Leave, self.now())
    }
}

fn watts(watts: i64) -> Power {
    Power::from_watts(watts).unwrap()
}

fn run(at: i64) -> SetPoint {
    SetPoint::Run { power_mw: watts(at) }
}

fn followed(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Tell(Notice::Followed { .. })))
}

/// Starts, lowers and stops a machine, and looks at what that does at its site's meter.
async fn starts_lowers_and_stops(noon: &Noon, most: i64, lower: i64) {
    let mut machine = noon.open().await;
    let mut check = noon.check(&machine);
    let before = noon.site();
    noon.tell(&mut machine, &mut check, run(most)).await;
    let actions = noon.follow(&mut machine, &mut check, 8).await;
    assert!(followed(&actions), "{actions:?}");
    let site = noon.site();
    assert!(site.machines >= watts(most * 9 / 10), "{:?}", site.machines);
    let without = |site: SiteTruth| site.net.to_milliwatts() - site.machines.to_milliwatts();
    assert_eq!(without(site), without(before), "its watts are in the site's, and nothing else is");
    assert_eq!(site.metered, site.net);
    let seen = machine.observe(noon.now()).await.unwrap();
    let mw = |power: Power| power.to_milliwatts();
    assert!((mw(seen.power.unwrap()) - mw(site.machines)).abs() < 1_000, "it says what it draws");
    assert!(seen.hash_rate.unwrap().to_gigahashes() > 0);
    assert!(seen.temperature_m_celsius.is_some(), "it says how warm it is");
    if lower < most {
        noon.tell(&mut machine, &mut check, run(lower)).await;
        let actions = noon.follow(&mut machine, &mut check, 8).await;
        assert!(followed(&actions), "{actions:?}");
        let drawn = noon.site().machines;
        assert!(drawn <= watts(lower) && drawn >= watts(lower * 9 / 10), "{drawn}");
    }
    noon.tell(&mut machine, &mut check, SetPoint::Off).await;
    let actions = noon.follow(&mut machine, &mut check, 8).await;
    assert!(followed(&actions), "{actions:?}");
    assert_eq!(noon.site().machines, noon.machine().rating.idle);
    let seen = machine.observe(noon.now()).await.unwrap();
    assert_eq!(seen.hash_rate.unwrap().to_gigahashes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn luxos_is_driven_by_its_profiles_and_keeps_its_thermal_management() {
    let noon = Noon::start(MinerKind::LuxOs).await.unwrap();
    let machine = noon.open().await;
    assert!(machine.about().contains("LuxOS"), "{}", machine.about());
    let Control::Presets(powers) = &machine.abilities().control else { panic!("no presets") };
    assert_eq!((powers[0], *powers.last().unwrap()), (watts(784), watts(2_794)));
    starts_lowers_and_stops(&noon, 2_794, 1_299).await;
    let config =
        tokio::net::TcpStream::connect((noon.machine().address.ip(), API_PORT)).await.unwrap();
    let mut config = config;
    tokio::io::AsyncWriteExt::write_all(&mut config, b"{\"command\":\"config\"}").await.unwrap();
    let mut text = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut config, &mut text).await.unwrap();
    assert!(text.contains("\"IsAtmEnabled\":true"), "{text}");
    noon.farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whatsminer_is_driven_by_its_power_limit() {
    let noon = Noon::start(MinerKind::WhatsMiner).await.unwrap();
    let machine = noon.open().await;
    assert!(machine.about().contains("M60S"), "{}", machine.about());
    assert!(matches!(machine.abilities().control, Control::Range { .. }));
    starts_lowers_and_stops(&noon, 3_400, 2_240).await;
    noon.farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bitaxe_is_switched() {
    let Some(noon) = Noon::start(MinerKind::Bitaxe).await else { return };
    let machine = noon.open().await;
    assert!(machine.about().contains("itaxe"), "{}", machine.about());
    assert_eq!(machine.abilities().control, Control::Switch);
    starts_lowers_and_stops(&noon, 15, 15).await;
    noon.farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_are_found_and_said_to_be_what_they_are() {
    let noon = Noon::start(MinerKind::LuxOs).await.unwrap();
    let address = noon.machine().address.ip();
    let found = discover(address, noon.now()).await.unwrap().unwrap();
    assert_eq!(found.about, "Antminer S19KPro (LuxOS)");
    assert_eq!(found.abilities.unwrap().rated, watts(2_794));
    assert_eq!(found.shows.unwrap().power, Some(watts(18)));
    // Nobody ever listens there.
    let nobody = Ipv4Addr::new(127, 0, 11, 1).into();
    assert_eq!(discover(nobody, noon.now()).await.unwrap(), None);
    noon.farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_is_acknowledged_without_effect_is_noticed() {
    let noon = Noon::start(MinerKind::WhatsMiner).await.unwrap();
    let mut machine = noon.open().await;
    let mut check = noon.check(&machine);
    noon.tell(&mut machine, &mut check, run(3_400)).await;
    assert!(followed(&noon.follow(&mut machine, &mut check, 8).await));
    noon.machine().set_fault(Some(Fault::NoEffect));
    machine.command(SetPoint::Off).await.expect("it says yes");
    noon.tell(&mut machine, &mut check, SetPoint::Off).await;
    let actions = noon.follow(&mut machine, &mut check, 18).await;
    let told = Notice::Unresponsive {
        set_point: SetPoint::Off,
        why: Why::NoEffect,
        draws: Some(watts(3_400)),
    };
    assert_eq!(actions, [Action::Command(SetPoint::Off), Action::Tell(told)]);
    noon.farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_as_one() {
    let noon = Noon::start(MinerKind::LuxOs).await.unwrap();
    let mut machine = noon.open().await;
    let mut check = noon.check(&machine);
    noon.machine().set_fault(Some(Fault::Refuses));
    let error = machine.command(run(2_794)).await.unwrap_err();
    assert!(matches!(error, DeviceError::Refused { .. }), "{error}");
    noon.tell(&mut machine, &mut check, run(2_794)).await;
    let actions = noon.follow(&mut machine, &mut check, 18).await;
    let refused = |action: &Action| {
        matches!(action, Action::Tell(Notice::Unresponsive { why: Why::Refused, .. }))
    };
    assert!(actions.iter().any(refused), "{actions:?}");
    noon.farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_reboots_when_told_is_told_again_once_it_is_back() {
    let noon = Noon::start(MinerKind::LuxOs).await.unwrap();
    let mut machine = noon.open().await;
    let mut check = noon.check(&machine);
    noon.tell(&mut machine, &mut check, run(2_794)).await;
    assert!(followed(&noon.follow(&mut machine, &mut check, 8).await));
    noon.machine().set_fault(Some(Fault::Reboots));
    noon.tell(&mut machine, &mut check, SetPoint::Off).await;
    noon.machine().set_fault(None);
    // It boots for five seconds, starts to hash by itself, and is told again.
    let actions = noon.follow(&mut machine, &mut check, 25).await;
    assert!(actions.contains(&Action::Command(SetPoint::Off)), "{actions:?}");
    assert!(followed(&actions), "{actions:?}");
    assert_eq!(noon.site().machines, noon.machine().rating.idle);
    noon.farm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_answers_nonsense_or_half_ends_as_lost_and_says_why() {
    for fault in [Fault::HalfAnswer, Fault::Garbage] {
        let noon = Noon::start(MinerKind::WhatsMiner).await.unwrap();
        let mut machine = noon.open().await;
        let mut check = noon.check(&machine);
        noon.machine().set_fault(Some(fault));
        let error = machine.observe(noon.now()).await.unwrap_err().to_string();
        assert!(error.contains("fake"), "{error}");
        let actions = noon.follow(&mut machine, &mut check, 21).await;
        let lost = Notice::ContactLost { silent_ms: LOST_MS, cut_off: false };
        assert_eq!(actions, [Action::Tell(lost)], "{fault:?}");
        assert!(matches!(check.standing(), Standing::ContactLost { .. }));
        noon.farm.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_machine_costs_bounded_time() {
    let noon = Noon::start(MinerKind::WhatsMiner).await.unwrap();
    let mut machine = noon.open().await;
    noon.machine().set_fault(Some(Fault::Silent));
    let error = machine.observe(noon.now()).await.unwrap_err();
    assert!(!error.is_misconfiguration(), "{error}");
    drop(noon);
}
