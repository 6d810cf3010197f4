//! Whether the scripts of a transaction let it spend what it spends: asked of Bitcoin Core's own code.

use bitcoin::consensus::encode::serialize;
use bitcoin::{Transaction, TxOut};
use bitcoinconsensus::Utxo;

use super::rejection::Rejection;

/// Runs the script of every input, taproot's too; `spent` are the outputs it spends, in its order.
pub(super) fn verify(tx: &Transaction, spent: &[&TxOut]) -> Result<(), Rejection> {
    let bytes = serialize(tx);
    let mut utxos = Vec::with_capacity(spent.len());
    for (input, output) in spent.iter().enumerate() {
        let script = output.script_pubkey.as_bytes();
        let failed = Rejection::Script { input };
        utxos.push(Utxo {
            script_pubkey: script.as_ptr(),
            script_pubkey_len: u32::try_from(script.len()).map_err(|_| failed)?,
            value: i64::try_from(output.value.to_sat()).map_err(|_| failed)?,
        });
    }
    for (input, output) in spent.iter().enumerate() {
        let (script, value) = (output.script_pubkey.as_bytes(), output.value.to_sat());
        bitcoinconsensus::verify(script, value, &bytes, Some(&utxos), input)
            .map_err(|_| Rejection::Script { input })?;
    }
    Ok(())
}
