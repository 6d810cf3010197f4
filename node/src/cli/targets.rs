//! The addresses that a user names to be looked at: hosts, `host:port`, and networks.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// Most hosts of one search: four times what most homes' networks have.
pub(crate) const HOSTS_MAX: usize = 1_024;
/// The largest network of one address: `/22` has as many hosts.
const PREFIX_MIN: u32 = 22;

/// What one argument names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One host, on the ports that meters usually have.
    Host(String),
    /// One port of one host.
    Port(String, u16),
    /// The hosts of a network.
    Network(Vec<Ipv4Addr>),
}

/// Text that names nothing to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write a host (192.168.1.20 or meter.local), a port of one (192.168.1.20:8899), or a network of \
     at most 1024 hosts (192.168.1.0/24)"
)]
pub(crate) struct NotATarget;

impl FromStr for Target {
    type Err = NotATarget;

    fn from_str(text: &str) -> Result<Self, NotATarget> {
        if let Some((network, prefix)) = text.split_once('/') {
            let network: Ipv4Addr = network.parse().map_err(|_| NotATarget)?;
            let prefix: u32 = prefix.parse().map_err(|_| NotATarget)?;
            return hosts(network, prefix).map(Self::Network).ok_or(NotATarget);
        }
        let is_name = |host: &str| {
            !host.is_empty() && !host.contains(|it: char| it.is_whitespace() || it == ':')
        };
        match text.split_once(':') {
            None if is_name(text) => Ok(Self::Host(text.to_owned())),
            Some((host, port)) if is_name(host) => {
                let port = port.parse().ok().filter(|port| *port > 0).ok_or(NotATarget)?;
                Ok(Self::Port(host.to_owned(), port))
            }
            Some(_) | None => Err(NotATarget),
        }
    }
}

/// The hosts of a network, without its own address and that for all; `None` where there are too many.
fn hosts(network: Ipv4Addr, prefix: u32) -> Option<Vec<Ipv4Addr>> {
    if !(PREFIX_MIN..=32).contains(&prefix) {
        return None;
    }
    let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
    let (first, last) = (network.to_bits() & mask, network.to_bits() | !mask);
    let range = if prefix >= 31 { first..=last } else { first + 1..=last - 1 };
    Some(range.map(Ipv4Addr::from_bits).collect())
}

/// The ports to look at, each once, in a stable order. `usual` are those of hosts that are named without
/// one. `None` where there are too many hosts.
pub(crate) fn endpoints(targets: &[Target], usual: &[u16]) -> Option<Vec<(String, u16)>> {
    let mut all = BTreeSet::new();
    let mut named = BTreeSet::new();
    for target in targets {
        let mut add = |host: &str, ports: &[u16]| {
            named.insert(host.to_owned());
            // Addresses in the order of their numbers, names after them.
            let order: (bool, Option<IpAddr>) = match host.parse::<IpAddr>() {
                Ok(address) => (false, Some(address)),
                Err(_) => (true, None),
            };
            all.extend(ports.iter().map(|port| (order, host.to_owned(), *port)));
        };
        match target {
            Target::Host(host) => add(host, usual),
            Target::Port(host, port) => add(host, &[*port]),
            Target::Network(hosts) => hosts.iter().for_each(|it| add(&it.to_string(), usual)),
        }
    }
    let endpoints = all.into_iter().map(|(_, host, port)| (host, port)).collect();
    (named.len() <= HOSTS_MAX).then_some(endpoints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_ports_and_networks_are_told_apart() {
        let target = |text: &str| text.parse::<Target>();
        assert_eq!(target("meter.local"), Ok(Target::Host("meter.local".to_owned())));
        assert_eq!(target("10.0.0.2:8899"), Ok(Target::Port("10.0.0.2".to_owned(), 8_899)));
        let network = [1, 2].map(|last| Ipv4Addr::new(10, 0, 0, last)).to_vec();
        assert_eq!(target("10.0.0.3/30"), Ok(Target::Network(network)));
        let Ok(Target::Network(all)) = target("192.168.0.0/22") else { panic!("a network") };
        assert_eq!(all.len(), 1_022);
        for text in ["", "a b", "a:", "a:0", "a:b", "::1", "10.0.0.0/21", "10.0.0.0/33", "x/24"] {
            assert_eq!(target(text), Err(NotATarget), "{text}");
        }
    }

    #[test]
    fn every_port_is_looked_at_once_and_not_too_many() {
        let targets = ["10.0.0.0/29", "10.0.0.2", "10.0.0.2:9"].map(|it| it.parse().unwrap());
        let found = endpoints(&targets, &[502, 80]).unwrap();
        assert_eq!(found.len(), 6 * 2 + 1);
        assert_eq!(found.first(), Some(&("10.0.0.1".to_owned(), 80)));
        let many = ["10.0.0.0/22", "10.0.4.0/29"].map(|it| it.parse().unwrap());
        assert_eq!(endpoints(&many, &[502]), None);
    }
}
