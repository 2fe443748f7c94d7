//! Which address a request comes from, when trusted proxies may stand before us.

use std::net::IpAddr;

use actix_web::HttpRequest;
use ipnet::IpNet;

/// The peer's address, or, if the peer is a trusted proxy, the last address in `X-Forwarded-For`
/// that is not one. What an untrusted client writes there is never believed.
#[must_use]
pub(super) fn client_address(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let header = request.headers().get_all("x-forwarded-for");
    let hops: Vec<&str> = header.filter_map(|value| value.to_str().ok()).collect();
    Some(resolve(peer, &hops.join(","), trusted))
}

fn resolve(peer: IpAddr, forwarded: &str, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| {
        let address = address.to_canonical();
        trusted.iter().any(|network| network.contains(&address))
    };
    let mut client = peer;
    for hop in forwarded.rsplit(',') {
        if !is_trusted(client) {
            break;
        }
        match hop.trim().parse() {
            Ok(address) => client = address,
            Err(_) => break,
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let resolve =
            |peer: &str, forwarded| resolve(peer.parse().unwrap(), forwarded, &trusted).to_string();
        assert_eq!(resolve("192.0.2.1", "203.0.113.9"), "192.0.2.1");
        assert_eq!(resolve("10.0.0.1", "203.0.113.9"), "203.0.113.9");
        assert_eq!(
            resolve("10.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.2"),
            "203.0.113.9"
        );
        assert_eq!(resolve("10.0.0.1", "nonsense"), "10.0.0.1");
        assert_eq!(resolve("10.0.0.1", ""), "10.0.0.1");
        assert_eq!(resolve("::ffff:10.0.0.1", "203.0.113.9"), "203.0.113.9");
    }
}
