//! The addresses of ICE servers: STUN URIs (RFC 7064) and TURN URIs (RFC 7065).
use std::fmt;
use std::net::IpAddr;

/// RFC 8489 section 8.1 and RFC 8656 section 3: ports without and with TLS.
const PORT: u16 = 3478;
const TLS_PORT: u16 = 5349;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Stun,
    Turn,
    /// TURN in TLS.
    Turns,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// One URI of `urls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    pub kind: Kind,
    /// Name or address, without brackets.
    pub host: String,
    pub port: u16,
    pub transport: Transport,
}

impl Uri {
    /// The error says what is expected; it does not repeat the text, which may hold a password in the wrong place.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || "expected stun:host:port, turn:host:port, turn:host:port?transport=tcp or turns:host:port".to_owned();
        let (scheme, rest) = text.split_once(':').ok_or_else(wrong)?;
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "stun" => Kind::Stun,
            "turn" => Kind::Turn,
            "turns" => Kind::Turns,
            _ => return Err(wrong()),
        };
        let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
        let transport = match (kind, query) {
            (Kind::Stun | Kind::Turn, None) | (Kind::Turn, Some("transport=udp")) => Transport::Udp,
            (Kind::Turns, None | Some("transport=tcp")) | (Kind::Turn, Some("transport=tcp")) => Transport::Tcp,
            _ => return Err(wrong()),
        };
        let port = if kind == Kind::Turns { TLS_PORT } else { PORT };
        let (host, tail) = match place.strip_prefix('[') {
            Some(place) => place.split_once(']').filter(|(host, _)| host.contains(':')).ok_or_else(wrong)?,
            None => place.split_at(place.find(':').unwrap_or(place.len())),
        };
        let port = match tail.strip_prefix(':') {
            None => tail.is_empty().then_some(port),
            Some(number) => number.parse::<u16>().ok().filter(|_| number.bytes().all(|byte| byte.is_ascii_digit())),
        };
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let good = host.parse::<IpAddr>().is_ok() || (!host.is_empty() && host.bytes().all(named));
        match port.filter(|port| good && *port != 0) {
            Some(port) => Ok(Self { kind, host: host.to_owned(), port, transport }),
            None => Err(wrong()),
        }
    }
}

/// The URI in full: what is not written has its default in it.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::Stun => "stun",
            Kind::Turn => "turn",
            Kind::Turns => "turns",
        };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}:{open}{}{close}:{}", self.host, self.port)?;
        match (self.kind, self.transport) {
            (Kind::Stun, _) => Ok(()),
            (_, Transport::Udp) => f.write_str("?transport=udp"),
            (_, Transport::Tcp) => f.write_str("?transport=tcp"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_understood_and_written_in_full() {
        let full = |text| Uri::parse(text).unwrap().to_string();
        assert_eq!(full("stun:stun.example.org"), "stun:stun.example.org:3478");
        assert_eq!(full("STUN:10.0.0.1:19302"), "stun:10.0.0.1:19302");
        assert_eq!(full("stun:[2001:db8::1]:1"), "stun:[2001:db8::1]:1");
        assert_eq!(full("stun:[2001:db8::1]"), "stun:[2001:db8::1]:3478");
        assert_eq!(full("turn:a"), "turn:a:3478?transport=udp");
        assert_eq!(full("turn:a:1?transport=tcp"), "turn:a:1?transport=tcp");
        assert_eq!(full("turns:a"), "turns:a:5349?transport=tcp");
        for wrong in [
            "",
            "stun",
            "stun:",
            "http://a",
            "stun:a:0",
            "stun:a:x",
            "stun:a:99999",
            "stun:a b",
            "stun:a\r\nX: y",
            "stun:a?x",
            "stun:[::1",
            "stun:[a]:1",
            "stun:[::1]x",
            "turn:a?transport=sctp",
            "turns:a?transport=udp",
            "stun:2001:db8::1",
            "stun://a:1",
        ] {
            assert!(Uri::parse(wrong).is_err(), "{wrong}");
        }
    }
}
