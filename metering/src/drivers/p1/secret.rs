//! Encrypted telegrams, as meters of Luxembourg and Austria send them: AES-128 in Galois/counter mode
//! (DLMS security suite 0), authenticated and encrypted.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | `DB` (general-glo-ciphering) |
//! | 1 + 8 | 8, and the meter's system title |
//! | 1 to 3 | the length of all that follows (BER) |
//! | 1 | `30`: authenticated and encrypted |
//! | 4 | the frame counter |
//! | … | the telegram, encrypted |
//! | 12 | the tag |
//!
//! The nonce is system title and frame counter, what is authenticated besides the telegram is `30` and
//! the authentication key ("E-Meter P1 Specification", Luxmetering, version 1.1.3, section 3.2.5).
//! Invariants: nothing is taken whose tag does not hold; the counter of what is taken only grows; after
//! the first telegram only the meter that sent it is believed.
//! Not for: what a telegram says (see [`super::telegram`]), or DLMS over M-Bus or HDLC frames.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aes_gcm::aead::AeadInPlace as _;
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::generic_array::GenericArray;
use aes_gcm::aes::Aes128;
use aes_gcm::{AesGcm, KeyInit as _};
use zeroize::Zeroizing;

use super::super::DeviceError;
use super::super::credentials::read_file;
use super::super::heard::Trouble;
use super::frame::TELEGRAM_MAX;

/// The first byte of an encrypted telegram.
const ENCRYPTED: u8 = 0xDB;
/// Bytes of a system title.
const TITLE_LEN: usize = 8;
/// Bytes of a frame counter.
const COUNTER_LEN: usize = 4;
/// Bytes of a tag.
const TAG_LEN: usize = 12;
/// Bytes of a key.
const KEY_LEN: usize = 16;
/// The security control byte of what is authenticated and encrypted by suite 0.
const AUTHENTICATED_AND_ENCRYPTED: u8 = 0x30;
/// The authentication key where no other is known: that of the specification, the same for all meters.
const AUTHENTICATION_KEY: [u8; KEY_LEN] = [
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 0xFF,
];
/// The largest file with keys.
const KEY_FILE_MAX: u64 = 1_024;
/// What begins like a telegram and does not decrypt is searched for another beginning so many times in
/// a row; then it is dropped as a whole, so that noise costs no more than a few decryptions.
const SEARCHES_MAX: u8 = 8;

type Cipher = AesGcm<Aes128, U12, U12>;

/// The keys of a meter.
pub(super) struct Keys {
    cipher: Cipher,
    /// The security control byte and the authentication key.
    authenticated: Zeroizing<[u8; 1 + KEY_LEN]>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// From a file: the decryption key in its first line, an authentication key in its second where the
    /// meter has one of its own; both as 32 hexadecimal digits.
    pub(super) fn read(device: &Arc<str>, path: &Path) -> Result<Self, DeviceError> {
        let doing = "reading the keys of its telegrams";
        let text = Zeroizing::new(read_file(device, path, doing, KEY_FILE_MAX)?);
        Self::parse(&text).ok_or_else(|| {
            let problem = format!(
                "{} must begin with the decryption key that the grid's operator hands out, as 32 \
                 hexadecimal digits; a second line is the authentication key, or is left out",
                path.display()
            );
            DeviceError::Setting { device: Arc::clone(device), problem }
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim);
        let key = hex(lines.next()?)?;
        let authentication = match lines.next().filter(|line| !line.is_empty()) {
            Some(line) => hex(line)?,
            None => Zeroizing::new(AUTHENTICATION_KEY),
        };
        let mut authenticated = Zeroizing::new([AUTHENTICATED_AND_ENCRYPTED; 1 + KEY_LEN]);
        authenticated.get_mut(1..)?.copy_from_slice(authentication.as_slice());
        Some(Self { cipher: Cipher::new(GenericArray::from_slice(key.as_slice())), authenticated })
    }

    /// What a frame says, if its tag holds.
    fn open(&self, frame: &Frame<'_>) -> Option<Vec<u8>> {
        let mut nonce = [0; TITLE_LEN + COUNTER_LEN];
        let (title, counter) = nonce.split_at_mut(TITLE_LEN);
        title.copy_from_slice(&frame.title);
        counter.copy_from_slice(&frame.counter.to_be_bytes());
        let mut text = frame.text.to_vec();
        let opened = self.cipher.decrypt_in_place_detached(
            GenericArray::from_slice(&nonce),
            self.authenticated.as_slice(),
            &mut text,
            GenericArray::from_slice(frame.tag),
        );
        opened.ok().map(|()| text)
    }
}

fn hex(text: &str) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    if text.len() != 2 * KEY_LEN {
        return None;
    }
    let mut key = Zeroizing::new([0; KEY_LEN]);
    for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digits = str::from_utf8(digits).ok()?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        *byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
    }
    Some(key)
}

/// An encrypted telegram, taken apart.
struct Frame<'a> {
    title: [u8; TITLE_LEN],
    counter: u32,
    text: &'a [u8],
    tag: &'a [u8],
    /// Bytes of the whole.
    len: usize,
}

/// What a buffer begins with.
enum Begins<'a> {
    /// A whole frame.
    Frame(Frame<'a>),
    /// What may become one.
    Unfinished,
    /// Something else.
    Noise,
    /// A frame of a kind that is not taken.
    Unprotected,
}

/// What `bytes`, which begin with [`ENCRYPTED`], begin with.
fn begins(bytes: &[u8]) -> Begins<'_> {
    let Some((title_len, rest)) = bytes.get(1..).and_then(<[u8]>::split_first) else {
        return Begins::Unfinished;
    };
    if usize::from(*title_len) != TITLE_LEN {
        return Begins::Noise;
    }
    let Some((title, rest)) = rest.split_first_chunk() else { return Begins::Unfinished };
    let (len, rest) = match *rest {
        [len @ 0..=0x7F, ref rest @ ..] => (usize::from(len), rest),
        [0x81, len, ref rest @ ..] => (usize::from(len), rest),
        [0x82, high, low, ref rest @ ..] => (usize::from(u16::from_be_bytes([high, low])), rest),
        [] | [0x81 | 0x82] | [0x82, _] => return Begins::Unfinished,
        [..] => return Begins::Noise,
    };
    if !(1 + COUNTER_LEN + TAG_LEN..=TELEGRAM_MAX).contains(&len) {
        return Begins::Noise;
    }
    let header = bytes.len() - rest.len();
    let Some((control, _)) = rest.split_first() else { return Begins::Unfinished };
    match *control {
        AUTHENTICATED_AND_ENCRYPTED => {}
        0x10 | 0x20 => return Begins::Unprotected,
        _ => return Begins::Noise,
    }
    let taken_apart = || {
        let (counter, rest) = rest.get(1..len)?.split_first_chunk()?;
        let (text, tag) = rest.split_at_checked(rest.len().checked_sub(TAG_LEN)?)?;
        let counter = u32::from_be_bytes(*counter);
        Some(Frame { title: *title, counter, text, tag, len: header + len })
    };
    taken_apart().map_or(Begins::Unfinished, Begins::Frame)
}

/// Whether there is a whole encrypted telegram among `bytes`, by its looks.
pub(super) fn holds_encrypted(bytes: &[u8]) -> bool {
    let mut places = bytes.iter().enumerate().filter(|(_, byte)| **byte == ENCRYPTED);
    places.any(|(at, _)| bytes.get(at..).is_some_and(|it| matches!(begins(it), Begins::Frame(_))))
}

/// Finds encrypted telegrams in a stream of bytes, and decrypts them.
#[derive(Debug)]
pub(super) struct Opener {
    keys: Keys,
    buffer: Vec<u8>,
    /// Beginnings in a row that came to nothing.
    searches: u8,
    complained: bool,
    /// The meter that was heard, and its last frame counter.
    last: Option<([u8; TITLE_LEN], u32)>,
}

impl Opener {
    pub(super) const fn new(keys: Keys) -> Self {
        Self { keys, buffer: Vec::new(), searches: 0, complained: false, last: None }
    }

    /// Forgets what was begun, but not which frames were taken.
    pub(super) fn restart(&mut self) {
        (self.buffer, self.searches, self.complained) = (Vec::new(), 0, false);
    }

    /// Takes bytes, and returns the telegrams that end in them: `None` for the last one again.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Result<Option<Vec<u8>>, Trouble>> {
        self.buffer.extend_from_slice(bytes);
        let mut ended = Vec::new();
        loop {
            self.skip_to_beginning(&mut ended);
            match begins(&self.buffer) {
                Begins::Unfinished => return ended,
                Begins::Noise => self.skip(1),
                Begins::Unprotected => {
                    self.complain(
                        &mut ended,
                        "its telegrams are not both authenticated and encrypted",
                    );
                    self.skip(1);
                }
                Begins::Frame(frame) => {
                    let (len, title, counter) = (frame.len, frame.title, frame.counter);
                    if let Some(text) = self.keys.open(&frame) {
                        ended.push(self.follow(title, counter).map(|new| new.then_some(text)));
                        (self.searches, self.complained) = (0, false);
                        self.skip(len);
                        continue;
                    }
                    let what = "a telegram does not decrypt; is `key_file` this meter's, or was it changed on the way?";
                    ended.push(Err(Trouble::Garbled(what.to_owned())));
                    let is_last = self.searches >= SEARCHES_MAX;
                    self.searches = if is_last { 0 } else { self.searches + 1 };
                    self.skip(if is_last { len } else { 1 });
                }
            }
        }
    }

    /// Whether a frame whose tag holds is a new one.
    fn follow(&mut self, title: [u8; TITLE_LEN], counter: u32) -> Result<bool, Trouble> {
        let refused = |what: String| Err(Trouble::Garbled(what));
        match self.last {
            Some((known, _)) if known != title => refused(
                "another meter speaks with the same key; if it was replaced, start the node anew"
                    .to_owned(),
            ),
            Some((_, last)) if counter < last => refused(format!(
                "its frame counter went back from {last} to {counter}: an old telegram was played \
                 again; if the meter was reset, start the node anew"
            )),
            Some((_, last)) => {
                self.last = Some((title, counter));
                Ok(counter > last)
            }
            None => {
                self.last = Some((title, counter));
                Ok(true)
            }
        }
    }

    /// Drops what no telegram begins with.
    fn skip_to_beginning(&mut self, ended: &mut Vec<Result<Option<Vec<u8>>, Trouble>>) {
        let at = self.buffer.iter().position(|byte| *byte == ENCRYPTED);
        let noise = at.unwrap_or(self.buffer.len());
        let is_plain = self
            .buffer
            .get(..noise)
            .is_some_and(|noise| noise.windows(3).any(|end| end == b"\r\n!") && noise.is_ascii());
        if is_plain {
            self.complain(ended, "its telegrams are not encrypted: leave `key_file` out");
        }
        self.skip(noise);
    }

    fn complain(&mut self, ended: &mut Vec<Result<Option<Vec<u8>>, Trouble>>, what: &str) {
        if !self.complained {
            self.complained = true;
            ended.push(Err(Trouble::Garbled(what.to_owned())));
        }
    }

    fn skip(&mut self, count: usize) {
        self.buffer.drain(..count.min(self.buffer.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUSTRIAN: &[u8] =
        include_bytes!("../../../tests/captures/p1/at-sagemcom-t210-encrypted.bin");
    const PLAIN: &[u8] = include_bytes!("../../../tests/captures/p1/at-sagemcom-t210.txt");
    const DOCUMENTED: &[u8] =
        include_bytes!("../../../tests/captures/p1/lu-documented-encrypted.bin");
    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn opener(keys: &str) -> Opener {
        Opener::new(Keys::parse(keys).unwrap())
    }

    /// The telegram, or `-` for the last one again, or what is wrong.
    fn said(ended: Vec<Result<Option<Vec<u8>>, Trouble>>) -> Vec<String> {
        let said = ended.into_iter().map(|it| match it {
            Ok(Some(text)) => String::from_utf8(text).unwrap(),
            Ok(None) => "-".to_owned(),
            Err(Trouble::Garbled(what)) => what,
            Err(other) => panic!("{other:?}"),
        });
        said.collect()
    }

    /// The same telegram under another counter or title, encrypted here.
    fn frame(title: &[u8; TITLE_LEN], counter: u32) -> Vec<u8> {
        let keys = Keys::parse(KEY).unwrap();
        let mut text = PLAIN.to_vec();
        let nonce = [&title[..], &counter.to_be_bytes()].concat();
        let tag = keys.cipher.encrypt_in_place_detached(
            GenericArray::from_slice(&nonce),
            keys.authenticated.as_slice(),
            &mut text,
        );
        let len = u16::try_from(1 + COUNTER_LEN + text.len() + TAG_LEN).unwrap();
        let header = [&[ENCRYPTED, 8], &title[..], &[0x82], &len.to_be_bytes()].concat();
        [&header[..], &[0x30], &counter.to_be_bytes(), &text, &tag.unwrap()].concat()
    }

    #[test]
    fn what_another_implementation_encrypted_is_read_however_the_bytes_come() {
        let plain = String::from_utf8(PLAIN.to_vec()).unwrap();
        assert_eq!(said(opener(KEY).push(AUSTRIAN)), [plain.as_str()]);
        let mut single = opener(KEY);
        let noisy = [b"noise \xDB\xDB\x08".as_slice(), AUSTRIAN].concat();
        let ended: Vec<_> = noisy.chunks(1).flat_map(|byte| single.push(byte)).collect();
        assert_eq!(said(ended), [plain.as_str()]);
        assert_eq!(frame(b"SYSTEMID", 0x1000_0001), AUSTRIAN, "ours is the other way round");
    }

    #[test]
    fn nothing_is_taken_whose_tag_does_not_hold() {
        for place in 0..AUSTRIAN.len() {
            let mut changed = AUSTRIAN.to_vec();
            changed[place] ^= 1;
            let taken = opener(KEY).push(&changed).into_iter().any(|it| it.is_ok());
            assert!(!taken, "byte {place}");
        }
        let wrong = said(opener("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB").push(AUSTRIAN));
        assert!(wrong[0].contains("key_file"), "{wrong:?}");
        let wrong = format!("{KEY}\n{KEY}\n");
        assert!(said(opener(&wrong).push(AUSTRIAN))[0].contains("does not decrypt"));
        // Its text is right, and the tag that was published with it is not.
        let ended = opener("056F9B0CFEDF150E889BEAD52FA7A174").push(DOCUMENTED);
        assert!(said(ended)[0].contains("does not decrypt"));
    }

    #[test]
    fn a_telegram_is_taken_once_and_none_that_is_older() {
        let mut opener = opener(KEY);
        let plain = String::from_utf8(PLAIN.to_vec()).unwrap();
        let (seven, eight) = (frame(b"SYSTEMID", 7), frame(b"SYSTEMID", 8));
        assert_eq!(said(opener.push(&seven)), [plain.as_str()]);
        assert_eq!(said(opener.push(&seven)), ["-"]);
        assert_eq!(said(opener.push(&eight)), [plain.as_str()]);
        opener.restart();
        let old = said(opener.push(&seven));
        assert!(old[0].contains("went back from 8 to 7"), "{old:?}");
        let other = said(opener.push(&frame(b"ANOTHER1", 9)));
        assert!(other[0].contains("another meter"), "{other:?}");
        assert_eq!(said(opener.push(&frame(b"SYSTEMID", 9))), [plain.as_str()]);
    }

    #[test]
    fn one_that_broke_off_costs_only_itself() {
        let mut opener = opener(KEY);
        let stream = [&AUSTRIAN[..200], &frame(b"SYSTEMID", 0x1000_0002), AUSTRIAN].concat();
        let ended = said(opener.push(&stream));
        let plain = String::from_utf8(PLAIN.to_vec()).unwrap();
        assert!(ended[0].contains("does not decrypt") && ended[1] == plain, "{ended:?}");
        assert!(ended[2].contains("went back"), "{ended:?}");
    }

    #[test]
    fn what_is_not_protected_is_refused_and_noise_is_bounded() {
        let plain = said(opener(KEY).push(PLAIN));
        assert!(plain.len() == 1 && plain[0].contains("leave `key_file` out"), "{plain:?}");
        let mut bare = AUSTRIAN.to_vec();
        bare[13] = 0x20;
        assert!(said(opener(KEY).push(&bare))[0].contains("not both"));
        let mut opener = opener(KEY);
        for _ in 0..100 {
            opener.push(&[0xDB, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0x82, 0x40, 0x00, 0x30].repeat(100));
            assert!(opener.buffer.len() <= TELEGRAM_MAX + 1_500, "{}", opener.buffer.len());
        }
        opener.push(&vec![b'x'; 3 * TELEGRAM_MAX]);
        assert!(opener.buffer.len() < 32);
    }

    #[test]
    fn a_key_file_has_one_key_or_two() {
        assert!(Keys::parse(&format!("{KEY}\r\n")).is_some());
        for bad in
            ["", "AAAA", "GAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "+AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
        {
            assert!(Keys::parse(bad).is_none(), "{bad}");
            assert!(bad.is_empty() || Keys::parse(&format!("{KEY}\n{bad}")).is_none(), "{bad}");
        }
        assert_eq!(format!("{:?}", Keys::parse(KEY)), "Some(Keys)");
    }
}
