//! What a request does to the relay, and whose pages may send it. Every request passes here before its route runs, so
//! that no door is left open: what is not known to be harmless counts as a change.
use super::whip;
use crate::http::server::head::Method;
use crate::http::server::policy::{check_change, check_start};
use crate::http::server::request::Request;
use crate::http::server::response::Response;

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
/// [`Policy`](crate::http::server::policy::Policy).
pub fn check(request: &Request, path: &str) -> Result<(), Response> {
    match effect(request, path) {
        Effect::Looks | Effect::Talks => Ok(()),
        Effect::Starts => check_start(request.origin.as_deref(), request.fetch_site.as_deref()),
        Effect::Changes => may_change(request),
    }
}

/// For doors that know only later whether they change something.
pub fn may_change(request: &Request) -> Result<(), Response> {
    check_change(request.origin.as_deref(), request.host.as_deref(), request.fetch_site.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::server::percent::decode_path;

    const METHODS: [Method; 7] =
        [Method::Get, Method::Head, Method::Options, Method::Post, Method::Put, Method::Patch, Method::Delete];

    /// The effects of one address for GET, HEAD, OPTIONS, POST, PUT, PATCH and DELETE, a letter each.
    fn effects(target: &str) -> String {
        let letter = |method| {
            let request = Request::new(method, target, [].into_iter(), ([10, 0, 0, 1], 1).into(), vec![]);
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
}
