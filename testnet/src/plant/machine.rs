//! A mining machine: what it draws, how fast it hashes and how warm it is, tick by tick.
//!
//! It takes its time: it sleeps and wakes along a ramp, warms up before it hashes, and starts by
//! itself when it has booted. Not for: what it says of itself (the fakes).

use boltgrid_protocol::units::{Energy, Power};

use super::register::Counter;

/// The air around a machine, in thousandths of a degree Celsius.
const AIR_M_CELSIUS: i64 = 25_000;
/// How much warmer its chips are at rated power.
const RISE_M_CELSIUS: i64 = 50_000;
/// How long a machine takes to come two thirds of the way to another temperature.
const WARMTH_MS: i64 = 60_000;
/// So many times as much without fans.
const RISE_WITHOUT_FANS: i64 = 4;
/// A machine whose chips are hotter stops by itself …
const OVERHEATED_M_CELSIUS: i64 = 95_000;
/// … and does not start again while they are hotter than this.
const COOLED_M_CELSIUS: i64 = 70_000;
/// What a machine draws while it warms up, in percent of what it will draw.
const WARM_UP_PERCENT: i64 = 35;
/// How much better a machine hashes per watt when it draws next to nothing, in percent; measured
/// machines gain about this much between rated power and a third of it.
const GAIN_PERCENT: i128 = 25;

/// What stands on a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineRating {
    /// What it draws at full power.
    pub rated: Power,
    /// What it draws asleep.
    pub idle: Power,
    /// How fast it hashes at full power, in GH/s.
    pub hash_rate_gh_per_s: u64,
    /// How long it takes from nothing to full power, and back.
    pub ramp_ms: u64,
    /// How long it draws power before it hashes.
    pub warm_up_ms: u64,
    /// How long it takes to boot.
    pub boot_ms: u64,
    /// Whether a new power makes it warm up again.
    pub restarts: bool,
}

/// What a machine may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineCommand {
    /// To stop hashing.
    Sleep,
    /// To hash.
    Wake,
    /// To draw this while it hashes.
    Limit(Power),
    /// To start anew; it hashes afterwards.
    Reboot,
    /// Its relay cuts its power.
    Cut,
    /// Its relay gives it power again; it boots.
    Restore,
    /// Nobody tells it: its fans turn, or stand still.
    Fans {
        /// Whether they turn.
        turn: bool,
    },
}

/// A machine at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineTruth {
    /// What it draws.
    pub power: Power,
    /// How fast it hashes, in GH/s.
    pub hash_rate_gh_per_s: u64,
    /// How warm its chips are, in thousandths of a degree Celsius.
    pub chips_m_celsius: i64,
    /// What it was told to draw while it hashes.
    pub limit: Power,
    /// Whether it was told to hash.
    pub awake: bool,
    /// Whether it has booted, so that it can answer.
    pub answers: bool,
    /// Whether its relay keeps it without power.
    pub is_cut: bool,
    /// What stands on it.
    pub rating: MachineRating,
    /// What it has drawn beyond what it draws asleep.
    pub mined: Energy,
    /// How often it was started.
    pub starts: u32,
    /// The shortest that it ever ran between a start and a stop; none before the first.
    pub run_ms_min: Option<u64>,
    /// The shortest that it ever stood still between a stop and a start; none before the first.
    pub rest_ms_min: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Cut,
    Booting { left_ms: u64 },
    Asleep,
    Warming { left_ms: u64 },
    Hashing,
}

/// A machine in motion.
#[derive(Clone, Debug)]
pub(super) struct MachinePlant {
    rating: MachineRating,
    state: State,
    limit: Power,
    power_mw: i64,
    chips_m_celsius: i64,
    fans_turn: bool,
    /// It has overheated, and has not cooled down yet.
    is_hot: bool,
    mined: Counter,
    past: Past,
}

/// How often and for how long a machine ran.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    runs: bool,
    /// Since it was switched, where it was.
    since_ms: Option<u64>,
    starts: u32,
    run_ms_min: Option<u64>,
    rest_ms_min: Option<u64>,
}

impl Past {
    /// Notes whether it runs in a tick of `ms` that begins.
    fn note(&mut self, runs: bool, ms: u64) {
        if runs != self.runs {
            if let Some(lasted_ms) = self.since_ms {
                let least = if self.runs { &mut self.run_ms_min } else { &mut self.rest_ms_min };
                *least = Some(least.map_or(lasted_ms, |least_ms| least_ms.min(lasted_ms)));
            }
            self.starts = self.starts.saturating_add(u32::from(runs));
            self.runs = runs;
            self.since_ms = Some(0);
        }
        self.since_ms = self.since_ms.map(|since_ms| since_ms.saturating_add(ms));
    }
}

impl MachinePlant {
    /// One that is asleep and cold.
    pub(super) fn new(rating: MachineRating) -> Self {
        Self {
            rating,
            state: State::Asleep,
            limit: rating.rated,
            power_mw: rating.idle.to_milliwatts(),
            chips_m_celsius: AIR_M_CELSIUS,
            fans_turn: true,
            is_hot: false,
            mined: Counter::default(),
            past: Past::default(),
        }
    }

    /// One that its relay keeps without power.
    pub(super) fn cut_off(rating: MachineRating) -> Self {
        Self { state: State::Cut, power_mw: 0, ..Self::new(rating) }
    }

    /// Ends a tick of `ms`: what was drawn counts.
    pub(super) fn end_tick(&mut self, ms: u64) {
        self.mined.add(self.power_mw - self.rating.idle.to_milliwatts(), ms);
    }

    /// Takes a command; it is heeded from the next tick on.
    pub(super) fn tell(&mut self, command: MachineCommand) {
        let warming = State::Warming { left_ms: self.rating.warm_up_ms };
        match (command, self.state) {
            (MachineCommand::Cut, _) => self.state = State::Cut,
            (MachineCommand::Restore, State::Cut)
            | (
                MachineCommand::Reboot,
                State::Booting { .. } | State::Asleep | State::Warming { .. } | State::Hashing,
            ) => self.state = State::Booting { left_ms: self.rating.boot_ms },
            (MachineCommand::Sleep, State::Warming { .. } | State::Hashing) => {
                self.state = State::Asleep;
            }
            (MachineCommand::Wake, State::Asleep) if !self.is_hot => self.state = warming,
            (MachineCommand::Fans { turn }, _) => self.fans_turn = turn,
            (MachineCommand::Limit(limit), _) => {
                let is_news = self.limit != limit;
                self.limit = limit;
                if self.rating.restarts && is_news && self.state == State::Hashing {
                    self.state = warming;
                }
            }
            // It is so already, or can't hear.
            (
                MachineCommand::Sleep
                | MachineCommand::Wake
                | MachineCommand::Restore
                | MachineCommand::Reboot,
                _,
            ) => {}
        }
    }

    /// Begins a tick of `ms`, and says what it draws in it, in mW.
    pub(super) fn begin_tick(&mut self, ms: u64) -> i64 {
        self.state = match self.state {
            State::Booting { left_ms } if left_ms <= ms => {
                State::Warming { left_ms: self.rating.warm_up_ms }
            }
            State::Booting { left_ms } => State::Booting { left_ms: left_ms - ms },
            State::Warming { left_ms } if left_ms <= ms => State::Hashing,
            State::Warming { left_ms } => State::Warming { left_ms: left_ms - ms },
            still @ (State::Cut | State::Asleep | State::Hashing) => still,
        };
        self.protect_itself();
        self.past.note(!matches!(self.state, State::Cut | State::Asleep), ms);
        let idle = self.rating.idle.to_milliwatts();
        let limit = self.limit.to_milliwatts();
        let target = match self.state {
            State::Cut => 0,
            State::Booting { .. } | State::Asleep => idle,
            State::Warming { .. } => (limit * WARM_UP_PERCENT / 100).max(idle),
            State::Hashing => limit,
        };
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        let ramp_ms = i64::try_from(self.rating.ramp_ms.max(1)).unwrap_or(i64::MAX);
        let step = self.rating.rated.to_milliwatts().saturating_mul(ms) / ramp_ms;
        // A relay needs no ramp.
        let step = if self.state == State::Cut { i64::MAX } else { step.max(1) };
        let wanted = target - self.power_mw;
        self.power_mw += wanted.clamp(-step.min(self.power_mw.max(0)), step);
        let rated = self.rating.rated.to_milliwatts().max(1);
        let times = if self.fans_turn { 1 } else { RISE_WITHOUT_FANS };
        let warm = AIR_M_CELSIUS + times * RISE_M_CELSIUS * self.power_mw / rated;
        let share = ms.min(WARMTH_MS);
        self.chips_m_celsius += (warm - self.chips_m_celsius) * share / WARMTH_MS;
        self.power_mw
    }

    /// What gets too hot stops until it has cooled down.
    fn protect_itself(&mut self) {
        let bound = if self.is_hot { COOLED_M_CELSIUS } else { OVERHEATED_M_CELSIUS };
        self.is_hot = self.chips_m_celsius > bound;
        if self.is_hot && matches!(self.state, State::Warming { .. } | State::Hashing) {
            self.state = State::Asleep;
        }
    }

    pub(super) fn truth(&self) -> MachineTruth {
        let hashes = self.state == State::Hashing;
        MachineTruth {
            power: Power::from_milliwatts(self.power_mw),
            hash_rate_gh_per_s: if hashes { self.hash_rate() } else { 0 },
            chips_m_celsius: self.chips_m_celsius,
            limit: self.limit,
            awake: matches!(self.state, State::Warming { .. } | State::Hashing),
            answers: !matches!(self.state, State::Cut | State::Booting { .. }),
            is_cut: self.state == State::Cut,
            rating: self.rating,
            mined: self.mined.shown(),
            starts: self.past.starts,
            run_ms_min: self.past.run_ms_min,
            rest_ms_min: self.past.rest_ms_min,
        }
    }

    fn hash_rate(&self) -> u64 {
        hash_rate_at(self.rating, Power::from_milliwatts(self.power_mw))
    }
}

/// How fast a machine hashes at a power, in GH/s.
pub(super) fn hash_rate_at(rating: MachineRating, power: Power) -> u64 {
    let rated = i128::from(rating.rated.to_milliwatts().max(1));
    let power = i128::from(power.to_milliwatts().max(0));
    let full = i128::from(rating.hash_rate_gh_per_s);
    // Proportional, and a little better the less it draws.
    let percent = 100 + GAIN_PERCENT * (rated - power).max(0) / rated;
    u64::try_from(full * power * percent / rated / 100).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watts(watts: i64) -> Power {
        Power::from_watts(watts).unwrap()
    }

    fn machine() -> MachinePlant {
        MachinePlant::new(MachineRating {
            rated: watts(3000),
            idle: watts(20),
            hash_rate_gh_per_s: 150_000,
            ramp_ms: 3_000,
            warm_up_ms: 5_000,
            boot_ms: 4_000,
            restarts: true,
        })
    }

    fn ticks(machine: &mut MachinePlant, count: usize) -> Vec<i64> {
        (0..count).map(|_| machine.begin_tick(1_000) / 1_000).collect()
    }

    #[test]
    fn it_warms_up_then_hashes_and_sleeps_along_a_ramp() {
        let mut machine = machine();
        machine.tell(MachineCommand::Wake);
        assert_eq!(
            ticks(&mut machine, 8),
            [1_020, 1_050, 1_050, 1_050, 2_050, 3_000, 3_000, 3_000]
        );
        assert_eq!(machine.truth().hash_rate_gh_per_s, 150_000);
        assert!(machine.truth().chips_m_celsius > AIR_M_CELSIUS);
        machine.tell(MachineCommand::Sleep);
        assert_eq!(ticks(&mut machine, 4), [2_000, 1_000, 20, 20]);
        assert_eq!(machine.truth().hash_rate_gh_per_s, 0);
    }

    #[test]
    fn a_new_power_starts_it_anew_where_that_is_its_way() {
        let mut machine = machine();
        machine.tell(MachineCommand::Wake);
        ticks(&mut machine, 8);
        machine.tell(MachineCommand::Limit(watts(1500)));
        assert_eq!(ticks(&mut machine, 2), [2_000, 1_000]);
        assert_eq!(machine.truth().hash_rate_gh_per_s, 0);
        assert_eq!(ticks(&mut machine, 6).last(), Some(&1_500));
        // It hashes better per watt than at full power.
        assert!(machine.truth().hash_rate_gh_per_s > 75_000);
    }

    #[test]
    fn a_reboot_is_silent_and_ends_in_hashing_whatever_it_did_before() {
        let mut machine = machine();
        machine.tell(MachineCommand::Reboot);
        ticks(&mut machine, 1);
        assert!(!machine.truth().answers);
        assert_eq!(ticks(&mut machine, 20).last(), Some(&3_000));
        assert!(machine.truth().answers && machine.truth().awake);
    }

    #[test]
    fn its_starts_runs_and_rests_are_counted() {
        let mut machine = machine();
        let run = |machine: &mut MachinePlant, count| {
            for _ in 0..count {
                machine.begin_tick(1_000);
                machine.end_tick(1_000);
            }
        };
        run(&mut machine, 5);
        machine.tell(MachineCommand::Wake);
        run(&mut machine, 9);
        machine.tell(MachineCommand::Sleep);
        run(&mut machine, 4);
        machine.tell(MachineCommand::Wake);
        run(&mut machine, 3);
        machine.tell(MachineCommand::Sleep);
        run(&mut machine, 1);
        let truth = machine.truth();
        assert_eq!(
            (truth.starts, truth.run_ms_min, truth.rest_ms_min),
            (2, Some(3_000), Some(4_000))
        );
        assert!(truth.mined > Energy::ZERO);
    }

    #[test]
    fn without_fans_it_stops_by_itself_and_starts_only_once_it_has_cooled_down() {
        let mut machine = machine();
        machine.tell(MachineCommand::Wake);
        ticks(&mut machine, 10);
        machine.tell(MachineCommand::Fans { turn: false });
        assert_eq!(ticks(&mut machine, 32).last(), Some(&20), "it sleeps");
        machine.tell(MachineCommand::Wake);
        let hottest = machine.truth().chips_m_celsius;
        assert!(!machine.truth().awake && hottest < OVERHEATED_M_CELSIUS, "{hottest}");
        machine.tell(MachineCommand::Fans { turn: true });
        ticks(&mut machine, 60);
        machine.tell(MachineCommand::Wake);
        assert_eq!(ticks(&mut machine, 10).last(), Some(&3_000));
    }

    #[test]
    fn a_relay_cuts_it_at_once_and_it_hears_nothing_then() {
        let mut machine = machine();
        machine.tell(MachineCommand::Wake);
        ticks(&mut machine, 8);
        machine.tell(MachineCommand::Cut);
        machine.tell(MachineCommand::Wake);
        assert_eq!(ticks(&mut machine, 2), [0, 0]);
        machine.tell(MachineCommand::Restore);
        assert_eq!(ticks(&mut machine, 20).last(), Some(&3_000));
    }
}
