//! What a request does to the relay, and whose pages may send it. Every request passes here before its route runs, so
//! that no address is forgotten: what is not known to be harmless counts as a change.
use super::whip;
use crate::engine::api::{Error, ErrorKind};
use crate::http::server::{Authority, Method, Origin, Request};

/// Kinds of effects, in the order of what they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Shows what everybody may see who may connect.
    Looks,
    /// Makes, feeds or ends a session; its id is the secret that it takes.
    Talks,
    /// Starts sources.
    Starts,
    /// Changes streams, share links or the log, or tells a secret.
    Changes,
}

/// `path` is decoded.
pub fn effect(request: &Request, path: &str) -> Effect {
    let shows = matches!(request.method, Method::Get | Method::Head | Method::Options);
    match path {
        // For any method the same.
        "/api" => Effect::Looks,
        "/api/webrtc" => Effect::Talks,
        "/api/webtorrent" if request.method != Method::Options => Effect::Changes,
        "/api/streams" if shows && PROBES.iter().any(|name| request.query(name).is_some()) => Effect::Starts,
        _ if whip::target(&request.path).is_some() => Effect::Talks,
        _ if shows => Effect::Looks,
        _ => Effect::Changes,
    }
}

/// Parameters with which a look at a stream starts its sources.
pub const PROBES: [&str; 3] = ["video", "audio", "microphone"];

/// May this request have its effect? Whether it may talk to the relay at all was asked before, see
/// [`Policy`](crate::http::server::Policy).
///
/// # Errors
/// If not, with the reason.
pub fn check(request: &Request, path: &str) -> Result<(), Error> {
    match effect(request, path) {
        Effect::Looks | Effect::Talks => Ok(()),
        Effect::Starts => check_start(request.origin.as_deref(), request.fetch_site.as_deref()),
        Effect::Changes => may_change(request),
    }
}

/// [`check`] for whoever knows only later whether something changes.
///
/// # Errors
/// If this request may change nothing, with the reason.
pub fn may_change(request: &Request) -> Result<(), Error> {
    check_change(request.origin.as_deref(), request.host.as_deref(), request.fetch_site.as_deref())
}

/// May this request start a camera without a viewer? Not if a page elsewhere makes a browser send it unasked, as a picture
/// or a link: such a request has no `Origin`. Where there is one it was found good before.
fn check_start(origin: Option<&str>, fetch_site: Option<&str>) -> Result<(), Error> {
    match (origin, fetch_site) {
        (None, Some(site @ ("cross-site" | "same-site"))) => Err(Error::new(
            ErrorKind::Forbidden,
            format!(
                "a page that is \"{site}\" may not start cameras by a picture or a link; fetch() says where it is from"
            ),
        )),
        _ => Ok(()),
    }
}

/// May this request change anything, or see secrets? Only pages of this very server (host *and* port) and programs that
/// are no browsers: being on the same machine is enough to look, not to change.
fn check_change(origin: Option<&str>, host: Option<&str>, fetch_site: Option<&str>) -> Result<(), Error> {
    if let Some(site @ ("cross-site" | "same-site")) = fetch_site {
        let text = format!("this is for this relay's own pages only; the page that asks is \"{site}\"");
        return Err(Error::new(ErrorKind::Forbidden, text));
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
    Err(Error::new(ErrorKind::Forbidden, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::server::decode_path;

    const METHODS: [Method; 7] =
        [Method::Get, Method::Head, Method::Options, Method::Post, Method::Put, Method::Patch, Method::Delete];

    /// The effects of one address for GET, HEAD, OPTIONS, POST, PUT, PATCH and DELETE, a letter each.
    fn effects(target: &str) -> String {
        let letter = |method| {
            let request = Request::plain(method, target);
            match effect(&request, &decode_path(&request.path).unwrap()) {
                Effect::Looks => 'l',
                Effect::Talks => 't',
                Effect::Starts => 's',
                Effect::Changes => 'C',
            }
        };
        METHODS.map(letter).iter().collect()
    }

    #[test]
    fn every_address_has_its_effects_and_unknown_ones_count_as_changes() {
        for (target, expected) in [
            ("/", "lllCCCC"),
            ("/stream.html?src=cam", "lllCCCC"),
            ("/api", "lllllll"),
            ("/api/schemes", "lllCCCC"),
            ("/api/status", "lllCCCC"),
            ("/api/doctor", "lllCCCC"),
            ("/api/session?id=0", "lllCCCC"),
            ("/api/log", "lllCCCC"),
            ("/api/log/follow", "lllCCCC"),
            ("/api/ws?src=cam", "lllCCCC"),
            ("/ca.crt", "lllCCCC"),
            ("/api/streams", "lllCCCC"),
            ("/%61pi/streams?src=cam", "lllCCCC"),
            ("/api/streams?src=cam&video", "sssCCCC"),
            ("/api/streams?src=cam&audio=opus", "sssCCCC"),
            ("/api/streams?src=cam&microphone=", "sssCCCC"),
            ("/api/webtorrent", "CClCCCC"),
            ("/api/webtorrent?src=cam", "CClCCCC"),
            ("/api/webrtc?src=cam", "ttttttt"),
            ("/api/webrtc/0123", "ttttttt"),
            ("/cam/whep", "ttttttt"),
            ("/cam/whip/0123", "ttttttt"),
            ("/api/config", "lllCCCC"),
            ("/api/restart", "lllCCCC"),
            ("/api/exit", "lllCCCC"),
            ("/api/nothing", "lllCCCC"),
        ] {
            assert_eq!(effects(target), expected, "{target}");
        }
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
}
