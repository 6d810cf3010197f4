//! The frames of Modbus RTU: making requests, and telling whether what is heard answers one.
//!
//! Pure: bytes in, bytes out. A frame counts only if unit, function, length and checksum are those of
//! the answer to this very request, and nothing comes after it. There are no transaction numbers on
//! such a line, so whether an answer is to an older request of the same shape is for
//! [`super::line`] to find out.

use super::request::{Request, Table};

/// The longest frame there is.
pub(super) const FRAME_MAX: usize = 256;
/// Function code: write several registers.
const WRITE_REGISTERS: u8 = 0x10;
/// What an exception adds to the function code.
const EXCEPTION: u8 = 0x80;

/// What the bytes heard so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The beginning of an answer.
    More,
    /// The registers that were asked for.
    Registers(Vec<u16>),
    /// The registers are written.
    Written,
    /// The device refuses, with this code.
    Exception(u8),
    /// Something else.
    Wrong(&'static str),
}

/// The frame of a request.
pub(super) fn frame(unit: u8, request: &Request<'_>) -> Vec<u8> {
    let mut bytes = vec![unit, function(request)];
    match *request {
        Request::Read { first, count, .. } => {
            bytes.extend(first.to_be_bytes());
            bytes.extend(count.to_be_bytes());
        }
        Request::Write { first, words } => {
            // A request never writes more than fits: see `Request::fits`.
            let count = u8::try_from(words.len()).unwrap_or(u8::MAX);
            bytes.extend(first.to_be_bytes());
            bytes.extend(u16::from(count).to_be_bytes());
            bytes.push(count.saturating_mul(2));
            bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        }
    }
    bytes.extend(checksum(&bytes).to_le_bytes());
    bytes
}

/// What `bytes` are as the answer to a request.
pub(super) fn hear(unit: u8, request: &Request<'_>, bytes: &[u8]) -> Heard {
    let asked = function(request);
    match bytes {
        [from, ..] if *from != unit => return Heard::Wrong("another unit's frame"),
        [] | [_] => return Heard::More,
        [_, answered, ..] if *answered == asked | EXCEPTION => return exception(bytes),
        [_, answered, ..] if *answered != asked => {
            return Heard::Wrong("the answer to another function");
        }
        _ => {}
    }
    match *request {
        Request::Read { count, .. } => registers(bytes, count.into()),
        Request::Write { first, words } => written(bytes, first, words.len()),
    }
}

fn exception(bytes: &[u8]) -> Heard {
    match whole(bytes, 5) {
        Ok(Some([_, _, code])) => Heard::Exception(*code),
        Ok(_) => Heard::More,
        Err(wrong) => wrong,
    }
}

fn registers(bytes: &[u8], count: usize) -> Heard {
    if bytes.get(2).is_some_and(|length| usize::from(*length) != 2 * count) {
        return Heard::Wrong("another number of registers than asked for");
    }
    match whole(bytes, 5 + 2 * count) {
        Ok(Some([_, _, _, data @ ..])) => {
            let (words, _) = data.as_chunks::<2>();
            Heard::Registers(words.iter().map(|word| u16::from_be_bytes(*word)).collect())
        }
        Ok(_) => Heard::More,
        Err(wrong) => wrong,
    }
}

fn written(bytes: &[u8], first: u16, count: usize) -> Heard {
    match whole(bytes, 8) {
        Ok(Some([_, _, at_high, at_low, count_high, count_low])) => {
            let at = u16::from_be_bytes([*at_high, *at_low]);
            let written = u16::from_be_bytes([*count_high, *count_low]);
            if at == first && usize::from(written) == count {
                Heard::Written
            } else {
                Heard::Wrong("the answer to another write")
            }
        }
        Ok(_) => Heard::More,
        Err(wrong) => wrong,
    }
}

/// A frame of this length without its checksum, `None` if there are not that many bytes yet.
fn whole(bytes: &[u8], length: usize) -> Result<Option<&[u8]>, Heard> {
    let Some((frame, rest)) = bytes.split_at_checked(length) else { return Ok(None) };
    let Some((content, check)) = frame.split_last_chunk::<2>() else { return Ok(None) };
    if checksum(content) != u16::from_le_bytes(*check) {
        return Err(Heard::Wrong("a checksum that is not right"));
    }
    if !rest.is_empty() {
        return Err(Heard::Wrong("more than one answer"));
    }
    Ok(Some(content))
}

/// The function code of a request.
pub(super) const fn function(request: &Request<'_>) -> u8 {
    match request {
        Request::Read { table: Table::Holding, .. } => 0x03,
        Request::Read { table: Table::Input, .. } => 0x04,
        Request::Write { .. } => WRITE_REGISTERS,
    }
}

/// CRC-16/MODBUS.
pub(super) fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |check, byte| {
        (0..8).fold(check ^ u16::from(*byte), |check, _| {
            if check & 1 == 1 { (check >> 1) ^ 0xA001 } else { check >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNIT: u8 = 0x11;
    /// Three registers from 107 on: the example of the specification.
    const READ: Request<'_> = Request::Read { table: Table::Holding, first: 0x6B, count: 3 };

    fn answer(content: &[u8]) -> Vec<u8> {
        let mut bytes = content.to_vec();
        bytes.extend(checksum(content).to_le_bytes());
        bytes
    }

    #[test]
    fn frames_are_those_of_the_specification() {
        assert_eq!(frame(UNIT, &READ), [0x11, 0x03, 0x00, 0x6B, 0x00, 0x03, 0x76, 0x87]);
        let heard = answer(&[0x11, 0x03, 0x06, 0xAE, 0x41, 0x56, 0x52, 0x43, 0x40]);
        assert_eq!(heard[9..], [0x49, 0xAD]);
        assert_eq!(hear(UNIT, &READ, &heard), Heard::Registers(vec![0xAE41, 0x5652, 0x4340]));
        let write = Request::Write { first: 1, words: &[0x000A, 0x0102] };
        let sent = [0x11, 0x10, 0x00, 0x01, 0x00, 0x02, 0x04, 0x00, 0x0A, 0x01, 0x02, 0xC6, 0xF0];
        assert_eq!(frame(UNIT, &write), sent);
        let echo = [0x11, 0x10, 0x00, 0x01, 0x00, 0x02, 0x12, 0x98];
        assert_eq!(hear(UNIT, &write, &echo), Heard::Written);
    }

    #[test]
    fn only_the_whole_answer_to_the_request_counts() {
        let good = answer(&[0x11, 0x03, 0x06, 0, 1, 0, 2, 0, 3]);
        for length in 0..good.len() {
            assert_eq!(hear(UNIT, &READ, &good[..length]), Heard::More);
        }
        let wrong = |bytes: &[u8]| matches!(hear(UNIT, &READ, bytes), Heard::Wrong(_));
        assert!(wrong(&answer(&[0x12, 0x03, 0x06, 0, 1, 0, 2, 0, 3])));
        assert!(wrong(&answer(&[0x11, 0x04, 0x06, 0, 1, 0, 2, 0, 3])));
        assert!(wrong(&answer(&[0x11, 0x03, 0x04, 0, 1, 0, 2])));
        assert!(wrong(&[&good[..], &[0]].concat()));
        for place in 0..good.len() {
            let mut spoilt = good.clone();
            spoilt[place] ^= 0x10;
            assert!(!matches!(hear(UNIT, &READ, &spoilt), Heard::Registers(_)));
        }
    }

    #[test]
    fn an_exception_is_an_answer() {
        assert_eq!(hear(UNIT, &READ, &answer(&[0x11, 0x83, 0x02])), Heard::Exception(2));
        assert_eq!(hear(UNIT, &READ, &[0x11, 0x83, 0x02]), Heard::More);
        assert!(matches!(hear(UNIT, &READ, &[0x11, 0x83, 2, 0, 0]), Heard::Wrong(_)));
    }

    proptest! {
        #[test]
        fn whatever_is_heard_is_no_panic_and_no_more_registers_than_asked_for(
            bytes in prop::collection::vec(any::<u8>(), 0..FRAME_MAX + 8),
            count in 1_u16..=125,
        ) {
            let request = Request::Read { table: Table::Input, first: 0, count };
            if let Heard::Registers(words) = hear(UNIT, &request, &bytes) {
                prop_assert_eq!(words.len(), usize::from(count));
            }
        }
    }
}
