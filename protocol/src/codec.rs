//! The one place that turns values into bytes and back, and the only one that names bincode.
//!
//! Integers are fixed-width and big-endian, so a value has exactly one encoding (P4). Decoding is
//! bounded: whatever a length prefix claims, at most 1 MiB is reserved before the bytes are seen to
//! be there (serde's own bound), and trailing bytes are refused.
//! Not for: signatures (see [`crate::envelope`]) or text formats.

use bincode::config::{BigEndian, Configuration, Fixint, Limit};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// First bytes of everything encoded.
pub const MAGIC: [u8; 2] = *b"BG";
/// Version of the encoding. Another version is another protocol.
pub const VERSION: u16 = 1;
/// Most bytes of any encoded value; types set lower limits of their own.
///
/// The largest is a proposal in a grid of [`crate::charter::MEMBERS_MAX`] voters, which a test makes.
pub const ENCODED_MAX: usize = 288 * 1024;

/// Bytes of magic and version in front of every encoded value.
const PREFIX_LEN: usize = 4;

/// Why bytes are not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecRejected {
    /// Longer than the type allows.
    #[error("{len} bytes exceed the limit of {limit}")]
    Oversize {
        /// Bytes received.
        len: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not Boltgrid's magic.
    #[error("not a boltgrid encoding")]
    BadMagic,
    /// An encoding version that this node does not speak.
    #[error("encoding version {0} is not spoken here, only {VERSION}")]
    BadVersion(u16),
    /// Not the shape of the type.
    #[error("malformed bytes")]
    Malformed,
    /// A value followed by more bytes.
    #[error("trailing bytes after the value")]
    Trailing,
}

type Config = Configuration<BigEndian, Fixint, Limit<ENCODED_MAX>>;

const fn config() -> Config {
    bincode::config::standard()
        .with_big_endian()
        .with_fixed_int_encoding()
        .with_limit::<ENCODED_MAX>()
}

/// The canonical encoding of a value: magic, version, fields (P4).
///
/// # Panics
///
/// Never for the types of this crate: they serialise infallibly.
#[must_use]
pub fn canonical<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    append(&mut bytes, value);
    bytes
}

#[expect(clippy::expect_used, reason = "writing plain data to memory has no failure to report")]
fn append<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    let unlimited = bincode::config::standard().with_big_endian().with_fixed_int_encoding();
    bincode::serde::encode_into_std_write(value, bytes, unlimited)
        .expect("protocol types hold only plain data");
}

/// Reads exactly one value of at most `limit` bytes.
///
/// # Errors
///
/// [`CodecRejected`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, CodecRejected> {
    let (value, rest) = decode_prefix(bytes, limit)?;
    if rest.is_empty() { Ok(value) } else { Err(CodecRejected::Trailing) }
}

/// Reads one value and returns it with the bytes behind it.
///
/// # Errors
///
/// [`CodecRejected`].
pub(crate) fn decode_prefix<T: DeserializeOwned>(
    bytes: &[u8],
    limit: usize,
) -> Result<(T, &[u8]), CodecRejected> {
    let limit = limit.min(ENCODED_MAX);
    if bytes.len() > limit {
        return Err(CodecRejected::Oversize { len: bytes.len(), limit });
    }
    let (prefix, fields) =
        bytes.split_first_chunk::<PREFIX_LEN>().ok_or(CodecRejected::Malformed)?;
    let [magic_0, magic_1, version_0, version_1] = *prefix;
    if [magic_0, magic_1] != MAGIC {
        return Err(CodecRejected::BadMagic);
    }
    let version = u16::from_be_bytes([version_0, version_1]);
    if version != VERSION {
        return Err(CodecRejected::BadVersion(version));
    }
    decode_fields(fields)
}

/// Reads one value without magic and version and returns it with the bytes behind it.
pub(crate) fn decode_fields<T: DeserializeOwned>(
    bytes: &[u8],
) -> Result<(T, &[u8]), CodecRejected> {
    let (value, used) =
        bincode::serde::decode_from_slice(bytes, config()).map_err(|_| CodecRejected::Malformed)?;
    let rest = bytes.get(used..).ok_or(CodecRejected::Malformed)?;
    Ok((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_the_round_trip() {
        let value = (7_u64, vec![1_u8, 2, 3], Some(-1_i64));
        assert_eq!(decode(&canonical(&value), 64), Ok(value));
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = canonical(&7_u64);
        bytes.push(0);
        assert_eq!(decode::<u64>(&bytes, 64), Err(CodecRejected::Trailing));
    }

    #[test]
    fn a_huge_length_prefix_is_refused_without_allocating() {
        let mut bytes = canonical(&());
        bytes.extend_from_slice(&u64::MAX.to_be_bytes());
        assert_eq!(decode::<Vec<u64>>(&bytes, 64), Err(CodecRejected::Malformed));
    }

    #[test]
    fn oversize_foreign_and_future_bytes_are_told_apart() {
        let bytes = canonical(&7_u64);
        let oversize = CodecRejected::Oversize { len: 12, limit: 11 };
        assert_eq!(decode::<u64>(&bytes, 11), Err(oversize));
        assert_eq!(decode::<u64>(b"XX\0\x01\0\0\0\0\0\0\0\0", 64), Err(CodecRejected::BadMagic));
        assert_eq!(
            decode::<u64>(b"BG\0\x02\0\0\0\0\0\0\0\0", 64),
            Err(CodecRejected::BadVersion(2))
        );
    }
}
