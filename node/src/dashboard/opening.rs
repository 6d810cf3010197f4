//! Opening a channel on the page Money: first what it costs and what is left, then, confirmed, the
//! opening itself.
//!
//! Not for: which channels are worth it, which the node's own policy decides.

use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use boltgrid_market::channels::{Deed, fee};
use boltgrid_protocol::id::ParticipantId;
use boltgrid_protocol::units::Msat;
use serde::Deserialize;

use super::format::Quantity;
use super::frame::{Frame, Notice};
use super::words::fill;
use super::{Dashboard, login, money};
use crate::access::Role;
use crate::lightning::{ChannelTerms, LightningHandle};

/// Members that a channel can be opened with.
pub(super) struct Partner {
    pub(super) id: String,
    pub(super) name: String,
}

/// What opening a channel would come to.
pub(super) struct Opening {
    pub(super) counterparty: String,
    pub(super) size_sat: u64,
    pub(super) name: String,
    pub(super) size: Quantity,
    /// What the chain takes for opening it, about, by which rate of fees …
    pub(super) open_fee_at: String,
    pub(super) open_fee: Quantity,
    /// … and for closing it together one day.
    pub(super) close_fee: Quantity,
    /// What is free on the chain now, …
    pub(super) before: Quantity,
    /// … and would be then, before what is kept in reserve; none where it is not enough.
    pub(super) after: Option<Quantity>,
}

/// What the form says.
#[derive(Deserialize)]
pub(super) struct Wish {
    counterparty: String,
    size_sat: String,
    /// `try` or `open`.
    what: String,
}

/// `POST ./money`: says what a channel would cost, or opens it.
pub(super) async fn post(
    State(dashboard): State<Arc<Dashboard>>,
    frame: Frame,
    headers: HeaderMap,
    Form(wish): Form<Wish>,
) -> Response {
    let w = frame.words();
    let allowed = if !login::is_own(&headers) {
        Err(w.sign_in_foreign.to_owned())
    } else if !frame.may(Role::Admin) {
        Err(w.not_allowed.to_owned())
    } else {
        understood(&dashboard, &wish, &frame).await
    };
    let done = match allowed {
        Ok((opening, _, _)) if wish.what != "open" => Ok(Some(opening)),
        Ok((_, lightning, terms)) => {
            let opened = lightning.open_channel(terms).await;
            opened.map(|_| None).map_err(|error| error.to_string())
        }
        Err(why) => Err(why),
    };
    match done {
        Ok(Some(opening)) => money::sheet(&dashboard, frame, 1, Some(opening)).await,
        Ok(None) => {
            let notice = Some(Notice { is_good: true, text: w.channel_begun.to_owned() });
            money::sheet(&dashboard, Frame { notice, ..frame }, 1, None).await
        }
        Err(text) => {
            let notice = Some(Notice { is_good: false, text });
            money::sheet(&dashboard, Frame { notice, ..frame }, 1, None).await
        }
    }
}

/// What would be opened, by whom, and what it comes to.
async fn understood<'a>(
    dashboard: &'a Dashboard,
    wish: &Wish,
    frame: &Frame,
) -> Result<(Opening, &'a LightningHandle, ChannelTerms), String> {
    let (w, format) = (frame.words(), frame.format());
    let lightning = dashboard.answers.lightning.as_ref().ok_or(w.no_lightning)?;
    let size_sat: u64 = size(&wish.size_sat).ok_or(w.not_a_size)?;
    let whom: ParticipantId = wish.counterparty.parse().map_err(|_| w.not_a_partner.to_owned())?;
    let contacts = dashboard.answers.network.lightning_contacts();
    let contact = contacts.get(&whom).ok_or(w.not_a_partner)?;
    let address = contact.addresses.first().cloned().ok_or(w.not_a_partner)?;
    let plans = dashboard.answers.channel_plans.as_ref().ok_or(w.no_lightning)?;
    let sat_per_vb = plans.sat_per_vb().await;
    let open_fee = fee(Deed::Open, sat_per_vb);
    let before_sat = lightning.status().balances.spendable_sat;
    let after = left(before_sat, size_sat, open_fee);
    let money = |it: Msat| format.money(i64::try_from(it.to_millisatoshi()).unwrap_or(i64::MAX));
    let sat = |it: u64| money(Msat::from_satoshi_saturating(it));
    let opening = Opening {
        counterparty: wish.counterparty.clone(),
        size_sat,
        name: dashboard.name_of(&whom),
        size: sat(size_sat),
        open_fee_at: fill(w.open_fee, &[("rate", &sat_per_vb.to_string())]),
        open_fee: money(open_fee),
        close_fee: money(fee(Deed::CloseTogether, sat_per_vb)),
        before: sat(before_sat),
        after: after.map(money),
    };
    let terms = ChannelTerms { counterparty: contact.node, address, size_sat, push: Msat::ZERO };
    Ok((opening, lightning, terms))
}

/// A whole number of satoshi, with or without spaces in it.
fn size(text: &str) -> Option<u64> {
    let digits: String = text.chars().filter(|it| !it.is_whitespace()).collect();
    digits.parse::<u32>().ok().filter(|it| *it > 0).map(u64::from)
}

/// What is left on the chain after a channel of this size was opened; none where it is not enough.
fn left(before_sat: u64, size_sat: u64, open_fee: Msat) -> Option<Msat> {
    let before = Msat::from_satoshi_saturating(before_sat);
    let takes = Msat::from_satoshi_saturating(size_sat).saturating_add(open_fee);
    (takes <= before).then(|| before.saturating_sub(takes))
}

/// The members whose Lightning nodes can be called, by name.
pub(super) fn partners(dashboard: &Dashboard) -> Vec<Partner> {
    let contacts = dashboard.answers.network.lightning_contacts();
    let own = dashboard.answers.participant;
    let called = contacts.iter().filter(|(id, it)| **id != own && !it.addresses.is_empty());
    let mut partners: Vec<Partner> =
        called.map(|(id, _)| Partner { id: id.to_string(), name: dashboard.name_of(id) }).collect();
    partners.sort_by(|one, other| one.name.cmp(&other.name));
    partners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_whole_number_of_satoshi() {
        assert_eq!(size(" 100\u{202f}000 "), Some(100_000));
        for wrong in ["", "0", "-1", "1.5", "1e5", "99999999999"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_left_is_less_by_the_size_and_by_what_the_chain_takes() {
        let fee = Msat::from_satoshi_saturating(153);
        let left = |before, size| left(before, size, fee).map(Msat::to_millisatoshi);
        assert_eq!(left(200_153, 200_000), Some(0));
        assert_eq!(left(200_152, 200_000), None);
        assert_eq!(left(1_000, 200_000), None);
    }
}
