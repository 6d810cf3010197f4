//! The market task's part in the owner's word: own orders, standing instructions, and what would be ordered
//! next. Not for: keeping them ([`crate::instructions`]), or what JSON-RPC makes of them.

use boltgrid_market::strategy;
use boltgrid_protocol::order::Order;
use boltgrid_protocol::units::{Interval, Timestamp};
use tracing::{error, info};

use super::MarketTask;
use crate::clock;
use crate::instructions::{AHEAD_MAX_MS, Instructions, OwnersWord, StepTerms};
use crate::rpc::order::{InstructionsReport, OrderState, OwnOrderReport};
use crate::status::StepReport;
use crate::trading::NotDone;

/// Intervals after the one being delivered that are looked at for the next order.
const NEXT_MAX: u64 = 64;

impl MarketTask {
    /// The order that the site wants for an interval: its owner's own, or the planner's.
    pub(super) fn wanted(&mut self, now: Timestamp, interval: Interval) -> Option<Order> {
        let own = self.word.order(interval);
        let order = match own {
            Some(own) => self.planner.own(interval, own),
            None => {
                let grid = self.market.grid_power(now);
                let prices = self.history.borrow().prices();
                self.planner.order(now, interval, &grid, &prices)
            }
        };
        strategy::beside(order?, &self.ahead(interval))
    }

    /// Keeps another own order for an interval, or none.
    pub(super) async fn keep_order(
        &mut self,
        interval: Interval,
        steps: Option<Vec<StepTerms>>,
    ) -> Result<(), NotDone> {
        let now = clock::now();
        let current = self.charter.interval.interval_at(now);
        if self.changeable_until(interval) <= now {
            return Err(NotDone::WindowOver);
        }
        if self.charter.interval.start_of(interval).ms_since(now) > AHEAD_MAX_MS {
            return Err(NotDone::TooFarAhead);
        }
        if let Some(steps) = steps.as_ref().filter(|steps| !steps.is_empty()) {
            let roster = self.market.roster(interval);
            let author = roster.index_of(&self.participant).ok_or(NotDone::NotAMember)?;
            let member = roster.member(author).ok_or(NotDone::NotAMember)?;
            let order = Order { steps: steps.iter().map(Into::into).collect(), ..Order::default() };
            let members = roster.members().len();
            order
                .check(&self.charter, (author, &member.enrolment), members)
                .map_err(NotDone::BadOrder)?;
        }
        let word = self.word.ordered((interval, current), steps).ok_or(NotDone::TooManyOrders)?;
        self.take_word(word).await?;
        info!(%interval, "own order kept");
        Ok(())
    }

    /// Replaces the standing instructions, unless that is only to be tried out.
    pub(super) async fn instruct(
        &mut self,
        instructions: Instructions,
        by: &str,
        is_dry: bool,
    ) -> Result<InstructionsReport, NotDone> {
        let now = clock::now();
        let word = self.word.instructed(instructions, by, now);
        if is_dry {
            self.planner.set_owner(word.owner());
            let report = self.report_word(&word, now);
            self.planner.set_owner(self.word.owner());
            return Ok(report);
        }
        self.take_word(word).await?;
        info!(?instructions, by, "standing instructions changed");
        Ok(self.instructions())
    }

    /// The standing instructions, and what follows from them next.
    pub(super) fn instructions(&mut self) -> InstructionsReport {
        self.report_word(&self.word.clone(), clock::now())
    }

    fn report_word(&mut self, word: &OwnersWord, now: Timestamp) -> InstructionsReport {
        InstructionsReport {
            instructions: word.instructions(),
            config: Instructions::from(word.config()),
            holds: Instructions::from(&word.owner()),
            // What is only tried out has changed nothing.
            changes: self.word.changes().cloned().collect(),
            next: self.planned(now),
        }
    }

    /// All orders from the interval being delivered on.
    pub(super) fn orders(&mut self) -> Vec<OwnOrderReport> {
        let now = clock::now();
        let current = self.charter.interval.interval_at(now);
        let placed: Vec<(Interval, Vec<StepReport>)> = {
            let history = self.history.borrow();
            let placed = history.intervals(current..current.plus(NEXT_MAX));
            let placed = placed.filter(|it| !it.own_order.is_empty());
            placed.map(|it| (Interval::from_number(it.interval), it.own_order.clone())).collect()
        };
        let is_placed = |interval| placed.iter().any(|(it, _)| *it == interval);
        let own = self.word.orders().filter(|(it, _)| *it >= current && !is_placed(*it));
        let own = own.map(|(it, steps)| {
            let steps = steps.iter().map(|step| StepReport::from(&step.into())).collect();
            self.report(it, OrderState::Own, steps)
        });
        let mut orders: Vec<OwnOrderReport> = own.collect();
        let report = |(it, steps)| self.report(it, OrderState::Placed, steps);
        orders.extend(placed.into_iter().map(report));
        orders.extend(self.planned(now));
        orders.sort_unstable_by_key(|it| it.interval);
        orders
    }

    /// What the planner would order next, if it would and the owner does not.
    fn planned(&mut self, now: Timestamp) -> Option<OwnOrderReport> {
        let current = self.charter.interval.interval_at(now);
        let next = (1..NEXT_MAX).map(|ahead| current.plus(ahead));
        let interval = next.into_iter().find(|it| self.changeable_until(*it) > now)?;
        if self.word.order(interval).is_some() {
            return None;
        }
        let steps = self.wanted(now, interval)?.steps.iter().map(StepReport::from).collect();
        Some(self.report(interval, OrderState::Planned, steps))
    }

    fn report(
        &self,
        interval: Interval,
        state: OrderState,
        steps: Vec<StepReport>,
    ) -> OwnOrderReport {
        OwnOrderReport {
            interval: interval.to_number(),
            starts_at_unix_ms: self.charter.interval.start_of(interval).to_unix_ms(),
            changeable_until_unix_ms: self.changeable_until(interval).to_unix_ms(),
            state,
            steps,
        }
    }

    /// Until when an order is not signed yet: the market asks for it once orders open on any honest clock.
    fn changeable_until(&self, interval: Interval) -> Timestamp {
        let timing = &self.charter.interval;
        timing.schedule(interval).orders_open.minus_ms(timing.clock_skew_max_ms)
    }

    /// Has another word hold once it is on disk.
    async fn take_word(&mut self, word: OwnersWord) -> Result<(), NotDone> {
        let kept = word.clone();
        let written = tokio::task::spawn_blocking(move || kept.keep()).await;
        let why = match written {
            Ok(Ok(())) => {
                self.planner.set_owner(word.owner());
                self.word = word;
                return Ok(());
            }
            Ok(Err(error)) => error.to_string(),
            Err(panic) => panic.to_string(),
        };
        error!(why, "the owner's word is not kept, so it does not hold");
        Err(NotDone::NotKept)
    }
}
