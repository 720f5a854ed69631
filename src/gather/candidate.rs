//! One host candidate as peers are told of it (RFC 8839 section 5.1, RFC 6544 section 4.5).
use crate::base::host;
pub use crate::base::protocol::Protocol;
use crate::gather::mdns::message;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A host candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub protocol: Protocol,
    pub address: SocketAddr,
    pub priority: u32,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (protocol, ip, port) = (self.protocol.name(), self.address.ip(), self.address.port());
        let foundation = foundation(&ip.to_string(), self.protocol);
        let tail = if self.protocol == Protocol::Tcp { " tcptype passive" } else { "" };
        write!(f, "candidate:{foundation} 1 {protocol} {} {ip} {port} typ host{tail}", self.priority)
    }
}

/// Where a candidate says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Address(SocketAddr),
    /// Behind a browser's random name.
    Name(String, u16),
}

/// Address and priority of a UDP candidate with a literal address (RFC 8839 section 5.1).
pub fn read(line: &str) -> Option<(SocketAddr, u32)> {
    match read_place(line)? {
        (Place::Address(address), priority) => Some((address, priority)),
        (Place::Name(..), _) => None,
    }
}

/// Address and priority of a TCP candidate at which the peer takes connections (RFC 6544 section 4.5).
pub fn read_passive(line: &str) -> Option<(SocketAddr, u32)> {
    let mut words = line.split_ascii_whitespace().skip_while(|word| !word.eq_ignore_ascii_case("tcptype")).skip(1);
    match read_fields(line, Protocol::Tcp)? {
        (Place::Address(address), priority) if words.next()?.eq_ignore_ascii_case("passive") => {
            Some((address, priority))
        }
        _ => None,
    }
}

/// UDP candidates, those that hide their address included.
pub fn read_place(line: &str) -> Option<(Place, u32)> {
    read_fields(line, Protocol::Udp)
}

fn read_fields(line: &str, wanted: Protocol) -> Option<(Place, u32)> {
    let line = line.strip_prefix("a=").unwrap_or(line);
    let mut fields = line.strip_prefix("candidate:")?.split_ascii_whitespace();
    let (_foundation, component, protocol) = (fields.next()?, fields.next()?, fields.next()?);
    if component != "1" || !protocol.eq_ignore_ascii_case(wanted.name()) {
        return None;
    }
    let priority = fields.next()?.parse().ok()?;
    let host = fields.next()?;
    let port = fields.next()?.parse().ok().filter(|port| *port != 0)?;
    let place = match host.parse::<IpAddr>() {
        Ok(ip) => Place::Address(SocketAddr::new(host::of_one(ip)?, port)),
        Err(_) => Place::Name(message::hidden(host)?, port),
    };
    Some((place, priority))
}

/// The foundation that existing relays use: one number for each host and protocol.
pub fn foundation(host: &str, protocol: Protocol) -> u32 {
    crc32(format!("host{host}{}4", protocol.name()).as_bytes())
}

/// CRC-32 (IEEE).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (0u32.wrapping_sub(crc & 1))))
    })
}

/// The sockets that are bound: what is told is a port of one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound(Vec<(Protocol, SocketAddr)>);

impl Bound {
    pub fn add(&mut self, protocol: Protocol, local: SocketAddr) {
        self.0.push((protocol, local));
    }

    pub fn remove(&mut self, protocol: Protocol, local: SocketAddr) {
        self.0.retain(|known| *known != (protocol, local));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Protocol, SocketAddr)> {
        self.0.iter().copied()
    }

    /// The port that answers at this address: of the socket bound to it, else of the wildcard of its family.
    pub fn port(&self, protocol: Protocol, ip: IpAddr) -> Option<u16> {
        let same = |local: &&(Protocol, SocketAddr)| local.0 == protocol && local.1.is_ipv4() == ip.is_ipv4();
        let of = |wanted: &dyn Fn(IpAddr) -> bool| {
            self.0.iter().filter(same).find(|(_, local)| wanted(local.ip())).map(|(_, local)| local.port())
        };
        of(&|local| local == ip).or_else(|| of(&|local| local.is_unspecified()))
    }
}

/// The latest known addresses of each name among `webrtc.candidates`.
pub type ResolvedNames = BTreeMap<String, Vec<IpAddr>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foundations_are_those_that_existing_relays_send() {
        assert_eq!(foundation("216.58.210.174", Protocol::Tcp), 3_613_942_034);
        assert_eq!(foundation("216.58.210.174", Protocol::Udp), 1_788_547_314);
        assert_eq!(foundation("203.0.113.7", Protocol::Tcp), 252_975_767);
        assert_eq!(foundation("home.example", Protocol::Udp), 1_065_852_308);
    }

    #[test]
    fn only_udp_candidates_with_literal_addresses_are_checked() {
        let parse = |line| read(line).map(|(address, _)| address.to_string());
        assert_eq!(parse("candidate:1 1 udp 2122 192.168.1.5 5000 typ host").as_deref(), Some("192.168.1.5:5000"));
        assert_eq!(parse("a=candidate:1 1 UDP 2122 fd00::5 5000 typ host").as_deref(), Some("[fd00::5]:5000"));
        for line in [
            "candidate:1 1 udp 2122 0d8a.local 5000 typ host",
            "candidate:1 2 udp 2122 192.168.1.5 5000 typ host",
            "candidate:1 1 tcp 2122 192.168.1.5 9 typ host tcptype active",
            "candidate:1 1 udp 2122 0.0.0.0 5000 typ host",
            "candidate:1 1 udp 2122 ::ffff:0.0.0.0 5000 typ host",
            "candidate:1 1 udp 2122 ::ffff:239.7.7.7 5000 typ host",
            "candidate:1 1 udp 2122 192.168.1.5 0 typ host",
            "candidate:1 1 udp",
            "",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn tcp_candidates_are_those_that_take_connections() {
        let parse = |line| read_passive(line).map(|(address, priority)| (address.to_string(), priority));
        let found = |address: &str| Some((address.to_owned(), 1671));
        assert_eq!(
            parse("candidate:1 1 tcp 1671 192.168.1.5 8555 typ host tcptype passive"),
            found("192.168.1.5:8555")
        );
        assert_eq!(parse("a=candidate:1 1 TCP 1671 fd00::5 1 typ host TCPTYPE Passive foo 1"), found("[fd00::5]:1"));
        for line in [
            "candidate:1 1 tcp 1671 192.168.1.5 9 typ host tcptype active",
            "candidate:1 1 tcp 1671 192.168.1.5 9 typ host tcptype so",
            "candidate:1 1 tcp 1671 192.168.1.5 9 typ host tcptype",
            "candidate:1 1 tcp 1671 192.168.1.5 9 typ host",
            "candidate:1 1 udp 1671 192.168.1.5 9 typ host tcptype passive",
            "candidate:1 2 tcp 1671 192.168.1.5 9 typ host tcptype passive",
            "candidate:1 1 tcp 1671 192.168.1.5 0 typ host tcptype passive",
            "candidate:1 1 tcp 1671 0A1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d.local 9 typ host tcptype passive",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn random_names_are_read_and_others_are_not() {
        let name = "0A1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d.local";
        let line = |host: &str| format!("candidate:1 1 udp 2122 {host} 5000 typ host");
        assert_eq!(read_place(&line(name)), Some((Place::Name(name.to_lowercase(), 5000), 2122)));
        assert_eq!(read(&line(name)), None);
        assert_eq!(read_place(&line("printer.local")), None);
        assert_eq!(read_place(&line(name).replace("udp", "tcp")), None);
        let address = Place::Address("192.168.1.5:5000".parse().unwrap());
        assert_eq!(read_place(&line("192.168.1.5")), Some((address, 2122)));
    }

    #[test]
    fn a_socket_of_its_own_comes_before_the_wildcard() {
        let mut bound = Bound::default();
        bound.add(Protocol::Udp, "0.0.0.0:1".parse().unwrap());
        bound.add(Protocol::Udp, "10.0.0.1:2".parse().unwrap());
        let port = |protocol, ip: &str| bound.port(protocol, ip.parse().unwrap());
        assert_eq!(port(Protocol::Udp, "10.0.0.1"), Some(2));
        assert_eq!(port(Protocol::Udp, "10.0.0.2"), Some(1));
        assert_eq!(port(Protocol::Udp, "fd00::1"), None);
        assert_eq!(port(Protocol::Tcp, "10.0.0.1"), None);
    }
}
