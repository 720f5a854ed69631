//! Who may ask what: the `Host` rule against DNS rebinding, the `Origin` rule against foreign pages, the stricter rule
//! for changes, and which sources may be added over the network. Pure functions; the texts show what to configure.
use super::authority::{Authority, Listed, Origin, host};
use super::response::Response;

/// Source schemes that the API accepts. Not each of them is dialled by this version; streams with the others are kept.
pub const SCHEMES: [&str; 13] =
    ["ffmpeg", "http", "https", "onvif", "rtmp", "rtsp", "rtsps", "rtspx", "test", "v4l2", "webrtc", "ws", "wss"];

/// Schemes that run programs or code: only the configuration file may name them.
const PROGRAM_SCHEMES: [&str; 3] = ["exec", "echo", "expr"];

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
    pub fn check_host(&self, host: &str) -> Result<Authority, Response> {
        let Some(authority) = Authority::parse(host) else {
            return Err(Response::text(
                400,
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
        Err(Response::text(
            421,
            format!(
                "this relay does not know itself as \"{name}\"; if it is its name, add to porthole.yaml: api: {{hosts: [\"{name}\"]}}"
            ),
        ))
    }

    /// May a page of this origin talk to us? Yes if it comes from the same host, whatever the port (Fluidd on :80, the
    /// relay on :1984), or from one that `api.origin` lists. There is no wildcard.
    pub fn check_origin(&self, origin: &str, host: Option<&Authority>) -> Result<(), Response> {
        let refuse = |how: String| Err(Response::text(403, how));
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

/// May this request start a camera without a viewer? Not if a page elsewhere makes a browser send it unasked, as a picture
/// or a link: such a request has no `Origin`. Where there is one it was found good before.
pub fn check_start(origin: Option<&str>, fetch_site: Option<&str>) -> Result<(), Response> {
    match (origin, fetch_site) {
        (None, Some(site @ ("cross-site" | "same-site"))) => Err(Response::text(
            403,
            format!(
                "a page that is \"{site}\" may not start cameras by a picture or a link; fetch() says where it is from"
            ),
        )),
        _ => Ok(()),
    }
}

/// May this request change anything, or see secrets? Only pages of this very server (host *and* port) and programs that
/// are no browsers: being on the same machine is enough to look, not to change.
pub fn check_change(origin: Option<&str>, host: Option<&str>, fetch_site: Option<&str>) -> Result<(), Response> {
    if let Some(site @ ("cross-site" | "same-site")) = fetch_site {
        let text = format!("this is for this relay's own pages only; the page that asks is \"{site}\"");
        return Err(Response::text(403, text));
    }
    let Some(origin) = origin else { return Ok(()) };
    let same = match (Origin::parse(origin), host.and_then(Authority::parse)) {
        (Some(origin), Some(host)) => origin.is_web() && origin.authority.is_same(&host, origin.default_port()),
        _ => false,
    };
    if same {
        return Ok(());
    }
    let host = host.unwrap_or("unknown");
    let text = format!("this is for this relay's own pages at \"{host}\" only, not for pages of \"{origin}\"");
    Err(Response::text(403, text))
}

/// May a source with this URL be added by a request? The error says why not.
pub fn source_allowed_from_network(url: &str) -> Result<(), String> {
    if url.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Err("streams: source with white space: percent-encode it".into());
    }
    let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some(scheme) if SCHEMES.contains(&scheme) => Ok(()),
        Some(scheme) if PROGRAM_SCHEMES.contains(&scheme) => {
            Err(format!("streams: {scheme}: sources run programs and can only be set in the configuration file"))
        }
        _ => Err(format!("streams: source not supported: its URL must start with one of {}", SCHEMES.join(", "))),
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
            assert_eq!(refusal.status, 421, "{host}");
            let text = String::from_utf8(refusal.body.to_vec()).unwrap();
            let name = host.split(':').next().unwrap();
            assert!(text.contains(&format!("api: {{hosts: [\"{name}\"]}}")), "{text}");
        }
        for host in ["", ":80", "a b", "a:b", "[::1", "[x]", "a:99999", "user@host", "a/b", "a\"b"] {
            assert_eq!(policy().check_host(host).unwrap_err().status, 400, "{host}");
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
        assert_eq!(refusal.status, 403);
        let text = String::from_utf8(refusal.body.to_vec()).unwrap();
        assert!(text.contains("api: {origin: [\"http://fluidd.example:80\"]}"), "{text}");
    }

    #[test]
    fn changes_need_the_same_host_and_port() {
        let cases = [
            (None, Some("printer:1984"), None, true),
            (None, None, None, true),
            (Some("http://printer:1984"), Some("printer:1984"), Some("same-origin"), true),
            (Some("http://printer"), Some("printer:80"), None, true),
            (Some("https://printer"), Some("printer"), None, true),
            (Some("https://printer:443"), Some("printer"), None, true),
            (Some("http://printer"), Some("printer:1984"), None, false),
            (Some("http://printer:1984"), Some("printer"), None, false),
            (Some("http://other:1984"), Some("printer:1984"), None, false),
            (Some("null"), Some("printer:1984"), None, false),
            (Some("http://printer:1984"), None, None, false),
            (None, Some("printer:1984"), Some("cross-site"), false),
            (None, Some("printer:1984"), Some("same-site"), false),
            (None, Some("printer:1984"), Some("none"), true),
        ];
        for (origin, host, site, expected) in cases {
            assert_eq!(check_change(origin, host, site).is_ok(), expected, "{origin:?} {host:?} {site:?}");
        }
    }

    #[test]
    fn cameras_are_started_by_pages_that_say_who_they_are_and_by_programs() {
        for (origin, site, expected) in [
            (None, None, true),
            (None, Some("none"), true),
            (None, Some("same-origin"), true),
            (None, Some("same-site"), false),
            (None, Some("cross-site"), false),
            (Some("http://printer"), Some("same-site"), true),
            (Some("https://ha.example"), Some("cross-site"), true),
        ] {
            assert_eq!(check_start(origin, site).is_ok(), expected, "{origin:?} {site:?}");
        }
    }

    #[test]
    fn sources_that_run_programs_or_hide_words_are_refused() {
        for url in [
            "rtsp://user:pw@10.0.0.2/stream",
            "ffmpeg:camera.front#audio=opus#query=log_level=debug",
            "webrtc:http://10.0.0.3/offer#format=creality",
            "test:",
            "RTSP://x",
            "v4l2:device?video=/dev/video0",
        ] {
            assert_eq!(source_allowed_from_network(url), Ok(()), "{url}");
        }
        for url in [
            "exec:ls",
            "EXEC:ls",
            "echo:x",
            "expr:1",
            "rtsp://a b",
            "rtsp://a\tb",
            "rtsp://a\u{a0}b",
            "camera",
            "",
            "gopher://x",
            " rtsp://x",
        ] {
            assert!(source_allowed_from_network(url).is_err(), "{url:?}");
        }
    }
}
