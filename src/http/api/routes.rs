//! From a path of the API to the code that answers it.
use super::errors::{Contract, response};
use super::state::Api;
use super::whip::{self, Target};
use super::{effects, go2rtc, info, share, streams};
use crate::http::server::{Method, Request, Response};

/// Addresses of go2rtc that exist there and not here; their clients get to know it from a text instead of a 404.
const NOT_HERE: [&str; 21] = [
    "config",
    "exit",
    "ffmpeg",
    "frame.jpeg",
    "frame.mp4",
    "hls",
    "onvif",
    "play",
    "preload",
    "restart",
    "stack",
    "stream",
    "stream.aac",
    "stream.ascii",
    "stream.flv",
    "stream.m3u8",
    "stream.mjpeg",
    "stream.mp4",
    "stream.ts",
    "stream.y4m",
    "streams.dot",
];

/// Paths of the WebSocket. Fluidd appends `api/ws` to an address that ends with `/api/ws` already.
pub const SOCKETS: [&str; 2] = ["/api/ws", "/api/api/ws"];

/// Is this an address of the API? `path` is the decoded path of the request.
pub fn is_address(request: &Request, path: &str) -> bool {
    path == "/api" || path == "/ca.crt" || path.starts_with("/api/") || whip::target(&request.path).is_some()
}

/// Keeps away what the page that asks may not do. Holds for pages too: what is no address is no place for changes.
pub fn refusal(request: &Request, path: &str) -> Option<Response> {
    effects::check(request, path).err().map(|error| response(&error, Contract::Go2rtc))
}

/// Answers at an address of the API; `path` is decoded.
pub async fn answer(api: &Api, request: Request, path: &str) -> Response {
    match path {
        "/api/webrtc" => return go2rtc::answer(api, request).await,
        path if SOCKETS.contains(&path) => return websocket_only(),
        _ => {}
    }
    if let Some(target) = whip::target(&request.path) {
        return match target {
            Target::Endpoint { endpoint, stream } => whip::endpoint(api, request, endpoint, stream).await,
            Target::Session { id } => whip::resource(api, request, &id).await,
        };
    }
    if request.method == Method::Options {
        return Response::new(204).with("Allow", "GET, HEAD, OPTIONS");
    }
    match path {
        "/api" => info::api(api, &request),
        "/api/streams" => streams::answer(api, request).await,
        "/api/webtorrent" => share::answer(api, &request).await,
        "/api/log" => info::log(api, &request).await,
        path => match NOT_HERE.contains(&path.split('/').nth(2).unwrap_or_default()) {
            true => Response::text(501, format!("{path} is not available in Porthole; it delivers video by WebRTC")),
            false if LOOKS.contains(&path) && !matches!(request.method, Method::Get | Method::Head) => {
                Response::method_not_allowed("GET, HEAD, OPTIONS")
            }
            false => look(api, &request, path).await,
        },
    }
}

/// Addresses that only show something.
const LOOKS: [&str; 6] = ["/ca.crt", "/api/schemes", "/api/log/follow", "/api/session", "/api/doctor", "/api/status"];

async fn look(api: &Api, request: &Request, path: &str) -> Response {
    match path {
        "/ca.crt" => info::authority(api),
        "/api/schemes" => info::schemes(),
        "/api/log/follow" => info::follow(api),
        "/api/session" => info::session(api, request).await,
        "/api/doctor" => info::doctor(api, request).await,
        "/api/status" => info::status(api).await,
        _ => Response::text(404, format!("{path}: there is no such address; GET /api/streams lists the streams")),
    }
}

/// RFC 9110 section 15.5.22: the gate takes WebSocket handshakes, so only plain requests come here.
fn websocket_only() -> Response {
    Response::text(
        426,
        "this address speaks WebSocket; a proxy in between must pass on the Upgrade and Connection fields",
    )
    .with("Upgrade", "websocket")
}
