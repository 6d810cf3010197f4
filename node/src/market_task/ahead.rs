//! The market task's part in trades ahead of the auction: acceptances that members ask about, and the
//! words on our own. Not for: deciding about either; that is the market's.

use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_market::payments::Told;
use boltgrid_market::strategy::Contracted;
use boltgrid_protocol::direct::Answer;
use boltgrid_protocol::id::{MessageHash, ParticipantId};
use boltgrid_protocol::message::Message;
use boltgrid_protocol::offer::{Offer, Product};
use boltgrid_protocol::units::Interval;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::{MarketError, MarketTask};
use crate::clock;
use crate::rpc::payment::accounts;
use crate::rpc::settlement::dues;
use crate::trading::{Command, Forgiven, Instruction, NotDone, Outcome, Wanted};

impl MarketTask {
    /// A member asks for our word on its acceptance. Only its own acceptances are replied to.
    pub(super) async fn asked_for_word(
        &mut self,
        from: ParticipantId,
        acceptance: Vec<u8>,
        token: u64,
    ) -> Result<(), MarketError> {
        match self.gate.admit(acceptance, clock::now()) {
            Ok(Message::Acceptance(it)) if it.participant() == from => {
                self.put(Input::Asked { acceptance: Box::new(it), token }).await
            }
            Ok(_) | Err(_) => {
                debug!(%from, "a member asked about something else than its own acceptance");
                self.tell_network(|network| network.answer(token, Answer::Reply(None)));
                Ok(())
            }
        }
    }

    /// A member says its word on an acceptance of ours.
    pub(super) async fn hear_word(
        &mut self,
        from: ParticipantId,
        bytes: Vec<u8>,
    ) -> Result<(), MarketError> {
        match self.gate.admit(bytes, clock::now()) {
            Ok(Message::Reply(it)) => self.put(Input::Replied(Box::new(it))).await,
            Ok(_) | Err(_) => {
                warn!(%from, "a member sent something else than a reply");
                Ok(())
            }
        }
    }

    /// Does what the owner asks.
    pub(super) async fn trade(&mut self, command: Command) -> Result<(), MarketError> {
        match command {
            Command::Offer(terms, answer) => {
                let told = self.put_and_hear(Input::Offer(terms)).await?;
                reply(answer, offered(&told, terms.product));
            }
            Command::Withdraw(product, day, answer) => {
                let told = self.put_and_hear(Input::Withdraw { product, day }).await?;
                reply(answer, offered(&told, product));
            }
            Command::Accept(wanted, answer) => {
                let Wanted { offer, first, after, energy_mwh } = *wanted;
                let offer = Box::new(offer);
                let input = Input::Accept { offer, first, after, energy_mwh };
                let told = self.put_and_hear(input).await?;
                let accepted = told.iter().find_map(acceptance_of).ok_or_else(|| why_not(&told));
                reply(
                    answer,
                    accepted.map(|acceptance| {
                        let (word, told) = oneshot::channel();
                        self.words.insert(acceptance, word);
                        told
                    }),
                );
            }
            Command::Accounts(answer) => {
                let current = self.charter.interval.interval_at(clock::now());
                reply(answer, Ok(accounts(self.market.payments(), current)));
            }
            Command::Forgive(counterparty, answer) => {
                let told = self.put_and_hear(Input::Forgive(counterparty)).await?;
                let forgiven = told.iter().find_map(|it| forgiven(it, &counterparty));
                reply(answer, forgiven.ok_or_else(|| why_not(&told)));
            }
            Command::Dues(answer) => reply(answer, Ok(dues(self.market.payments()))),
            Command::Orders(answer) => reply(answer, Ok(self.orders())),
            Command::Order(interval, steps, answer) => {
                reply(answer, self.keep_order(interval, steps).await);
            }
            Command::Instructions(answer) => reply(answer, Ok(self.instructions())),
            Command::Instruct(Instruction { instructions, by, is_dry }, answer) => {
                reply(answer, self.instruct(instructions, &by, is_dry).await);
            }
            Command::Forwards(answer) => {
                reply(answer, Ok(self.market.forwards().cloned().collect()));
            }
        }
        Ok(())
    }

    /// Tells whoever waits what became of an acceptance of ours.
    pub(super) fn pass_word_on(&mut self, notice: &Notice) {
        let word = if let Notice::ForwardMade(held) = notice {
            Some((held.acceptance, Outcome::Forward))
        } else if let Notice::AcceptanceRefused { acceptance, why } = notice {
            Some((*acceptance, Outcome::Refused(*why)))
        } else if let Notice::AcceptanceVoid { acceptance } = notice {
            Some((*acceptance, Outcome::Void))
        } else {
            None
        };
        let waiting =
            word.and_then(|(acceptance, outcome)| Some((self.words.remove(&acceptance)?, outcome)));
        if let Some((waiting, outcome)) = waiting {
            reply(waiting, outcome);
        }
    }

    /// What the site has traded ahead for an interval.
    pub(super) fn ahead(&self, interval: Interval) -> Contracted {
        let (sold, bought) = self.market.committed(interval);
        Contracted { bought, sold }
    }
}

/// Answers whoever asked, who may have gone by now.
fn reply<T>(to: oneshot::Sender<T>, answer: T) {
    if to.send(answer).is_err() {
        debug!("whoever asked is gone");
    }
}

/// The version of an offer that was just signed.
fn offered(told: &[Notice], product: Product) -> Result<Offer, NotDone> {
    let signed = told.iter().rev().find_map(|notice| {
        let Notice::Offered(offer) = notice else { return None };
        Some(**offer).filter(|offer| offer.product == product)
    });
    // A renewal may have been signed in passing: only without a refusal it is what was asked for.
    let why = why_not(told);
    if why == NotDone::Busy { signed.ok_or(why) } else { Err(why) }
}

fn acceptance_of(notice: &Notice) -> Option<MessageHash> {
    let Notice::Accepted { acceptance, .. } = notice else { return None };
    Some(*acceptance)
}

fn forgiven(notice: &Notice, whom: &ParticipantId) -> Option<Forgiven> {
    let Notice::Payment(told) = notice else { return None };
    let Told::Forgiven { counterparty, dues, unpaid_msat } = &**told else { return None };
    let forgiven = Forgiven { dues: dues.len(), unpaid_msat: *unpaid_msat };
    (counterparty == whom).then_some(forgiven)
}

fn why_not(told: &[Notice]) -> NotDone {
    let why = told.iter().rev().find_map(|notice| {
        let Notice::NotTaken(why) = notice else { return None };
        Some(NotDone::NotTaken(why))
    });
    why.unwrap_or(NotDone::Busy)
}

/// Logs what happens to offers and trades ahead.
pub(super) fn log(notice: &Notice) {
    if let Notice::Offered(it) = notice {
        info!(
            side = %it.product.side, source = %it.product.source, withdrawn = it.withdrawn,
            energy_mwh = it.energy_mwh.to_milliwatt_hours(), first = %it.first, after = %it.after,
            price_msat_per_kwh = it.price_msat_per_kwh.to_msat_per_kwh(), "offer signed"
        );
    }
    if let Notice::Accepted { acceptance, to } = notice {
        info!(acceptance = %acceptance.short(), offerer = %to.short(), "offer accepted");
    }
    if let Notice::AcceptanceRefused { acceptance, why } = notice {
        warn!(acceptance = %acceptance.short(), %why, "acceptance refused");
    }
    if let Notice::AcceptanceVoid { acceptance } = notice {
        warn!(acceptance = %acceptance.short(), "acceptance void: nobody replied in time");
    }
    if let Notice::ForwardMade(it) = notice {
        info!(
            acceptance = %it.acceptance.short(), seller = %it.forward.seller.short(),
            buyer = %it.forward.buyer.short(),
            energy_mwh = it.forward.energy_mwh.to_milliwatt_hours(), "forward signed by both sides"
        );
    }
}
