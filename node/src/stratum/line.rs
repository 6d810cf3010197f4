//! Lines of a connection, one by one, none longer than it may be.

use std::io;

use boltgrid_miners::stratum::LINE_MAX;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// What is read at once, in bytes.
const BUFFER: usize = 4_096;

/// Reads lines. Dropping a call loses nothing: what was read stays.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    is_whole: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn of(reader: R) -> Self {
        let reader = BufReader::with_capacity(BUFFER, reader);
        Self { reader, line: Vec::new(), is_whole: false }
    }

    /// The next line with its end; none where there is none. A line that is too long comes as far as it
    /// is known to be.
    pub(super) async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.is_whole {
            self.line.clear();
            self.is_whole = false;
        }
        while !self.is_whole {
            let read = self.reader.fill_buf().await?;
            if read.is_empty() {
                return Ok(None);
            }
            let end = read.iter().position(|byte| *byte == b'\n').map(|end| end.saturating_add(1));
            let taken = read.get(..end.unwrap_or(read.len())).unwrap_or_default();
            self.line.extend_from_slice(taken);
            let count = taken.len();
            self.reader.consume(count);
            self.is_whole = end.is_some() || self.line.len() > LINE_MAX.saturating_add(2);
        }
        Ok(Some(&self.line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_whole_and_the_longest_is_not_waited_for() {
        let text = format!("one\n\n{}", "x".repeat(10 * LINE_MAX));
        let mut lines = Lines::of(text.as_bytes());
        assert_eq!(lines.next().await.unwrap(), Some(&b"one\n"[..]));
        assert_eq!(lines.next().await.unwrap(), Some(&b"\n"[..]));
        let long = lines.next().await.unwrap().unwrap().len();
        assert!((LINE_MAX + 1..LINE_MAX + 2 * BUFFER).contains(&long), "{long}");
        let mut torn = Lines::of(&b"half a li"[..]);
        assert_eq!(torn.next().await.unwrap(), None);
    }
}
