//! Modbus RTU over a stream of bytes: a serial line, or a server that hands one on.
//!
//! Such a line has no transaction numbers, so a late answer looks like the answer to whatever was asked
//! since. Three things keep it from being taken for that. What comes before a request is thrown away,
//! and the line must fall silent first. Requests that were never answered are remembered, beyond the
//! connection, and as long as there are any of a unit, it is first asked for a number of registers
//! that none of them asked for: units answer one request after the other, so once that answer is
//! there, no older one is still to come. And an answer of another shape than asked for is an error.
//! Not for: what frames look like (see [`super::rtu`]).

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::address::SerialSettings;
use super::request::{READ_MAX, Request};
use super::rtu::{self, FRAME_MAX, Heard};

/// Between frames a line is silent for three and a half characters of eleven bits …
const SILENCE_BITS: u64 = 39;
/// … but no less than this, …
const SILENCE_MIN: Duration = Duration::from_millis(2);
/// … and on the way through a serial server, whose speed is not known here, this.
pub(super) const SILENCE_OF_SERVER: Duration = Duration::from_millis(10);
/// So many bytes are thrown away before a line counts as one that is never silent.
const NOISE_MAX: usize = 4 * FRAME_MAX;
/// So many requests without an answer are remembered; the oldest is forgotten first.
const UNANSWERED_MAX: usize = 16;
/// After so many questions in vain whether a late answer is still to come, there is none.
const PROBES_MAX: usize = 2;

/// Requests that were sent and never answered, and so may be yet.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    asked: Vec<Asked>,
    probes: usize,
}

/// What tells one answer from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    unit: u8,
    count: u16,
}

impl Unanswered {
    fn remember(&mut self, unit: u8, request: &Request<'_>) {
        // A late answer to a write looks like no answer to a read.
        let Request::Read { count, .. } = *request else { return };
        if self.asked.len() >= UNANSWERED_MAX {
            self.asked.remove(0);
        }
        self.asked.push(Asked { unit, count });
    }

    /// A unit has answered what it was asked last.
    fn answered(&mut self, unit: u8) {
        self.asked.retain(|asked| asked.unit != unit);
        self.probes = 0;
    }

    /// A request to a unit whose answer can't be taken for one to an older request, nor for one to
    /// `next`. `None` where no answer is still to come.
    fn probe<'a>(&mut self, unit: u8, next: &Request<'_>) -> Option<Request<'a>> {
        let Request::Read { table, first, count: wanted } = *next else { return None };
        if !self.asked.iter().any(|asked| asked.unit == unit) {
            return None;
        }
        if self.probes >= PROBES_MAX {
            self.answered(unit);
            return None;
        }
        self.probes += 1;
        let taken = |count| count == wanted || self.asked.contains(&Asked { unit, count });
        let count = (1..=READ_MAX).find(|count| !taken(*count))?;
        let probe = Request::Read { table, first, count };
        probe.fits().then_some(probe)
    }
}

/// How long a line of these settings is silent between two frames.
pub(super) fn silence(settings: &SerialSettings) -> Duration {
    let ms = (SILENCE_BITS * 1_000).div_ceil(u64::from(settings.baud().max(1)));
    Duration::from_millis(ms).max(SILENCE_MIN)
}

/// A line that is open.
#[derive(Debug)]
pub(super) struct Line<S> {
    stream: S,
    silence: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Line<S> {
    pub(super) const fn new(stream: S, silence: Duration) -> Self {
        Self { stream, silence }
    }

    /// Asks a unit. Each request has `patience` to be answered in. Never returns [`Heard::More`] or
    /// [`Heard::Wrong`].
    ///
    /// # Errors
    ///
    /// The line's own; [`io::ErrorKind::TimedOut`] where nothing was heard in time;
    /// [`io::ErrorKind::InvalidData`] where something else than the answer was.
    pub(super) async fn ask(
        &mut self,
        unit: u8,
        request: &Request<'_>,
        unanswered: &mut Unanswered,
        patience: Duration,
    ) -> io::Result<Heard> {
        if let Some(probe) = unanswered.probe(unit, request) {
            self.probe(unit, &probe, unanswered, patience).await?;
        }
        self.send(unit, request, unanswered, patience).await?;
        let heard = self.hear(unit, request, Instant::now() + patience).await?;
        unanswered.answered(unit);
        Ok(heard)
    }

    /// Asks what no older answer can be taken for, and passes over older ones until it is answered.
    async fn probe(
        &mut self,
        unit: u8,
        probe: &Request<'_>,
        unanswered: &mut Unanswered,
        patience: Duration,
    ) -> io::Result<()> {
        self.send(unit, probe, unanswered, patience).await?;
        let until = Instant::now() + patience;
        loop {
            match self.hear(unit, probe, until).await {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    self.fall_silent(until).await?;
                }
                Err(error) => return Err(error),
            }
        }
        unanswered.answered(unit);
        Ok(())
    }

    async fn send(
        &mut self,
        unit: u8,
        request: &Request<'_>,
        unanswered: &mut Unanswered,
        patience: Duration,
    ) -> io::Result<()> {
        let until = Instant::now() + patience;
        self.fall_silent(until).await?;
        // Before it leaves: whoever stops waiting for us leaves it behind too.
        unanswered.remember(unit, request);
        let sending = async {
            self.stream.write_all(&rtu::frame(unit, request)).await?;
            self.stream.flush().await
        };
        timeout_at(until, sending).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Throws away what comes until nothing does.
    async fn fall_silent(&mut self, until: Instant) -> io::Result<()> {
        let mut noise = [0; FRAME_MAX];
        let mut heard = 0;
        while heard < NOISE_MAX && Instant::now() < until {
            match timeout(self.silence, self.stream.read(&mut noise)).await {
                Err(_) => return Ok(()),
                Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(Ok(count)) => heard += count,
                Ok(Err(error)) => return Err(error),
            }
        }
        Err(odd("the line is never silent; are its speed and parity right?"))
    }

    async fn hear(&mut self, unit: u8, request: &Request<'_>, until: Instant) -> io::Result<Heard> {
        let mut heard = Vec::with_capacity(FRAME_MAX);
        loop {
            let mut bytes = [0; FRAME_MAX];
            let reading = timeout_at(until, self.stream.read(&mut bytes));
            let count = reading.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            heard.extend(bytes.iter().take(count));
            match rtu::hear(unit, request, &heard) {
                Heard::More if heard.len() > FRAME_MAX => return Err(odd("a frame without end")),
                Heard::More => {}
                Heard::Wrong(what) => return Err(odd(what)),
                answer @ (Heard::Registers(_) | Heard::Written | Heard::Exception(_)) => {
                    return Ok(answer);
                }
            }
        }
    }
}

fn odd(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::super::request::Table;
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);
    const UNIT: u8 = 7;

    const fn read(first: u16, count: u16) -> Request<'static> {
        Request::Read { table: Table::Holding, first, count }
    }

    fn answer(words: &[u16]) -> Vec<u8> {
        let length = u8::try_from(2 * words.len()).unwrap();
        let mut bytes = vec![UNIT, 3, length];
        bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        bytes.extend(rtu::checksum(&bytes).to_le_bytes());
        bytes
    }

    async fn asked(device: &mut DuplexStream) -> (u16, u16) {
        let mut bytes = [0; 8];
        device.read_exact(&mut bytes).await.unwrap();
        let [_, _, first_high, first_low, count_high, count_low, _, _] = bytes;
        let first = u16::from_be_bytes([first_high, first_low]);
        (first, u16::from_be_bytes([count_high, count_low]))
    }

    fn line() -> (Line<DuplexStream>, DuplexStream, Unanswered) {
        let (near, far) = tokio::io::duplex(1_024);
        (Line::new(near, SILENCE_MIN), far, Unanswered::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_is_never_taken_for_the_next_requests() {
        let (mut line, mut device, mut unanswered) = line();
        let late = line.ask(UNIT, &read(100, 2), &mut unanswered, PATIENCE).await;
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(asked(&mut device).await, (100, 2));

        // As many registers as before, from elsewhere: the late answer has the right shape.
        let request = read(500, 2);
        let next = line.ask(UNIT, &request, &mut unanswered, PATIENCE);
        let device = async {
            let (first, count) = asked(&mut device).await;
            assert_eq!((first, count), (500, 1), "a question that no older answer fits");
            device.write_all(&answer(&[1, 1])).await.unwrap();
            tokio::time::sleep(PATIENCE / 4).await;
            device.write_all(&answer(&[9])).await.unwrap();
            assert_eq!(asked(&mut device).await, (500, 2));
            device.write_all(&answer(&[2, 2])).await.unwrap();
        };
        let (next, ()) = tokio::join!(next, device);
        assert_eq!(next.unwrap(), Heard::Registers(vec![2, 2]));
        assert!(unanswered.asked.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_unit_that_ignores_such_questions_is_asked_plainly_in_the_end() {
        let (mut line, mut device, mut unanswered) = line();
        for expected in [2, 1, 3] {
            let silent = line.ask(UNIT, &read(0, 2), &mut unanswered, PATIENCE).await;
            assert_eq!(silent.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(asked(&mut device).await, (0, expected));
        }
        let request = read(0, 2);
        let plain = line.ask(UNIT, &request, &mut unanswered, PATIENCE);
        let device = async {
            assert_eq!(asked(&mut device).await, (0, 2));
            device.write_all(&answer(&[3, 4])).await.unwrap();
        };
        let (plain, ()) = tokio::join!(plain, device);
        assert_eq!(plain.unwrap(), Heard::Registers(vec![3, 4]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_on_the_line_before_is_thrown_away() {
        let (mut line, mut device, mut unanswered) = line();
        device.write_all(&answer(&[1, 1])).await.unwrap();
        let request = read(0, 2);
        let reading = line.ask(UNIT, &request, &mut unanswered, PATIENCE);
        let device = async {
            asked(&mut device).await;
            // In two halves, as it comes over a slow line.
            let bytes = answer(&[5, 6]);
            device.write_all(&bytes[..4]).await.unwrap();
            tokio::time::sleep(PATIENCE / 4).await;
            device.write_all(&bytes[4..]).await.unwrap();
        };
        let (reading, ()) = tokio::join!(reading, device);
        assert_eq!(reading.unwrap(), Heard::Registers(vec![5, 6]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_never_silent_is_an_error() {
        let (mut line, mut device, mut unanswered) = line();
        let babble = async {
            while device.write_all(&[0x55; 64]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let request = read(0, 2);
        let reading = async {
            let heard = line.ask(UNIT, &request, &mut unanswered, PATIENCE).await;
            drop(line);
            heard
        };
        let (heard, ()) = tokio::join!(reading, babble);
        assert_eq!(heard.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn slow_lines_are_silent_for_longer() {
        let at = |baud| silence(&SerialSettings { baud: Some(baud), ..SerialSettings::default() });
        assert_eq!(at(1_200), Duration::from_millis(33));
        assert_eq!(at(9_600), Duration::from_millis(5));
        assert_eq!(at(115_200), SILENCE_MIN);
    }
}
