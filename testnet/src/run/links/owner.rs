//! Which process of this machine a UDP socket belongs to, as Linux tells in `/proc`.
//! Not for: what is sent through it.

use std::fs;

/// Most open files of a process that are looked at.
const FILES_MAX: usize = 4_096;

/// Which of these processes has a UDP socket bound to a local IPv4 port, as its place among them.
#[must_use]
pub(super) fn of_udp_port(port: u16, processes: &[Option<u32>]) -> Option<usize> {
    let table = fs::read_to_string("/proc/net/udp").ok()?;
    let sockets: Vec<String> =
        inodes(&table, port).map(|inode| format!("socket:[{inode}]")).collect();
    processes.iter().position(|pid| pid.is_some_and(|pid| holds_one(pid, &sockets)))
}

/// The inodes of the sockets bound to a port. A row of the table is
/// `sl local_address rem_address st queues timer retrnsmt uid timeout inode …`.
fn inodes(table: &str, port: u16) -> impl Iterator<Item = u64> {
    table.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_whitespace();
        let (_, local) = fields.nth(1)?.split_once(':')?;
        if u16::from_str_radix(local, 16).ok()? != port {
            return None;
        }
        fields.nth(7)?.parse().ok()
    })
}

fn holds_one(pid: u32, sockets: &[String]) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files.take(FILES_MAX).filter_map(Result::ok).any(|file| {
        fs::read_link(file.path())
            .is_ok_and(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};

    use super::*;

    #[test]
    fn the_process_that_bound_a_socket_is_found() {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let me = Some(std::process::id());
        assert_eq!(of_udp_port(port, &[None, Some(1), me]), Some(2));
        assert_eq!(of_udp_port(port, &[None, Some(1)]), None);
        drop(socket);
        assert_eq!(of_udp_port(port, &[me]), None);
    }
}
