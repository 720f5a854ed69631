//! An authority of this machine's own, for a network on which no public one can vouch for anybody, and the certificates
//! that it makes. Devices are told to trust it, so it may vouch for servers on local networks only: whoever steals its key
//! can pretend to be this machine, and not somebody's bank, and signs neither mail nor programs.
use super::constraints;
use super::facts::Facts;
use super::names::{Names, first_label};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, date_time_ymd,
};
use std::fmt;
use std::time::Duration;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

const DAY: i64 = 24 * 3600;
/// 2026-11-01. A clock that says less was never set: boards without a battery wake up in 1970.
pub const FLOOR: i64 = 1_793_491_200;
/// An authority is trusted by hand on each device, so it outlives them.
const AUTHORITY_LIFE: i64 = 20 * 365 * DAY;
/// Browsers take 398 days at most from public authorities, Apple's systems 825 from others.
const LIFE: i64 = 380 * DAY;
/// So far behind may a client's clock be.
const BACKDATED: i64 = 7 * DAY;
/// A certificate is made anew so long before its end.
pub const RENEW: i64 = 60 * DAY;
/// Letters of the machine's name in the authority's; a common name has at most 64 (RFC 5280, ub-common-name).
const MAX_MACHINE: usize = 32;

/// A certificate and its key, both PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// Half of a [`Pair`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Certificate,
    Key,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::Key => "key",
        })
    }
}

/// An authority that can make certificates.
pub struct Authority {
    pub facts: Facts,
    key: KeyPair,
}

impl Authority {
    /// Makes one that may vouch for local names and for `names`. `now`: seconds since 1970.
    pub fn make(machine: &str, names: &Names, now: i64) -> Result<Pair, rcgen::Error> {
        let key = KeyPair::generate()?;
        // Two machines may have one name, and one machine two authorities after each other.
        let mark: String = key.der_bytes().iter().rev().take(3).map(|byte| format!("{byte:02x}")).collect();
        let machine: String = first_label(machine).chars().take(MAX_MACHINE).collect();
        let subject =
            if machine.is_empty() { format!("Porthole {mark}") } else { format!("Porthole on {machine} {mark}") };
        let mut params = authority_params(&subject);
        set_validity(&mut params, FLOOR - 2 * 365 * DAY, now.max(FLOOR) + AUTHORITY_LIFE);
        params.custom_extensions = vec![constraints::extension(names)];
        let certificate = params.self_signed(&key)?;
        Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// # Errors
    /// With the part that is damaged.
    pub fn read(pair: &Pair) -> Result<Self, Part> {
        let der = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).map_err(|_| Part::Certificate)?;
        let facts = Facts::read(&der).ok_or(Part::Certificate)?;
        let key = KeyPair::from_pem(&pair.key).map_err(|_| Part::Key)?;
        Ok(Self { facts, key })
    }

    /// A certificate for a server, with a key of its own.
    pub fn issue(&self, names: &Names, now: i64) -> Result<Pair, rcgen::Error> {
        let key = KeyPair::generate()?;
        let now = now.max(FLOOR);
        let mut params = CertificateParams::default();
        set_validity(&mut params, now - BACKDATED, (now + LIFE).min(self.facts.not_after));
        let called = names.dns.iter().find(|name| name.ends_with(".local")).map_or("localhost", String::as_str);
        params.distinguished_name = common_name(called);
        for name in &names.dns {
            params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
        }
        params.subject_alt_names.extend(names.ips.iter().copied().map(SanType::IpAddress));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let authority = authority_params(&self.facts.subject);
        let certificate = params.signed_by(&key, &Issuer::from_params(&authority, &self.key))?;
        Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// Why a certificate has to be made anew, if so. A clock that was never set decides nothing.
pub fn outdated(authority: &Facts, certificate: &Facts, wanted: &Names, now: i64) -> Option<&'static str> {
    if certificate.issuer != authority.subject {
        return Some("another authority made the old one");
    }
    if !certificate.names.serve(wanted) {
        return Some("names or addresses changed");
    }
    let ends = certificate.not_after;
    match now {
        _ if now < FLOOR => None,
        _ if now < certificate.not_before => Some("the clock was ahead when the old one was made"),
        _ if now > ends - RENEW && ends < authority.not_after => Some("the old one runs out"),
        _ => None,
    }
}

fn authority_params(subject: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(subject);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text.chars().take(64).collect::<String>());
    name
}

/// In seconds since 1970.
fn set_validity(params: &mut CertificateParams, from: i64, to: i64) {
    let time = |seconds: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.unsigned_abs());
    params.not_before = time(from);
    params.not_after = time(to);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Given;
    use crate::http::server::certificate;
    use std::net::IpAddr;

    const NOW: i64 = FLOOR + 100 * DAY;

    fn names(hosts: &[&str]) -> Names {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        Names::of("voron", &hosts, &[])
    }

    fn authority(names: &Names, now: i64) -> Authority {
        Authority::read(&Authority::make("voron", names, now).unwrap()).unwrap()
    }

    fn issued(authority: &Authority, names: &Names, now: i64) -> Facts {
        let pair = authority.issue(names, now).unwrap();
        let key = certificate::read(&Given(pair.certificate), &Given(pair.key), &|_| unreachable!()).unwrap();
        Facts::read(&key.cert[0]).unwrap()
    }

    #[test]
    fn a_certificate_says_what_it_was_made_for_and_no_browser_finds_it_too_long() {
        let (names, other) = (names(&["cam.example.org"]), names(&[]));
        let authority = authority(&names, NOW);
        assert!(authority.facts.subject.starts_with("Porthole on voron "), "{}", authority.facts.subject);
        let facts = issued(&authority, &names, NOW);
        assert_eq!((&facts.names, &facts.issuer), (&names, &authority.facts.subject));
        assert!(facts.not_before < NOW - DAY && facts.not_after - facts.not_before < 398 * DAY);
        assert_eq!(outdated(&authority.facts, &facts, &names, NOW), None);
        assert_eq!(outdated(&authority.facts, &facts, &other, NOW), Some("names or addresses changed"));
        assert_eq!(outdated(&authority.facts, &facts, &names, NOW + 300 * DAY), None);
        assert!(outdated(&authority.facts, &facts, &names, NOW + 330 * DAY).is_some());
        assert!(outdated(&authority.facts, &facts, &names, NOW - 30 * DAY).is_some(), "it was made by a clock ahead");
        let stranger = Authority::read(&Authority::make("voron", &names, NOW).unwrap()).unwrap();
        assert!(outdated(&stranger.facts, &facts, &names, NOW).is_some());
    }

    #[test]
    fn a_board_that_wakes_up_in_1970_makes_a_certificate_that_holds_today_and_keeps_the_one_it_has() {
        let names = names(&[]);
        let authority = authority(&names, 5);
        let facts = issued(&authority, &names, 5);
        assert!(facts.not_before < FLOOR && facts.not_after > FLOOR + 300 * DAY);
        let later = issued(&authority, &names, NOW + 3000 * DAY);
        assert_eq!(outdated(&authority.facts, &later, &names, 5), None);
        assert_eq!(outdated(&authority.facts, &facts, &names, NOW + 3000 * DAY), Some("the old one runs out"));
    }

    #[test]
    fn an_authority_may_vouch_for_the_local_network_and_its_own_names_and_for_nobody_else() {
        let authority = authority(&names(&["cam.example.org", "203.0.113.9"]), NOW);
        assert!(authority.facts.servers_only);
        let permitted = authority.facts.permitted.as_ref().unwrap();
        let mut wanted = names(&["kitchen.lan", "wlan", "bank.example", "cam.example.org", "203.0.113.8"]);
        wanted.ips.extend(["192.168.7.7", "fd00::7", "2001:db8::7"].map(|ip| ip.parse::<IpAddr>().unwrap()));
        assert_eq!(permitted.split(wanted).1, ["bank.example", "wlan", "203.0.113.8", "2001:db8::7"]);
    }

    #[test]
    fn a_certificate_that_ends_with_its_authority_is_not_made_anew_at_every_look() {
        let names = names(&[]);
        let authority = authority(&names, NOW);
        let late = authority.facts.not_after - 10 * DAY;
        let facts = issued(&authority, &names, late);
        assert_eq!(facts.not_after, authority.facts.not_after);
        assert_eq!(outdated(&authority.facts, &facts, &names, late), None);
    }
}
