//! The plant as a whole: balance, obedience and repeatability.

use boltgrid_protocol::units::Power;

use super::*;
use crate::scenario::RURAL1;

const EPOCH_MS: u64 = 1_700_000_000_000;
const INTERVAL_MS: u64 = 10_000;
const TICK_MS: u64 = INTERVAL_MS / TICKS_PER_INTERVAL;
/// Sites of the first copy: bus1 can be curtailed, bus2 is must-run, bus6 has a battery.
const BUS1: usize = 0;
const BUS2: usize = 1;
const BUS6: usize = 4;

fn plant(nodes: usize, from: &str) -> Plant {
    let scenario = Arc::new(Scenario::builtin(RURAL1).unwrap());
    let options = PlantOptions {
        nodes: NonZeroUsize::new(nodes).unwrap(),
        seed: 7,
        interval_ms: INTERVAL_MS,
        ticks_per_interval: TICKS_PER_INTERVAL,
        start_row: scenario.profiles.row_at(from).unwrap(),
        epoch: Timestamp::from_unix_ms(EPOCH_MS),
    };
    Plant::new(scenario, options).unwrap()
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(EPOCH_MS + ms)
}

fn charge(mw: i64) -> Command {
    Command::Battery(BatteryRange::exactly(Power::from_milliwatts(mw)))
}

/// What all sites and what the transformers took less what they gave, in mW·ms.
fn balances(plant: &Plant) -> (i128, i128) {
    let net = |imported: &register::Register, exported: &register::Register| {
        i128::try_from(imported.exact_mw_ms()).unwrap()
            - i128::try_from(exported.exact_mw_ms()).unwrap()
    };
    let sites = plant.sites.iter().map(|site| net(&site.imported, &site.exported)).sum();
    (sites, net(&plant.wires.imported, &plant.wires.exported))
}

#[test]
fn what_the_sites_take_and_give_passes_the_transformer_to_the_milliwatt_millisecond() {
    for nodes in [3, 13, 30] {
        let mut plant = plant(nodes, "2016-05-25T06:00:00");
        for interval in 0..96 {
            let wish_mw = if interval % 3 == 0 { 9_999_991 } else { -7_654_321 };
            if nodes > BUS6 {
                plant.command(at(interval * INTERVAL_MS), BUS6, charge(wish_mw)).unwrap();
            }
            plant.step_to(at(interval * INTERVAL_MS + 4321));
            let (sites, transformers) = balances(&plant);
            assert_eq!(sites, transformers);
        }
        let (sites, _) = balances(&plant);
        assert_ne!(sites, 0);
    }
}

#[test]
fn a_falsified_meter_shows_its_share_and_what_flows_stays_what_it_is() {
    let (mut honest, mut false_one) =
        (plant(3, "2016-05-25T09:00:00"), plant(3, "2016-05-25T09:00:00"));
    false_one.falsify(Timestamp::from_unix_ms(EPOCH_MS - 1), BUS2, 60);
    for plant in [&mut honest, &mut false_one] {
        plant.step_to(at(10 * INTERVAL_MS));
    }
    let moved = |plant: &Plant| {
        let registers = plant.site_truth(BUS2).registers;
        let mwh = registers.imported.to_milliwatt_hours() + registers.exported.to_milliwatt_hours();
        // Less what was on the registers before.
        mwh - 2_000_000
    };
    assert!(moved(&honest) > 1_000);
    assert!((moved(&honest) * 60 / 100).abs_diff(moved(&false_one)) <= 2);
    let (before, after) = (honest.site_truth(BUS2), false_one.site_truth(BUS2));
    assert_eq!((before.net, before.metered), (after.net, before.net));
    assert_eq!(after.metered.to_milliwatts(), after.net.to_milliwatts() * 60 / 100);
    for cable in 0..honest.cables().len() {
        assert_eq!(honest.cable_truth(cable), false_one.cable_truth(cable));
    }
    assert_eq!(honest.site_truth(BUS1), false_one.site_truth(BUS1));
}

#[test]
fn a_site_is_load_less_pv_plus_battery() {
    let mut plant = plant(13, "2016-05-25T12:00:00");
    plant.command(at(0), BUS6, charge(5_000_000)).unwrap();
    plant.step_to(at(TICK_MS));
    // L2-A is 0.3746 of 13.9 kW, PV8 is 0.5172 of 117.2 kW.
    let bus1 = plant.site_truth(BUS1);
    assert_eq!(bus1.load.to_milliwatts(), 5_206_940);
    assert_eq!(bus1.pv.to_milliwatts(), -60_615_840);
    assert_eq!(bus1.net.to_milliwatts(), 5_206_940 - 60_615_840);
    // L1-A is 0.3093 of 3 kW.
    let bus6 = plant.site_truth(BUS6);
    assert_eq!(bus6.net.to_milliwatts(), 927_900 + 5_000_000);
}

#[test]
fn a_row_lasts_one_interval_and_energy_shrinks_along_with_time() {
    let mut plant = plant(13, "2016-05-25T12:00:00");
    let before = plant.site_truth(BUS1).registers.exported.to_milliwatt_hours();
    plant.step_to(at(INTERVAL_MS));
    let after = plant.site_truth(BUS1).registers.exported.to_milliwatt_hours();
    assert_eq!(after - before, (60_615_840 - 5_206_940) / 360);
    assert_eq!(plant.grid_state().row_time.to_string(), "2016-05-25T12:15:00+01:00");
    // PV8 is 0.5253 of 117.2 kW then.
    assert_eq!(plant.site_truth(BUS1).pv.to_milliwatts(), -61_565_160);
    let battery = plant.nameplate(BUS6).battery.unwrap();
    assert_eq!(battery.capacity.to_milliwatt_hours(), 36_700_000 * 10 / 900);
    assert_eq!(battery.rated.to_milliwatts(), 18_300_000);
}

#[test]
fn a_copy_runs_ahead_of_or_behind_the_original() {
    let plant = plant(50, "2016-05-25T12:00:00");
    let shifted = plant.sites.iter().skip(13).filter(|site| site.site.shift_rows != 0);
    let mut checked = 0;
    for site in shifted {
        let load = site.site.loads[0];
        let row = plant.options.start_row + site.site.shift_rows;
        let share_ppm = plant.scenario.profiles.share_ppm(load.profile, row);
        let mw = load.rated.to_milliwatts() * i64::from(share_ppm) / 1_000_000;
        if site.site.loads.len() == 1 {
            assert_eq!(site.flows.load_mw, mw, "{}", site.site.name);
            checked += 1;
        }
    }
    assert!(checked > 10);
}

#[test]
fn a_limit_curtails_what_can_be_curtailed_and_leaves_the_potential() {
    let mut plant = plant(13, "2016-05-25T12:00:00");
    plant.command(at(0), BUS1, Command::PvLimit(Some(100_000))).unwrap();
    let must_run = plant.command(at(0), BUS2, Command::PvLimit(Some(0)));
    assert_eq!(must_run, Err(CommandRejected::NotCurtailable));
    assert_eq!(plant.command(at(0), BUS1, charge(1)), Err(CommandRejected::NoBattery));
    plant.step_to(at(TICK_MS));
    let (bus1, bus2) = (plant.site_truth(BUS1), plant.site_truth(BUS2));
    assert_eq!(bus1.pv.to_milliwatts(), -11_720_000);
    assert_eq!(bus1.pv_potential.to_milliwatts(), -60_615_840);
    assert_eq!(bus2.pv, bus2.pv_potential);
    assert!(bus2.pv.to_milliwatts() < 0);
    plant.command(at(TICK_MS), BUS1, Command::PvLimit(None)).unwrap();
    plant.step_to(at(2 * TICK_MS));
    assert_eq!(plant.site_truth(BUS1).pv, bus1.pv_potential);
}

#[test]
fn commands_are_heeded_at_the_edges_of_ticks_and_grid_meters_count_within_them() {
    let mut plant = plant(13, "2016-05-25T06:00:00");
    let start = plant.site_truth(BUS6);
    plant.command(at(1), BUS6, charge(5_000_000)).unwrap();
    plant.step_to(at(TICK_MS - 1));
    let within = plant.site_truth(BUS6);
    assert!(within.registers.imported > start.registers.imported);
    assert_eq!(SiteTruth { registers: start.registers, ..within }, start);
    plant.step_to(at(0));
    assert_eq!(plant.site_truth(BUS6), within, "a late look sees nothing go back");
    plant.step_to(at(TICK_MS));
    let next = plant.site_truth(BUS6);
    assert_eq!(next.battery.to_milliwatts(), 5_000_000);
    assert_eq!(next.battery_stored, start.battery_stored);
    assert_ne!(next.registers, start.registers);
    plant.step_to(at(2 * TICK_MS));
    let stored = plant.site_truth(BUS6).battery_stored.to_milliwatt_hours();
    assert_eq!(stored - next.battery_stored.to_milliwatt_hours(), 5_000_000 * 95 / 100 / 3600);
}

#[test]
fn the_same_commands_give_the_same_registers_however_often_one_looks() {
    let commands = [(3500, 5_000_000), (17_777, -9_000_000), (42_000, 18_300_000), (42_001, 1)];
    let run = |look_every_ms: usize| {
        let mut plant = plant(26, "2016-05-25T10:00:00");
        let mut commands = commands.into_iter().peekable();
        for ms in (0..=100_000).step_by(look_every_ms) {
            while let Some((due_ms, mw)) = commands.next_if(|(due_ms, _)| *due_ms <= ms) {
                plant.command(at(due_ms), BUS6, charge(mw)).unwrap();
            }
            plant.step_to(at(ms));
        }
        // Looking back in time changes nothing.
        plant.step_to(at(0));
        (0..26).map(|site| plant.site_truth(site)).collect::<Vec<_>>()
    };
    let often = run(1);
    assert_eq!(often, run(100_000));
    assert_eq!(often, run(25_000));
}

#[test]
fn registers_are_kept_for_every_edge_and_nothing_moves_before_the_epoch() {
    let mut plant = plant(13, "2016-05-25T10:00:00");
    let start = plant.site_truth(BUS1);
    plant.step_to(Timestamp::from_unix_ms(EPOCH_MS - 60_000));
    assert_eq!(plant.site_truth(BUS1), start);
    plant.step_to(at(INTERVAL_MS));
    let edge = plant.site_truth(BUS1).registers;
    plant.step_to(at(5 * INTERVAL_MS + 2500));
    assert_eq!(plant.registers_at(at(0)).unwrap()[BUS1], start.registers);
    assert_eq!(plant.registers_at(at(INTERVAL_MS)).unwrap()[BUS1], edge);
    assert_eq!(plant.registers_at(at(INTERVAL_MS + 1)), None);
    assert_eq!(plant.registers_at(at(6 * INTERVAL_MS)), None);
    assert_eq!(plant.now(), at(5 * INTERVAL_MS + 2000));
}

#[test]
fn noon_overloads_the_transformer_if_nobody_does_anything() {
    let mut plant = plant(13, "2016-05-25T12:00:00");
    plant.step_to(at(INTERVAL_MS));
    let grid = plant.grid_state();
    assert_eq!(grid.transformer_overload_ticks, TICKS_PER_INTERVAL);
    assert!(grid.transformer.to_milliwatts() < -160_000_000);
    assert!(grid.phase_mv_max > 230_940 && grid.phase_mv_max < 253_000);
    assert_eq!(grid.line_overloads, []);
}

#[test]
fn after_the_last_row_the_first_one_follows() {
    let mut plant = plant(30, "2016-12-31T23:45:00");
    plant.step_to(at(INTERVAL_MS));
    assert_eq!(plant.grid_state().row_time.to_string(), "2016-01-01T00:00:00+01:00");
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let scenario = Arc::new(Scenario::builtin(RURAL1).unwrap());
    let good = plant(13, "2016-05-25T10:00:00").options;
    let refuse = |options| Plant::new(Arc::clone(&scenario), options).unwrap_err().to_string();
    let text = refuse(PlantOptions { interval_ms: 10_001, ..good });
    assert!(text.starts_with("an interval of 10001 ms with 10 ticks"), "{text}");
    let text = refuse(PlantOptions { epoch: at(1), ..good });
    assert!(text.contains("edge of an interval"), "{text}");
    let text = refuse(PlantOptions { start_row: 35_136, ..good });
    assert!(text.contains("row 35136 is outside"), "{text}");
    let text = refuse(PlantOptions { nodes: NonZeroUsize::new(10_001).unwrap(), ..good });
    assert!(text.contains("at most 10000"), "{text}");
}

#[test]
fn a_command_from_before_the_epoch_is_heeded_from_the_epoch_on() {
    let mut plant = plant(13, "2016-05-25T10:00:00");
    plant.command(Timestamp::from_unix_ms(EPOCH_MS - 400), BUS6, charge(9_000_000)).unwrap();
    let battery_mw = |plant: &Plant| plant.site_truth(BUS6).battery.to_milliwatts();
    assert_eq!(battery_mw(&plant), 0);
    plant.step_to(at(0));
    assert_eq!(battery_mw(&plant), 9_000_000);
}

#[test]
fn a_cloud_takes_a_share_of_what_pv_could_give_and_what_is_turned_down_counts() {
    let mut plant = plant(3, "2016-05-25T12:00:00");
    plant.step_to(at(TICK_MS));
    let clear_mw = plant.site_truth(BUS2).pv.to_milliwatts();
    plant.cloud(at(TICK_MS), 25);
    plant.step_to(at(2 * TICK_MS));
    assert_eq!(plant.site_truth(BUS2).pv.to_milliwatts(), clear_mw / 4);
    assert_eq!(plant.curtailed(), Energy::ZERO);
    plant.cloud(at(2 * TICK_MS), 100);
    plant.command(at(2 * TICK_MS), BUS1, Command::PvLimit(Some(0))).unwrap();
    plant.step_to(at(4 * TICK_MS));
    assert_eq!(plant.site_truth(BUS2).pv.to_milliwatts(), clear_mw);
    assert!(plant.curtailed() > Energy::ZERO);
}

#[test]
fn machines_move_before_the_epoch_and_meters_count_nothing_then() {
    let mut plant = plant(3, "2016-05-25T12:00:00");
    let watts = |watts| Power::from_watts(watts).unwrap();
    let rating = MachineRating {
        rated: watts(3_000),
        idle: watts(20),
        hash_rate_gh_per_s: 100_000,
        ramp_ms: TICK_MS,
        warm_up_ms: TICK_MS,
        boot_ms: TICK_MS,
        restarts: false,
    };
    let machine = plant.install(BUS2, rating);
    let before = plant.site_truth(BUS2);
    let early = Timestamp::from_unix_ms(EPOCH_MS - 10 * TICK_MS);
    plant.command(early, BUS2, Command::Machine(machine, MachineCommand::Wake)).unwrap();
    plant.step_to(Timestamp::from_unix_ms(EPOCH_MS - 2 * TICK_MS));
    let now = plant.site_truth(BUS2);
    assert_eq!(plant.machine_truth(BUS2, machine).power, watts(3_000));
    assert_eq!(now.net.to_milliwatts() - before.net.to_milliwatts(), 3_000_000);
    assert_eq!(now.registers, before.registers);
    assert_eq!(plant.machine_truth(BUS2, machine).mined, Energy::ZERO);
}
