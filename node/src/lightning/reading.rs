//! Reading somebody else's invoice. Needs no node of one's own.
//! Not for: whether it is what was agreed, or paying it.

use boltgrid_protocol::units::Msat;
use ldk_node::lightning_invoice::Bolt11Invoice;

use super::convert;
use super::payment::ReadInvoice;
use crate::config::lightning::BitcoinNetwork;

/// What a BOLT11 text says; none where it is not one, of another network, or not signed as it says.
#[must_use]
pub fn read(bolt11: &str, network: BitcoinNetwork) -> Option<ReadInvoice> {
    let invoice = convert::read_bolt11(bolt11).ok()?;
    if invoice.network() == convert::network(network) { said(&invoice) } else { None }
}

/// What a BOLT11 text of whichever network says; none where it is not one, or not signed as it says.
#[must_use]
pub(crate) fn read_any(bolt11: &str) -> Option<ReadInvoice> {
    said(&convert::read_bolt11(bolt11).ok()?)
}

fn said(invoice: &Bolt11Invoice) -> Option<ReadInvoice> {
    let amount = invoice.amount_milli_satoshis().map(Msat::from_millisatoshi).transpose().ok()?;
    Some(ReadInvoice {
        payee: convert::id(&invoice.recover_payee_pub_key()),
        amount,
        payment_hash: convert::payment_hash(invoice),
        expires_at: convert::expires_at(invoice),
        description: invoice.description().to_string(),
        final_cltv_blocks: u32::try_from(invoice.min_final_cltv_expiry_delta()).ok()?,
        has_hints: !invoice.route_hints().is_empty(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of BOLT 11 for 0.0025 bitcoin and one minute, of the main network.
    const COFFEE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";

    #[test]
    fn an_invoice_says_how_much_for_which_hash_and_until_when() {
        let read = read(COFFEE, BitcoinNetwork::Mainnet).unwrap();
        assert_eq!(read.amount, Msat::from_millisatoshi(250_000_000).ok());
        let hash = "0001020304050607080900010203040506070809000102030405060708090102";
        assert_eq!(read.payment_hash.to_string(), hash);
        assert_eq!(read.expires_at.to_unix_ms(), 1_496_314_718_000);
        assert_eq!(read.description, "1 cup coffee");
    }

    #[test]
    fn what_is_spoilt_or_of_another_network_says_nothing() {
        assert_eq!(read(COFFEE, BitcoinNetwork::Regtest), None);
        assert_eq!(read(&COFFEE.replace("2500u", "2501u"), BitcoinNetwork::Mainnet), None);
        assert_eq!(read("", BitcoinNetwork::Mainnet), None);
    }
}
