//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): endpoints `/NAME/whip` and `/NAME/whep`, and the session that an
//! offer creates under them. Sessions of `/api/webrtc` behave the same.
use super::errors::{Door as Contract, response};
use super::go2rtc::offer;
use super::routes::App;
use super::trickle::parse_fragment;
use crate::http::server::head::Method;
use crate::http::server::percent::decode_path;
use crate::http::server::request::Request;
use crate::http::server::response::Response;
use crate::stream::relay::{Intent, Trickled};

pub const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ENDPOINT_METHODS: &str = "POST, GET, HEAD, OPTIONS";
const SESSION_METHODS: &str = "PATCH, DELETE, GET, HEAD, OPTIONS";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Whip,
    Whep,
}

/// What a path of WHIP or WHEP names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Endpoint { door: Door, stream: String },
    Session { id: String },
}

/// Reads a path as sent. A stream's name may hold slashes, escaped or not; the id is always one segment, since clients
/// take what stands after the last slash of `Location`.
pub fn target(path: &str) -> Option<Target> {
    let path = path.strip_prefix('/')?;
    let (before, last) = path.rsplit_once('/')?;
    if let Some(door) = door(last) {
        let stream = decode_path(before).filter(|stream| !stream.is_empty())?;
        return Some(Target::Endpoint { door, stream });
    }
    let (stream, middle) = before.rsplit_once('/')?;
    let session = (door(middle).is_some() && !stream.is_empty()) || before == "api/webrtc";
    match decode_path(last) {
        Some(id) if session && !id.is_empty() => Some(Target::Session { id }),
        _ => None,
    }
}

fn door(segment: &str) -> Option<Door> {
    match segment {
        "whip" => Some(Door::Whip),
        "whep" => Some(Door::Whep),
        _ => None,
    }
}

pub async fn endpoint(app: &App, request: Request, door: Door, stream: String) -> Response {
    match request.method {
        // Mainsail wants exactly 204.
        Method::Options => Response::new(204)
            .with("Allow", ENDPOINT_METHODS)
            .with("Accept-Post", SDP)
            .with_links(&app.services.ice_links),
        Method::Get | Method::Head => Response::new(204),
        Method::Post if request.content_type != SDP => {
            Response::text(415, format!("an offer must come with Content-Type: {SDP}")).with("Accept-Post", SDP)
        }
        Method::Post => match door {
            Door::Whip => create(app, request, stream, Intent::Publish, "webrtc/whip").await,
            Door::Whep => create(app, request, stream, Intent::View, "webrtc/whep").await,
        },
        _ => Response::method_not_allowed(ENDPOINT_METHODS),
    }
}

/// Answers an offer with 201 and the new session's address, one segment below the address of the request.
pub async fn create(app: &App, request: Request, stream: String, intent: Intent, format: &'static str) -> Response {
    let sdp = match String::from_utf8(request.body.clone()) {
        Ok(sdp) if !sdp.is_empty() => sdp,
        _ => return Response::text(400, "the body must be an SDP offer"),
    };
    match offer(app, &request, stream, intent, sdp, format).await {
        Ok(answer) => Response::new(201)
            .body(SDP, answer.sdp.into_bytes())
            .with("Location", format!("{}{}/{}", app.base, request.path, answer.id))
            .with("ETag", answer.etag)
            .with("Accept-Patch", FRAGMENT)
            .with_links(&app.services.ice_links),
        Err(error) => response(&error, Contract::Strict),
    }
}

pub async fn resource(app: &App, request: Request, id: &str) -> Response {
    match request.method {
        Method::Options => Response::new(204).with("Allow", SESSION_METHODS).with("Accept-Patch", FRAGMENT),
        Method::Get | Method::Head => match app.relay.etag(id).await {
            Ok(etag) => Response::new(204).with("ETag", etag),
            Err(error) => response(&error, Contract::Strict),
        },
        Method::Patch => patch(app, request, id).await,
        Method::Delete => match app.relay.close(id).await {
            Ok(()) => Response::new(200),
            Err(error) => response(&error, Contract::Strict),
        },
        _ => Response::method_not_allowed(SESSION_METHODS),
    }
}

async fn patch(app: &App, request: Request, id: &str) -> Response {
    if request.content_type != FRAGMENT {
        let text = format!("candidates must come with Content-Type: {FRAGMENT}");
        return Response::text(415, text).with("Accept-Patch", FRAGMENT);
    }
    let Ok(text) = std::str::from_utf8(&request.body) else {
        return Response::text(400, "the fragment must be text");
    };
    let trickle = match parse_fragment(text, request.if_match.clone()) {
        Ok(trickle) => trickle,
        Err(text) => return Response::text(400, text),
    };
    match app.relay.trickle(id, trickle).await {
        Ok(Trickled::Taken) => Response::new(204),
        Ok(Trickled::Restarted { fragment, etag }) => {
            Response::new(200).body(FRAGMENT, fragment.into_bytes()).with("ETag", etag)
        }
        Err(error) => response(&error, Contract::Strict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_endpoints_and_sessions() {
        let endpoint = |door, stream: &str| Some(Target::Endpoint { door, stream: stream.into() });
        let session = |id: &str| Some(Target::Session { id: id.into() });
        let cases = [
            ("/cam/whep", endpoint(Door::Whep, "cam")),
            ("/front%20door/whip", endpoint(Door::Whip, "front door")),
            ("/a/b%2Fc/whep", endpoint(Door::Whep, "a/b/c")),
            ("/whep/whep", endpoint(Door::Whep, "whep")),
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
