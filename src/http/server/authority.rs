//! Hosts, ports and origins as request fields and the operator write them.
use super::punycode;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Host and port as `Host` and `Origin` name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Lower case, without brackets and final dot.
    pub name: String,
    pub port: Option<u16>,
}

impl Authority {
    /// `name`, `name:port`, `1.2.3.4:port`, `[v6]:port`; `None` if it is none of them.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest.split_once(']')?;
                let name = name.parse::<Ipv6Addr>().ok()?.to_string();
                (name, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
            }
            None => {
                let (name, port) = match text.split_once(':') {
                    Some((name, port)) => (name, Some(port)),
                    None => (text, None),
                };
                let name = name.strip_suffix('.').unwrap_or(name);
                let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
                if name.is_empty() || name.ends_with('.') || !name.bytes().all(valid) {
                    return None;
                }
                (name.to_ascii_lowercase(), port)
            }
        };
        let port = match port {
            None | Some("") => None,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
            Some(_) => return None,
        };
        Some(Self { name, port })
    }

    /// The port that is meant, where `default` is the scheme's.
    pub fn port_or(&self, default: Option<u16>) -> Option<u16> {
        self.port.or(default)
    }

    /// Do both mean the same, as they stand behind one scheme?
    pub fn is_same(&self, other: &Self, default: Option<u16>) -> bool {
        self.name == other.name && self.port_or(default) == other.port_or(default)
    }

    /// An address and no name.
    pub fn is_literal_address(&self) -> bool {
        self.name.parse::<IpAddr>().is_ok()
    }
}

/// A serialised origin (RFC 6454 section 6.2), `null` excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub scheme: String,
    pub authority: Authority,
}

impl Origin {
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if scheme.is_empty() || !scheme.bytes().all(valid) {
            return None;
        }
        Some(Self { scheme: scheme.to_ascii_lowercase(), authority: Authority::parse(authority)? })
    }

    /// Web pages come from there, and not an app's own parts.
    pub fn is_web(&self) -> bool {
        matches!(self.scheme.as_str(), "http" | "https")
    }

    /// The port of its scheme.
    pub fn default_port(&self) -> Option<u16> {
        default_port(&self.scheme)
    }

    /// The same origin, however its default port is written.
    pub fn is_same(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.authority.is_same(&other.authority, self.default_port())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Authority { name, port } = &self.authority;
        let (open, close) = if name.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{name}{close}", self.scheme)?;
        match port.filter(|port| Some(*port) != self.default_port()) {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// The port of a URL that names none; the scheme is in lower case.
pub fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// An entry of `api.origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    Origin(Origin),
    /// A host without a scheme: pages of any scheme, and of any port unless it names one.
    Host(Authority),
}

impl Listed {
    /// Takes what people copy from an address line: a path is left away, names may be written in their own letters.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.split_once("://") {
            Some((scheme, rest)) => {
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                Origin::parse(&format!("{scheme}://{}", punycode::to_ascii(authority))).map(Self::Origin)
            }
            None => host(text.trim_end_matches('/')).map(Self::Host),
        }
    }

    /// May a page of this origin use the relay?
    pub fn allows(&self, origin: &Origin) -> bool {
        match self {
            Self::Origin(listed) => listed.is_same(origin),
            Self::Host(Authority { name, port: None }) => *name == origin.authority.name,
            Self::Host(listed) => listed.is_same(&origin.authority, origin.default_port()),
        }
    }
}

/// A host as `api.hosts` lists it: a name or an address, with or without what else an address line has.
pub fn host(text: &str) -> Option<Authority> {
    let text = text.trim();
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let text = text.split(['/', '?', '#']).next().unwrap_or_default();
    match text.parse::<Ipv6Addr>() {
        Ok(address) => Some(Authority { name: address.to_string(), port: None }),
        Err(_) => Authority::parse(&punycode::to_ascii(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(listed: &str, origin: &str) -> bool {
        Listed::parse(listed).unwrap().allows(&Origin::parse(origin).unwrap())
    }

    #[test]
    fn an_origin_is_listed_however_it_is_written() {
        for (listed, origin) in [
            ("https://ha.example:443", "https://ha.example"),
            ("https://ha.example", "https://ha.example:443"),
            ("http://ha.example:80/", "http://ha.example"),
            ("HTTPS://HA.Example/", "https://ha.example"),
            ("https://ha.example./lovelace?kiosk#x", "https://ha.example"),
            (" https://ha.example:8123 ", "https://ha.example:8123"),
            ("http://[FD00:0::1]:80", "http://[fd00::1]"),
            ("https://küche.example", "https://xn--kche-0ra.example"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("ha.example", "http://ha.example:8123"),
            ("Ha.Example/", "https://ha.example"),
            ("ha.example:443", "https://ha.example"),
            ("ha.example:8123", "http://ha.example:8123"),
            ("fd00::1", "http://[fd00::1]:8123"),
            ("[fd00::1]:8123", "http://[fd00::1]:8123"),
            ("küche.example", "https://xn--kche-0ra.example"),
        ] {
            assert!(allows(listed, origin), "{listed} {origin}");
        }
        for (listed, origin) in [
            ("https://ha.example", "http://ha.example"),
            ("https://ha.example:443", "https://ha.example:8443"),
            ("http://ha.example:443", "http://ha.example"),
            ("https://ha.example", "https://ha.example.evil.example"),
            ("https://ha.example", "https://evil.example"),
            ("capacitor://localhost", "http://localhost"),
            ("ha.example:443", "http://ha.example"),
            ("ha.example:8123", "http://ha.example"),
            ("ha.example", "http://evil-ha.example"),
            ("https://user@ha.example", "https://ha.example"),
        ] {
            assert!(
                !Listed::parse(listed).is_some_and(|listed| listed.allows(&Origin::parse(origin).unwrap())),
                "{listed}"
            );
        }
        for nothing in ["", "*", "null", "https://", "https://*.example", "a b"] {
            let listed = Listed::parse(nothing);
            assert!(
                listed.is_none_or(|listed| matches!(listed, Listed::Host(host) if host.name == "null")),
                "{nothing}"
            );
        }
    }

    #[test]
    fn a_listed_host_is_its_name() {
        for text in ["cam.example", "CAM.example.", "https://cam.example:8443/x", "cam.example:1984", " cam.example/ "]
        {
            assert_eq!(host(text).unwrap().name, "cam.example", "{text}");
        }
        assert_eq!(host("Küche.example").unwrap().name, "xn--kche-0ra.example");
        assert_eq!(host("[FD00::1]:80").unwrap().name, "fd00::1");
    }

    #[test]
    fn one_dot_at_the_end_of_a_name_means_nothing_and_two_are_no_name() {
        let name = |text| Authority::parse(text).map(|authority| authority.name);
        assert_eq!(["a", "a.", "a..", "..", "."].map(name), [Some("a".into()), Some("a".into()), None, None, None]);
    }

    #[test]
    fn an_origin_is_shown_without_its_default_port() {
        for (text, shown) in [
            ("HTTPS://a:443", "https://a"),
            ("http://a:443", "http://a:443"),
            ("http://[fd00::1]:80", "http://[fd00::1]"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), shown);
        }
    }
}
