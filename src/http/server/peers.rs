//! Which peers may connect at all: the machine itself and its local networks, and what `api.allow` adds.
use crate::net::connect::is_local;
use std::fmt;
use std::net::IpAddr;

/// One network of `api.allow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// An entry of `api.allow` that is no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoNetwork {
    entry: String,
    /// The longest prefix of such an address, where it is the prefix that is wrong.
    longest: Option<u8>,
}

impl fmt::Display for NoNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entry, longest } = self;
        match longest {
            None => write!(f, "api.allow: {entry:?} is neither an address nor a network such as 10.0.0.0/8"),
            Some(longest) => write!(f, "api.allow: {entry:?}: the prefix length must be 0 to {longest}"),
        }
    }
}

impl std::error::Error for NoNetwork {}

impl Network {
    /// `10.0.0.0/8`, `2001:db8::/32` or a single address.
    pub fn parse(text: &str) -> Result<Self, NoNetwork> {
        let wrong = |longest| NoNetwork { entry: text.to_owned(), longest };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Err(wrong(None));
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix.map(str::parse::<u8>) {
            None => longest,
            Some(Ok(prefix)) if prefix <= longest => prefix,
            Some(_) => return Err(wrong(Some(longest))),
        };
        Ok(Self { address, prefix })
    }

    fn contains(&self, peer: IpAddr) -> bool {
        match (self.address, peer) {
            (IpAddr::V4(network), IpAddr::V4(peer)) => {
                let differing = network.to_bits() ^ peer.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(peer)) => {
                let differing = network.to_bits() ^ peer.to_bits();
                differing.leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }
}

/// Parses the whole of `api.allow`; the first wrong entry is the error.
pub fn parse_allow(entries: &[String]) -> Result<Vec<Network>, NoNetwork> {
    entries.iter().map(|entry| Network::parse(entry.trim())).collect()
}

/// May this peer connect? Those of this machine and of local networks always may.
/// `peer` may be an IPv4 address in IPv6 clothes, as a dual-stack socket shows it.
pub fn is_allowed(peer: IpAddr, allow: &[Network]) -> bool {
    let peer = peer.to_canonical();
    is_local(peer) || allow.iter().any(|network| network.contains(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(peer: &str, allow: &[&str]) -> bool {
        let allow: Vec<String> = allow.iter().map(|entry| entry.to_string()).collect();
        is_allowed(peer.parse().unwrap(), &parse_allow(&allow).unwrap())
    }

    #[test]
    fn peers_of_local_networks_may_connect_and_others_may_not() {
        for peer in [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.7",
            "169.254.3.4",
            "::1",
            "fe80::1",
            "febf::1",
            "fd00::1",
            "fc12::1",
            "::ffff:192.168.1.7",
            "::ffff:127.0.0.1",
        ] {
            assert!(allowed(peer, &[]), "{peer}");
        }
        for peer in ["8.8.8.8", "172.32.0.1", "100.64.0.1", "2001:db8::1", "fec0::1", "::ffff:8.8.8.8", "::", "0.0.0.0"]
        {
            assert!(!allowed(peer, &[]), "{peer}");
        }
    }

    #[test]
    fn api_allow_widens_by_network_and_by_address() {
        assert!(allowed("100.99.1.1", &["100.64.0.0/10"]));
        assert!(!allowed("100.128.1.1", &["100.64.0.0/10"]));
        assert!(allowed("203.0.113.9", &["203.0.113.9"]));
        assert!(!allowed("203.0.113.8", &["203.0.113.9"]));
        assert!(allowed("2001:db8:1::5", &["2001:db8::/32"]));
        assert!(allowed("8.8.8.8", &["0.0.0.0/0"]));
        assert!(!allowed("2001:db8::1", &["0.0.0.0/0"]));
        assert!(allowed("::ffff:8.8.8.8", &["8.8.8.8"]));
    }

    #[test]
    fn a_wrong_entry_is_named() {
        for entry in ["10.0.0.0/33", "lan", "10.0.0.0/", "::/129", ""] {
            let error = Network::parse(entry).unwrap_err();
            assert!(error.to_string().contains(&format!("{entry:?}")), "{error}");
        }
    }
}
