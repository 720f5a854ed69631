//! The documented vectors, and a table of some thousand settings held against properties that are not how the
//! policy is written.
use super::*;

fn webrtc(listen: &str, candidates: &[&str]) -> Webrtc {
    Webrtc {
        listen: listen.into(),
        candidates: candidates.iter().map(|c| c.to_string()).collect(),
        ..Default::default()
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn interface(name: &str, address: &str) -> Interface {
    Interface::new(name, ip(address))
}

/// What a machine would have bound.
fn bound(policy: &Policy, interfaces: &[Interface]) -> Bound {
    let mut bound = Bound::default();
    for (protocol, at) in policy.sockets(interfaces) {
        let port = match (policy.port(protocol), policy.udp_ports) {
            (0, Some((first, _))) => first,
            (0, None) => 40_000,
            (port, _) => port,
        };
        bound.add(protocol, SocketAddr::new(at, port));
    }
    bound
}

fn told_with(webrtc: &Webrtc, interfaces: &[Interface], public: &[IpAddr], host: Option<IpAddr>) -> Vec<Candidate> {
    let policy = Policy::new(webrtc).unwrap();
    let resolved = |name: &str| match name {
        "home.example" => vec![ip("198.51.100.9")],
        "both.example" => vec![ip("198.51.100.9"), ip("2001:db8::9")],
        _ => vec![],
    };
    policy.candidates(interfaces, &bound(&policy, interfaces), public, &resolved, host)
}

fn told(webrtc: &Webrtc, interfaces: &[Interface]) -> Vec<Candidate> {
    told_with(webrtc, interfaces, &[], None)
}

fn lines(candidates: &[Candidate]) -> Vec<String> {
    candidates.iter().map(ToString::to_string).collect()
}

fn ips(candidates: &[Candidate]) -> Vec<String> {
    let mut list: Vec<String> = candidates.iter().map(|c| c.address.ip().to_string()).collect();
    list.dedup();
    list
}

const VECTOR: [&str; 3] = ["216.58.210.174:8555", "stun:8555", "home.example:8555"];

#[test]
fn the_documented_vector_holds_for_a_fixed_port_of_both_protocols() {
    let all = told_with(&webrtc(":8555", &VECTOR), &[interface("eth0", "192.168.1.2")], &[ip("203.0.113.7")], None);
    let lines = lines(&all);
    assert!(lines[0].ends_with(" 1 udp 2130706431 192.168.1.2 8555 typ host"), "{lines:?}");
    assert!(lines[1].ends_with(" 1 tcp 1671430143 192.168.1.2 8555 typ host tcptype passive"));
    assert_eq!(lines[2], "candidate:3613942034 1 tcp 1671430142 216.58.210.174 8555 typ host tcptype passive");
    assert_eq!(lines[3], "candidate:1788547314 1 udp 2130706429 216.58.210.174 8555 typ host");
    assert_eq!(lines[4], "candidate:252975767 1 tcp 1671430140 203.0.113.7 8555 typ host tcptype passive");
    assert!(lines[5].ends_with(" 1 udp 2130706427 203.0.113.7 8555 typ host"));
    // The address in place of the name, which browsers other than Chromium do not look up.
    assert!(lines[6].ends_with(" 1 tcp 1671430138 198.51.100.9 8555 typ host tcptype passive"));
    assert!(lines[7].ends_with(" 1 udp 2130706425 198.51.100.9 8555 typ host"));
    assert_eq!(lines.len(), 8);
}

#[test]
fn the_documented_vector_holds_for_tcp_alone() {
    let all = told_with(&webrtc(":8555/tcp", &VECTOR), &[], &[ip("203.0.113.7")], None);
    let seen: Vec<_> = all.iter().map(|c| (c.protocol, c.priority, c.address.ip().to_string())).collect();
    let expected = [(1_671_430_142, "216.58.210.174"), (1_671_430_141, "203.0.113.7"), (1_671_430_140, "198.51.100.9")];
    assert_eq!(seen, expected.map(|(priority, ip)| (Protocol::Tcp, priority, ip.to_owned())));
}

#[test]
fn what_is_not_known_yet_is_left_out_and_the_rest_is_told() {
    let all = told(&webrtc(":8555/udp", &["stun:1", "unknown.example:2", "both.example:3"]), &[]);
    assert_eq!(ips(&all), ["198.51.100.9", "2001:db8::9"]);
    assert!(all.iter().all(|c| c.address.port() == 3 && c.protocol == Protocol::Udp));
}

#[test]
fn an_entry_may_ask_for_one_protocol() {
    let protocols = |listen: &str, entry: &str| -> Vec<&str> {
        told(&webrtc(listen, &[entry]), &[]).iter().map(|c| c.protocol.name()).collect()
    };
    assert_eq!(protocols(":8555", "1.2.3.4:1/tcp"), ["tcp"]);
    assert_eq!(protocols(":8555", "1.2.3.4:1/udp"), ["udp"]);
    assert_eq!(protocols(":8555/tcp", "1.2.3.4:1/udp"), ["udp"], "one port of udp_ports may be forwarded");
    assert_eq!(protocols(":8555/udp", "1.2.3.4:1/tcp"), [""; 0]);
    assert_eq!(protocols("", "1.2.3.4:1"), ["udp"]);
}

#[test]
fn auto_tells_the_private_address_that_the_request_named() {
    let container = [interface("eth0", "172.17.0.2")];
    let with = |listen: &str, host: &str| {
        let all = told_with(&webrtc(listen, &["auto"]), &container, &[], Some(ip(host)));
        let manual = all.into_iter().filter(|c| c.address.ip() != ip("172.17.0.2"));
        manual.map(|c| format!("{} {}", c.protocol.name(), c.address)).collect::<Vec<_>>()
    };
    assert_eq!(with(":8555", "192.168.1.2"), ["tcp 192.168.1.2:8555", "udp 192.168.1.2:8555"]);
    assert_eq!(with(":8555/tcp", "192.168.1.2"), ["tcp 192.168.1.2:8555"]);
    assert_eq!(with("", "192.168.1.2"), [""; 0], "no port is fixed");
    assert_eq!(with(":8555", "203.0.113.9"), [""; 0], "the outer port of a router is not known");
    assert_eq!(with(":8555", "172.17.0.2"), [""; 0], "told already");
    assert!(told(&webrtc(":8555", &["auto"]), &[]).is_empty(), "a request by name");
}

#[test]
fn loopback_and_container_bridges_are_told_only_when_nothing_else_is_left() {
    let all = [interface("lo", "127.0.0.1"), interface("docker0", "172.17.0.1"), interface("eth0", "10.0.0.2")];
    let default = webrtc(":8555", &[]);
    assert_eq!(ips(&told(&default, &all)), ["10.0.0.2"]);
    assert_eq!(ips(&told(&default, &all[..2])), ["172.17.0.1"]);
    assert_eq!(ips(&told(&default, &all[..1])), ["127.0.0.1"]);
    let mut with = default.clone();
    with.filters.loopback = true;
    assert_eq!(ips(&told(&with, &all)), ["10.0.0.2", "127.0.0.1"]);
    assert_eq!(ips(&told(&webrtc("127.0.0.1:8555", &[]), &all)), ["127.0.0.1"]);
    assert_eq!(ips(&told(&webrtc("0.0.0.0:8555", &[]), &all)), ["10.0.0.2"]);
}

#[test]
fn a_container_with_an_address_of_its_host_among_the_candidates_keeps_its_own_to_itself() {
    let container = [interface("lo", "127.0.0.1"), interface("eth0", "172.17.0.2")];
    let told = |candidates: &[&str], host: Option<&str>| {
        ips(&told_with(&webrtc(":8555", candidates), &container, &[ip("203.0.113.7")], host.map(ip)))
    };
    assert_eq!(told(&[], None), ["172.17.0.2"], "there is nothing else");
    assert_eq!(told(&["192.168.1.2:8555"], None), ["192.168.1.2"]);
    assert_eq!(told(&["192.168.1.2:8555/tcp"], None), ["192.168.1.2"]);
    assert_eq!(told(&["auto"], Some("192.168.1.2")), ["192.168.1.2"]);
    // Nobody in the local network is sure to come by these.
    for public in ["auto", "216.58.210.174:8555", "stun:8555", "home.example:8555", "nowhere.example:8555"] {
        assert_eq!(told(&[public], None)[0], "172.17.0.2", "{public}");
    }
    let named = |set: fn(&mut Webrtc)| {
        let mut webrtc = webrtc(":8555", &["192.168.1.2:8555"]);
        set(&mut webrtc);
        ips(&told_with(&webrtc, &container, &[], None))
    };
    assert_eq!(named(|webrtc| webrtc.filters.docker = Docker::Include), ["172.17.0.2", "192.168.1.2"]);
    assert_eq!(named(|webrtc| webrtc.filters.ips = Some(vec![ip("172.17.0.2")])), ["172.17.0.2", "192.168.1.2"]);
    let policy = Policy::new(&webrtc(":8555", &["192.168.1.2:8555"])).unwrap();
    let verdict = policy.explain(&container).pop().unwrap();
    assert_eq!(
        (verdict.advertised, verdict.bound, verdict.rule),
        (false, true, Some(Rule::ContainerRange)),
        "a published port leads there"
    );
}

#[test]
fn a_home_in_dockers_range_has_candidates_and_strictness_can_take_them() {
    let home = [interface("eth0", "172.20.0.5"), interface("eth0", "fd00::5"), interface("docker0", "172.17.0.1")];
    let mut webrtc = webrtc(":8555", &[]);
    assert_eq!(ips(&told(&webrtc, &home)), ["172.20.0.5", "fd00::5"], "no other IPv4 network is there");
    let beside = [home.as_slice(), &[interface("wlan0", "192.168.1.5")]].concat();
    assert_eq!(ips(&told(&webrtc, &beside)), ["192.168.1.5", "fd00::5"]);
    webrtc.filters.docker = Docker::Include;
    assert_eq!(ips(&told(&webrtc, &home)), ["172.20.0.5", "fd00::5", "172.17.0.1"]);
    webrtc.filters.docker = Docker::Exclude;
    assert_eq!(ips(&told(&webrtc, &home)), ["fd00::5"]);
    assert!(told(&webrtc, &home[2..]).is_empty());
}

#[test]
fn every_removed_address_names_its_rule() {
    let machine = [
        interface("lo", "127.0.0.1"),
        interface("eth0", "192.168.1.2"),
        interface("eth0", "fe80::1"),
        interface("docker0", "172.17.0.1"),
        interface("wg0", "172.29.0.1"),
        interface("tun0", "10.8.0.1"),
        Interface { tentative: true, ..interface("eth0", "fd00::2") },
    ];
    let mut webrtc = webrtc(":8555", &[]);
    webrtc.filters.exclude_interfaces = vec!["tun?".into()];
    let rules: Vec<Option<Rule>> =
        Policy::new(&webrtc).unwrap().explain(&machine).into_iter().map(|verdict| verdict.rule).collect();
    let expected = [
        Some(Rule::Loopback),
        None,
        Some(Rule::LinkLocal),
        Some(Rule::Container),
        Some(Rule::ContainerRange),
        Some(Rule::ExcludeInterfaces),
        Some(Rule::Tentative),
    ];
    assert_eq!(rules, expected);
    let bound: Vec<bool> = Policy::new(&webrtc).unwrap().explain(&machine).iter().map(|v| v.bound).collect();
    assert_eq!(bound, [true, true, false, true, true, false, false], "one socket for each address that is not barred");
}

#[test]
fn globs_stand_for_names() {
    for (glob, name, yes) in [
        ("tun*", "tun0", true),
        ("tun?", "tun", false),
        ("*", "", true),
        ("*0", "eth0", true),
        ("e*0", "eth1", false),
        ("eth0", "eth0", true),
        ("eth0", "eth01", false),
        ("**a", "ba", true),
    ] {
        assert_eq!(matches(glob, name), yes, "{glob} {name}");
    }
}

/// One row of the table.
struct Case {
    webrtc: Webrtc,
    machine: Vec<Interface>,
    text: String,
}

/// Every combination of `listen` × `candidates` × one setting of the filters × kind of machine.
fn cases() -> Vec<Case> {
    let listens = [":8555", ":8555/tcp", ":8555/udp", "", "192.168.1.2:8555", "[fd00::2]:8555", "0.0.0.0:8555"];
    let manual: [&[&str]; 4] =
        [&[], &["203.0.113.7:8555"], &["both.example:9000", "stun:8555/tcp"], &["auto", "[2001:db8::1]:1"]];
    let filters = [
        "{}",
        "{candidates: []}",
        "{candidates: [192.168.1.2]}",
        "{candidates: [172.17.0.1, 10.9.9.9]}",
        "{loopback: true}",
        "{networks: [udp4]}",
        "{networks: [tcp4, tcp6]}",
        "{networks: [udp6, tcp6]}",
        "{interfaces: [eth0]}",
        "{interfaces: [eth0, docker0], loopback: true}",
        "{interfaces: [lo]}",
        "{ips: [192.168.1.2]}",
        "{ips: [172.17.0.1, fd00::2]}",
        "{exclude_interfaces: ['wlan*', docker0]}",
        "{docker: include}",
        "{docker: exclude}",
        "{docker: exclude, interfaces: [docker0]}",
        "{udp_ports: [50000, 50100], networks: [udp4, tcp4]}",
    ];
    let lo = [interface("lo", "127.0.0.1"), interface("lo", "::1")];
    let lan = [interface("eth0", "192.168.1.2"), interface("eth0", "fd00::2"), interface("eth0", "fe80::2")];
    let bridges = [interface("docker0", "172.17.0.1"), interface("br-0123456789ab", "172.18.0.1")];
    let machines: [Vec<Interface>; 6] = [
        [&lo[..], &lan, &bridges].concat(),
        [&lo[..], &lan, &[interface("wlan0", "192.168.7.3"), interface("wg0", "10.8.0.1")]].concat(),
        [&lo[..], &bridges].concat(),
        [&lo[..], &[interface("eth0", "172.20.0.2"), Interface { tentative: true, ..interface("eth0", "fd00::2") }]]
            .concat(),
        lo.to_vec(),
        vec![],
    ];
    let mut cases = Vec::new();
    for listen in listens {
        for manual in manual {
            for filter in filters {
                for (number, machine) in machines.iter().enumerate() {
                    let yaml = format!("{{webrtc: {{listen: '{listen}', filters: {filter}}}}}");
                    let edge = crate::config::Edge {
                        read: &|_| Err(std::io::ErrorKind::NotFound.into()),
                        variable: &|_| None,
                        memory: None,
                        interfaces: None,
                    };
                    let mut webrtc = crate::config::load(std::slice::from_ref(&yaml), &edge).unwrap().config.webrtc;
                    webrtc.candidates = manual.iter().map(|entry| (*entry).to_owned()).collect();
                    let text = format!("{yaml} candidates {manual:?} machine {number}");
                    cases.push(Case { webrtc, machine: machine.clone(), text });
                }
            }
        }
    }
    cases
}

#[test]
fn the_table_of_settings_keeps_every_promise() {
    let cases = cases();
    assert!(cases.len() > 200);
    for Case { webrtc, machine, text } in &cases {
        let policy = Policy::new(webrtc).unwrap();
        let sockets = bound(&policy, machine);
        let all = told_with(webrtc, machine, &[ip("203.0.113.8")], Some(ip("192.168.44.1")));
        let mut without = webrtc.clone();
        without.candidates.clear();
        let own = told(&without, machine);
        let filters = &webrtc.filters;
        let (host, fixed) = (webrtc.listen.split(':').next().unwrap(), webrtc.listen.contains("8555"));
        let udp_fixed = fixed && !webrtc.listen.ends_with("/tcp");
        let tcp = fixed && !webrtc.listen.ends_with("/udp");

        for candidate in &own {
            let address = candidate.address.ip();
            let of = machine.iter().find(|i| i.ip == address).unwrap_or_else(|| panic!("{text}: {address} of nobody"));
            // No filter is passed by.
            assert!(filters.ips.as_ref().is_none_or(|ips| ips.contains(&address)), "{text}: {address}");
            assert!(filters.interfaces.as_ref().is_none_or(|names| names.contains(&of.name)), "{text}: {address}");
            assert!(filters.candidates.as_ref().is_none_or(|ips| ips.contains(&address)), "{text}: {address}");
            if !filters.exclude_interfaces.is_empty() {
                assert!(!of.name.starts_with("wlan") && of.name != "docker0", "{text}: {address}");
            }
            let docker = address.to_string().starts_with("172.");
            assert!(!docker || filters.docker != Docker::Exclude, "{text}: {address}");
            assert!(!address.to_string().starts_with("fe80") && !of.tentative, "{text}: {address}");
            let network = format!("{}{}", candidate.protocol.name(), if address.is_ipv4() { 4 } else { 6 });
            let names = |n: &Network| format!("{n:?}").to_lowercase() == network;
            assert!(filters.networks.as_ref().is_none_or(|list| list.iter().any(names)), "{text}: {network}");
            // Whoever is told of an address finds somebody there.
            assert_eq!(
                sockets.port(candidate.protocol, address),
                Some(candidate.address.port()),
                "{text}: {candidate}"
            );
            // Loopback and Docker's addresses are asked for, or nothing else was to be had.
            let lan = own.iter().any(|c| c.address.is_ipv4() && c.address.ip().to_string().starts_with("192."));
            let asked = filters.ips.is_some() || filters.interfaces.is_some() || filters.candidates.is_some();
            if lan && !asked {
                assert!(!docker || filters.docker == Docker::Include, "{text}: {address} beside a LAN");
                assert!(!of.loopback || filters.loopback, "{text}: {address} beside a LAN");
            }
            // Ports are the fixed ones, or of the range.
            match candidate.protocol {
                Protocol::Tcp => assert!(tcp && candidate.address.port() == 8555, "{text}: {candidate}"),
                Protocol::Udp if udp_fixed => assert_eq!(candidate.address.port(), 8555, "{text}"),
                Protocol::Udp => assert!(
                    filters.udp_ports.is_none_or(|(a, b)| (a..=b).contains(&candidate.address.port())),
                    "{text}: {candidate}"
                ),
            }
        }

        // Manual candidates come behind, and take nothing away but what was told for want of others.
        let place = |c: &Candidate| (c.protocol, c.address);
        let (mut kept, mut places) = (0, all.iter().map(place).peekable());
        for candidate in &own {
            if places.next_if_eq(&place(candidate)).is_some() {
                kept += 1;
                continue;
            }
            let docker = candidate.address.ip().to_string().starts_with("172.") && filters.docker == Docker::Auto;
            let private = |entry: &String| {
                ["auto", "192.168.", "10.", "172.", "[fd"].iter().any(|start| entry.starts_with(start))
            };
            let forwarded = webrtc.candidates.iter().any(private);
            assert!(docker && forwarded, "{text}: {candidate} is not told any more");
        }
        assert!(all.len() <= MAX_CANDIDATES);
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            let priorities = |list: &[Candidate]| -> Vec<u32> {
                list.iter().filter(|c| c.protocol == protocol).map(|c| c.priority).collect()
            };
            for list in [priorities(&all[..kept]), priorities(&all[kept..])] {
                assert!(
                    list.windows(2).all(|pair| pair[0] > pair[1]),
                    "{text}: the first has the highest priority {list:?}"
                );
            }
            if let (Some(best), Some(manual)) = (priorities(&all[..kept]).first(), priorities(&all[kept..]).first()) {
                assert!(best > manual, "{text}");
            }
        }
        let mut seen: Vec<_> = all.iter().map(|c| (c.protocol, c.address)).collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), all.len(), "{text}: told twice");

        // Never empty unless the operator was strict or nothing is there to be told.
        let strict = filters.candidates.is_some()
            || filters.docker == Docker::Exclude
            || filters.networks.is_some()
            || filters.ips.is_some()
            || filters.interfaces.is_some()
            || !host.is_empty();
        assert!(strict || machine.is_empty() || !own.is_empty(), "{text}: nobody is told anything");

        // What is bound: wildcards, or with a filter on addresses only what passes it.
        let narrow = filters.ips.is_some()
            || filters.interfaces.is_some()
            || !filters.exclude_interfaces.is_empty()
            || filters.docker == Docker::Exclude;
        for (protocol, local) in sockets.iter() {
            let wild = local.ip().is_unspecified();
            let of = machine.iter().find(|interface| interface.ip == local.ip());
            assert!(
                filters.docker != Docker::Exclude || of.is_none_or(|interface| !interface.container),
                "{text}: {local} answers containers"
            );
            let single = webrtc.listen.starts_with("192.") || webrtc.listen.starts_with('[');
            assert_eq!(wild, !narrow && !single, "{text}: {local}");
            assert!(
                wild || filters.ips.as_ref().is_none_or(|ips| ips.contains(&local.ip())) || single,
                "{text}: {local}"
            );
            assert!(protocol == Protocol::Udp || tcp, "{text}: {local}");
        }
        for verdict in policy.explain(machine) {
            assert!(verdict.bound || !verdict.advertised, "{text}: {verdict:?}");
            assert_eq!(verdict.advertised, verdict.rule.is_none(), "{text}: {verdict:?}");
            assert_eq!(
                verdict.advertised,
                own.iter().any(|c| c.address.ip() == verdict.address),
                "{text}: {verdict:?}"
            );
        }
    }
}
