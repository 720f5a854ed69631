//! `webrtc.ice_servers`, understood: STUN URIs (RFC 7064), TURN URIs (RFC 7065), and how players are told of them.
use crate::base::link::quoted;
use crate::config::{IceServer, Webrtc};
use std::fmt;
use std::net::IpAddr;

/// Asked when a `stun:PORT` candidate is wanted and `ice_servers` says nothing.
const USUAL: [&str; 2] = ["stun:stun.cloudflare.com:3478", "stun:stun.l.google.com:19302"];
/// Servers of each kind that are asked, and told to players; more only cost time.
pub const MAX_SERVERS: usize = 8;
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

/// Long-term credentials of a TURN server.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    pub credential: String,
}

/// Neither word reaches the log.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

/// The servers that the relay itself asks.
#[derive(Clone, Debug, Default)]
pub struct Servers {
    pub stun: Vec<Uri>,
    pub turn: Vec<(Uri, Login)>,
}

impl Servers {
    /// Entries that are wrong were reported when the settings were read; here they are left out.
    pub fn new(webrtc: &Webrtc) -> Self {
        let mut servers = Self::default();
        for entry in webrtc.ice_servers.iter().flatten() {
            let login = Login { username: entry.username.clone(), credential: entry.credential.clone() };
            for uri in entry.urls.iter().filter_map(|url| Uri::parse(url).ok()) {
                match uri.kind {
                    Kind::Stun => servers.stun.push(uri),
                    Kind::Turn | Kind::Turns => servers.turn.push((uri, login.clone())),
                }
            }
        }
        if webrtc.ice_servers.is_none() && webrtc.candidates.iter().any(|entry| entry.starts_with("stun:")) {
            servers.stun.extend(USUAL.iter().filter_map(|url| Uri::parse(url).ok()));
        }
        servers.stun.truncate(MAX_SERVERS);
        servers.turn.truncate(MAX_SERVERS);
        servers
    }
}

/// Values of `Link` fields by which WHIP and WHEP tell players of the servers (RFC 9725 section 4.6), in the one form
/// that players in the field read: some take a value that they cannot read for a server without address, and fail.
pub fn links(servers: &[IceServer]) -> Vec<String> {
    let mut links = Vec::new();
    for entry in servers {
        for uri in entry.urls.iter().filter_map(|url| Uri::parse(url).ok()) {
            if uri.kind == Kind::Stun {
                links.push(format!("<{uri}>; rel=\"ice-server\""));
            } else if let (Some(username), Some(credential)) = (quoted(&entry.username), quoted(&entry.credential)) {
                links.push(format!(
                    "<{uri}>; rel=\"ice-server\"; username={username}; credential={credential}; credential-type=\"password\""
                ));
            }
        }
    }
    links.truncate(MAX_SERVERS);
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(urls: &[&str], username: &str, credential: &str) -> IceServer {
        let urls = urls.iter().map(|url| url.to_string()).collect();
        IceServer { urls, username: username.into(), credential: credential.into() }
    }

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

    #[test]
    fn players_read_links_in_this_form_only() {
        let servers = [
            server(&["stun:a"], "", ""),
            server(&["turn:b", "turns:c:443"], "u", "p\"\\x"),
            server(&["turn:without-login", "nonsense"], "", ""),
            server(&["turn:split"], "a\r\nX-Evil: b", "p"),
        ];
        assert_eq!(
            links(&servers),
            [
                r#"<stun:a:3478>; rel="ice-server""#,
                r#"<turn:b:3478?transport=udp>; rel="ice-server"; username="u"; credential="p\"\\x"; credential-type="password""#,
                r#"<turns:c:443?transport=tcp>; rel="ice-server"; username="u"; credential="p\"\\x"; credential-type="password""#,
            ]
        );
    }

    #[test]
    fn nobody_is_asked_unless_the_settings_say_so() {
        let asked = |candidates: &[&str], ice_servers: Option<Vec<IceServer>>| {
            let candidates = candidates.iter().map(|text| text.to_string()).collect();
            let servers = Servers::new(&Webrtc { candidates, ice_servers, ..Webrtc::default() });
            (servers.stun.len(), servers.turn.len())
        };
        assert_eq!(asked(&[], None), (0, 0));
        assert_eq!(asked(&["stun:8555"], None), (2, 0), "the usual public servers");
        assert_eq!(asked(&["stun:8555"], Some(vec![])), (0, 0));
        let own = vec![server(&["stun:a", "turn:b", "turn:b?transport=tcp", "turns:b"], "u", "p")];
        assert_eq!(asked(&["stun:8555"], Some(own)), (1, 3));
    }

    #[test]
    fn a_login_stays_out_of_debug_output() {
        assert_eq!(format!("{:?}", Login { username: "u".into(), credential: "p".into() }), "Login");
    }
}
