//! The names and addresses that this machine is called by on its own network: what its certificate has to name.
use crate::gather::interfaces::Interface;
use crate::http::server::peers;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Entries of `api.hosts` that go into the certificate: the first ones. With thousands, handshakes would be slow.
const MAX_HOSTS: usize = 64;
/// The machine's own addresses in it.
const MAX_ADDRESSES: usize = 64;
/// What routers and mDNS put behind a machine's name.
const SUFFIXES: [&str; 2] = ["local", "lan"];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Lower case, without a final dot.
    pub dns: BTreeSet<String>,
    pub ips: BTreeSet<IpAddr>,
}

impl Names {
    /// `machine` is the host name, `hosts` is `api.hosts`. Of the machine's addresses only private ones count: public
    /// ones change daily with some providers, and nobody types them.
    pub fn of(machine: &str, hosts: &[String], interfaces: &[Interface]) -> Self {
        let mut names = Self::default();
        names.dns.insert("localhost".into());
        names.ips.extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        if let Some(machine) = dns_name(machine) {
            let label = first_label(&machine).to_owned();
            if !label.is_empty() && label != "localhost" {
                names.dns.extend(SUFFIXES.map(|suffix| format!("{label}.{suffix}")));
                names.dns.extend([label, machine]);
            }
        }
        for host in hosts.iter().take(MAX_HOSTS) {
            match host.trim().trim_matches(['[', ']']).parse::<IpAddr>() {
                Ok(ip) => names.ips.extend(Some(ip)),
                Err(_) => names.dns.extend(dns_name(host)),
            }
        }
        let usable = interfaces.iter().filter(|interface| !interface.container && !interface.tentative);
        names.ips.extend(usable.map(|interface| interface.ip).filter(is_told).take(MAX_ADDRESSES));
        names
    }

    /// Does a certificate with these names still serve a machine with those? Addresses that are gone do no harm: they
    /// come back with the next lease, or the cable.
    pub fn serve(&self, wanted: &Self) -> bool {
        self.dns == wanted.dns && self.ips.is_superset(&wanted.ips)
    }
}

pub fn first_label(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

/// The name as certificates write it; `None` if it can't stand in one.
pub fn dns_name(text: &str) -> Option<String> {
    let name = text.trim().trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.len() <= 63 && label.bytes().all(valid)
    };
    (name.len() <= 253 && name.split('.').all(label)).then_some(name)
}

/// Browsers can't be told of link-local IPv6 addresses, which need a zone.
fn is_told(ip: &IpAddr) -> bool {
    let link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    !link_local && (peers::is_allowed(*ip, &[]) || is_shared(*ip))
}

/// 100.64.0.0/10 (RFC 6598): what Tailscale numbers its machines from.
fn is_shared(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 0x40)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, ip: &str) -> Interface {
        Interface::new(name, ip.parse().unwrap())
    }

    fn strings<T: ToString>(list: &BTreeSet<T>) -> Vec<String> {
        list.iter().map(T::to_string).collect()
    }

    #[test]
    fn a_machine_is_named_as_its_network_may_call_it() {
        let interfaces = [
            interface("lo", "127.0.0.1"),
            interface("eth0", "192.168.1.5"),
            interface("eth0", "fe80::1"),
            interface("eth0", "fd00::5"),
            interface("eth0", "2001:db8::5"),
            interface("ppp0", "203.0.113.5"),
            interface("docker0", "172.17.0.1"),
            interface("tailscale0", "100.99.1.1"),
        ];
        let hosts = ["Cam.Example.org.".to_owned(), "203.0.113.9".into(), "[2001:db8::9]".into(), "a b".into()];
        let names = Names::of("Voron", &hosts, &interfaces);
        assert_eq!(strings(&names.dns), ["cam.example.org", "localhost", "voron", "voron.lan", "voron.local"]);
        let ips = ["100.99.1.1", "127.0.0.1", "192.168.1.5", "203.0.113.9", "::1", "2001:db8::9", "fd00::5"];
        assert_eq!(strings(&names.ips), ips);
        let full = Names::of("board.corp.example", &[], &[]);
        assert_eq!(strings(&full.dns), ["board", "board.corp.example", "board.lan", "board.local", "localhost"]);
        assert_eq!(strings(&Names::of("localhost", &[], &[]).dns), ["localhost"]);
        assert_eq!(strings(&Names::of("", &[], &[]).dns), ["localhost"]);
    }

    #[test]
    fn an_address_that_went_away_needs_no_new_certificate_and_one_that_came_does() {
        let one = Names::of("a", &[], &[interface("eth0", "10.0.0.1")]);
        let two = Names::of("a", &[], &[interface("eth0", "10.0.0.1"), interface("wlan0", "10.0.0.2")]);
        assert!(two.serve(&one) && two.serve(&two) && !one.serve(&two));
        let host = Names::of("a", &["b.lan".into()], &[interface("eth0", "10.0.0.1")]);
        assert!(!one.serve(&host) && !host.serve(&one), "a name that was taken away is no longer vouched for");
    }

    #[test]
    fn the_names_of_a_certificate_are_bounded() {
        let hosts: Vec<String> = (0..500).map(|n| format!("h{n}.lan")).collect();
        let interfaces: Vec<_> = (0..200).map(|n| interface("eth0", &format!("10.0.1.{n}"))).collect();
        let names = Names::of("a", &hosts, &interfaces);
        assert_eq!((names.dns.len(), names.ips.len()), (MAX_HOSTS + 4, MAX_ADDRESSES + 2));
        assert!(names.dns.contains("a.local"));
    }
}
