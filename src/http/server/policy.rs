//! Who may ask: the `Host` rule against DNS rebinding and the `Origin` rule against foreign pages. Pure functions; the
//! texts show what to configure.
use super::authority::{Authority, Listed, Origin, host};
use super::refusal::{Kind, Refusal};

/// Name endings that never resolve in the public DNS, so no foreign page can carry them.
const LOCAL_SUFFIXES: [&str; 5] = [".local", ".lan", ".home.arpa", ".internal", ".localhost"];

/// The operator's part of the rules.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Names of `api.hosts`.
    hosts: Vec<String>,
    /// `api.origin`
    origins: Vec<Listed>,
}

impl Policy {
    /// `machine` is this machine's host name; it counts as if it were in `api.hosts`.
    pub fn new(hosts: &[String], origins: &[String], machine: &str) -> Self {
        let hosts = hosts.iter().map(String::as_str).chain([machine]);
        Self {
            hosts: hosts.filter_map(host).map(|host| host.name).collect(),
            origins: origins.iter().filter_map(|origin| Listed::parse(origin)).collect(),
        }
    }

    /// Is the name in `Host` one that only this network can have resolved to us? A page under a public name that an
    /// attacker points at our address ("DNS rebinding") carries that name, and is refused with 421.
    pub fn check_host(&self, host: &str) -> Result<Authority, Refusal> {
        let Some(authority) = Authority::parse(host) else {
            return Err(Refusal::new(
                Kind::Malformed,
                "the Host field must be a host name or an address, with or without a port",
            ));
        };
        let name = authority.name.as_str();
        let local = authority.is_literal_address()
            || !name.contains('.')
            || LOCAL_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
            || self.hosts.iter().any(|host| host == name);
        if local {
            return Ok(authority);
        }
        Err(Refusal::new(
            Kind::UnknownHost,
            format!(
                "this relay does not know itself as \"{name}\"; if it is its name, add to porthole.yaml: api: {{hosts: [\"{name}\"]}}"
            ),
        ))
    }

    /// May a page of this origin talk to us? Yes if it comes from the same host, whatever the port (Fluidd on :80, the
    /// relay on :1984), or from one that `api.origin` lists. There is no wildcard.
    pub fn check_origin(&self, origin: &str, host: Option<&Authority>) -> Result<(), Refusal> {
        let refuse = |how: String| Err(Refusal::new(Kind::Forbidden, how));
        let Some(parsed) = Origin::parse(origin) else {
            let shown: String = origin.chars().filter(|character| character.is_ascii_graphic()).take(100).collect();
            return refuse(format!(
                "a page of origin \"{shown}\" may not use this relay: only pages that were loaded from a server can be let in"
            ));
        };
        if parsed.is_web() && host.is_some_and(|host| host.name == parsed.authority.name) {
            return Ok(());
        }
        if self.origins.iter().any(|listed| listed.allows(&parsed)) {
            return Ok(());
        }
        let lower = origin.to_ascii_lowercase();
        refuse(format!(
            "pages of origin \"{lower}\" may not use this relay; to let them in, add to porthole.yaml: api: {{origin: [\"{lower}\"]}}"
        ))
    }

    /// The listed origins that are complete, for the pages' `frame-ancestors`.
    pub fn frame_origins(&self) -> impl Iterator<Item = String> {
        self.origins.iter().filter_map(|listed| match listed {
            Listed::Origin(origin) if origin.is_web() && !origin.authority.name.contains(':') => {
                Some(origin.to_string())
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let hosts = ["Cam.Example.com".to_string()];
        let origins =
            ["https://printer.example.com/".to_string(), "ha.example.com".into(), "*".into(), "capacitor://app".into()];
        Policy::new(&hosts, &origins, "board.corp.example")
    }

    #[test]
    fn the_host_must_be_a_name_that_the_public_dns_cannot_give() {
        for host in [
            "192.168.1.5:1984",
            "192.168.1.5",
            "[fe80::1]:1984",
            "[::1]",
            "localhost:1984",
            "printer",
            "printer.local",
            "Printer.LOCAL.:1984",
            "cam.lan",
            "cam.home.arpa",
            "cam.internal",
            "8.8.8.8",
            "cam.example.com:443",
            "board.corp.example",
        ] {
            assert!(policy().check_host(host).is_ok(), "{host}");
        }
        for host in ["evil.example", "a.b.example.com", "example.com:1984", "cam.lan.example.com", "notlocal.example"] {
            let refusal = policy().check_host(host).unwrap_err();
            assert_eq!(refusal.status(), 421, "{host}");
            let text = refusal.to_string();
            let name = host.split(':').next().unwrap();
            assert!(text.contains(&format!("api: {{hosts: [\"{name}\"]}}")), "{text}");
        }
        for host in ["", ":80", "a b", "a:b", "[::1", "[x]", "a:99999", "user@host", "a/b", "a\"b"] {
            assert_eq!(policy().check_host(host).unwrap_err().status(), 400, "{host}");
        }
    }

    #[test]
    fn an_origin_may_call_from_the_same_host_or_when_listed() {
        let cases = [
            ("http://printer.local", "printer.local:1984", true),
            ("https://printer.local:8443", "printer.local:1984", true),
            ("http://PRINTER.local", "printer.local", true),
            ("http://192.168.1.5:8080", "192.168.1.5:1984", true),
            ("http://[fe80::1]", "[FE80:0::1]:1984", true),
            ("http://192.168.1.6", "192.168.1.5:1984", false),
            ("http://evil.example", "printer.local:1984", false),
            ("http://printer.local.evil.example", "printer.local", false),
            ("null", "printer.local", false),
            ("", "printer.local", false),
            ("file://", "printer.local", false),
            ("ftp://printer.local", "printer.local", false),
            ("capacitor://app", "printer.local", true),
            ("capacitor://printer.local", "printer.local", false),
            ("https://printer.example.com", "printer.local", true),
            ("http://printer.example.com", "printer.local", false),
            ("https://printer.example.com:8443", "printer.local", false),
            ("http://ha.example.com:8123", "printer.local", true),
            ("*", "printer.local", false),
        ];
        for (origin, host, expected) in cases {
            let host = Authority::parse(host).unwrap();
            assert_eq!(policy().check_origin(origin, Some(&host)).is_ok(), expected, "{origin} {host:?}");
        }
        assert!(policy().check_origin("http://printer.local", None).is_err());
        assert!(policy().check_origin("http://ha.example.com", None).is_ok());
    }

    #[test]
    fn a_refused_origin_is_shown_with_the_line_to_add() {
        let refusal = policy().check_origin("http://Fluidd.example:80", None).unwrap_err();
        assert_eq!(refusal.status(), 403);
        let text = refusal.to_string();
        assert!(text.contains("api: {origin: [\"http://fluidd.example:80\"]}"), "{text}");
    }
}
