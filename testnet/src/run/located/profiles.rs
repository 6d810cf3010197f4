//! How often a falsified meter is caught and located in three intervals, by measured profiles over many
//! seeds: real flows, meters of class 1, lines that lose something, batteries that do as they like.

use std::num::NonZeroUsize;
use std::sync::Arc;

use boltgrid_metering::feeder::{Balance, FeederFlow, SiteFlow, balance, located, standing_gap};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::{Energy, Interval, NetEnergy, Power, Timestamp};

use crate::plant::{BatteryRange, Command, Plant, PlantOptions, ROW_MS, TICKS_PER_INTERVAL};
use crate::scenario::{Scenario, splitmix64};

/// Intervals before the lie, and with it.
const BEFORE: u64 = 12;
const WITH: u64 = 3;
/// What a meter of class 1 is wrong by, either way, in ppm of what flows.
const CLASS_PPM: i64 = 5_000;
/// What the lines may take by the charter, and what they take at most.
const LOSS_PPM: u32 = 20_000;
const LOST_PPM: i64 = 5_000;
/// A lie begins in the first so many hundredths of its first interval.
const LATE_PERCENT: u64 = 30;
/// Of 100 intervals of a battery, so many begin with another set point.
const RESET_PERCENT: u64 = 40;

/// What goes wrong.
#[derive(Clone, Copy)]
enum Wrong {
    /// A meter shows so much of 100.
    Meter(u32),
    /// Something takes so much that no meter sees.
    Unmetered(i64),
}

/// What is found.
#[derive(Clone, Copy, Default, Debug)]
struct Found {
    tried: u32,
    caught: u32,
    right: u32,
    wrong: u32,
}

impl Found {
    const fn add(&mut self, other: Self) {
        self.tried += other.tried;
        self.caught += other.caught;
        self.right += other.right;
        self.wrong += other.wrong;
    }
}

/// Chance that follows from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = splitmix64(self.0);
        (self.0 >> 16) % end
    }

    fn within(&mut self, most: i64) -> i64 {
        let span = u64::try_from(2 * most + 1).unwrap();
        i64::try_from(self.below(span)).unwrap() - most
    }
}

struct World {
    scenario: Arc<Scenario>,
    nodes: usize,
    /// The hours of a day in which runs begin.
    hours: std::ops::Range<u64>,
}

fn member(place: usize) -> ParticipantId {
    ParticipantId::from_bytes([u8::try_from(place + 1).unwrap(); 32])
}

fn scaled(mwh: i64, ppm: i64) -> i64 {
    i64::try_from(i128::from(mwh) * i128::from(1_000_000 + ppm) / 1_000_000).unwrap()
}

impl World {
    fn plant(&self, chance: &mut Chance) -> Plant {
        let rows = u64::try_from(self.scenario.profiles.rows()).unwrap();
        let hour = self.hours.start + chance.below(self.hours.end - self.hours.start);
        let start = chance.below(rows / 96) * 96 + hour * 4 + chance.below(4);
        let options = PlantOptions {
            nodes: NonZeroUsize::new(self.nodes).unwrap(),
            seed: 1,
            interval_ms: ROW_MS,
            ticks_per_interval: TICKS_PER_INTERVAL,
            start_row: usize::try_from(start).unwrap(),
            epoch: Timestamp::from_unix_ms(0),
        };
        Plant::new(Arc::clone(&self.scenario), options).unwrap()
    }

    /// What the true flows of an interval were: of sites, then of cables.
    fn step(
        &self,
        plant: &mut Plant,
        interval: u64,
        lie: Option<(usize, u32, u64)>,
        chance: &mut Chance,
    ) -> Vec<i64> {
        let start = Timestamp::from_unix_ms(interval * ROW_MS);
        for site in 0..self.nodes {
            let Some(battery) = plant.nameplate(site).battery else { continue };
            if chance.below(100) < RESET_PERCENT {
                let power = Power::from_milliwatts(chance.within(battery.rated.to_milliwatts()));
                let command = Command::Battery(BatteryRange::exactly(power));
                plant.command(start, site, command).unwrap();
            }
        }
        let before = shown(plant);
        if let Some((liar, percent, after_ms)) = lie {
            plant.falsify(start.plus_ms(after_ms), liar, percent);
        }
        plant.step_to(start.plus_ms(ROW_MS));
        shown(plant).into_iter().zip(before).map(|(after, before)| after - before).collect()
    }

    /// One run: all that is known of the cable of the site that lies, or would.
    fn run(&self, seed: u64, wrong: Wrong) -> (Vec<(FeederFlow, Balance)>, ParticipantId) {
        let mut chance = Chance(splitmix64(seed));
        let mut plant = self.plant(&mut chance);
        let liar = usize::try_from(chance.below(u64::try_from(self.nodes).unwrap())).unwrap();
        let cables = plant.cables().to_vec();
        let cable = cables.iter().position(|cable| cable.sites.contains(&liar)).unwrap();
        let errors: Vec<i64> =
            (0..self.nodes + cables.len()).map(|_| chance.within(CLASS_PPM)).collect();
        let lost_ppm = chance.within(LOST_PPM).abs();
        let mut flows = Vec::new();
        for interval in 0..BEFORE + WITH {
            let is_wrong = interval >= BEFORE;
            let begins_at = (interval == BEFORE).then(|| chance.below(LATE_PERCENT) * ROW_MS / 100);
            let lie = match wrong {
                Wrong::Meter(percent) => begins_at.map(|after_ms| (liar, percent, after_ms)),
                Wrong::Unmetered(_) => None,
            };
            let shown = self.step(&mut plant, interval, lie, &mut chance);
            let put_in: i64 = cables[cable].sites.iter().map(|it| (-shown[*it]).max(0)).sum();
            let mut into = shown[self.nodes + cable];
            into += (put_in + into.max(0)) / 1_000_000 * lost_ppm;
            if let (Wrong::Unmetered(mwh), true) = (wrong, is_wrong) {
                into += mwh;
            }
            let net =
                |mwh, place: usize| NetEnergy::from_milliwatt_hours(scaled(mwh, errors[place]));
            let site = |place: usize| {
                let nameplate = plant.nameplate(place);
                let most = |it: Power| it.energy_over_floor(ROW_MS).unwrap_or(Energy::ZERO);
                SiteFlow {
                    participant: member(place),
                    net: net(shown[place], place),
                    import_most: most(nameplate.rated_import),
                    export_most: most(nameplate.rated_export),
                }
            };
            let is_here = |place: &usize| cables[cable].sites.contains(place);
            let elsewhere = (0..self.nodes).filter(|place| !is_here(place));
            let flow = FeederFlow {
                interval: Interval::from_number(interval),
                feeder: net(into, self.nodes + cable),
                sites: cables[cable].sites.iter().map(|place| site(*place)).collect(),
                elsewhere: elsewhere.map(|it| (member(it), net(shown[it], it))).collect(),
            };
            let balance = balance(&flow, LOSS_PPM, ROW_MS).unwrap();
            flows.push((flow, balance));
        }
        (flows, member(liar))
    }

    fn look(&self, seeds: u64, wrong: Wrong) -> Found {
        let mut found = Found::default();
        for seed in 0..seeds {
            let (flows, liar) = self.run(seed, wrong);
            let meter = member(100);
            let liar = match wrong {
                Wrong::Meter(_) => Some(liar),
                Wrong::Unmetered(_) => None,
            };
            found.tried += 1;
            if standing_gap(meter, &flows).is_some() {
                found.caught += 1;
                match located(meter, &flows) {
                    None => {}
                    named if named == liar => found.right += 1,
                    Some(_) => found.wrong += 1,
                }
            }
        }
        found
    }
}

/// What the registers show on balance: of sites, as their meters have it, then of cables.
fn shown(plant: &Plant) -> Vec<i64> {
    let net = |(taken, given): (Energy, Energy)| {
        let whole = |it: Energy| i64::try_from(it.to_milliwatt_hours()).unwrap();
        whole(taken) - whole(given)
    };
    let sites = (0..plant.len()).map(|site| {
        let registers = plant.site_truth(site).registers;
        net((registers.imported, registers.exported))
    });
    let cables = (0..plant.cables().len()).map(|cable| {
        let registers = plant.cable_truth(cable).registers;
        net((registers.imported, registers.exported))
    });
    sites.chain(cables).collect()
}

/// Tries so many runs of every kind and says what came of them. Of all lies, and of all that no meter
/// sees.
fn table(seeds: u64) -> (Found, Found) {
    let scenario = Arc::new(Scenario::builtin("rural1").unwrap());
    let (mut lies, mut unseen) = (Found::default(), Found::default());
    for (nodes, hours, name) in
        [(8, 0..24, "8 sites"), (8, 8..16, "8 sites by day"), (13, 8..16, "13 sites by day")]
    {
        let world = World { scenario: Arc::clone(&scenario), nodes, hours };
        for percent in [30, 60, 130] {
            let found = world.look(seeds, Wrong::Meter(percent));
            println!("{name}, a meter shows {percent} %: {found:?}");
            lies.add(found);
        }
        let found = world.look(seeds, Wrong::Unmetered(2_500_000));
        println!("{name}, 10 kW that no meter sees: {found:?}");
        unseen.add(found);
    }
    println!("all lies: {lies:?}, all that no meter sees: {unseen:?}");
    (lies, unseen)
}

fn check((lies, unseen): (Found, Found)) {
    assert!(lies.caught * 100 >= lies.tried * 55, "{lies:?}");
    assert!(lies.right * 100 >= lies.caught * 40, "{lies:?}");
    assert!(lies.wrong * 200 <= lies.caught, "{lies:?}");
    assert!(unseen.wrong * 100 <= unseen.caught * 2, "{unseen:?}");
}

#[test]
fn many_lies_that_are_caught_are_located_and_hardly_ever_is_somebody_else_named() {
    check(table(80));
}

#[test]
#[ignore = "takes a minute or more; run it with --release and --nocapture for the table of docs/meters.md"]
fn the_same_holds_over_a_thousand_seeds() {
    check(table(1_000));
}
