//! `/api/webtorrent`: share links, as go2rtc's clients ask for them. Their secrets are told to the relay's own pages, and
//! to programs that are no browsers, only: see `effects`.
use super::errors::{Contract, response};
use super::state::Api;
use crate::http::server::{Method, Request, Response};
use crate::share::{Refusal, Told};
use serde_json::{Value, json};

/// Why there are no share links.
pub const OFF: &str = "share links are off; to switch them on, add to porthole.yaml: webtorrent: {}";

/// Answers at `/api/webtorrent`.
pub async fn answer(api: &Api, request: &Request) -> Response {
    let asked = match (request.query_text("src"), request.query_text("dst")) {
        (Some(stream), _) => Some((stream, false)),
        (None, Some(stream)) => Some((stream, true)),
        (None, None) => None,
    };
    let answer = match (&request.method, asked) {
        (Method::Get | Method::Head, None) => all(api),
        (Method::Get | Method::Head, Some(asked)) => one(api, asked),
        (Method::Post, Some(asked)) => make(api, request, asked).await,
        (Method::Delete, Some(asked)) => end(api, request, asked),
        (Method::Post | Method::Delete, None) => {
            Response::text(400, "say which stream: ?src=<stream> for a link to watch it, ?dst=<stream> to send to it")
        }
        _ => return Response::method_not_allowed("GET, HEAD, POST, DELETE, OPTIONS"),
    };
    answer.with("Cache-Control", "no-store")
}

fn shown(told: &Told) -> Value {
    json!({"share": told.share.name, "pwd": told.share.pwd, "link": told.link})
}

/// go2rtc's list of sources, and how the trackers are.
fn all(api: &Api) -> Response {
    let Some(book) = &api.shares else { return Response::text(404, "no sources") };
    let sources: Vec<Value> = book.all().iter().map(source).collect();
    if sources.is_empty() {
        return Response::text(404, "no sources");
    }
    Response::json(&json!({"sources": sources, "trackers": book.trackers()}))
}

/// Only go2rtc's version is a source for go2rtc.
fn source(told: &Told) -> Value {
    let share = &told.share;
    let url = match share.go2rtc {
        true => format!("webtorrent:?share={}&pwd={}", share.name, share.pwd),
        false => told.link.clone(),
    };
    json!({"id": share.stream, "url": url, "link": told.link, "publishes": share.publishes})
}

fn one(api: &Api, (stream, publishes): (&str, bool)) -> Response {
    let Some(book) = &api.shares else { return Response::text(404, OFF) };
    match book.find(stream, publishes) {
        Some(told) => Response::json(&shown(&told)),
        None => Response::text(404, "this stream has no such share link"),
    }
}

async fn make(api: &Api, request: &Request, (stream, publishes): (&str, bool)) -> Response {
    let Some(book) = &api.shares else { return Response::text(403, OFF) };
    if let Err(error) = api.relay.stream(stream).await {
        return response(&error, Contract::Go2rtc);
    }
    match book.add(stream, publishes) {
        Ok(told) => {
            if let Some(left_out) = api.may_log(request) {
                log::info!(target: "webtorrent", "share made name={:?} stream={stream:?}{left_out}", told.share.name);
            }
            Response { status: 201, ..Response::json(&shown(&told)) }
        }
        Err(Refusal::Exists) => Response::text(400, "this stream has such a share link already"),
        Err(Refusal::Full) => Response::text(503, "there are as many share links as there can be; delete one"),
        Err(Refusal::NoSecret) => Response::text(500, "the system gives no random numbers"),
    }
}

fn end(api: &Api, request: &Request, (stream, publishes): (&str, bool)) -> Response {
    match api.shares.as_ref().is_some_and(|book| book.remove(stream, publishes)) {
        true => {
            if let Some(left_out) = api.may_log(request) {
                log::info!(target: "webtorrent", "share ended stream={stream:?}{left_out}");
            }
            Response::new(200)
        }
        false => Response::text(404, "this stream has no such share link"),
    }
}
