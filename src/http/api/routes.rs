//! From a path to the code that answers it.
use super::passing::Passing;
use super::whip::{self, Target};
use super::{effects, go2rtc, info, share, streams};
use crate::doctor::refusals::Refusals;
use crate::http::server::base::Base;
use crate::http::server::head::Method;
use crate::http::server::percent::decode_path;
use crate::http::server::request::Request;
use crate::http::server::response::Response;
use crate::http::server::tls::Tls;
use crate::http::{Services, pages};
use crate::base::sparing::{LeftOut, Sparing};
use crate::stream::relay::Relay;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What routes need.
pub struct App {
    pub base: Base,
    pub relay: Relay,
    pub services: Services,
    /// `None`: HTTP only.
    pub tls: Option<Arc<Tls>>,
    /// Listed origins that may show our pages in a frame, besides the same host.
    pub frame_origins: Vec<String>,
    /// Whom the gate turned away, for the doctor.
    pub refusals: Refusals,
    /// Changes of streams happen one after the other: each is one of the file and one of the engine.
    pub changes: tokio::sync::Mutex<()>,
    pub passing: Passing,
    /// Which lines about clients are written.
    pub sparing: Mutex<Sparing>,
}

#[cfg_attr(not(feature = "shares"), expect(dead_code, reason = "only share links log what requests do"))]
impl App {
    /// May a line be written that this request causes?
    pub fn may_log(&self, request: &Request) -> Option<LeftOut> {
        let mut sparing = self.sparing.lock().unwrap_or_else(PoisonError::into_inner);
        sparing.admit(request.peer.ip(), Instant::now())
    }
}

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

pub async fn answer(app: &App, request: Request) -> Response {
    let Some(path) = decode_path(&request.path) else {
        return Response::text(400, "the path must be percent-encoded UTF-8 without control characters");
    };
    if let Err(refusal) = effects::check(&request, &path) {
        return refusal;
    }
    match path.as_str() {
        "/api/webrtc" => return go2rtc::answer(app, request).await,
        "/api/ws" | "/api/api/ws" => return websocket_only(),
        _ => {}
    }
    if let Some(target) = whip::target(&request.path) {
        return match target {
            Target::Endpoint { door, stream } => whip::endpoint(app, request, door, stream).await,
            Target::Session { id } => whip::resource(app, request, &id).await,
        };
    }
    if request.method == Method::Options {
        return Response::new(204).with("Allow", "GET, HEAD, OPTIONS");
    }
    match path.as_str() {
        "/api" => info::api(app, &request),
        "/api/streams" => streams::answer(app, request).await,
        "/api/webtorrent" => share::answer(app, &request).await,
        "/ca.crt" => only_get(&request).unwrap_or_else(|| info::authority(app)),
        "/api/schemes" => only_get(&request).unwrap_or_else(info::schemes),
        "/api/log" => info::log(app, &request).await,
        "/api/session" => match only_get(&request) {
            Some(refusal) => refusal,
            None => info::session(app, &request).await,
        },
        "/api/doctor" => match only_get(&request) {
            Some(refusal) => refusal,
            None => info::doctor(app, &request).await,
        },
        "/api/status" => match only_get(&request) {
            Some(refusal) => refusal,
            None => info::status(app).await,
        },
        path => match path.strip_prefix("/api/") {
            Some(rest) if NOT_HERE.contains(&rest.split('/').next().unwrap_or_default()) => {
                Response::text(501, format!("{path} is not available in Porthole; it delivers video by WebRTC"))
            }
            Some(_) => {
                Response::text(404, format!("{path}: there is no such address; GET /api/streams lists the streams"))
            }
            None => only_get(&request).unwrap_or_else(|| pages::answer(app, &request, path)),
        },
    }
}

fn only_get(request: &Request) -> Option<Response> {
    match request.method {
        Method::Get | Method::Head => None,
        _ => Some(Response::method_not_allowed("GET, HEAD, OPTIONS")),
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
