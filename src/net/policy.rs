//! Which sockets are bound and which addresses peers are told: pure functions of the settings and of
//! the machine's addresses.
use crate::config::Webrtc;
use crate::net::interfaces::Interface;
use crate::rtc::ice::{TCP_PRIORITY, UDP_PRIORITY};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Candidates that one answer carries at most.
pub const MAX_CANDIDATES: usize = 32;

/// `webrtc.listen`, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// `None`: every address.
    pub host: Option<IpAddr>,
    /// Port for UDP; 0 lets the kernel choose.
    pub udp: u16,
    /// Port for TCP; `None`: no TCP.
    pub tcp: Option<u16>,
}

impl Listen {
    /// Understands `:8555`, `ip:8555`, `[v6]:8555`, each with `/tcp` or `/udp` behind it, and the empty text.
    pub fn parse(text: &str) -> Result<Listen, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Listen { host: None, udp: 0, tcp: None });
        }
        let (address, protocol) = match text.rsplit_once('/') {
            Some((address, protocol)) => (address, Some(protocol)),
            None => (text, None),
        };
        let wrong =
            || format!("webrtc.listen: {text:?} is not `[address]:port`, optionally with /tcp or /udp behind it");
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let host = match host.trim_start_matches('[').trim_end_matches(']') {
            "" => None,
            host => Some(host.parse::<IpAddr>().map_err(|_| wrong())?),
        };
        match protocol {
            None => Ok(Listen { host, udp: port, tcp: Some(port) }),
            Some("udp") => Ok(Listen { host, udp: port, tcp: None }),
            Some("tcp") => Ok(Listen { host, udp: 0, tcp: Some(port) }),
            Some(_) => Err(wrong()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Udp,
    Tcp,
}

/// A host candidate (RFC 8839 section 5.1, RFC 6544 section 4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub protocol: Protocol,
    pub address: SocketAddr,
    pub priority: u32,
    foundation: u32,
}

impl Candidate {
    fn new(protocol: Protocol, address: SocketAddr, priority: u32) -> Self {
        let name = match protocol {
            Protocol::Udp => "udp",
            Protocol::Tcp => "tcp",
        };
        let foundation = crc32(format!("host{}{name}4", address.ip()).as_bytes());
        Self { protocol, address, priority, foundation }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (protocol, tail) = match self.protocol {
            Protocol::Udp => ("udp", ""),
            Protocol::Tcp => ("tcp", " tcptype passive"),
        };
        let (ip, port) = (self.address.ip(), self.address.port());
        write!(f, "candidate:{} 1 {protocol} {} {ip} {port} typ host{tail}", self.foundation, self.priority)
    }
}

/// CRC-32 (IEEE), the foundation that existing relays use.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (0u32.wrapping_sub(crc & 1))))
    })
}

/// What is bound: ports by family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    pub udp4: Option<u16>,
    pub udp6: Option<u16>,
    pub tcp4: Option<u16>,
    pub tcp6: Option<u16>,
}

impl Bound {
    fn port(&self, protocol: Protocol, ip: IpAddr) -> Option<u16> {
        match (protocol, ip) {
            (Protocol::Udp, IpAddr::V4(_)) => self.udp4,
            (Protocol::Udp, IpAddr::V6(_)) => self.udp6,
            (Protocol::Tcp, IpAddr::V4(_)) => self.tcp4,
            (Protocol::Tcp, IpAddr::V6(_)) => self.tcp6,
        }
    }
}

/// One entry of `webrtc.candidates`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manual {
    Literal(SocketAddr),
    /// `stun:PORT`: our public addresses with this port.
    Public(u16),
}

impl Manual {
    fn parse(entry: &str) -> Option<Self> {
        match entry.strip_prefix("stun:") {
            Some(port) => port.trim().parse().ok().filter(|port| *port != 0).map(Self::Public),
            None => entry.parse().ok().map(Self::Literal),
        }
    }
}

/// The settings that decide about sockets and candidates.
#[derive(Clone, Debug)]
pub struct Policy {
    pub listen: Listen,
    manual: Vec<Manual>,
    loopback: bool,
    interfaces: Option<Vec<String>>,
    ips: Option<Vec<IpAddr>>,
}

impl Policy {
    pub fn new(webrtc: &Webrtc) -> Result<Self, String> {
        let manual = webrtc.candidates.iter().filter_map(|entry| Manual::parse(entry)).collect();
        Ok(Self {
            listen: Listen::parse(&webrtc.listen)?,
            manual,
            loopback: webrtc.filters.loopback,
            interfaces: webrtc.filters.interfaces.clone(),
            ips: webrtc.filters.ips.clone(),
        })
    }

    /// The machine's addresses that peers are told, best first.
    fn addresses(&self, interfaces: &[Interface]) -> Vec<IpAddr> {
        let usable: Vec<&Interface> = interfaces
            .iter()
            .filter(|i| self.listen.host.is_none_or(|host| host == i.ip))
            .filter(|i| self.interfaces.as_ref().is_none_or(|names| names.contains(&i.name)))
            .filter(|i| self.ips.as_ref().is_none_or(|ips| ips.contains(&i.ip)))
            .filter(|i| !is_link_local6(i.ip) && !i.ip.is_unspecified())
            .collect();
        let chosen = |i: &&Interface| i.loopback && (self.loopback || self.listen.host.is_some());
        let lan = |i: &&Interface| !i.loopback && (!is_container(i) || self.ips.is_some() || self.interfaces.is_some());
        let mut list: Vec<IpAddr> = usable.iter().copied().filter(|i| lan(i) || chosen(i)).map(|i| i.ip).collect();
        // A rule never leaves a peer with nothing: containers see only such addresses, and a machine
        // without a network still has itself.
        if list.is_empty() {
            list = usable.iter().filter(|i| !i.loopback).map(|i| i.ip).collect();
        }
        if list.is_empty() {
            list = usable.iter().map(|i| i.ip).collect();
        }
        list.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
        let mut seen = Vec::new();
        list.retain(|ip| {
            !seen.contains(ip) && {
                seen.push(*ip);
                true
            }
        });
        list
    }

    /// Every candidate that a peer is told: ours, then the operator's, which rank below them in the order written.
    /// `public`: our addresses as STUN servers see them.
    pub fn candidates(&self, interfaces: &[Interface], public: &[IpAddr], bound: &Bound) -> Vec<Candidate> {
        let mut list = Vec::new();
        for (rank, ip) in self.addresses(interfaces).into_iter().enumerate() {
            for (protocol, base) in [(Protocol::Udp, UDP_PRIORITY), (Protocol::Tcp, TCP_PRIORITY)] {
                if let Some(port) = bound.port(protocol, ip) {
                    // Local preference is bits 8 to 23 (RFC 8445 section 5.1.2.1).
                    let priority = base - 256 * rank.min(1000) as u32;
                    list.push(Candidate::new(protocol, SocketAddr::new(ip, port), priority));
                }
            }
        }
        let mut n = 0;
        let manual = self.manual.iter().flat_map(|entry| match *entry {
            Manual::Literal(address) => vec![address],
            Manual::Public(port) => public.iter().map(|ip| SocketAddr::new(*ip, port)).collect(),
        });
        for address in manual {
            let tcp = self.listen.tcp.is_some();
            let udp = !tcp || self.listen.udp != 0;
            for (on, protocol, base) in [(tcp, Protocol::Tcp, TCP_PRIORITY), (udp, Protocol::Udp, UDP_PRIORITY)] {
                if on {
                    n += 1;
                    list.push(Candidate::new(protocol, address, base - n));
                }
            }
        }
        list.truncate(MAX_CANDIDATES);
        list
    }
}

fn is_link_local6(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80)
}

/// Addresses of container bridges: nobody outside of this machine reaches them.
fn is_container(interface: &Interface) -> bool {
    let name = interface.name.as_str();
    let bridge =
        ["docker", "br-", "veth", "hassio", "virbr", "cni", "podman"].iter().any(|start| name.starts_with(start));
    let documented = matches!(interface.ip, IpAddr::V4(v4) if u32::from(v4) & 0xfff0_0000 == u32::from(Ipv4Addr::new(172, 16, 0, 0)));
    bridge || documented
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webrtc(listen: &str, candidates: &[&str]) -> Webrtc {
        Webrtc {
            listen: listen.into(),
            candidates: candidates.iter().map(|c| c.to_string()).collect(),
            ..Default::default()
        }
    }

    fn interface(name: &str, ip: &str) -> Interface {
        Interface { name: name.into(), ip: ip.parse().unwrap(), loopback: name == "lo" }
    }

    const BOUND: Bound = Bound { udp4: Some(8555), udp6: Some(8555), tcp4: Some(8555), tcp6: Some(8555) };

    fn told(webrtc: &Webrtc, interfaces: &[Interface]) -> Vec<String> {
        let public = ["203.0.113.7".parse().unwrap()];
        Policy::new(webrtc).unwrap().candidates(interfaces, &public, &BOUND).iter().map(|c| c.to_string()).collect()
    }

    #[test]
    fn listen_is_understood_in_all_its_forms() {
        let parse = |text| Listen::parse(text).unwrap();
        assert_eq!(parse(":8555"), Listen { host: None, udp: 8555, tcp: Some(8555) });
        assert_eq!(parse(":8555/tcp"), Listen { host: None, udp: 0, tcp: Some(8555) });
        assert_eq!(parse(":8555/udp"), Listen { host: None, udp: 8555, tcp: None });
        assert_eq!(parse(""), Listen { host: None, udp: 0, tcp: None });
        assert_eq!(parse("192.168.1.2:1").host, Some("192.168.1.2".parse().unwrap()));
        assert_eq!(parse("[fd00::1]:1/udp").host, Some("fd00::1".parse().unwrap()));
        for wrong in ["8555", ":x", ":8555/sctp", "host:8555", ":99999"] {
            assert!(Listen::parse(wrong).unwrap_err().contains("webrtc.listen"), "{wrong}");
        }
    }

    #[test]
    fn manual_candidates_rank_in_their_order_below_the_machines_own() {
        let lines = told(&webrtc(":8555", &["216.58.210.174:8555", "stun:8555"]), &[interface("eth0", "192.168.1.2")]);
        assert!(lines[0].ends_with(" 1 udp 2130706431 192.168.1.2 8555 typ host"), "{lines:?}");
        assert!(lines[1].ends_with(" 1 tcp 1671430143 192.168.1.2 8555 typ host tcptype passive"));
        assert_eq!(lines[2], "candidate:3613942034 1 tcp 1671430142 216.58.210.174 8555 typ host tcptype passive");
        assert_eq!(lines[3], "candidate:1788547314 1 udp 2130706429 216.58.210.174 8555 typ host");
        assert_eq!(lines[4], "candidate:252975767 1 tcp 1671430140 203.0.113.7 8555 typ host tcptype passive");
        assert!(lines[5].contains(" udp 2130706427 203.0.113.7 "));
    }

    #[test]
    fn with_tcp_alone_manual_candidates_are_tcp() {
        let lines = told(&webrtc(":8555/tcp", &["1.2.3.4:8555", "1.2.3.5:8555"]), &[]);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("tcp 1671430142") && lines[1].contains("tcp 1671430141"));
    }

    #[test]
    fn loopback_and_container_bridges_are_told_only_when_nothing_else_is_left() {
        let all = [interface("lo", "127.0.0.1"), interface("docker0", "172.17.0.1"), interface("eth0", "10.0.0.2")];
        let ips = |list: &[Interface], webrtc: &Webrtc| Policy::new(webrtc).unwrap().addresses(list);
        let default = webrtc(":8555", &[]);
        assert_eq!(ips(&all, &default), ["10.0.0.2".parse::<IpAddr>().unwrap()]);
        assert_eq!(ips(&all[..2], &default), ["172.17.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(ips(&all[..1], &default), ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        let mut with = default.clone();
        with.filters.loopback = true;
        assert_eq!(ips(&all, &with).len(), 2);
        assert_eq!(ips(&all, &webrtc("127.0.0.1:8555", &[])), ["127.0.0.1".parse::<IpAddr>().unwrap()]);
    }
}
