//! Entries of `webrtc.candidates`: addresses that peers are told besides the discovered ones.
use crate::base::host;
use crate::base::protocol::Protocol;
use crate::config::listen::digits;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest name that DNS knows (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;

/// What an entry leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `ip:port`, `[v6]:port`.
    Address(SocketAddr),
    /// `domain:port`; we look the name up, because not every browser does.
    Name(String, u16),
    /// `stun:port`: our public addresses, with the port that the router forwards.
    Public(u16),
    /// `auto`: the address by which the signalling request called us, with our fixed port. For a container whose
    /// port is published on its host under the same number.
    Auto,
}

/// One entry, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manual {
    pub place: Place,
    /// `/udp` or `/tcp` behind the entry; `None`: what `listen` offers.
    pub only: Option<Protocol>,
}

impl Manual {
    /// The error says what is expected; the caller knows the place in the file.
    pub fn parse(text: &str) -> Result<Manual, String> {
        let (place, only) = match text.rsplit_once('/') {
            None => (text, None),
            Some((place, "udp")) => (place, Some(Protocol::Udp)),
            Some((place, "tcp")) => (place, Some(Protocol::Tcp)),
            Some((_, other)) => return Err(format!("{other:?} behind the \"/\" is neither udp nor tcp")),
        };
        Ok(Manual { place: Self::place(place)?, only })
    }

    fn place(text: &str) -> Result<Place, String> {
        if text == "auto" {
            return Ok(Place::Auto);
        }
        let (host, port) = text.rsplit_once(':').ok_or("the port is missing, such as in 203.0.113.7:8555")?;
        if host.parse::<Ipv6Addr>().is_ok() {
            return Err(format!("an IPv6 address stands in brackets, such as [{host}]:{port}"));
        }
        let port = digits(port).filter(|port| *port != 0).ok_or("the port is not a number from 1 to 65535")?;
        if host == "stun" {
            return Ok(Place::Public(port));
        }
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let address = match inner {
            Some(inner) => Some(IpAddr::V6(inner.parse().map_err(|_| "in the brackets stands no IPv6 address")?)),
            None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        };
        match address {
            Some(ip) if host::of_one(ip).is_none() => Err("nobody can connect to this address".into()),
            Some(ip) => Ok(Place::Address(SocketAddr::new(ip, port))),
            None if is_name(host) => Ok(Place::Name(host.to_ascii_lowercase(), port)),
            None => Err("before the port stands neither an address, nor a name, nor \"stun\"".into()),
        }
    }
}

/// A host name (RFC 1123 section 2.1). The last label has a letter, else it is a damaged address.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= MAX_NAME
        && text.split('.').all(label)
        && text.rsplit('.').next().is_some_and(|last| last.bytes().any(|b| b.is_ascii_alphabetic()))
}

/// May this address of a `Host` header serve as candidate? Only one of a private network: others are forwarded
/// by a router, whose outer port nobody told us.
pub fn is_auto_host(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xfe00 == 0xfc00,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_understood_in_all_their_forms() {
        let parse = |text: &str| Manual::parse(text).unwrap();
        let address = |text: &str| Place::Address(text.parse().unwrap());
        assert_eq!(parse("216.58.210.174:8555"), Manual { place: address("216.58.210.174:8555"), only: None });
        assert_eq!(
            parse("[2001:db8::7]:1/tcp"),
            Manual { place: address("[2001:db8::7]:1"), only: Some(Protocol::Tcp) }
        );
        assert_eq!(parse("stun:8555").place, Place::Public(8555));
        assert_eq!(parse("Home.DuckDNS.org:8555/udp").place, Place::Name("home.duckdns.org".into(), 8555));
        assert_eq!(parse("auto/udp"), Manual { place: Place::Auto, only: Some(Protocol::Udp) });
    }

    #[test]
    fn a_wrong_entry_says_what_is_wrong() {
        for (wrong, says) in [
            ("8555", "the port is missing"),
            ("stun: 8555", "the port is not a number"),
            ("1.2.3.4:0", "the port is not a number"),
            ("1.2.3.4:99999", "the port is not a number"),
            ("2001:db8::7:8555", "stands in brackets"),
            ("[1.2.3.4]:1", "no IPv6 address"),
            ("1.2.3:8555", "neither an address"),
            ("1.2.3.256:8555", "neither an address"),
            (":8555", "neither an address"),
            ("a b:8555", "neither an address"),
            ("0.0.0.0:8555", "nobody can connect"),
            ("1.2.3.4:8555/sctp", "neither udp nor tcp"),
        ] {
            let error = Manual::parse(wrong).expect_err(wrong);
            assert!(error.contains(says), "{wrong}: {error}");
        }
    }

    #[test]
    fn only_private_addresses_of_a_host_header_are_told() {
        let may = |text: &str| is_auto_host(text.parse().unwrap());
        assert!(["192.168.1.2", "10.1.2.3", "172.20.0.1", "fd00::1"].into_iter().all(may));
        assert!(!["127.0.0.1", "8.8.8.8", "169.254.1.1", "::1", "fe80::1", "2001:db8::1"].into_iter().any(may));
    }
}
