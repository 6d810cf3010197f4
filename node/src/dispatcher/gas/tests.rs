//! A well as its meters, its generator and its flare show it, and what is made of that.

use boltgrid_metering::register::{RawRegister, Width};
use boltgrid_metering::scale::ScaleFactor;
use boltgrid_metering::shown::Shown;
use boltgrid_miners::drivers::Looked;
use boltgrid_miners::flare::Because;

use super::config::tests::gas;
use super::*;

fn at(ms: u64) -> Timestamp {
    // The first of June 2026, noon.
    Timestamp::from_unix_ms(1_780_315_200_000 + ms)
}

fn watts(watts: i64) -> Power {
    Power::from_milliwatts(watts * 1_000)
}

fn meter(name: &str, role: Role, at: Timestamp, power: Option<Power>, gas_l: u64) -> MeterState {
    let gas = RawRegister { count: gas_l, width: Width::Acc32, scale: ScaleFactor::ONE };
    let gas = (role == Role::Gas).then_some(gas);
    let shown = Shown { gas, ..Shown::default() };
    let last = Some(MeterValue { at, power, import: None, export: None, shown });
    MeterState { name: name.into(), role, is_virtual: false, settles: false, last, stale: None }
}

fn wanted() -> Wanted {
    Wanted {
        net: Power::ZERO,
        machines: Power::ZERO,
        machines_most: watts(50_000),
        machines_worth: Price::from_msat_per_kwh(120_000),
        feed_in: Price::ZERO,
        retail: Price::from_msat_per_kwh(300_000),
        traded: None,
        export_max: watts(100_000),
    }
}

/// A well of 18 m³/h (5 l/s), which is 180 kW of heat, for a minute of looks.
struct Bench {
    well: Well,
    hand: Hand,
    now_s: u64,
    flare_l: Option<u64>,
}

impl Bench {
    fn new(change: impl Fn(&mut GasConfig)) -> Self {
        let mut config = gas();
        change(&mut config);
        assert_eq!(config.problem(), None);
        let flare_l = config.flare_meter.as_ref().map(|_| 0);
        let Opened { well, hand } = Well::open(config, Account::default());
        Self { well, hand, now_s: 0, flare_l }
    }

    /// Looks each second, with what the generator and the flare show.
    fn look(&mut self, seconds: u64, gives_w: i64, (runs, flame): (bool, bool)) {
        for _ in 0..seconds {
            self.now_s += 1;
            let now = at(self.now_s * 1_000);
            self.hand.tell(|told| {
                told.was_asked = true;
                told.looked = Some((now, Looked { runs, hours: Some(7) }));
                told.flame = Some((now, flame));
            });
            // As meters have it, what it gives is negative.
            let generator = meter("generator", Role::Generator, now, Some(watts(-gives_w)), 0);
            let mut meters =
                vec![meter("well", Role::Gas, now, None, 100 + self.now_s * 5), generator];
            if let Some(flare_l) = &mut self.flare_l {
                *flare_l += 1;
                meters.push(meter("flare", Role::Gas, now, None, *flare_l));
            }
            self.well.look(now, &meters);
        }
    }

    fn now(&self) -> Timestamp {
        at(self.now_s * 1_000)
    }

    fn steer(&mut self) -> Steered {
        let now = self.now();
        self.well.steer(now, None, &wanted())
    }

    fn days(&mut self) -> Vec<GasDay> {
        let now = self.now();
        let account = self.well.enter(now).clone();
        days(&account, 0, u64::MAX)
    }
}

#[test]
fn a_generator_is_started_for_machines_and_offered_once_it_runs() {
    let mut bench = Bench::new(|_| {});
    bench.look(5, 0, (false, true));
    let steered = bench.steer();
    assert_eq!((steered.runs, steered.because), (true, Because::WarmsUp));
    assert_eq!(bench.well.offer(bench.now(), bench.now()), None, "it does not run yet");
    bench.look(1, 0, (true, true));
    let steered = bench.steer();
    // 180 kW of heat, between 125 for 30 kW and 200 for 60.
    assert_eq!(steered.able, Some(watts(52_000)));
    assert_eq!(bench.well.offer(bench.now(), bench.now()), Some(watts(52_000)));
    assert_eq!(bench.hand.order(), Some(steered));
}

#[test]
fn what_became_of_the_gas_is_entered_with_what_it_rests_on() {
    let mut bench = Bench::new(|_| {});
    bench.look(61, 30_000, (true, true));
    let days = bench.days();
    let [day] = &days[..] else { panic!("{days:?}") };
    assert_eq!(day.from_unix_ms, 1_780_272_000_000, "the first of June, 00:00 UTC");
    // A minute of 5 l/s, and of 125 kW of heat, which are 12.5 m³/h; 30 kW for a minute are 500 Wh.
    assert_eq!((day.burnt.gas_l, day.burnt.vented_l), (300, 0));
    assert!(day.burnt.generator_l.abs_diff(208) <= 1, "{}", day.burnt.generator_l);
    assert_eq!(
        day.burnt.gas_l,
        day.burnt.generator_l + day.burnt.flared_l + 1,
        "but for what rounding leaves"
    );
    assert_eq!((day.burnt.generated_mwh, day.ran_ms), (500_000, 60_000));
    assert_eq!(day.generator_ppm.source, "stack test");
    assert!(day.avoided_low_co2e_g > 0 && day.avoided_high_co2e_g > day.avoided_low_co2e_g);
    assert_eq!(bench.well.status(bench.now()).burnt.gas_l, 300);
    assert_eq!(bench.days(), days, "nothing is entered twice");
}

#[test]
fn where_the_flare_has_a_meter_the_generator_burnt_the_rest() {
    let mut bench = Bench::new(|config| config.flare_meter = Some("flare".to_owned()));
    bench.look(61, 30_000, (true, true));
    let day = &bench.days()[0];
    assert_eq!((day.burnt.gas_l, day.burnt.generator_l, day.burnt.flared_l), (300, 240, 60));
}

#[test]
fn gas_that_flows_to_a_flare_without_flame_is_vented_and_told() {
    let control = gas().generator.control;
    let mut bench = Bench::new(|config| {
        let text = format!("address = \"{}\"\nflame_input = 0", control.address);
        config.flare = Some(toml::from_str(&text).unwrap());
    });
    bench.look(31, 0, (false, true));
    assert_eq!(bench.well.status(bench.now()).trouble, None);
    bench.look(30, 0, (false, false));
    let status = bench.well.status(bench.now());
    assert!(status.trouble.is_some_and(|it| it.contains("vented")), "{:?}", status.flare_burns);
    let day = &bench.days()[0];
    assert_eq!((day.burnt.flared_l, day.burnt.vented_l), (150, 150));
}

#[test]
fn what_does_not_answer_is_not_counted_on_and_told() {
    let mut bench = Bench::new(|_| {});
    bench.look(5, 0, (true, true));
    assert!(bench.steer().headroom > Power::ZERO);
    // The meters stay as they were, and nobody answers.
    let later = bench.now().plus_ms(SHOWN_MS_MAX + 1);
    bench.well.look(later, &[]);
    let steered = bench.well.steer(later, None, &wanted());
    assert_eq!((steered.headroom, steered.because), (Power::ZERO, Because::Silent));
    assert_eq!(bench.well.offer(later, later), None);
    let trouble = bench.well.status(later).trouble.unwrap_or_default();
    assert!(trouble.contains("does not answer"), "{trouble}");
}

#[test]
fn what_a_meter_said_long_ago_or_cannot_say_now_counts_for_nothing() {
    let mut bench = Bench::new(|_| {});
    bench.look(5, 30_000, (true, true));
    let before = bench.now();
    let now = before.plus_ms(SHOWN_MS_MAX + 1);
    bench.hand.tell(|told| told.looked = Some((now, Looked { runs: true, hours: None })));
    let said = meter("generator", Role::Generator, before, Some(watts(-30_000)), 0);
    bench.well.look(now, &[said]);
    assert_eq!(bench.well.status(now).power_mw, None);
    let trouble = bench.well.status(now).trouble.unwrap_or_default();
    assert!(trouble.contains("meter says nothing"), "{trouble}");

    let mut bench = Bench::new(|_| {});
    bench.look(5, 0, (false, true));
    let burnt = bench.well.status(bench.now()).burnt;
    let now = bench.now().plus_ms(1_000);
    let failure = crate::site::Failure::Late;
    let stale = Some(crate::site::Stale { device: "well".into(), failure });
    let gas_l = 100 + (bench.now_s + 1) * 5;
    let wrong = MeterState { stale, ..meter("well", Role::Gas, now, None, gas_l) };
    bench.well.look(now, &[wrong]);
    assert_eq!(bench.well.status(now).burnt, burnt);
}

#[test]
fn nothing_is_entered_for_the_time_that_the_node_slept() {
    let mut bench = Bench::new(|_| {});
    bench.look(5, 30_000, (true, true));
    let ran_ms = bench.days()[0].ran_ms;
    bench.now_s += 3_600;
    bench.look(1, 30_000, (true, true));
    assert_eq!(bench.days()[0].ran_ms, ran_ms + LOOK_MS_MAX);
}

#[test]
fn what_is_less_than_a_millilitre_is_burnt_with_the_next_one() {
    let mut bench = Bench::new(|_| {});
    bench.look(61, 30_000, (true, true));
    // 125 kW of 10 kWh a cubic metre for a minute.
    assert_eq!(bench.well.open.burning.generator_ml, 208_333);
}

#[test]
fn a_generator_that_does_not_start_is_told_of() {
    let mut bench = Bench::new(|_| {});
    bench.look(5, 0, (false, true));
    assert!(bench.steer().runs);
    for _ in 0..22 {
        bench.look(1, 0, (false, true));
        bench.steer();
    }
    bench.look(1, 0, (false, true));
    let trouble = bench.well.status(bench.now()).trouble.unwrap_or_default();
    assert!(trouble.contains("something else than it is told"), "{trouble}");
}

#[test]
fn a_generator_follows_no_meter_that_cannot_be_relied_on() {
    let mut bench = Bench::new(|_| {});
    bench.look(5, 0, (true, true));
    bench.steer();
    bench.look(1, 30_000, (true, true));
    let now = bench.now();
    let follows =
        |bench: &mut Bench, state: SiteState| bench.well.steer(now, Some(&state), &wanted()).output;
    let state = |at, stale| SiteState { at, stale, ..importing() };
    assert_eq!(follows(&mut bench, state(now, None)), watts(40_000), "30 kW, and 10 from the grid");
    assert_eq!(
        follows(&mut bench, SiteState { power_mw: watts(15_000), ..state(now, None) }),
        watts(45_000)
    );
    let old = now.minus_ms(SHOWN_MS_MAX + 1);
    assert_eq!(follows(&mut bench, state(old, None)), watts(45_000), "it goes on");
    let failure = crate::site::Failure::Late;
    let stale = Some(crate::site::Stale { device: "meter".into(), failure });
    assert_eq!(follows(&mut bench, state(now, stale)), watts(45_000));
}

/// A site that takes 10 kW.
fn importing() -> SiteState {
    use boltgrid_protocol::units::Energy;
    SiteState {
        at: at(0),
        power_mw: watts(10_000),
        load_mw: watts(40_000),
        pv_mw: Power::ZERO,
        pv_potential_mw: Power::ZERO,
        pv_curtailable: false,
        generator_mw: watts(30_000),
        battery: None,
        import_register_mwh: Energy::ZERO,
        export_register_mwh: Energy::ZERO,
        voltage_mv: None,
        frequency_mhz: None,
        stale: None,
    }
}
