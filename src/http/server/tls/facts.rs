//! What a certificate says (RFC 5280), as far as it decides whether the certificate still serves.
use super::names::Names;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use x509_parser::extensions::{GeneralName, GeneralSubtree, ParsedExtension};
use x509_parser::x509::X509Name;

/// Names that can be nobody's on the Internet, and what is below them.
const LOCAL_NAMES: [&str; 5] = ["local", "lan", "home.arpa", "internal", "localhost"];
/// Addresses that can be nobody's on the Internet, with the lengths of their prefixes.
const LOCAL_NETWORKS: [(IpAddr, u8); 8] = [
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
];

/// Times are in seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Common name of the subject.
    pub subject: String,
    /// Common name of the authority that made it.
    pub issuer: String,
    pub not_before: i64,
    pub not_after: i64,
    pub names: Names,
    /// Name constraints: what an authority may vouch for. `None`: for everything.
    pub permitted: Option<Permitted>,
    /// Of an authority: may it vouch for servers and for nothing else, such as mail, programs or clients?
    pub servers_only: bool,
}

/// Permitted subtrees of names and addresses (RFC 5280 section 4.2.1.10).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permitted {
    /// A name and everything below it.
    pub dns: Vec<String>,
    /// Address and mask.
    pub ips: Vec<(IpAddr, IpAddr)>,
}

impl Facts {
    /// Reads a certificate in DER; `None` if it is none.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let mut facts = Self {
            subject: common_name(certificate.subject()),
            issuer: common_name(certificate.issuer()),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            ..Self::default()
        };
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => {
                    for name in &names.general_names {
                        match name {
                            GeneralName::DNSName(name) => facts.names.dns.extend([name.to_ascii_lowercase()]),
                            GeneralName::IPAddress(bytes) => facts.names.ips.extend(address(bytes)),
                            _ => {}
                        }
                    }
                }
                ParsedExtension::ExtendedKeyUsage(usage) => {
                    let others = usage.any
                        || usage.client_auth
                        || usage.code_signing
                        || usage.email_protection
                        || usage.time_stamping
                        || usage.ocsp_signing
                        || !usage.other.is_empty();
                    facts.servers_only = usage.server_auth && !others;
                }
                ParsedExtension::NameConstraints(constraints) => {
                    facts.permitted = constraints.permitted_subtrees.as_deref().map(Permitted::read);
                }
                _ => {}
            }
        }
        Some(facts)
    }
}

impl Permitted {
    /// What is on local networks only.
    pub fn local() -> Self {
        let mut permitted = Self { dns: LOCAL_NAMES.map(str::to_owned).to_vec(), ips: Vec::new() };
        for (base, prefix) in LOCAL_NETWORKS {
            permitted.add(base, prefix);
        }
        permitted
    }

    /// `prefix` bits of `base` are fixed: 1 to 32, or to 128.
    pub fn add(&mut self, base: IpAddr, prefix: u8) {
        let mask = match base {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::MAX << (32 - prefix))),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(u128::MAX << (128 - prefix))),
        };
        self.ips.push((base, mask));
    }

    fn read(subtrees: &[GeneralSubtree<'_>]) -> Self {
        let mut permitted = Self::default();
        for subtree in subtrees {
            match &subtree.base {
                GeneralName::DNSName(name) => permitted.dns.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => {
                    let (base, mask) = bytes.split_at(bytes.len() / 2);
                    permitted.ips.extend(address(base).zip(address(mask)));
                }
                _ => {}
            }
        }
        permitted
    }

    fn dns(&self, name: &str) -> bool {
        self.dns
            .iter()
            .any(|base| name.strip_suffix(base.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
    }

    fn ip(&self, ip: &IpAddr) -> bool {
        self.ips.iter().any(|(base, mask)| match (ip, base, mask) {
            (IpAddr::V4(ip), IpAddr::V4(base), IpAddr::V4(mask)) => ip & mask == base & mask,
            (IpAddr::V6(ip), IpAddr::V6(base), IpAddr::V6(mask)) => ip & mask == base & mask,
            _ => false,
        })
    }

    /// The names that are permitted, and as texts those that are not.
    pub fn split(&self, names: Names) -> (Names, Vec<String>) {
        let mut refused = Vec::new();
        let mut kept = Names::default();
        for name in names.dns {
            match self.dns(&name) {
                true => kept.dns.extend([name]),
                false => refused.push(name),
            }
        }
        for ip in names.ips {
            match self.ip(&ip) {
                true => kept.ips.extend([ip]),
                false => refused.push(ip.to_string()),
            }
        }
        (kept, refused)
    }
}

fn common_name(name: &X509Name<'_>) -> String {
    name.iter_common_name().find_map(|part| part.as_str().ok()).unwrap_or_default().to_owned()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_authority_may_vouch_for_is_told_from_what_it_may_not() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let permitted = Permitted {
            dns: ["lan", "printer"].map(str::to_owned).to_vec(),
            ips: vec![(ip("10.0.0.0"), ip("255.0.0.0")), (ip("fd00::"), ip("fe00::"))],
        };
        let mut names = Names::default();
        names.dns.extend(["a.lan", "lan", "printer", "x.printer", "wlan", "bank.example"].map(str::to_owned));
        names.ips.extend(["10.1.2.3", "11.0.0.1", "fd12::1", "2001:db8::1"].map(ip));
        let (kept, refused) = permitted.split(names);
        assert_eq!(refused, ["bank.example", "wlan", "11.0.0.1", "2001:db8::1"]);
        assert_eq!((kept.dns.len(), kept.ips.len()), (4, 2));
    }

    #[test]
    fn what_is_no_certificate_says_nothing() {
        assert_eq!(Facts::read(b""), None);
        assert_eq!(Facts::read(&[0x30, 0x82, 0xff, 0xff, 1, 2, 3]), None);
    }
}
