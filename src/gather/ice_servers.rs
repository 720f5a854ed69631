//! The servers of `webrtc.ice_servers`: which of them the relay asks, and how players are told of them.
use crate::base::link::quoted;
use crate::config::{IceServer, Webrtc};
use std::fmt;

pub use crate::config::ice_uri::{Kind, Uri};

/// Asked when a `stun:PORT` candidate is wanted and `ice_servers` says nothing.
const USUAL: [&str; 2] = ["stun:stun.cloudflare.com:3478", "stun:stun.l.google.com:19302"];
/// Servers of each kind that are asked, and told to players; more only cost time.
pub const MAX_SERVERS: usize = 8;

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
