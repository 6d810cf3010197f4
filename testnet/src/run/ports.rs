//! Ports of the loopback interface that nobody else uses, held until a node takes them over.
//!
//! They are taken from below the range from which the system serves outgoing connections, so that
//! a node that is restarted finds its port free. Not for: the devices, which bind port 0.

use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};

/// The lowest port looked at.
const FIRST: u16 = 20_000;
/// How many are looked at.
const RANGE: u16 = 12_000;
/// From one call to the next in one program, so that a node that is down finds its port free later.
const STRIDE: u64 = 997;

/// How often ports were held in this program.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// A port that is free for TCP and for UDP, and stays so while this lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _tcp: TcpListener,
    _udp: UdpSocket,
}

impl Port {
    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    fn hold(number: u16) -> io::Result<Self> {
        let address = (Ipv4Addr::LOCALHOST, number);
        Ok(Self { number, _tcp: TcpListener::bind(address)?, _udp: UdpSocket::bind(address)? })
    }
}

/// Holds so many free ports.
///
/// # Errors
///
/// The last refusal of the operating system, where there are not so many.
pub fn hold(count: usize) -> io::Result<Vec<Port>> {
    // Two testnets that start together rarely look at the same ports first.
    let calls = CALLS.fetch_add(1, Ordering::Relaxed);
    let start = u64::from(std::process::id()) * 97 + calls % u64::from(RANGE) * STRIDE;
    let offset = u16::try_from(start % u64::from(RANGE)).unwrap_or(0);
    let mut held = Vec::new();
    let mut refusal = io::Error::from(io::ErrorKind::AddrInUse);
    for step in 0..RANGE {
        if held.len() == count {
            break;
        }
        match Port::hold(FIRST + (offset + step) % RANGE) {
            Ok(port) => held.push(port),
            Err(error) => refusal = error,
        }
    }
    if held.len() == count { Ok(held) } else { Err(refusal) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_different_and_held_and_free_again() {
        let held = hold(20).unwrap();
        let mut numbers: Vec<u16> = held.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 20);
        let address = (Ipv4Addr::LOCALHOST, numbers[0]);
        assert!(TcpListener::bind(address).is_err());
        drop(held);
        assert!(TcpListener::bind(address).is_ok());
    }

    #[test]
    fn more_ports_than_there_are_is_an_error() {
        assert!(hold(usize::from(RANGE) + 1).is_err());
    }
}
