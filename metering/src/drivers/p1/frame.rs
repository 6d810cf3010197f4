//! Telegrams in a stream of bytes: from the `/` that begins a line to the end of the line with the `!`.
//!
//! Not for: what a telegram says (see [`super::telegram`]), or encrypted ones (see [`super::secret`]).

use super::super::heard::Trouble;
use super::secret::holds_encrypted;

/// Longest telegram; Belgian ones carry thirteen months of peaks and have two thousand bytes.
pub const TELEGRAM_MAX: usize = 16_384;

/// Collects telegrams.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: Vec<u8>,
    /// Whether it was said that nothing here makes sense.
    complained: bool,
}

impl Frames {
    /// Forgets what was begun.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    /// Takes bytes, and returns the telegrams that end in them.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Result<Vec<u8>, Trouble>> {
        self.buffer.extend_from_slice(bytes);
        let mut ended = Vec::new();
        // Before anything in it is taken for a telegram's beginning.
        if holds_encrypted(&self.buffer) {
            self.buffer.clear();
            self.complain(
                &mut ended,
                "its telegrams are encrypted; ask the grid's operator for the key, and name its file \
                 in `key_file`",
            );
        }
        while let Some(telegram) = self.next() {
            self.complained = false;
            ended.push(Ok(telegram));
        }
        if self.buffer.len() > TELEGRAM_MAX {
            self.buffer.clear();
            let what =
                format!("{TELEGRAM_MAX} bytes without a telegram; is the line set up right?");
            self.complain(&mut ended, &what);
        }
        ended
    }

    fn complain(&mut self, ended: &mut Vec<Result<Vec<u8>, Trouble>>, what: &str) {
        if !self.complained {
            self.complained = true;
            ended.push(Err(Trouble::Garbled(what.to_owned())));
        }
    }

    /// The first telegram that is whole; what is before it is dropped.
    fn next(&mut self) -> Option<Vec<u8>> {
        let start = self.buffer.iter().position(|byte| *byte == b'/')?;
        let begun = self.buffer.get(start..)?;
        let mark = begun.iter().position(|byte| *byte == b'!')?;
        let after = begun.get(mark..)?.iter().position(|byte| *byte == b'\n')?;
        let end = start + mark + after + 1;
        let telegram = self.buffer.drain(..end).skip(start).collect::<Vec<_>>();
        // One that broke off is followed by the next: the last one that begins a line is it.
        let last = telegram.windows(2).rposition(|pair| pair == b"\n/").map_or(0, |at| at + 1);
        telegram.get(last..).map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(chunks: &[&[u8]]) -> Vec<String> {
        let mut frames = Frames::default();
        let ended = chunks.iter().flat_map(|chunk| frames.push(chunk));
        ended
            .map(|frame| match frame {
                Ok(frame) => String::from_utf8_lossy(&frame).into_owned(),
                Err(Trouble::Garbled(what)) => what,
                Err(other) => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn telegrams_are_found_however_the_bytes_come() {
        let stream = b"rest of one)\r\n!12AB\r\n/A\r\n\r\n1(2)\r\n!34CD\r\n/B\r\n!\r\n";
        let expected = ["/A\r\n\r\n1(2)\r\n!34CD\r\n", "/B\r\n!\r\n"];
        assert_eq!(frames(&[stream]), expected);
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(frames(&single), expected);
    }

    #[test]
    fn a_telegram_that_broke_off_takes_nothing_along() {
        assert_eq!(
            frames(&[b"/A\r\n1-0:1.7", b".0(00.1\r\n/A\r\nall\r\n!00\r\n"]),
            ["/A\r\nall\r\n!00\r\n"]
        );
    }

    #[test]
    fn noise_is_bounded_and_named_once() {
        let noise = vec![b'x'; 3 * TELEGRAM_MAX];
        let chunks: Vec<&[u8]> = noise.chunks(1000).collect();
        let said = frames(&chunks);
        assert_eq!(said.len(), 1);
        assert!(said[0].contains("without a telegram"), "{said:?}");
        let secret = include_bytes!("../../../tests/captures/p1/at-sagemcom-t210-encrypted.bin");
        assert!(frames(&[secret])[0].contains("encrypted"));
    }
}
