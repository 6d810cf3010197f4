//! Which of a peer's addresses are worth knowing.

use boltgrid_protocol::peer::ADDRESSES_MAX;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// An address without the peer id at its end.
pub(super) fn without_peer(address: &Multiaddr) -> Multiaddr {
    let mut address = address.clone();
    if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
        address.pop();
    }
    address
}

/// Of a node's own or somebody's claimed addresses, those that others can use: public ones and those
/// of the local network, and loopback only where there is nothing else (a grid on one machine).
pub(super) fn shareable(addresses: impl IntoIterator<Item = Multiaddr>) -> Vec<Multiaddr> {
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for address in addresses {
        match address.iter().next() {
            Some(Protocol::Ip4(ip)) if ip.is_unspecified() => {}
            Some(Protocol::Ip6(ip)) if ip.is_unspecified() => {}
            Some(Protocol::Ip4(ip)) if ip.is_loopback() => near.push(address),
            Some(Protocol::Ip6(ip)) if ip.is_loopback() => near.push(address),
            _ => far.push(address),
        }
    }
    let mut addresses = if far.is_empty() { near } else { far };
    addresses.truncate(ADDRESSES_MAX);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn loopback_is_shared_only_where_there_is_nothing_else() {
        let (near, far) = ("/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.7/tcp/1");
        let (anywhere, named) = ("/ip4/0.0.0.0/tcp/1", "/dns4/node.example/tcp/1");
        let shared = |texts: &[&str]| shareable(addresses(texts));
        assert_eq!(
            shared(&[near, "/ip6/::1/tcp/1", anywhere]),
            addresses(&[near, "/ip6/::1/tcp/1"])
        );
        assert_eq!(shared(&[near, far, named]), addresses(&[far, named]));
        assert_eq!(shared(&[near; 20]).len(), ADDRESSES_MAX);
    }

    #[test]
    fn the_peer_id_at_the_end_is_taken_off() {
        let peer = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        let plain: Multiaddr = "/ip4/192.168.1.7/tcp/1".parse().unwrap();
        let with_peer: Multiaddr = format!("{plain}/p2p/{peer}").parse().unwrap();
        assert_eq!(without_peer(&with_peer), plain);
        assert_eq!(without_peer(&plain), plain);
    }
}
