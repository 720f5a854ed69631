//! Which of the machine's addresses peers are told, and what keeps back each of the others: a setting with its line, or
//! a rule. [`Explainer::reason`] follows `net::policy` in its order and is the one place to change when that changes.
use super::facts::{Address, Advertised, Scope};
use crate::config::{self, Config, Webrtc};
use crate::net::interfaces::Interface;
use crate::net::policy::{Candidate, Listen, Protocol};
use std::net::IpAddr;

/// Addresses that are told of; a machine with more (a host of many containers) is told of these.
const MAX_ADDRESSES: usize = 64;

/// The settings, with where they stand.
pub struct Explainer {
    webrtc: Webrtc,
    host: Option<IpAddr>,
    /// Last part of a setting's key, and the setting with its line.
    names: Vec<(&'static str, String)>,
}

impl Explainer {
    pub fn new(config: &Config) -> Self {
        let name = |key: &[&'static str]| {
            let line = config.path.as_deref().and_then(|path| Some((config::line_of_key(path, key)?, path)));
            let full = key.join(".");
            let named = line.map(|(line, path)| format!("{full} (line {line} of {})", path.display()));
            (key.last().copied().unwrap_or_default(), named.unwrap_or(full))
        };
        let filters = ["interfaces", "ips", "candidates", "networks"];
        let filters = filters.iter().map(|last| name(&["webrtc", "filters", last]));
        Self {
            host: Listen::parse(&config.webrtc.listen).ok().and_then(|listen| listen.host),
            webrtc: config.webrtc.clone(),
            names: std::iter::once(name(&["webrtc", "listen"])).chain(filters).collect(),
        }
    }

    pub fn advertised(&self, interfaces: &[Interface], candidates: &[Candidate]) -> Advertised {
        let told = |ip: IpAddr| candidates.iter().any(|candidate| candidate.address.ip() == ip);
        let addresses = interfaces.iter().take(MAX_ADDRESSES).map(|interface| {
            let advertised = told(interface.ip);
            let (removed_by, setting) = if advertised { (None, None) } else { self.reason(interface) };
            Address {
                interface: interface.name.clone(),
                ip: interface.ip.to_string(),
                scope: scope(interface),
                advertised,
                removed_by,
                setting,
            }
        });
        let lines = candidates.iter().map(|candidate| {
            let protocol = match candidate.protocol {
                Protocol::Udp => "udp",
                Protocol::Tcp => "tcp",
            };
            format!("{protocol} {}", candidate.address)
        });
        Advertised {
            candidates: lines.collect(),
            addresses: addresses.collect(),
            manual: candidates.iter().any(|c| interfaces.iter().all(|interface| interface.ip != c.address.ip())),
        }
    }

    /// Why peers are not told of this address, and the setting that does it.
    fn reason(&self, interface: &Interface) -> (Option<String>, Option<String>) {
        let filters = &self.webrtc.filters;
        let ip = interface.ip;
        let rule = |words: &str| (Some(words.to_owned()), None);
        let setting = |key: &str, words: &str| {
            let name = self.names.iter().find(|(known, _)| *known == key).map(|(_, name)| name.clone());
            (Some(words.to_owned()), name)
        };
        if self.host.is_some_and(|host| host != ip) {
            return setting("listen", "webrtc.listen names another address");
        }
        if filters.interfaces.as_ref().is_some_and(|names| !names.contains(&interface.name)) {
            return setting("interfaces", "webrtc.filters.interfaces does not name this interface");
        }
        if filters.ips.as_ref().is_some_and(|ips| !ips.contains(&ip)) {
            return setting("ips", "webrtc.filters.ips does not name this address");
        }
        match scope(interface) {
            Scope::LinkLocal => return rule("a link-local address, which means nothing beyond its cable"),
            Scope::Loopback if !filters.loopback => return rule("loopback, and webrtc.filters.loopback is not set"),
            Scope::Container => return rule("a container's address, which only this machine reaches"),
            _ => {}
        }
        if filters.candidates.as_ref().is_some_and(|ips| !ips.contains(&ip)) {
            return setting("candidates", "webrtc.filters.candidates does not name this address");
        }
        if filters.networks.is_some() {
            return setting("networks", "webrtc.filters.networks leaves nothing of this address family");
        }
        rule("nothing is bound for this kind of address")
    }
}

/// How far an address reaches, by the names that systems give their interfaces.
fn scope(interface: &Interface) -> Scope {
    let named = |starts: &[&str]| starts.iter().any(|start| interface.name.starts_with(start));
    match interface.ip {
        _ if interface.loopback || interface.ip.is_loopback() => Scope::Loopback,
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Scope::LinkLocal,
        _ if named(&["docker", "br-", "veth", "hassio", "virbr", "cni", "podman", "lxc", "flannel"]) => {
            Scope::Container
        }
        _ if named(&["tun", "tap", "wg", "tailscale", "zt", "ppp", "ipsec", "nordlynx"]) => Scope::Vpn,
        // What Docker takes by itself; a LAN there would carry another name, which its owner filters by.
        IpAddr::V4(ip) if u32::from(ip) & 0xfff0_0000 == 0xac10_0000 => Scope::Container,
        _ => Scope::Lan,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::policy::{Bound, Policy};

    fn explained(settings: &str) -> Vec<(String, bool, Option<String>)> {
        let edge =
            config::Edge { read: &|_| Err(std::io::ErrorKind::NotFound.into()), variable: &|_| None, memory: None };
        let config = config::load(&[format!("{{webrtc: {settings}}}")], &edge).unwrap().config;
        let interface =
            |name: &str, ip: &str| Interface { name: name.into(), ip: ip.parse().unwrap(), loopback: name == "lo" };
        let all = [
            interface("lo", "127.0.0.1"),
            interface("eth0", "192.168.1.2"),
            interface("eth0", "fe80::1"),
            interface("wlan0", "192.168.2.2"),
            interface("docker0", "172.17.0.1"),
        ];
        let bound = Bound { udp4: Some(8555), udp6: Some(8555), tcp4: Some(8555), tcp6: Some(8555) };
        let candidates = Policy::new(&config.webrtc).unwrap().candidates(&all, &bound);
        let advertised = Explainer::new(&config).advertised(&all, &candidates);
        assert!(advertised.addresses.iter().all(|a| a.advertised == a.removed_by.is_none()));
        advertised.addresses.into_iter().map(|a| (a.ip, a.advertised, a.setting.or(a.removed_by))).collect()
    }

    #[test]
    fn every_address_is_told_or_has_a_reason() {
        let list = explained("{}");
        assert!(list.iter().all(|(_, told, reason)| *told == reason.is_none()));
        let told: Vec<&str> = list.iter().filter(|a| a.1).map(|a| a.0.as_str()).collect();
        assert_eq!(told, ["192.168.1.2", "192.168.2.2"]);
        let reason = |at: usize| list[at].2.clone().unwrap_or_default();
        assert!(reason(0).contains("loopback") && reason(2).contains("link-local") && reason(4).contains("container"));
    }

    #[test]
    fn settings_are_named() {
        let by = |settings, at: usize| explained(settings)[at].2.clone().unwrap_or_default();
        assert_eq!(by("{filters: {interfaces: [wlan0]}}", 1), "webrtc.filters.interfaces");
        assert_eq!(by("{filters: {ips: [192.168.1.2]}}", 3), "webrtc.filters.ips");
        assert_eq!(by("{listen: '192.168.1.2:8555'}", 3), "webrtc.listen");
    }
}
