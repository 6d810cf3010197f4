//! What is done to the grid during a run: faults begin and end, and what they keep nodes from is noted.
//! Not for: when (the agenda), or what must hold all the same (the invariants).

use boltgrid_protocol::units::Timestamp;

use super::Course;
use crate::devices::miners::Fault as MachineFault;
use crate::run::RunError;
use crate::run::agenda::Action;
use crate::run::disks;
use crate::run::faults::{FaultKind, LinkChoice, LinkEffect, Who};
use crate::run::fleet::Member;
use crate::run::hostile::{Flood, Hostile};
use crate::run::located::Lie;
use crate::scenario::splitmix64;

/// Who can hear fewer than one in so many of the others is eclipsed (P25).
const ECLIPSE_PART: usize = 3;

impl Course<'_> {
    /// Does to the grid what is due.
    pub(super) async fn act(&mut self, now: Timestamp) -> Result<(), RunError> {
        while let Some(action) = self.agenda.take_due(now) {
            let said = match action {
                Action::Begin(kind) => self.begin(&kind, now).await?,
                Action::Start(node) => self.start(node, now)?,
                Action::Resume(node) => {
                    if !self.fleet.resume(node, now)? {
                        continue;
                    }
                    format!("{} goes on", self.name(node))
                }
                Action::StepClock(node, by_ms) => self.step_clock(node, by_ms, now)?,
                Action::FreeDisk(node) => self.free_disk(node, now)?,
                Action::ClearSky => {
                    self.cloud(100, now);
                    "the sun is back".to_owned()
                }
                Action::MendMachine(number) => self.mend_machine(number, now),
                Action::EndLinks { number, name } => {
                    let links = self.stage.links.as_ref();
                    if !links.is_some_and(|links| links.weather().end(number)) {
                        continue;
                    }
                    format!("links: {name} ends")
                }
            };
            self.keep_event(now, &said);
            let interval = self.stage.charter.interval.interval_at(now);
            self.done.entry(interval).or_default().push(said);
        }
        self.note_links(now);
        let current = self.stage.charter.interval.interval_at(now);
        let down = self.fleet.honest() - self.fleet.up();
        self.down.entry(current).and_modify(|most| *most = down.max(*most)).or_insert(down);
        Ok(())
    }

    /// Lets a fault begin, and says so.
    async fn begin(&mut self, kind: &FaultKind, now: Timestamp) -> Result<String, RunError> {
        let name = kind.name();
        let said = match *kind {
            FaultKind::Kill { who } => self.kill(who).await?.map(|(_, said)| said),
            FaultKind::Restart { who, after_ms } => self.kill(who).await?.map(|(node, said)| {
                self.agenda.add(now.plus_ms(after_ms), Action::Start(node));
                said
            }),
            FaultKind::Pause { who, for_ms } => match self.choose(who) {
                Some(node) if self.fleet.pause(node)? => {
                    self.agenda.add(now.plus_ms(for_ms), Action::Resume(node));
                    Some(format!("{} paused", self.name(node)))
                }
                _ => None,
            },
            FaultKind::Rogue { node, role } => {
                Some(format!("{} is a rogue: {role}", self.name(node)))
            }
            FaultKind::Reorg { depth } => match &mut self.money {
                Some(money) => {
                    let height = money.reorganise(depth).await?;
                    Some(format!("{depth} blocks undone, the chain is {height} high now"))
                }
                None => None,
            },
            FaultKind::Falsify { node, shown_percent, located_within_intervals } => {
                Some(self.falsify(node, (shown_percent, located_within_intervals), now))
            }
            FaultKind::Cloud { sun_percent, for_ms } => {
                self.agenda.add(now.plus_ms(for_ms), Action::ClearSky);
                self.cloud(sun_percent, now);
                Some(format!("a cloud leaves {sun_percent} % of the sun"))
            }
            FaultKind::Machine { node, ref machine, fault, for_ms } => {
                self.spoil_machine((node, machine), fault, for_ms, now)
            }
            FaultKind::Hostile => {
                self.invite();
                Some("a hostile peer has come".to_owned())
            }
            FaultKind::Flood { node, messages_per_s, for_ms } => {
                Some(self.flood(node, (messages_per_s, for_ms), now).await?)
            }
            FaultKind::Skew { who, by_ms, for_ms } => match self.choose(who) {
                Some(node) => {
                    if let Some(for_ms) = for_ms {
                        let back_ms = by_ms.saturating_neg();
                        self.agenda.add(now.plus_ms(for_ms), Action::StepClock(node, back_ms));
                    }
                    Some(self.step_clock(node, by_ms, now)?)
                }
                None => None,
            },
            FaultKind::DiskFull { who, for_ms } => match self.choose(who) {
                Some(node) => {
                    self.agenda.add(now.plus_ms(for_ms), Action::FreeDisk(node));
                    Some(self.fill_disk(node, now)?)
                }
                None => None,
            },
            FaultKind::Links { ref choice, effect, for_ms } => {
                self.begin_links((choice, effect), for_ms, now)
            }
        };
        if said.is_some() {
            let begun = self.begun.entry(name).or_default();
            *begun = begun.saturating_add(1);
        }
        Ok(said.unwrap_or_else(|| format!("nobody there for {name}")))
    }

    /// Kills a node that is up.
    async fn kill(&mut self, who: Who) -> Result<Option<(usize, String)>, RunError> {
        let Some(node) = self.choose(who) else { return Ok(None) };
        self.hear_last_words(node).await;
        self.fleet.kill(node).await?;
        Ok(Some((node, format!("{} killed", self.name(node)))))
    }

    fn start(&mut self, node: usize, now: Timestamp) -> Result<String, RunError> {
        let stage = self.stage;
        self.fleet.restart(node, now, &|node, pid| stage.node_is(node, pid))?;
        Ok(format!("{} started again", self.name(node)))
    }

    fn step_clock(&mut self, node: usize, by_ms: i64, now: Timestamp) -> Result<String, RunError> {
        let said = format!("{}: clock stepped by {by_ms} ms", self.name(node));
        if let Some(member) = self.fleet.members.get_mut(node) {
            let told = member.step_clock(by_ms, now);
            told.map_err(|source| RunError::Fault { what: "step a clock", source })?;
        }
        Ok(said)
    }

    fn falsify(
        &mut self,
        node: usize,
        (shown_percent, must_be_within): (u32, Option<u64>),
        now: Timestamp,
    ) -> String {
        let mut plant = self.stage.plant.lock().expect("a panic in the plant ends the testnet");
        plant.falsify(now, node, shown_percent);
        if let Some(member) = self.fleet.members.get(node) {
            self.located.begin(Lie {
                site: member.place.name.clone(),
                participant: member.place.participant.to_string(),
                shown_percent,
                began: self.stage.charter.interval.interval_at(now),
                must_be_within,
            });
        }
        format!("{}: meter shows {shown_percent} % of what flows", self.name(node))
    }

    fn cloud(&mut self, sun_percent: u32, now: Timestamp) {
        self.weather_changes.push(now);
        let mut plant = self.stage.plant.lock().expect("a panic in the plant ends the testnet");
        if let Some(mining) = &mut self.mining {
            mining.cloud(now, sun_percent, &plant);
        }
        plant.cloud(now, sun_percent);
    }

    /// Lets a machine misbehave; every one that a fault names was seen to be there on the stage.
    fn spoil_machine(
        &mut self,
        (node, machine): (usize, &str),
        fault: MachineFault,
        for_ms: Option<u64>,
        now: Timestamp,
    ) -> Option<String> {
        let park = self.stage.park.as_ref()?;
        let number = park.number_of(node, machine)?;
        park.set_fault((&self.stage.plant, now), number, Some(fault));
        if let Some(mining) = &mut self.mining {
            let has_relay = park.stands[number].is.relay.is_some();
            mining.fault_begins((number, has_relay), fault, now);
        }
        if let Some(for_ms) = for_ms {
            self.agenda.add(now.plus_ms(for_ms), Action::MendMachine(number));
        }
        Some(format!("{} at {}: {}", machine, self.name(node), fault.name()))
    }

    fn mend_machine(&mut self, number: usize, now: Timestamp) -> String {
        if let Some(park) = &self.stage.park {
            park.set_fault((&self.stage.plant, now), number, None);
        }
        if let Some(mining) = &mut self.mining {
            mining.fault_ends(number, now);
        }
        "a machine is mended".to_owned()
    }

    fn fill_disk(&mut self, node: usize, now: Timestamp) -> Result<String, RunError> {
        let said = format!("{}: disk full", self.name(node));
        if let Some(member) = self.fleet.members.get_mut(node) {
            member.note_disk(true, now);
            disks::fill(&member.place.data)
                .map_err(|source| RunError::Fault { what: "fill a disk", source })?;
        }
        Ok(said)
    }

    /// Makes space; a node that ended for want of it is started again.
    fn free_disk(&mut self, node: usize, now: Timestamp) -> Result<String, RunError> {
        self.fleet.check_alive()?;
        let mut said = format!("{}: space again", self.name(node));
        if let Some(member) = self.fleet.members.get_mut(node) {
            disks::free(&member.place.data)
                .map_err(|source| RunError::Fault { what: "free a disk", source })?;
            let has_ended = !member.is_up();
            member.note_disk(false, now);
            if has_ended {
                said = format!("{said}; it had ended, {}", self.start(node, now)?);
            }
        }
        Ok(said)
    }

    /// Changes the weather.
    fn begin_links(
        &mut self,
        (choice, effect): (&LinkChoice, LinkEffect),
        for_ms: Option<u64>,
        now: Timestamp,
    ) -> Option<String> {
        let number = self.stage.links.as_ref()?.weather().begin(choice.clone(), effect, now);
        let name = effect.name();
        if let Some(for_ms) = for_ms {
            self.agenda.add(now.plus_ms(for_ms), Action::EndLinks { number, name });
        }
        Some(format!("links: {name} begins"))
    }

    /// Notes what the links keep nodes from.
    fn note_links(&mut self, now: Timestamp) {
        let Some(links) = &self.stage.links else { return };
        let up: Vec<bool> = self.fleet.members.iter().map(Member::answers).collect();
        let answering = up.iter().filter(|up| **up).count();
        let (reach, is_rough) = {
            let weather = links.weather();
            (weather.reach(&up), weather.is_rough())
        };
        let (quorum, others) = (self.stage.quorum(), self.stage.places.len() - 1);
        let was_eclipsed = self.fleet.members.iter().any(Member::is_eclipsed);
        for (member, reach) in self.fleet.members.iter_mut().zip(&reach) {
            // Who is down or stands still is not kept from anything by links.
            let is_cut_off = *reach > 0 && *reach < quorum && *reach < answering;
            let is_eclipsed = is_cut_off && (*reach - 1) * ECLIPSE_PART < others;
            member.note_cut_off(is_cut_off, is_eclipsed, now);
        }
        let is_split = answering >= quorum && reach.iter().all(|reach| *reach < quorum);
        if self.split.is_so() && !is_split {
            self.healed.push((now, was_eclipsed));
        }
        self.split.note(is_split, now);
        self.rough.note(is_rough, now);
    }

    /// The node that a fault befalls, if it is up; one that is drawn is also undisturbed.
    fn choose(&mut self, who: Who) -> Option<usize> {
        let is_up = |node: &usize| self.fleet.members.get(*node).is_some_and(|it| it.is_up());
        match who {
            Who::Node(node) => Some(node).filter(is_up),
            Who::Drawn => {
                let members = self.fleet.members.iter().enumerate();
                let ready = members.filter(|(_, member)| member.ready_since.is_some());
                let ready: Vec<usize> = ready.map(|(node, _)| node).collect();
                self.chance = splitmix64(self.chance);
                let ready_count = u64::try_from(ready.len()).ok()?;
                let place = self.chance.checked_rem(ready_count)?;
                ready.get(usize::try_from(place).ok()?).copied()
            }
        }
    }

    fn name(&self, node: usize) -> &str {
        self.stage.places.get(node).map_or("", |place| &place.name)
    }

    /// Lets a flood begin, of so many messages a second for so long.
    async fn flood(
        &mut self,
        node: Option<usize>,
        (messages_per_s, for_ms): (u32, u64),
        now: Timestamp,
    ) -> Result<String, RunError> {
        if let Some(node) = node {
            self.kill(Who::Node(node)).await?;
        }
        let member = node.map(|node| self.name(node).to_owned());
        let said = format!("{} floods", member.as_deref().unwrap_or("a stranger"));
        let flood = Flood {
            charter: self.stage.charter.clone(),
            nodes: self.stage.places.iter().map(|place| place.address.clone()).collect(),
            seed: self.options.seed,
            member: node,
            messages_per_s,
            for_ms,
        };
        self.deluge.begin(flood, member, now, self.condition());
        Ok(said)
    }

    fn invite(&mut self) {
        let hostile = Hostile {
            charter: self.stage.charter.clone(),
            nodes: self.stage.places.iter().map(|place| place.address.clone()).collect(),
            seed: self.options.seed,
        };
        self.hostility.invite(hostile, self.rejected());
    }
}
