//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): endpoints `/NAME/whip` and `/NAME/whep`, and the session that an
//! offer creates under them. Sessions of `/api/webrtc` behave the same.
use super::errors::{Contract, response};
use super::offers::offer;
use super::state::Api;
use super::trickle::parse_fragment;
use crate::engine::api::{Intent, Trickled};
use crate::http::server::Method;
use crate::http::server::decode_path;
use crate::http::server::{Request, Response};

/// The type of a session description.
pub const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ENDPOINT_METHODS: &str = "POST, GET, HEAD, OPTIONS";
const SESSION_METHODS: &str = "PATCH, DELETE, GET, HEAD, OPTIONS";

/// Where an offer goes: to publish, or to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Whip,
    Whep,
}

/// What a path of WHIP or WHEP names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Endpoint { endpoint: Endpoint, stream: String },
    Session { id: String },
}

/// Reads a path as sent. A stream's name may hold slashes, escaped or not; the id is always one segment, since clients
/// take what stands after the last slash of `Location`.
pub fn target(path: &str) -> Option<Target> {
    let path = path.strip_prefix('/')?;
    let (before, last) = path.rsplit_once('/')?;
    if let Some(endpoint) = endpoint_of(last) {
        let stream = decode_path(before).filter(|stream| !stream.is_empty())?;
        return Some(Target::Endpoint { endpoint, stream });
    }
    let (stream, middle) = before.rsplit_once('/')?;
    let session = (endpoint_of(middle).is_some() && !stream.is_empty()) || before == "api/webrtc";
    match decode_path(last) {
        Some(id) if session && !id.is_empty() => Some(Target::Session { id }),
        _ => None,
    }
}

fn endpoint_of(segment: &str) -> Option<Endpoint> {
    match segment {
        "whip" => Some(Endpoint::Whip),
        "whep" => Some(Endpoint::Whep),
        _ => None,
    }
}

/// Answers where offers go.
pub async fn endpoint(api: &Api, request: Request, endpoint: Endpoint, stream: String) -> Response {
    match request.method {
        // Mainsail wants exactly 204.
        Method::Options => {
            Response::new(204).with("Allow", ENDPOINT_METHODS).with("Accept-Post", SDP).with_links(&api.ice_links)
        }
        Method::Get | Method::Head => Response::new(204),
        Method::Post if request.content_type != SDP => {
            Response::text(415, format!("an offer must come with Content-Type: {SDP}")).with("Accept-Post", SDP)
        }
        Method::Post => match endpoint {
            Endpoint::Whip => create(api, request, stream, Intent::Publish, "webrtc/whip").await,
            Endpoint::Whep => create(api, request, stream, Intent::View, "webrtc/whep").await,
        },
        _ => Response::method_not_allowed(ENDPOINT_METHODS),
    }
}

/// Answers an offer with 201 and the new session's address, one segment below the address of the request.
pub async fn create(api: &Api, request: Request, stream: String, intent: Intent, format: &'static str) -> Response {
    let sdp = match std::str::from_utf8(&request.body) {
        Ok(sdp) if !sdp.is_empty() => sdp,
        _ => return Response::text(400, "the body must be an SDP offer"),
    };
    match offer(api, &request, stream, intent, sdp, format).await {
        Ok(answer) => Response::new(201)
            .body(SDP, answer.sdp.into_bytes())
            .with("Location", format!("{}{}/{}", api.base, request.path, answer.id))
            .with("ETag", answer.etag)
            .with("Accept-Patch", FRAGMENT)
            .with_links(&api.ice_links),
        Err(error) => response(&error, Contract::Whip),
    }
}

/// Answers at the address of a session.
pub async fn resource(api: &Api, request: Request, id: &str) -> Response {
    match request.method {
        Method::Options => Response::new(204).with("Allow", SESSION_METHODS).with("Accept-Patch", FRAGMENT),
        Method::Get | Method::Head => match api.relay.etag(id).await {
            Ok(etag) => Response::new(204).with("ETag", etag),
            Err(error) => response(&error, Contract::Whip),
        },
        Method::Patch => patch(api, request, id).await,
        Method::Delete => match api.relay.close(id).await {
            Ok(()) => Response::new(200),
            Err(error) => response(&error, Contract::Whip),
        },
        _ => Response::method_not_allowed(SESSION_METHODS),
    }
}

async fn patch(api: &Api, request: Request, id: &str) -> Response {
    if request.content_type != FRAGMENT {
        let text = format!("candidates must come with Content-Type: {FRAGMENT}");
        return Response::text(415, text).with("Accept-Patch", FRAGMENT);
    }
    let Ok(text) = std::str::from_utf8(&request.body) else {
        return Response::text(400, "the fragment must be text");
    };
    let trickle = match parse_fragment(text, request.if_match.clone()) {
        Ok(trickle) => trickle,
        Err(error) => return response(&error.into(), Contract::Whip),
    };
    match api.relay.trickle(id, trickle).await {
        Ok(Trickled::Taken) => Response::new(204),
        Ok(Trickled::Restarted { fragment, etag }) => {
            Response::new(200).body(FRAGMENT, fragment.into_bytes()).with("ETag", etag)
        }
        Err(error) => response(&error, Contract::Whip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_endpoints_and_sessions() {
        let endpoint = |endpoint, stream: &str| Some(Target::Endpoint { endpoint, stream: stream.into() });
        let session = |id: &str| Some(Target::Session { id: id.into() });
        let cases = [
            ("/cam/whep", endpoint(Endpoint::Whep, "cam")),
            ("/front%20door/whip", endpoint(Endpoint::Whip, "front door")),
            ("/a/b%2Fc/whep", endpoint(Endpoint::Whep, "a/b/c")),
            ("/whep/whep", endpoint(Endpoint::Whep, "whep")),
            ("/cam/whep/0123", session("0123")),
            ("/a/b/whip/0123", session("0123")),
            ("/api/webrtc/0123", session("0123")),
            ("/whep", None),
            ("//whep", None),
            ("/whep/0123", None),
            ("/cam/whep/", None),
            ("/api/webrtc", None),
            ("/api/webrtc/", None),
            ("/cam/other", None),
            ("/", None),
        ];
        for (path, expected) in cases {
            assert_eq!(target(path), expected, "{path}");
        }
    }
}
