//! `/api/streams`: list, look at, probe, create, change and delete streams, as go2rtc's clients expect it.
use super::effects::PROBES;
use super::errors::{Door, response};
use super::routes::App;
use crate::http::server::head::Method;
use crate::http::server::policy::source_allowed_from_network;
use crate::http::server::request::Request;
use crate::http::server::response::Response;
use crate::gather::scope::Scope;
use crate::source::is_masked;
use crate::stream::relay::{Error, ErrorKind};
use serde_json::Value;

/// Longest stream name in bytes; a URL may serve as a name.
pub const MAX_NAME: usize = 1024;
/// Sources of one stream that a request may name.
const MAX_SOURCES: usize = 16;

pub async fn answer(app: &App, request: Request) -> Response {
    if request.method == Method::Post {
        return play_or_publish(&request);
    }
    let Some(src) = request.query_text("src") else {
        return shown(app.relay.streams().await);
    };
    match request.method {
        Method::Put => put(app, &request, src).await,
        Method::Patch => patch(app, &request, src).await,
        Method::Delete => delete(app, src).await,
        _ => look(app, &request, src).await,
    }
}

/// One stream; with `video`, `audio` or `microphone` its sources are started first.
async fn look(app: &App, request: &Request, src: &str) -> Response {
    let [video, audio, microphone] = PROBES.map(|name| request.query(name).map(str::to_owned));
    let probe = video.is_some() || audio.is_some() || microphone.is_some();
    let stream = match probe {
        true => app.relay.probe(src, video, audio, microphone).await,
        false => app.relay.stream(src).await,
    };
    shown(stream)
}

async fn put(app: &App, request: &Request, first: &str) -> Response {
    let sources: Vec<String> = request.query_all("src").filter(|src| !src.is_empty()).map(str::to_owned).collect();
    let name = request.query_text("name").unwrap_or(first);
    if sources.len() > MAX_SOURCES {
        return Response::text(400, format!("streams: a stream may have {MAX_SOURCES} sources at most"));
    }
    if let Err(text) = sources.iter().try_for_each(|source| source_allowed_from_network(source)).and(check_name(name)) {
        return Response::text(400, text);
    }
    let scope = Scope::of_client(request.peer.ip());
    let _turn = app.changes.lock().await;
    if is_shown(app, name, &sources).await {
        return Response::new(200);
    }
    if let Err(error) = app.relay.may_put(name, sources.clone(), scope).await {
        return response(&error, Door::Compat);
    }
    if let Err(refusal) = save(app, name.to_owned(), Some(sources.clone())).await {
        return refusal;
    }
    app.passing.forget(name);
    done(app.relay.put_stream(name, sources, scope).await)
}

/// Are these the sources of a stream as the list shows them, secrets masked? Who sends them back changes nothing.
async fn is_shown(app: &App, name: &str, sources: &[String]) -> bool {
    if !sources.iter().any(|source| is_masked(source)) {
        return false;
    }
    let Ok(stream) = app.relay.stream(name).await else { return false };
    let producers = stream["producers"].as_array().map(Vec::as_slice).unwrap_or_default();
    producers.len() == sources.len() && producers.iter().zip(sources).all(|(shown, source)| shown["url"] == **source)
}

/// Points a stream at another source; not written to the file, as in go2rtc.
async fn patch(app: &App, request: &Request, src: &str) -> Response {
    let Some(name) = request.query_text("name") else {
        return Response::text(400, "say which stream to change: name=<stream>");
    };
    let checked = source_allowed_from_network(src).and(check_name(name));
    if let Err(text) = checked {
        return Response::text(400, format!("{text} (one stream cannot stand for another one here)"));
    }
    let _turn = app.changes.lock().await;
    app.passing.forget(name);
    done(app.relay.put_stream(name, vec![src.to_owned()], Scope::of_client(request.peer.ip())).await)
}

async fn delete(app: &App, src: &str) -> Response {
    let _turn = app.changes.lock().await;
    if let Err(refusal) = save(app, src.to_owned(), None).await {
        return refusal;
    }
    app.passing.forget(src);
    match app.relay.delete_stream(src).await {
        // go2rtc knows no 404 here: the stream is gone, that was the wish.
        Err(Error { kind: ErrorKind::NotFound, .. }) => Response::new(200),
        deleted => done(deleted),
    }
}

/// Writes the change to the configuration file, on a thread that may wait for the disk. Comes before the change itself,
/// because the file may refuse it, and a refused change is none. Without a file changes last until the next start, as
/// the log says.
async fn save(app: &App, name: String, sources: Option<Vec<String>>) -> Result<(), Response> {
    let Some(saver) = app.services.saver.clone() else { return Ok(()) };
    match tokio::task::spawn_blocking(move || saver(&name, sources.as_deref())).await {
        Ok(saved) => saved.map_err(|text| Response::text(400, text)),
        Err(_) => Err(Response::text(500, "the configuration file could not be written; the log says more")),
    }
}

fn done(result: Result<(), Error>) -> Response {
    match result {
        Ok(()) => Response::new(200),
        Err(error) => response(&error, Door::Compat),
    }
}

/// go2rtc plays files into cameras and pushes streams to other servers by `POST`.
fn play_or_publish(request: &Request) -> Response {
    match request.query_text("dst") {
        None => Response::text(400, "POST needs dst; streams are created by PUT /api/streams?name=<name>&src=<url>"),
        Some(_) => Response::text(501, "playing into a camera and publishing to another server are not available"),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(format!("streams: a name may have {MAX_NAME} bytes at most and no control characters"));
    }
    Ok(())
}

fn shown(result: Result<Value, Error>) -> Response {
    match result {
        Ok(value) => Response::json(&value).with("Cache-Control", "no-store"),
        Err(error) => response(&error, Door::Compat),
    }
}
