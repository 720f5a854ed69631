//! What calls to cameras may use of this machine. With `webrtc.listen: ""` the filters hold for them as for viewers, as in
//! go2rtc; beside a fixed port calls go out from wherever the camera is reached, since cameras often have a network of
//! their own that viewers have nothing to do with.
use super::{Policy, Protocol, Rule, wildcard};
use crate::gather::interfaces::Interface;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Where the sockets of one call are bound: for IPv4 and IPv6 each a wildcard, an address, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doors {
    pub udp: [Option<IpAddr>; 2],
    /// Connections to the camera leave from there.
    pub tcp: [Option<IpAddr>; 2],
    /// UDP ports to try in turn; 0 lets the kernel choose.
    pub ports: RangeInclusive<u16>,
}

impl Doors {
    /// Nothing is filtered.
    pub fn open() -> Self {
        let all = [Some(wildcard(false)), Some(wildcard(true))];
        Self { udp: all, tcp: all, ports: 0..=0 }
    }
}

impl Policy {
    /// Do the filters hold for calls too?
    pub fn holds_for_calls(&self) -> bool {
        self.listen.host.is_none() && self.listen.udp == 0 && self.listen.tcp.is_none()
    }

    /// `towards`: our address by which the camera is reached, preferred where the filters leave several.
    pub fn doors(&self, interfaces: &[Interface], towards: Option<IpAddr>) -> Doors {
        let sockets = self.sockets(interfaces);
        let udp = [false, true].map(|v6| {
            let of_family = |(protocol, ip): &&(Protocol, IpAddr)| *protocol == Protocol::Udp && ip.is_ipv6() == v6;
            let mut ips = sockets.iter().filter(of_family).map(|(_, ip)| *ip);
            let first = ips.clone().find(|ip| !ip.is_loopback()).or(ips.clone().next());
            ips.find(|ip| Some(*ip) == towards).or(first)
        });
        let tcp = udp.map(|ip| ip.filter(|ip| self.allows(Protocol::Tcp, *ip)));
        Doors { udp, tcp, ports: self.ports(Protocol::Udp) }
    }

    /// The addresses that a camera is told, best first: as for viewers, but first the one by which it is reached. That
    /// may be loopback or a container's, which whoever is there reaches.
    pub fn call_hosts(&self, interfaces: &[Interface], towards: Option<IpAddr>) -> Vec<IpAddr> {
        let there = interfaces.iter().find(|interface| {
            Some(interface.ip) == towards
                && self.barred(interface).is_none()
                && self.hidden(interface) != Some(Rule::Candidates)
        });
        let mut hosts: Vec<IpAddr> = there.into_iter().map(|interface| interface.ip).collect();
        for ip in self.addresses(interfaces, false) {
            if !hosts.contains(&ip) {
                hosts.push(ip);
            }
        }
        hosts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Docker, Filters, Network, Webrtc};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn policy(listen: &str, filters: Filters) -> Policy {
        Policy::new(&Webrtc { listen: listen.into(), filters, ..Webrtc::default() }).unwrap()
    }

    fn machine() -> Vec<Interface> {
        let of = |(name, address): (&str, &str)| Interface::new(name, ip(address));
        [
            ("lo", "127.0.0.1"),
            ("eth0", "192.168.1.2"),
            ("wlan0", "10.0.0.2"),
            ("docker0", "172.17.0.1"),
            ("eth0", "fd00::2"),
        ]
        .map(of)
        .into()
    }

    #[test]
    fn without_a_fixed_port_every_filter_holds_for_calls() {
        let (all, v4) = (Some(vec![ip("192.168.1.2"), ip("10.0.0.2")]), Some(ip("192.168.1.2")));
        let wild = [Some(wildcard(false)), Some(wildcard(true))];
        let words = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        let none = Filters::default;
        let cases = [
            (none(), wild, vec!["192.168.1.2", "10.0.0.2", "fd00::2"]),
            (Filters { ips: Some(vec![ip("192.168.1.2")]), ..none() }, [v4, None], vec!["192.168.1.2"]),
            (Filters { ips: all, ..none() }, [v4, None], vec!["192.168.1.2", "10.0.0.2"]),
            (
                Filters { interfaces: Some(words(&["eth0"])), ..none() },
                [v4, Some(ip("fd00::2"))],
                vec!["192.168.1.2", "fd00::2"],
            ),
            (
                Filters { exclude_interfaces: words(&["w*", "docker*"]), ..none() },
                [v4, Some(ip("fd00::2"))],
                vec!["192.168.1.2", "fd00::2"],
            ),
            (
                Filters { networks: Some(vec![Network::Udp4]), ..none() },
                [Some(wildcard(false)), None],
                vec!["192.168.1.2", "10.0.0.2"],
            ),
            (Filters { candidates: Some(vec![]), ..none() }, wild, vec![]),
            (
                Filters { docker: Docker::Exclude, ..none() },
                [v4, Some(ip("fd00::2"))],
                vec!["192.168.1.2", "10.0.0.2", "fd00::2"],
            ),
        ];
        for (filters, udp, hosts) in cases {
            let told = format!("{filters:?}");
            let policy = policy("", filters);
            assert!(policy.holds_for_calls());
            assert_eq!(policy.doors(&machine(), None).udp, udp, "{told}");
            let hosts: Vec<IpAddr> = hosts.into_iter().map(ip).collect();
            assert_eq!(policy.call_hosts(&machine(), None), hosts, "{told}");
        }
        for listen in [":8555", ":8555/tcp", "192.168.1.2:8555/udp"] {
            assert!(!policy(listen, none()).holds_for_calls(), "{listen}");
        }
    }

    #[test]
    fn the_way_to_the_camera_comes_first_where_the_filters_leave_it() {
        let both = Filters { ips: Some(vec![ip("192.168.1.2"), ip("10.0.0.2")]), ..Filters::default() };
        let policy = policy("", both);
        assert_eq!(policy.doors(&machine(), Some(ip("10.0.0.2"))).udp[0], Some(ip("10.0.0.2")));
        assert_eq!(policy.call_hosts(&machine(), Some(ip("10.0.0.2"))), [ip("10.0.0.2"), ip("192.168.1.2")]);
        assert_eq!(policy.call_hosts(&machine(), Some(ip("172.17.0.1"))), [ip("192.168.1.2"), ip("10.0.0.2")]);
        let open = super::tests::policy("", Filters::default());
        assert_eq!(open.call_hosts(&machine(), Some(ip("127.0.0.1")))[0], ip("127.0.0.1"));
        let hidden = super::tests::policy("", Filters { candidates: Some(vec![]), ..Filters::default() });
        assert_eq!(hidden.call_hosts(&machine(), Some(ip("10.0.0.2"))), Vec::<IpAddr>::new());
    }

    #[test]
    fn networks_and_ports_hold_for_the_sockets_of_calls() {
        let filters = Filters {
            networks: Some(vec![Network::Udp4, Network::Udp6, Network::Tcp6]),
            udp_ports: Some((50_000, 50_100)),
            ..Filters::default()
        };
        let doors = policy("", filters).doors(&machine(), None);
        assert_eq!((doors.tcp, doors.ports), ([None, Some(wildcard(true))], 50_000..=50_100));
    }
}
