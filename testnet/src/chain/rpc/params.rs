//! The arguments of a call, with bitcoind's errors where they are wrong.
//! Not for: what they mean.

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Address, BlockHash, Network, ScriptBuf, Transaction, Txid};
use serde_json::Value;

use super::{CODE_DECODE, CODE_MISC, CODE_NOT_FOUND, CODE_TYPE, CODE_VALUE, Failure};

/// Digits of a hash.
const HASH_DIGITS: usize = 64;

/// The arguments of a call, by their place.
#[derive(Debug)]
pub(in crate::chain) struct Params(Vec<Value>);

impl Params {
    pub(super) fn of(params: Option<&Value>) -> Result<Self, Failure> {
        match params {
            None | Some(Value::Null) => Ok(Self(Vec::new())),
            Some(Value::Array(values)) => Ok(Self(values.clone())),
            Some(Value::Object(names)) if names.is_empty() => Ok(Self(Vec::new())),
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                Err(Failure::new(CODE_VALUE, "arguments are given in an array"))
            }
        }
    }

    /// An argument, unless it is left out or null.
    fn get(&self, place: usize) -> Option<&Value> {
        self.0.get(place).filter(|value| !value.is_null())
    }

    fn text(&self, place: usize, name: &str) -> Result<&str, Failure> {
        let value = self.get(place);
        let value = value.ok_or_else(|| Failure::new(CODE_MISC, format!("{name} is missing")))?;
        value.as_str().ok_or_else(|| Failure::new(CODE_TYPE, format!("{name} is not a string")))
    }

    fn hash(&self, place: usize, name: &str) -> Result<&str, Failure> {
        let text = self.text(place, name)?;
        let is_hash = text.len() == HASH_DIGITS && text.bytes().all(|it| it.is_ascii_hexdigit());
        let message = || format!("{name} must be of length 64 and hexadecimal (not '{text}')");
        if is_hash { Ok(text) } else { Err(Failure::new(CODE_VALUE, message())) }
    }

    pub(super) fn block_hash(&self, place: usize) -> Result<BlockHash, Failure> {
        let wrong = |_| Failure::new(CODE_VALUE, "blockhash must be hexadecimal");
        self.hash(place, "blockhash")?.parse().map_err(wrong)
    }

    pub(super) fn txid(&self, place: usize) -> Result<Txid, Failure> {
        let wrong = |_| Failure::new(CODE_VALUE, "txid must be hexadecimal");
        self.hash(place, "txid")?.parse().map_err(wrong)
    }

    /// Whether an argument is there.
    pub(super) fn has(&self, place: usize) -> bool {
        self.get(place).is_some()
    }

    pub(super) fn number(&self, place: usize, name: &str) -> Result<u32, Failure> {
        let value = self.get(place);
        let value = value.ok_or_else(|| Failure::new(CODE_MISC, format!("{name} is missing")))?;
        let number = value.as_i64();
        let number =
            number.ok_or_else(|| Failure::new(CODE_TYPE, format!("{name} is not a number")))?;
        u32::try_from(number).map_err(|_| Failure::new(CODE_VALUE, format!("{name} out of range")))
    }

    /// How much is to be said: a number, or whether anything.
    pub(super) fn verbosity(&self, place: usize, default: u32) -> Result<u32, Failure> {
        match self.get(place) {
            None => Ok(default),
            Some(Value::Bool(verbose)) => Ok(u32::from(*verbose)),
            Some(_) => self.number(place, "verbosity"),
        }
    }

    pub(super) fn flag(&self, place: usize, default: bool) -> Result<bool, Failure> {
        let wrong = || Failure::new(CODE_TYPE, "it is neither true nor false");
        self.get(place).map_or(Ok(default), |value| value.as_bool().ok_or_else(wrong))
    }

    pub(super) fn transaction(&self, place: usize) -> Result<Transaction, Failure> {
        deserialize_hex(self.text(place, "hexstring")?).map_err(|_| {
            let message = "TX decode failed. Make sure the tx has at least one input.";
            Failure::new(CODE_DECODE, message)
        })
    }

    /// The script of an address of regtest.
    pub(super) fn script(&self, place: usize) -> Result<ScriptBuf, Failure> {
        let wrong = |_| Failure::new(CODE_NOT_FOUND, "Error: Invalid address");
        let address: Address<_> = self.text(place, "address")?.parse().map_err(wrong)?;
        Ok(address.require_network(Network::Regtest).map_err(wrong)?.script_pubkey())
    }
}
