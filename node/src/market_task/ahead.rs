//! The market task's part in trades ahead of the auction: acceptances that members ask about, and the
//! words on our own. Not for: deciding about either; that is the market's.

use boltgrid_market::input::Input;
use boltgrid_market::notice::Notice;
use boltgrid_market::strategy::Contracted;
use boltgrid_protocol::direct::Answer;
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::message::Message;
use boltgrid_protocol::units::Interval;
use tracing::{debug, info, warn};

use super::{MarketError, MarketTask};
use crate::clock;

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

    /// What the site has traded ahead for an interval.
    pub(super) fn ahead(&self, interval: Interval) -> Contracted {
        let (sold, bought) = self.market.committed(interval);
        Contracted { bought, sold }
    }
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
