//! What nodes tell of their payments during a run, and whether all was paid at its end.
//! Not for: putting it together; see [`crate::run::payments`].

use boltgrid::clock;
use boltgrid::rpc::payment::{PaymentReport, PaymentStage};
use boltgrid_protocol::units::{Interval, Price, Timestamp};

use super::{Course, RunError};
use crate::run::fraud::{Fraud, Frauds};
use crate::run::observation::Observation;
use crate::run::payments::{Settlement, Told, Tranche};
use crate::run::report::{IntervalRow, InvariantRow, RogueRow, count};

/// So many intervals back nodes are asked again, each time that one is observed: what is paid later
/// is heard of at the end.
const ASKED_BACK_INTERVALS: u64 = 4;
/// How long nodes may take to pay what is still due at the end.
const PAY_TIME_MS: u64 = 60_000;
/// Between two looks at how nodes stand with everyone.
const STANDING_EVERY_MS: u64 = 1_000;

impl Course<'_> {
    /// Hears of the payments of the last intervals.
    pub(super) async fn hear_of_payments(&mut self) {
        let from = self.next.to_number().saturating_sub(ASKED_BACK_INTERVALS);
        self.hear_since(Interval::from_number(from)).await;
    }

    async fn hear_since(&mut self, from: Interval) {
        if self.money.is_none() {
            return;
        }
        for (participant, told) in self.fleet.payments(from).await {
            for payment in told {
                let hash = payment.payment_hash.clone();
                self.payments.note(hash, read(participant.clone(), payment));
            }
        }
    }

    /// Waits until everything that was due is paid, and adds to the rows what was.
    ///
    /// # Errors
    ///
    /// [`RunError`] where a node ends by itself.
    pub(super) async fn until_paid(&mut self) -> Result<(), RunError> {
        if self.money.is_none() {
            return Ok(());
        }
        let deadline = clock::now().plus_ms(PAY_TIME_MS);
        loop {
            self.hear_since(self.first).await;
            let timing = &self.stage.charter.interval;
            for row in &mut self.rows {
                let ended = timing.start_of(Interval::from_number(row.interval).next());
                self.payments.add_to(row, ended.to_unix_ms());
            }
            let missing = self.rows.iter().any(|row| row.paid_msat < payable_msat(row));
            let now = self.look().await?;
            self.hear_of_exposures(now).await;
            if !missing || now >= deadline {
                self.disputes = self.fleet.disputes().await;
                return Ok(());
            }
            self.display.now("waiting for what is still to be paid".to_owned());
            tokio::time::sleep(self.pause()).await;
        }
    }

    /// Notes when nodes had reckoned what was due for an interval.
    pub(super) fn note_settled(&mut self, observation: &Observation) {
        for (site, report) in observation.reports() {
            let settled_ms = report.settlement.as_ref().and_then(|it| it.settled_ms);
            if let Some(settled_ms) = settled_ms {
                let participant = site.participant.clone();
                self.payments.note_settled(observation.interval, participant, settled_ms);
            }
        }
    }

    /// All tranches that were paid, and how long that took.
    pub(in crate::run) fn settlements(&self) -> Vec<Settlement> {
        let timing = &self.stage.charter.interval;
        let next = |interval| Interval::from_number(interval).next();
        self.payments.settlements(|interval| timing.start_of(next(interval)).to_unix_ms())
    }

    /// What must hold of all payments; nothing where nobody pays.
    pub(super) fn payment_verdicts(&self) -> Vec<InvariantRow> {
        if self.money.is_none() {
            return Vec::new();
        }
        let dues: Vec<(u64, u64)> =
            self.rows.iter().map(|row| (row.interval, payable_msat(row))).collect();
        // A rogue keeps nobody from paying.
        self.payments.verdicts(&dues, self.begun.keys().all(|kind| *kind == "rogue"))
    }

    /// Asks all nodes how they stand with everyone, once in a while.
    pub(super) async fn hear_of_exposures(&mut self, now: Timestamp) {
        if self.money.is_none() || now.ms_since(self.stood_at) < STANDING_EVERY_MS {
            return;
        }
        self.stood_at = now;
        for (participant, accounts) in self.fleet.accounts().await {
            self.exposures.note(&participant, &accounts);
        }
    }

    /// What must have come of rogues; nothing where nobody pays.
    pub(super) fn fraud_verdicts(&self) -> Vec<InvariantRow> {
        if self.money.is_none() {
            return Vec::new();
        }
        let participants: Vec<(String, _)> = self
            .rogues
            .played()
            .filter_map(|(number, played)| {
                Some((self.stage.places.get(number)?.participant.to_string(), played))
            })
            .collect();
        let rogues = participants.iter();
        let rogues: Vec<Fraud<'_>> =
            rogues.map(|(participant, played)| Fraud { participant, played }).collect();
        let charter = &self.stage.charter;
        let retail = charter.tariff.at(self.stood_at).retail_msat_per_kwh;
        let prices = self.rows.iter().filter_map(|row| row.price_msat_per_kwh);
        let dearest = prices.map(Price::from_msat_per_kwh).fold(retail, Price::max);
        let told = (&self.disputes, &self.exposures, &self.payments);
        self.frauds.verdicts(self.stood_at, &rogues, told, (charter, dearest))
    }

    /// The rogues' rows, with what nodes say of them.
    pub(super) fn rogue_rows(&self) -> Vec<RogueRow> {
        let mut rows = self.rogues.rows(self.stage);
        for row in &mut rows {
            row.owed_msat_max = self.exposures.most_of(&row.participant);
            row.disputes = count(Frauds::disputes_with(&self.disputes, &row.participant));
        }
        rows
    }
}

/// What can be paid for an interval: a rogue neither pays nor can be paid.
const fn payable_msat(row: &IntervalRow) -> u64 {
    row.due_msat.saturating_sub(row.due_with_rogues_msat)
}

fn read(node: String, payment: PaymentReport) -> Told {
    let PaymentReport { interval, trade, forward, counterparty, is_received, .. } = payment;
    let (payer, payee) = if is_received { (counterparty, node) } else { (node, counterparty) };
    let trade = trade.map(|index| index.to_string());
    Told {
        tranche: Tranche {
            interval,
            cause: trade.or(forward).unwrap_or_default(),
            number: payment.tranche,
            payer,
            payee,
        },
        by_payee: is_received,
        amount_msat: payment.amount_msat,
        is_paid: payment.stage == PaymentStage::Paid,
        is_failed: payment.stage == PaymentStage::Failed,
        preimage: payment.preimage,
        at_unix_ms: payment.at_unix_ms,
    }
}
