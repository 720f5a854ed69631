//! `webrtc.listen`, understood: where media is received, before any filter.
use std::net::IpAddr;

/// `webrtc.listen` as the sockets need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// `None`: every address. The wildcard `0.0.0.0` stays, it means every IPv4 address.
    pub host: Option<IpAddr>,
    /// Port for UDP; 0: none is fixed, the kernel or `filters.udp_ports` chooses.
    pub udp: u16,
    /// Port for TCP; `None`: no TCP.
    pub tcp: Option<u16>,
}

impl Listen {
    /// Understands `:8555`, `ip:8555`, `[v6]:8555`, each with `/tcp` or `/udp` behind it, and the empty text.
    pub fn parse(text: &str) -> Result<Listen, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Listen { host: None, udp: 0, tcp: None });
        }
        let (address, protocol) = match text.rsplit_once('/') {
            Some((address, protocol)) => (address, Some(protocol)),
            None => (text, None),
        };
        let wrong =
            || format!("webrtc.listen: {text:?} is not `[address]:port`, optionally with /tcp or /udp behind it");
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let port = digits(port).ok_or_else(wrong)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match (host, bracketed) {
            ("", _) => None,
            (_, Some(inner)) => Some(IpAddr::V6(inner.parse().map_err(|_| wrong())?)),
            (host, None) => Some(IpAddr::V4(host.parse().map_err(|_| wrong())?)),
        };
        // Linux takes IPv4 on [::] too, and that is what its writers expect.
        let host = host.filter(|host| *host != IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED));
        match protocol {
            None => Ok(Listen { host, udp: port, tcp: Some(port) }),
            Some("udp") => Ok(Listen { host, udp: port, tcp: None }),
            Some("tcp") => Ok(Listen { host, udp: 0, tcp: Some(port) }),
            Some(_) => Err(wrong()),
        }
    }

    /// The one address that media is received on, if `listen` names one.
    pub fn single(&self) -> Option<IpAddr> {
        self.host.filter(|host| !host.is_unspecified())
    }

    /// Does `listen` cover this address?
    pub fn covers(&self, ip: IpAddr) -> bool {
        self.host.is_none_or(|host| host == ip || (host.is_unspecified() && host.is_ipv4() == ip.is_ipv4()))
    }

    /// Does `listen` cover addresses of the family of this one?
    pub fn covers_family(&self, ip: IpAddr) -> bool {
        self.host.is_none_or(|host| host.is_ipv4() == ip.is_ipv4())
    }
}

/// A port number: digits only, since `parse` would take a sign.
pub(super) fn digits(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_is_understood_in_all_its_forms() {
        let parse = |text| Listen::parse(text).unwrap();
        assert_eq!(parse(":8555"), Listen { host: None, udp: 8555, tcp: Some(8555) });
        assert_eq!(parse(":8555/tcp"), Listen { host: None, udp: 0, tcp: Some(8555) });
        assert_eq!(parse(":8555/udp"), Listen { host: None, udp: 8555, tcp: None });
        assert_eq!(parse(""), Listen { host: None, udp: 0, tcp: None });
        assert_eq!(parse("192.168.1.2:1").single(), Some("192.168.1.2".parse().unwrap()));
        assert_eq!(parse("[fd00::1]:1/udp").single(), Some("fd00::1".parse().unwrap()));
        for wrong in ["8555", ":x", ":8555/sctp", "host:8555", ":99999", ":+80", "::1:8555", "[10.0.0.1]:1", ":"] {
            assert!(Listen::parse(wrong).unwrap_err().contains("webrtc.listen"), "{wrong}");
        }
    }

    #[test]
    fn wildcards_cover_their_family() {
        let (v4, v6): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap());
        let covers = |text: &str| [v4, v6].map(|ip| Listen::parse(text).unwrap().covers(ip));
        assert_eq!(covers("0.0.0.0:8555"), [true, false]);
        assert_eq!(covers("[::]:8555"), [true, true]);
        assert_eq!(covers(":8555"), [true, true]);
        assert_eq!(covers("10.0.0.1:8555"), [true, false]);
        assert_eq!(covers("10.0.0.2:8555"), [false, false]);
    }
}
