//! What the operator should know about the settings of `webrtc`: ICE servers that are of no use, and settings that are
//! fine one by one and can't work together.
use crate::config::ice_list::Reading;
use crate::config::ice_uri::{Kind, Uri};
use crate::config::listen::Listen;
use crate::config::{Filters, Finding, IceServer, Network, Severity, Webrtc, nearest};
use crate::gather::policy::Policy;

const FILTERS: [&str; 2] = ["webrtc", "filters"];

/// What contradicts what. `machine`: names of its network interfaces, if known.
pub fn findings(webrtc: &Webrtc, machine: Option<&[String]>) -> Vec<(Severity, Finding)> {
    let mut found = Findings(vec![]);
    let (Ok(listen), Ok(policy)) = (Listen::parse(&webrtc.listen), Policy::new(webrtc)) else { return found.0 };
    ports(webrtc, &listen, &mut found);
    leftovers(webrtc, &listen, &mut found);
    candidates(webrtc, &policy, &mut found);
    if let (Some(wanted), Some(machine)) = (&webrtc.filters.interfaces, machine) {
        unknown_interfaces(wanted, machine, &mut found);
    }
    found.0
}

/// About `webrtc.ice_servers` of one document.
pub fn ice_servers(list: &Reading) -> Vec<Finding> {
    let mut found = Vec::new();
    for problem in &list.problems {
        let mut path = vec!["webrtc", "ice_servers"];
        path.extend(problem.path.iter().map(String::as_str));
        found.push(Finding::new(&path, problem.message.as_str()));
    }
    if cfg!(feature = "turn") {
        return found;
    }
    for uri in list.servers.iter().flat_map(|server| &server.urls).filter_map(|url| Uri::parse(url).ok()) {
        if uri.kind != Kind::Stun {
            let message =
                format!("{uri}: only players are told of it, this build was made without the cargo feature turn");
            found.push(Finding::new(&["webrtc", "ice_servers"], message));
        }
    }
    found
}

struct Findings(Vec<(Severity, Finding)>);

impl Findings {
    fn filter(&mut self, severity: Severity, key: &str, message: impl Into<String>) {
        self.0.push((severity, Finding::new(&[FILTERS[0], FILTERS[1], key], message)));
    }

    fn candidate(&mut self, severity: Severity, index: usize, message: impl Into<String>) {
        self.0.push((severity, Finding::new(&["webrtc", "candidates", &index.to_string()], message)));
    }
}

fn ports(webrtc: &Webrtc, listen: &Listen, found: &mut Findings) {
    if webrtc.filters.udp_ports.is_some() && listen.udp != 0 {
        let message = format!(
            "has no effect, because webrtc.listen {:?} fixes the UDP port; write \"{}/tcp\" there for a fixed TCP port \
             and UDP ports of this range, or remove udp_ports",
            webrtc.listen,
            webrtc.listen.trim_end_matches("/udp")
        );
        found.filter(Severity::Warning, "udp_ports", message);
    }
}

/// Filters that leave no address, whatever the machine.
fn leftovers(webrtc: &Webrtc, listen: &Listen, found: &mut Findings) {
    let Filters { interfaces, exclude_interfaces, ips, networks, candidates, .. } = &webrtc.filters;
    if let Some(networks) = networks
        && !networks.iter().any(|network| is_listened_to(*network, listen))
    {
        let message = format!("leaves nothing of webrtc.listen {:?}, nobody could connect", webrtc.listen);
        found.filter(Severity::Error, "networks", message);
    }
    if interfaces.as_ref().is_some_and(Vec::is_empty) {
        found.filter(
            Severity::Error,
            "interfaces",
            "an empty list leaves no interface; remove the key to use all of them",
        );
    }
    if let Some(ips) = ips {
        if ips.is_empty() {
            found.filter(Severity::Error, "ips", "an empty list leaves no address; remove the key to use all of them");
        } else if !ips.iter().any(|ip| listen.covers(*ip)) {
            let message =
                format!("none of these is the address of webrtc.listen {:?}, nobody could connect", webrtc.listen);
            found.filter(Severity::Error, "ips", message);
        }
    }
    if let Some(interfaces) = interfaces
        && !interfaces.is_empty()
        && interfaces
            .iter()
            .all(|name| exclude_interfaces.iter().any(|glob| crate::gather::policy::matches(glob, name)))
    {
        let message = "takes away every interface that webrtc.filters.interfaces names, nobody could connect";
        found.filter(Severity::Error, "exclude_interfaces", message);
    }
    let Some(told) = candidates else { return };
    let alone = webrtc.candidates.is_empty() && webrtc.ice_servers.as_ref().is_none_or(Vec::is_empty);
    let usable = |ip: &std::net::IpAddr| listen.covers(*ip) && ips.as_ref().is_none_or(|ips| ips.contains(ip));
    if alone && !told.iter().any(usable) {
        // The relay asks the addresses that peers tell, too.
        let message = "no address is left that peers could be told, only those connect whose own address this machine \
                       reaches; add one to webrtc.candidates, such as 192.168.1.2:8555";
        found.filter(Severity::Warning, "candidates", message);
    }
}

fn is_listened_to(network: Network, listen: &Listen) -> bool {
    let (tcp, v4) = match network {
        Network::Udp4 => (false, true),
        Network::Udp6 => (false, false),
        Network::Tcp4 => (true, true),
        Network::Tcp6 => (true, false),
    };
    (!tcp || listen.tcp.is_some()) && listen.host.is_none_or(|host| host.is_ipv4() == v4)
}

fn candidates(webrtc: &Webrtc, policy: &Policy, found: &mut Findings) {
    // Where nothing is said of servers, the usual public ones are asked.
    let stun =
        |servers: &Vec<IceServer>| servers.iter().flat_map(|server| &server.urls).any(|url| url.starts_with("stun:"));
    let asks = webrtc.ice_servers.as_ref().is_none_or(stun);
    for (index, entry) in webrtc.candidates.iter().enumerate() {
        if entry.starts_with("stun:") && !asks {
            let message = format!(
                "{entry:?} asks a STUN server for the public address, and webrtc.ice_servers names none; \
                 add urls: [\"stun:stun.l.google.com:19302\"] there, or write the address itself"
            );
            found.candidate(Severity::Warning, index, message);
        } else if policy.never_advertised(index) {
            let message = format!(
                "{entry:?} is never told to anybody, because webrtc.listen {:?} and webrtc.filters.networks leave no \
                 port for it",
                webrtc.listen
            );
            found.candidate(Severity::Warning, index, message);
        }
    }
}

fn unknown_interfaces(wanted: &[String], machine: &[String], found: &mut Findings) {
    let known: Vec<&str> = machine.iter().map(String::as_str).collect();
    // It may be plugged in later, or the file is checked on another machine.
    for name in wanted.iter().filter(|name| !machine.contains(name)) {
        let hint = match nearest(name, &known) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("there are {}", known.join(", ")),
        };
        found.filter(Severity::Warning, "interfaces", format!("this machine has no interface {name:?} now, {hint}"));
    }
}

#[cfg(test)]
mod tests {
    use crate::check::{Checked, load};
    use crate::config::Edge;
    use std::io;
    use std::path::Path;

    fn loaded(yaml: &str) -> Checked {
        let read = |path: &Path| {
            if path == Path::new("p.yaml") { Ok(yaml.to_owned()) } else { Err(io::ErrorKind::NotFound.into()) }
        };
        let interfaces = Some(["lo", "eth0", "wlan0"].map(str::to_owned).to_vec());
        load(&["p.yaml".into()], &Edge { read: &read, variable: &|_| None, memory: None, interfaces }).unwrap()
    }

    fn one_error(yaml: &str) -> String {
        let loaded = loaded(yaml);
        assert_eq!((loaded.errors.len(), loaded.warnings.len()), (1, 0), "{yaml}: {loaded:?}");
        loaded.errors[0].clone()
    }

    fn one_warning(yaml: &str) -> String {
        let loaded = loaded(yaml);
        assert_eq!((loaded.errors.len(), loaded.warnings.len()), (0, 1), "{yaml}: {loaded:?}");
        loaded.warnings[0].clone()
    }

    #[test]
    fn a_port_range_beside_a_fixed_udp_port_is_a_warning_that_says_what_to_write() {
        let warning = one_warning("webrtc:\n  listen: ':8555/udp'\n  filters:\n    udp_ports: [50000, 50100]\n");
        assert!(warning.starts_with("p.yaml:4:5: webrtc.filters.udp_ports: has no effect"), "{warning}");
        assert!(warning.contains("\":8555/tcp\""), "{warning}");
        assert!(loaded("webrtc: {listen: ':8555/tcp', filters: {udp_ports: [1, 2]}}").warnings.is_empty());
        assert!(loaded("webrtc: {listen: '', filters: {udp_ports: [1, 2]}}").warnings.is_empty());
    }

    #[test]
    fn a_public_address_without_a_server_to_ask_is_a_warning_at_its_entry() {
        let warning = one_warning("webrtc:\n  candidates:\n    - 1.2.3.4:8555\n    - stun:8555\n  ice_servers: []\n");
        assert!(warning.starts_with("p.yaml:4:7: webrtc.candidates.1: \"stun:8555\" asks a STUN server"), "{warning}");
        assert!(loaded("webrtc: {candidates: stun:8555}").warnings.is_empty(), "the usual servers are asked");
        let asked = loaded("webrtc: {candidates: ['stun:8555'], ice_servers: [{urls: 'stun:a:1'}]}");
        assert!(asked.warnings.is_empty(), "{asked:?}");
    }

    #[test]
    fn filters_that_leave_nothing_are_errors() {
        for (yaml, at) in [
            ("{listen: ':1/udp', filters: {networks: [tcp4, tcp6]}}", "networks"),
            ("{filters: {networks: []}}", "networks"),
            ("{listen: '10.0.0.1:1', filters: {networks: [udp6, tcp6]}}", "networks"),
            ("{filters: {interfaces: []}}", "interfaces"),
            ("{filters: {ips: []}}", "ips"),
            ("{listen: '10.0.0.1:1', filters: {ips: [10.0.0.2]}}", "ips"),
            ("{filters: {interfaces: [eth0], exclude_interfaces: ['eth*']}}", "exclude_interfaces"),
        ] {
            let error = one_error(&format!("webrtc: {yaml}"));
            assert!(error.contains(&format!(": webrtc.filters.{at}: ")), "{yaml}: {error}");
        }
    }

    #[test]
    fn filters_that_leave_no_address_to_tell_are_a_warning_because_the_relay_asks_too() {
        for yaml in ["{candidates: []}", "{candidates: [10.0.0.1], ips: [10.0.0.2]}"] {
            let warning = one_warning(&format!("webrtc: {{filters: {yaml}}}"));
            assert!(warning.contains(": webrtc.filters.candidates: no address is left"), "{yaml}: {warning}");
        }
        assert!(loaded("webrtc: {candidates: ['1.2.3.4:1'], filters: {candidates: []}}").warnings.is_empty());
    }

    #[test]
    fn an_interface_that_is_not_there_gets_the_nearest_name() {
        let warning = one_warning("webrtc:\n  filters:\n    interfaces: [eht0]\n");
        assert_eq!(
            warning,
            "p.yaml:3:5: webrtc.filters.interfaces: this machine has no interface \"eht0\" now, did you mean \"eth0\"?"
        );
        let none = one_warning("webrtc: {filters: {interfaces: [tailscale0]}}");
        assert!(none.ends_with("there are lo, eth0, wlan0"), "{none}");
        let some = loaded("webrtc: {filters: {interfaces: [eth0, wlan1]}}");
        assert!(some.errors.is_empty() && some.warnings[0].ends_with("did you mean \"wlan0\"?"), "{some:?}");
    }

    #[test]
    fn a_candidate_that_nothing_listens_for_is_a_warning() {
        for yaml in [
            "{candidates: ['[2001:db8::1]:1'], filters: {networks: [udp4]}}",
            "{listen: ':1/udp', candidates: ['1.2.3.4:1/tcp']}",
            "{listen: '', candidates: [auto]}",
        ] {
            let loaded = loaded(&format!("webrtc: {yaml}"));
            assert!(loaded.errors.is_empty() && loaded.warnings.len() == 1, "{yaml}: {loaded:?}");
            assert!(loaded.warnings[0].contains("never told"), "{loaded:?}");
        }
    }

    #[test]
    fn a_wrong_candidate_ends_the_reading_with_its_place() {
        let read = |_: &Path| Ok("webrtc:\n  candidates:\n    - 1.2.3.4:8555\n    - 1.2.3.4\n".to_owned());
        let error =
            load(&["p.yaml".into()], &Edge { read: &read, variable: &|_| None, memory: None, interfaces: None });
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("p.yaml:4:7: webrtc.candidates[1]: the port is missing"), "{error}");
    }
}

#[cfg(all(test, feature = "turn"))]
mod ice_server_tests {
    use super::*;
    use crate::config::{self, Edge};
    use std::path::Path;

    fn messages(yaml: &str) -> Vec<String> {
        let read = |_: &Path| Ok(format!("webrtc: {yaml}"));
        let edge = Edge { read: &read, variable: &|_| None, memory: None, interfaces: None };
        let loaded = config::load(&["p.yaml".into()], &edge).unwrap();
        let found: Vec<Finding> =
            loaded.documents.iter().filter_map(|document| document.ice_servers()).flat_map(ice_servers).collect();
        found.into_iter().map(|finding| format!("{}: {}", finding.path.join("."), finding.message)).collect()
    }

    #[test]
    fn servers_that_work_are_not_warned_about() {
        let yaml = "{candidates: ['stun:8555'], ice_servers: [{urls: 'stun:a:1'}, {urls: ['turn:b', 'turn:b?transport=tcp', 'turns:b'], username: u, credential: p}]}";
        assert_eq!(messages(yaml), Vec::<String>::new());
        assert_eq!(messages("{candidates: ['stun:8555']}"), Vec::<String>::new());
    }

    #[test]
    fn what_does_not_work_is_said_without_secrets() {
        let yaml = "{ice_servers: [{urls: ['turn:u:s3cret@b', 'turn:c']}, {urls: ['turns:d'], username: u}]}";
        let messages = messages(yaml);
        assert_eq!(messages.len(), 3, "{messages:?}");
        assert!(messages[0].starts_with("webrtc.ice_servers.0.urls: left out, expected stun:host:port"));
        assert!(messages[1].contains("turn:c:3478?transport=udp: needs username and credential"));
        assert!(messages[2].contains("turns:d:5349?transport=tcp: needs username and credential"));
        assert!(!messages.concat().contains("s3cret"));
    }

    #[test]
    fn one_server_and_texts_are_a_list_too() {
        for list in ["{url: 'stun:a', credential: }", "['stun:a']", "'stun:a'"] {
            let yaml = format!("{{ice_servers: {list}}}");
            assert_eq!(messages(&yaml), Vec::<String>::new(), "{list}");
            let server: Reading = serde_yaml::from_str(list).unwrap();
            assert_eq!(server.servers[0].urls, ["stun:a"]);
        }
        assert_eq!(messages("{ice_servers: {urls: 'stun:a', name: b}}").len(), 1);
    }
}
