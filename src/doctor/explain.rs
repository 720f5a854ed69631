//! Which of the machine's addresses peers are told, and what keeps back each of the others: a setting with its line, or
//! a rule of the relay itself. The judgement is the policy's; here it gets its words and places.
use super::facts::{Address, Advertised, Scope};
use crate::config::{self, Config, Docker};
use crate::gather::interfaces::Interface;
use crate::gather::policy::{Rule, Verdict};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Addresses that are told of; a machine with more (a host of many containers) is told of these.
const MAX_ADDRESSES: usize = 64;
/// Beginnings of names that tunnels give their interfaces.
const VPN_NAMES: [&str; 8] = ["tun", "tap", "wg", "tailscale", "zt", "ppp", "ipsec", "nordlynx"];

/// The settings that keep addresses back, with where they stand.
pub struct Explainer {
    names: Vec<(Rule, String)>,
}

impl Explainer {
    pub fn new(config: &Config) -> Self {
        let name = |rule: Rule| {
            let key = key(rule)?;
            let line = config.path.as_deref().and_then(|path| Some((config::line_of_key(path, key)?, path)));
            let full = key.join(".");
            Some((
                rule,
                line.map_or(full.clone(), |(line, path)| format!("{full} (line {line} of {})", path.display())),
            ))
        };
        let rules =
            [Rule::Listen, Rule::Networks, Rule::Interfaces, Rule::ExcludeInterfaces, Rule::Ips, Rule::Candidates];
        // Without that word it is the relay's own rule.
        let excluded =
            (config.webrtc.filters.docker == Docker::Exclude).then_some([Rule::Container, Rule::ContainerRange]);
        Self { names: rules.into_iter().chain(excluded.into_iter().flatten()).filter_map(name).collect() }
    }

    /// `verdicts` are the policy's on `interfaces`, in their order; `lines` the candidates of an answer.
    pub fn advertised(&self, interfaces: &[Interface], verdicts: &[Verdict], lines: &[String]) -> Advertised {
        let told: Vec<Told> = lines.iter().filter_map(|line| Told::read(line)).collect();
        let addresses = interfaces.iter().zip(verdicts).take(MAX_ADDRESSES).map(|(interface, verdict)| {
            let advertised = told.iter().any(|told| told.address.ip() == interface.ip);
            let unbound = || "no socket answers at this address".to_owned();
            let why = || verdict.rule.map_or_else(unbound, |rule| rule.to_string());
            let setting = verdict.rule.and_then(|rule| self.names.iter().find(|(known, _)| *known == rule));
            Address {
                interface: interface.name.clone(),
                ip: interface.ip.to_string(),
                scope: scope(interface),
                advertised,
                removed_by: (!advertised).then(why),
                setting: setting.filter(|_| !advertised).map(|(_, name)| name.clone()),
            }
        });
        Advertised {
            addresses: addresses.collect(),
            candidates: told.iter().map(ToString::to_string).collect(),
            foreign: told.iter().any(|told| interfaces.iter().all(|interface| interface.ip != told.address.ip())),
        }
    }
}

/// What a candidate line of ours says (RFC 8839 section 5.1).
struct Told<'l> {
    protocol: &'l str,
    address: SocketAddr,
    kind: &'l str,
}

impl<'l> Told<'l> {
    fn read(line: &'l str) -> Option<Self> {
        let fields: Vec<&str> = line.split_ascii_whitespace().take(8).collect();
        let [_, _, protocol, _, ip, port, _, kind] = fields[..] else { return None };
        Some(Self { protocol, address: SocketAddr::new(ip.parse().ok()?, port.parse().ok()?), kind })
    }
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol, self.address)?;
        if self.kind == "host" { Ok(()) } else { write!(f, " {}", self.kind) }
    }
}

/// The setting behind a rule; `None` for what the relay does by itself.
fn key(rule: Rule) -> Option<&'static [&'static str]> {
    Some(match rule {
        Rule::Listen => &["webrtc", "listen"],
        Rule::Networks => &["webrtc", "filters", "networks"],
        Rule::Interfaces => &["webrtc", "filters", "interfaces"],
        Rule::ExcludeInterfaces => &["webrtc", "filters", "exclude_interfaces"],
        Rule::Ips => &["webrtc", "filters", "ips"],
        Rule::Candidates => &["webrtc", "filters", "candidates"],
        Rule::Container | Rule::ContainerRange => &["webrtc", "filters", "docker"],
        Rule::LinkLocal | Rule::Tentative | Rule::Loopback => return None,
    })
}

/// How far an address reaches, by the names that systems give their interfaces.
fn scope(interface: &Interface) -> Scope {
    match interface.ip {
        _ if interface.loopback || interface.ip.is_loopback() => Scope::Loopback,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Scope::LinkLocal,
        _ if interface.container => Scope::Container,
        _ if VPN_NAMES.iter().any(|start| interface.name.starts_with(start)) => Scope::Vpn,
        IpAddr::V4(ip) if u32::from(ip) & 0xfff0_0000 == 0xac10_0000 => Scope::ContainerRange,
        _ => Scope::Lan,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::policy::{Bound, Policy, Protocol};

    /// Address, whether it is told, and the setting or rule that keeps it back.
    fn explained(settings: &str) -> Vec<(String, bool, Option<String>)> {
        let edge = config::Edge {
            read: &|_| Err(std::io::ErrorKind::NotFound.into()),
            variable: &|_| None,
            memory: None,
            interfaces: None,
        };
        let config = config::load(&[format!("{{webrtc: {settings}}}")], &edge).unwrap().config;
        let interface = |name, ip: &str| Interface::new(name, ip.parse().unwrap());
        let all = [
            interface("lo", "127.0.0.1"),
            interface("eth0", "192.168.1.2"),
            interface("eth0", "fe80::1"),
            interface("wlan0", "192.168.2.2"),
            interface("docker0", "172.17.0.1"),
        ];
        let policy = Policy::new(&config.webrtc).unwrap();
        let mut bound = Bound::default();
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            bound.add(protocol, "0.0.0.0:8555".parse().unwrap());
        }
        let candidates = policy.candidates(&all, &bound, &[], &|_| Vec::new(), None);
        let lines: Vec<String> = candidates.iter().map(ToString::to_string).collect();
        let advertised = Explainer::new(&config).advertised(&all, &policy.explain(&all), &lines);
        assert!(advertised.addresses.iter().all(|a| a.advertised == a.removed_by.is_none()));
        advertised.addresses.into_iter().map(|a| (a.ip, a.advertised, a.setting.or(a.removed_by))).collect()
    }

    #[test]
    fn every_address_is_told_or_has_a_reason() {
        let list = explained("{}");
        let told: Vec<&str> = list.iter().filter(|a| a.1).map(|a| a.0.as_str()).collect();
        assert_eq!(told, ["192.168.1.2", "192.168.2.2"]);
        let reason = |at: usize| list[at].2.clone().unwrap_or_default();
        assert!(reason(0).contains("loopback") && reason(2).contains("link-local") && reason(4).contains("container"));
    }

    #[test]
    fn addresses_of_routers_and_servers_are_told_from_the_machines() {
        let lines = ["candidate:1 1 udp 1 203.0.113.7 5000 typ srflx raddr 10.0.0.2 rport 8555".to_owned()];
        let all = [Interface::new("docker0", "172.17.0.1".parse().unwrap())];
        let advertised = Explainer { names: Vec::new() }.advertised(&all, &[], &lines);
        assert_eq!(advertised.candidates, ["udp 203.0.113.7:5000 srflx"]);
        assert!(advertised.foreign);
    }

    #[test]
    fn settings_are_named() {
        let by = |settings, at: usize| explained(settings)[at].2.clone().unwrap_or_default();
        assert_eq!(by("{filters: {interfaces: [wlan0]}}", 1), "webrtc.filters.interfaces");
        assert_eq!(by("{filters: {ips: [192.168.1.2]}}", 3), "webrtc.filters.ips");
        assert_eq!(by("{listen: '192.168.1.2:8555'}", 3), "webrtc.listen");
        assert_eq!(by("{filters: {docker: exclude}}", 4), "webrtc.filters.docker");
    }

    #[test]
    fn tunnels_and_dockers_range_are_told_from_the_lan() {
        let of = |name, ip: &str| scope(&Interface::new(name, ip.parse().unwrap()));
        assert_eq!(of("wg0", "10.0.0.2"), Scope::Vpn);
        assert_eq!(of("docker0", "10.0.0.2"), Scope::Container);
        assert_eq!(of("eth0", "172.20.0.2"), Scope::ContainerRange);
        assert_eq!(of("eth0", "172.32.0.2"), Scope::Lan);
    }
}
