//! Files in a stream of bytes, by the transport protocol of SML, version 1: an escape sequence and a
//! beginning, the file, fill bytes, an escape sequence and an end with a checksum.
//!
//! Not for: what a file says (see [`super::file`]).

use super::super::heard::Trouble;

/// Longest file with all that is around it; those of households have some 400 bytes.
pub const FILE_MAX: usize = 8_192;
const ESCAPE: [u8; 4] = [0x1B; 4];
const BEGIN: [u8; 4] = [0x01; 4];
/// The first byte behind the escape sequence at the end; then come the number of fill bytes and the
/// checksum.
const END: u8 = 0x1A;
/// Fill bytes at most: files are filled up to four bytes.
const FILL_MAX: u8 = 3;
/// The polynomial of CRC-16/X.25, its bits in reverse.
const POLYNOMIAL: u16 = 0x8408;

/// CRC-16/X.25 (also: IBM-SDLC).
pub(super) fn crc(bytes: &[u8]) -> u16 {
    let crc = bytes.iter().fold(0xFFFF_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 }
        })
    });
    !crc
}

/// Collects files.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: Vec<u8>,
    /// Bytes in a row that were no part of a file.
    noise: usize,
    complained: bool,
}

/// What a buffer that begins with a beginning holds.
enum Holds {
    /// Less than a file.
    Part,
    /// A file, and how many bytes it took.
    File(Vec<u8>, usize),
    /// What no file is, up to here.
    Broken(&'static str, usize),
}

impl Frames {
    /// Forgets what was begun.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    /// Takes bytes, and returns the files that end in them.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Result<Vec<u8>, Trouble>> {
        let mut ended = Vec::new();
        // However much comes at once, no more is held than one file.
        for part in bytes.chunks(FILE_MAX) {
            self.buffer.extend_from_slice(part);
            self.take(&mut ended);
        }
        ended
    }

    fn take(&mut self, ended: &mut Vec<Result<Vec<u8>, Trouble>>) {
        loop {
            self.skip_to_beginning(ended);
            let (word, len) = match holds(&self.buffer) {
                Holds::Part if self.buffer.len() <= FILE_MAX => return,
                Holds::Part => (Err("it does not end"), ESCAPE.len()),
                Holds::File(file, len) => (Ok(file), len),
                Holds::Broken(what, len) => (Err(what), len),
            };
            self.buffer.drain(..len.min(self.buffer.len()));
            if word.is_ok() {
                (self.noise, self.complained) = (0, false);
            }
            let garbled = |what| Trouble::Garbled(format!("an SML file is broken: {what}"));
            ended.push(word.map_err(garbled));
        }
    }

    /// Drops what is before a beginning, but for what may become one.
    fn skip_to_beginning(&mut self, ended: &mut Vec<Result<Vec<u8>, Trouble>>) {
        let start = [ESCAPE, BEGIN].concat();
        let found = self.buffer.windows(start.len()).position(|bytes| *bytes == start);
        let noise = found.unwrap_or_else(|| (self.buffer.len() + 1).saturating_sub(start.len()));
        self.buffer.drain(..noise);
        self.noise = self.noise.saturating_add(noise);
        if self.noise > FILE_MAX && !self.complained {
            self.complained = true;
            let what =
                format!("{} bytes without an SML file; is the line set up right?", self.noise);
            ended.push(Err(Trouble::Garbled(what)));
        }
    }
}

fn holds(buffer: &[u8]) -> Holds {
    let four = |at: usize| buffer.get(at..)?.first_chunk::<4>().copied();
    let mut file = Vec::new();
    let mut at = ESCAPE.len() + BEGIN.len();
    // Less than a beginning is held where there is none yet.
    if four(0) != Some(ESCAPE) || four(4) != Some(BEGIN) {
        return Holds::Part;
    }
    loop {
        let Some(next) = four(at) else { return Holds::Part };
        if next != ESCAPE {
            let [byte, ..] = next;
            file.push(byte);
            at += 1;
            continue;
        }
        let Some(payload) = four(at + ESCAPE.len()) else { return Holds::Part };
        let behind = at + ESCAPE.len() + payload.len();
        match payload {
            ESCAPE => {
                file.extend(ESCAPE);
                at = behind;
            }
            // Where a file's own last bytes are like those of an escape sequence, it begins later.
            [END, fill, ..] if at.is_multiple_of(4) => return ends(buffer, file, (fill, behind)),
            BEGIN => return Holds::Broken("another begins within it", at),
            [END | 0x1B, ..] if !at.is_multiple_of(4) => {
                file.push(0x1B);
                at += 1;
            }
            _ => return Holds::Broken("it has an escape sequence without meaning", behind),
        }
    }
}

/// The file, if its end fits it.
fn ends(buffer: &[u8], mut file: Vec<u8>, (fill, behind): (u8, usize)) -> Holds {
    let checked = buffer.get(..behind.saturating_sub(2)).unwrap_or_default();
    let told = buffer.get(behind.saturating_sub(2)..behind).and_then(<[u8]>::first_chunk::<2>);
    if told.copied().map(u16::from_le_bytes) != Some(crc(checked)) {
        return Holds::Broken("its checksum is wrong", behind);
    }
    match file.len().checked_sub(fill.into()) {
        Some(len) if fill <= FILL_MAX => {
            file.truncate(len);
            Holds::File(file, behind)
        }
        Some(_) | None => Holds::Broken("it is filled up with more than it needs", behind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as the transport protocol sends it.
    fn sent(file: &[u8]) -> Vec<u8> {
        let mut bytes = [ESCAPE, BEGIN].concat();
        let mut at = 0;
        while at < file.len() {
            if file[at..].starts_with(&ESCAPE) {
                bytes.extend([ESCAPE, ESCAPE].concat());
                at += 4;
            } else {
                bytes.push(file[at]);
                at += 1;
            }
        }
        let fill = (4 - file.len() % 4) % 4;
        bytes.extend(vec![0; fill]);
        bytes.extend([&ESCAPE[..], &[END, u8::try_from(fill).unwrap()]].concat());
        let crc = crc(&bytes);
        bytes.extend(crc.to_le_bytes());
        bytes
    }

    fn files(ended: Vec<Result<Vec<u8>, Trouble>>) -> Vec<Result<Vec<u8>, String>> {
        let text = |trouble| {
            let Trouble::Garbled(what) = trouble else { panic!("{trouble:?}") };
            what
        };
        ended.into_iter().map(|it| it.map_err(text)).collect()
    }

    #[test]
    fn the_checksum_is_the_one_of_the_catalogue() {
        assert_eq!(crc(b"123456789"), 0x906E);
    }

    #[test]
    fn files_are_found_however_the_bytes_come_and_whatever_is_in_them() {
        let all: [&[u8]; 6] = [
            b"abcd",
            b"abcde",
            &[1, 0x1B, 0x1B, 0x1B, 0x1B, 0x1B, 2],
            &[1, 2, 3, 4, 5, 0x1B, 0x1B, 0x1B],
            &[1, 2, 3, 0x1B],
            &[0x1B; 12],
        ];
        let stream: Vec<u8> = all.iter().flat_map(|file| sent(file)).collect();
        let expected: Vec<_> = all.iter().map(|file| Ok(file.to_vec())).collect();
        assert_eq!(files(Frames::default().push(&stream)), expected);
        let mut single = Frames::default();
        let ended = stream.chunks(1).flat_map(|byte| single.push(byte)).collect();
        assert_eq!(files(ended), expected);
    }

    #[test]
    fn a_file_that_is_filled_up_with_more_than_it_needs_is_none() {
        let mut bytes = sent(b"abcd1234");
        let len = bytes.len();
        let mut filled = |fill: u8| {
            bytes[len - 3] = fill;
            let crc = crc(&bytes[..len - 2]).to_le_bytes();
            bytes[len - 2..].copy_from_slice(&crc);
            files(Frames::default().push(&bytes))
        };
        assert_eq!(filled(3), [Ok(b"abcd1".to_vec())]);
        for fill in [4, 8, 9, 255] {
            let [Err(why)] = &filled(fill)[..] else { panic!("{fill}") };
            assert!(why.contains("more than it needs"), "{why}");
        }
    }

    #[test]
    fn a_changed_byte_costs_its_file_and_no_other() {
        let (one, two) = (sent(b"first file."), sent(b"second file"));
        for place in 0..one.len() {
            let mut changed = one.clone();
            changed[place] ^= 4;
            let mut frames = Frames::default();
            let ended = files(frames.push(&[changed, two.clone(), two.clone()].concat()));
            let good: Vec<_> = ended.into_iter().flatten().collect();
            assert!(good.iter().all(|file| file == b"second file"), "byte {place}: {good:?}");
            assert!(!good.is_empty(), "byte {place}");
        }
    }

    #[test]
    fn what_broke_off_and_noise_are_told_and_bounded() {
        let whole = sent(b"whole");
        let mut frames = Frames::default();
        let ended = files(frames.push(&[&whole[..10], &whole].concat()));
        assert_eq!(ended.len(), 2, "{ended:?}");
        assert!(ended[0].is_err() && ended[1] == Ok(b"whole".to_vec()));
        let ended = files(frames.push(&vec![0x55; 10 * FILE_MAX]));
        assert!(ended.len() == 1 && ended[0].as_ref().unwrap_err().contains("line"), "{ended:?}");
        assert!(frames.buffer.len() < 8);
        let endless = [&whole[..8], &vec![7; 3 * FILE_MAX]].concat();
        assert!(files(frames.push(&endless)).iter().any(Result::is_err));
        assert!(frames.buffer.len() <= 2 * FILE_MAX);
        assert_eq!(files(frames.push(&whole)).last(), Some(&Ok(b"whole".to_vec())));
    }
}
