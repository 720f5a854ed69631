//! Which sockets are bound and which addresses are advertised to peers: pure functions of the settings and of
//! the machine's addresses. Both follow from one [`Policy`], so they can't contradict each other.
use crate::config::candidates::{Manual, Place, is_auto_host};
use crate::config::{Docker, Network, Webrtc};
use crate::gather::interfaces::Interface;
use crate::rtc::ice::{TCP_PRIORITY, UDP_PRIORITY};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

pub use crate::config::listen::Listen;
pub use crate::gather::candidate::{Bound, Candidate, Protocol};

mod calls;
#[cfg(test)]
mod tests;

pub use calls::Doors;

/// Ports of `filters.udp_ports` that are tried before the range counts as taken.
const MAX_TRIED: u16 = 256;
/// Candidates that one answer carries at most.
pub const MAX_CANDIDATES: usize = 32;

/// Why an address of the machine is not advertised to peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Means something on its own link only, and browsers leave it out.
    LinkLocal,
    Tentative,
    Listen,
    Networks,
    Interfaces,
    ExcludeInterfaces,
    Ips,
    Candidates,
    Loopback,
    /// `filters.docker`, because of the kind of interface.
    Container,
    /// `filters.docker`, because the address is in 172.16.0.0/12, where Docker takes its networks from.
    ContainerRange,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::LinkLocal => "a link-local address, which means nothing beyond its cable",
            Rule::Tentative => "the kernel still looks whether the address is free, or found it taken",
            Rule::Listen => "webrtc.listen names another address",
            Rule::Networks => "webrtc.filters.networks leaves nothing of this address family",
            Rule::Interfaces => "webrtc.filters.interfaces does not name this interface",
            Rule::ExcludeInterfaces => "webrtc.filters.exclude_interfaces names this interface",
            Rule::Ips => "webrtc.filters.ips does not name this address",
            Rule::Candidates => "webrtc.filters.candidates does not name this address",
            Rule::Loopback => "loopback, and webrtc.filters.loopback is not set",
            Rule::Container => "a container bridge; webrtc.filters.docker: include would tell it",
            Rule::ContainerRange => "in Docker's range 172.16.0.0/12; webrtc.filters.docker: include would tell it",
        })
    }
}

/// What the policy makes of one address of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub address: IpAddr,
    pub interface: String,
    pub advertised: bool,
    /// Does a socket, its own or a wildcard, answer there?
    pub bound: bool,
    /// What keeps it from being advertised.
    pub rule: Option<Rule>,
}

/// The settings that decide about sockets and candidates.
#[derive(Clone, Debug)]
pub struct Policy {
    pub listen: Listen,
    /// First and last port for sockets that `listen` gives none.
    pub udp_ports: Option<(u16, u16)>,
    manual: Vec<Manual>,
    candidates: Option<Vec<IpAddr>>,
    loopback: bool,
    networks: Option<Vec<Network>>,
    interfaces: Option<Vec<String>>,
    exclude_interfaces: Vec<String>,
    ips: Option<Vec<IpAddr>>,
    docker: Docker,
}

impl Policy {
    pub fn new(webrtc: &Webrtc) -> Result<Self, String> {
        let manual =
            |entry: &String| Manual::parse(entry).map_err(|error| format!("webrtc.candidates: {entry:?}: {error}"));
        let filters = webrtc.filters.clone();
        Ok(Self {
            listen: Listen::parse(&webrtc.listen)?,
            udp_ports: filters.udp_ports,
            manual: webrtc.candidates.iter().map(manual).collect::<Result<_, _>>()?,
            candidates: filters.candidates,
            loopback: filters.loopback,
            networks: filters.networks,
            interfaces: filters.interfaces,
            exclude_interfaces: filters.exclude_interfaces,
            ips: filters.ips,
            docker: filters.docker,
        })
    }

    /// The names among the manual candidates, to be looked up in the background.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.manual.iter().filter_map(|entry| match &entry.place {
            Place::Name(name, _) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Can an entry of `candidates` not lead to any candidate, whatever is looked up for it?
    pub fn never_advertised(&self, index: usize) -> bool {
        let Some(entry) = self.manual.get(index) else { return true };
        let ips = match &entry.place {
            Place::Address(address) => vec![address.ip()],
            _ => vec![wildcard(false), wildcard(true)],
        };
        let advertised = |ip: &IpAddr, protocol| {
            let forwarded = entry.place != Place::Auto || self.port(protocol) != 0;
            forwarded && self.tells_manual(protocol, *ip, entry.only)
        };
        !ips.iter().any(|ip| advertised(ip, Protocol::Tcp) || advertised(ip, Protocol::Udp))
    }

    fn allows(&self, protocol: Protocol, ip: IpAddr) -> bool {
        self.networks.as_ref().is_none_or(|networks| networks.contains(&Network::of(protocol, ip)))
    }

    /// Is there to be a socket of this protocol for addresses of this family?
    fn serves(&self, protocol: Protocol, ip: IpAddr) -> bool {
        self.allows(protocol, ip) && (protocol == Protocol::Udp || self.listen.tcp.is_some())
    }

    /// The operator named this address or its interface: it is advertised, whatever kind it is of.
    fn is_named(&self, interface: &Interface) -> bool {
        let among = |list: &Option<Vec<IpAddr>>| list.as_ref().is_some_and(|ips| ips.contains(&interface.ip));
        among(&self.ips)
            || among(&self.candidates)
            || self.interfaces.as_ref().is_some_and(|names| names.contains(&interface.name))
            || self.listen.single() == Some(interface.ip)
    }

    /// The rule that keeps an address from being used at all.
    fn barred(&self, interface: &Interface) -> Option<Rule> {
        let Interface { name, ip, .. } = interface;
        let rules = [
            (Rule::LinkLocal, is_link_local6(*ip) || ip.is_unspecified()),
            (Rule::Tentative, interface.tentative),
            (Rule::Listen, !self.listen.covers(*ip)),
            (Rule::Networks, !self.serves(Protocol::Udp, *ip) && !self.serves(Protocol::Tcp, *ip)),
            (Rule::Interfaces, self.interfaces.as_ref().is_some_and(|names| !names.contains(name))),
            (Rule::ExcludeInterfaces, self.exclude_interfaces.iter().any(|glob| matches(glob, name))),
            (Rule::Ips, self.ips.as_ref().is_some_and(|ips| !ips.contains(ip))),
            (Rule::Container, self.docker == Docker::Exclude && interface.container),
        ];
        rules.into_iter().find(|(_, barred)| *barred).map(|(rule, _)| rule)
    }

    /// The rule that keeps a usable address from being advertised.
    fn hidden(&self, interface: &Interface) -> Option<Rule> {
        let named = self.is_named(interface);
        let container = match self.docker {
            Docker::Include => false,
            Docker::Exclude => true,
            Docker::Auto => !named,
        };
        let rules = [
            (Rule::Candidates, self.candidates.as_ref().is_some_and(|ips| !ips.contains(&interface.ip))),
            (Rule::Loopback, interface.loopback && !self.loopback && !named),
            (Rule::Container, container && interface.container),
            (Rule::ContainerRange, container && is_container_range(interface.ip)),
        ];
        rules.into_iter().find(|(_, hidden)| *hidden).map(|(rule, _)| rule)
    }

    /// For each interface the rule that hides it from peers. `forwarded`: the operator's candidates lead here from the
    /// local network.
    fn judge(&self, interfaces: &[Interface], forwarded: bool) -> Vec<Option<Rule>> {
        let mut rules: Vec<Option<Rule>> =
            interfaces.iter().map(|i| self.barred(i).or_else(|| self.hidden(i))).collect();
        let advertised = |rules: &[Option<Rule>], which: &dyn Fn(&Interface) -> bool| {
            interfaces.iter().zip(rules).any(|(interface, rule)| rule.is_none() && which(interface))
        };
        let tell = |rules: &mut [Option<Rule>], rule: Rule| {
            rules.iter_mut().filter(|have| **have == Some(rule)).for_each(|have| *have = None);
        };
        // A guess never leaves a peer with nothing: some homes use Docker's range, containers see only such
        // addresses, and a machine without a network still has itself. A container with an address of its host among the
        // operator's candidates needs no guess.
        if self.docker == Docker::Auto && self.candidates.is_none() && !forwarded {
            if !advertised(&rules, &|i| !i.loopback && i.ip.is_ipv4()) {
                tell(&mut rules, Rule::ContainerRange);
            }
            if !advertised(&rules, &|i| !i.loopback) {
                tell(&mut rules, Rule::Container);
            }
        }
        let strict = [Rule::Candidates, Rule::Container, Rule::ContainerRange];
        if !advertised(&rules, &|_| true) && !rules.iter().flatten().any(|rule| strict.contains(rule)) {
            tell(&mut rules, Rule::Loopback);
        }
        rules
    }

    /// What becomes of each address, for whoever looks for a fault.
    pub fn explain(&self, interfaces: &[Interface]) -> Vec<Verdict> {
        let sockets = self.sockets(interfaces);
        let answers = |ip: IpAddr| {
            let of = |at: &IpAddr| *at == ip || (at.is_unspecified() && at.is_ipv4() == ip.is_ipv4());
            sockets.iter().any(|(_, at)| of(at))
        };
        let rules = self.judge(interfaces, is_forwarded(&self.manual(&[], &|_| Vec::new(), None)));
        let verdict = |(interface, rule): (&Interface, Option<Rule>)| Verdict {
            address: interface.ip,
            interface: interface.name.clone(),
            advertised: rule.is_none(),
            bound: answers(interface.ip),
            rule,
        };
        interfaces.iter().zip(rules).map(verdict).collect()
    }

    /// The machine's addresses that are advertised to peers, best first.
    fn addresses(&self, interfaces: &[Interface], forwarded: bool) -> Vec<IpAddr> {
        let rules = self.judge(interfaces, forwarded);
        let mut advertised: Vec<&Interface> =
            interfaces.iter().zip(rules).filter(|(_, rule)| rule.is_none()).map(|(interface, _)| interface).collect();
        advertised.sort_by_key(|interface| (interface.loopback, interface.container, interface.ip.is_ipv6()));
        let mut list: Vec<IpAddr> = Vec::new();
        for interface in advertised {
            if !list.contains(&interface.ip) {
                list.push(interface.ip);
            }
        }
        list
    }

    /// What shall be bound: one wildcard for each family, or with a filter that leaves addresses out one socket for
    /// each of the others. `docker: exclude` is such a filter for the interfaces of containers. It is none for an address
    /// that only looks like Docker's: inside of a container that may be the one that its published port leads to.
    /// The port is [`Self::port`]'s.
    pub fn sockets(&self, interfaces: &[Interface]) -> Vec<(Protocol, IpAddr)> {
        let only = self.interfaces.is_some() || self.ips.is_some();
        let addresses: Vec<IpAddr> = match self.listen.single() {
            // An address that the machine does not have yet is an error that is reported, and tried again.
            Some(ip) => {
                let known = interfaces.iter().find(|interface| interface.ip == ip);
                known.is_none_or(|interface| self.barred(interface).is_none()).then_some(ip).into_iter().collect()
            }
            None if only || !self.exclude_interfaces.is_empty() || self.docker == Docker::Exclude => interfaces
                .iter()
                .filter(|interface| self.barred(interface).is_none())
                .filter(|interface| !interface.loopback || !only || self.loopback || self.is_named(interface))
                .map(|interface| interface.ip)
                .collect(),
            None => [wildcard(false), wildcard(true)].into_iter().filter(|ip| self.listen.covers_family(*ip)).collect(),
        };
        let mut sockets = Vec::new();
        for ip in addresses {
            for protocol in [Protocol::Udp, Protocol::Tcp] {
                if self.serves(protocol, ip) && !sockets.contains(&(protocol, ip)) {
                    sockets.push((protocol, ip));
                }
            }
        }
        sockets
    }

    /// The fixed port of a protocol; 0: none is fixed.
    pub fn port(&self, protocol: Protocol) -> u16 {
        match protocol {
            Protocol::Udp => self.listen.udp,
            Protocol::Tcp => self.listen.tcp.unwrap_or(0),
        }
    }

    /// The ports to try in turn for a socket of this protocol; 0 lets the kernel choose.
    pub fn ports(&self, protocol: Protocol) -> RangeInclusive<u16> {
        match (self.port(protocol), self.udp_ports) {
            (0, Some((first, last))) if protocol == Protocol::Udp => {
                first..=last.min(first.saturating_add(MAX_TRIED - 1))
            }
            (port, _) => port..=port,
        }
    }

    /// Every candidate that is advertised to a peer: the machine's, then the operator's, which rank below the first of the
    /// machine's in the order written. `public`: our addresses as STUN servers see them; `resolved`: the latest
    /// known addresses of a name; `host`: the address in the `Host` header of the request.
    pub fn candidates(
        &self,
        interfaces: &[Interface],
        bound: &Bound,
        public: &[IpAddr],
        resolved: &dyn Fn(&str) -> Vec<IpAddr>,
        host: Option<IpAddr>,
    ) -> Vec<Candidate> {
        let mut list: Vec<Candidate> = Vec::new();
        let manual = self.manual(public, resolved, host);
        for (rank, ip) in self.addresses(interfaces, is_forwarded(&manual)).into_iter().enumerate() {
            for (protocol, base) in [(Protocol::Udp, UDP_PRIORITY), (Protocol::Tcp, TCP_PRIORITY)] {
                if let Some(port) = bound.port(protocol, ip) {
                    // Local preference is bits 8 to 23 (RFC 8445 section 5.1.2.1).
                    let priority = base - 256 * rank.min(1000) as u32;
                    list.push(Candidate { protocol, address: SocketAddr::new(ip, port), priority });
                }
            }
        }
        list.truncate(MAX_CANDIDATES.saturating_sub(manual.len()).max(2));
        let mut n = 0;
        for (protocol, address) in manual {
            if list.iter().any(|advertised| advertised.protocol == protocol && advertised.address == address) {
                continue;
            }
            n += 1;
            let base = if protocol == Protocol::Tcp { TCP_PRIORITY } else { UDP_PRIORITY };
            list.push(Candidate { protocol, address, priority: base - n });
        }
        list.truncate(MAX_CANDIDATES);
        list
    }

    /// The operator's candidates in the order written, TCP before UDP as existing relays send them.
    fn manual(
        &self,
        public: &[IpAddr],
        resolved: &dyn Fn(&str) -> Vec<IpAddr>,
        host: Option<IpAddr>,
    ) -> Vec<(Protocol, SocketAddr)> {
        let mut list = Vec::new();
        for entry in &self.manual {
            let (ips, port) = match &entry.place {
                Place::Address(address) => (vec![address.ip()], address.port()),
                Place::Name(name, port) => (resolved(name), *port),
                Place::Public(port) => (public.to_vec(), *port),
                Place::Auto => (host.filter(|ip| is_auto_host(*ip)).into_iter().collect(), 0),
            };
            for ip in ips {
                for protocol in [Protocol::Tcp, Protocol::Udp] {
                    let port = if entry.place == Place::Auto { self.port(protocol) } else { port };
                    if port != 0 && self.tells_manual(protocol, ip, entry.only) {
                        list.push((protocol, SocketAddr::new(ip, port)));
                    }
                }
            }
        }
        list
    }

    /// A forwarded port leads to a fixed one, so random UDP ports are left out beside a fixed TCP port unless the
    /// entry itself says `/udp`.
    fn tells_manual(&self, protocol: Protocol, ip: IpAddr, only: Option<Protocol>) -> bool {
        let fixed = protocol == Protocol::Tcp || self.listen.udp != 0 || self.listen.tcp.is_none();
        self.serves(protocol, ip) && only.map_or(fixed, |only| only == protocol)
    }
}

/// Does one of the operator's candidates lead here from the local network? One of the Internet does not, for most who are
/// in the local network.
fn is_forwarded(manual: &[(Protocol, SocketAddr)]) -> bool {
    manual.iter().any(|(_, address)| is_auto_host(address.ip()))
}

/// The wildcard address of a family.
pub fn wildcard(v6: bool) -> IpAddr {
    if v6 { std::net::Ipv6Addr::UNSPECIFIED.into() } else { std::net::Ipv4Addr::UNSPECIFIED.into() }
}

/// `*` stands for any letters, `?` for one.
pub fn matches(glob: &str, name: &str) -> bool {
    match (glob.chars().next(), name.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            matches(&glob[1..], name) || name.chars().next().is_some_and(|c| matches(glob, &name[c.len_utf8()..]))
        }
        (Some(wanted), Some(c)) if wanted == '?' || wanted == c => {
            matches(&glob[wanted.len_utf8()..], &name[c.len_utf8()..])
        }
        _ => false,
    }
}

fn is_link_local6(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80)
}

fn is_container_range(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.octets()[0] == 172 && v4.octets()[1] & 0xf0 == 16)
}
