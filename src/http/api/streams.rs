//! `/api/streams`: list, look at, probe, create, change and delete streams, as go2rtc's clients expect it.
use super::effects::PROBES;
use super::errors::{Contract, response};
use super::sources;
use super::state::Api;
use crate::config::secrets::is_masked;
use crate::engine::api::{Error, ErrorKind};
use crate::gather::scope::Scope;
use crate::http::server::{Method, Request, Response};
use serde_json::Value;

/// Longest stream name in bytes; a URL may serve as a name.
pub const MAX_NAME: usize = 1024;
/// Sources of one stream that a request may name.
const MAX_SOURCES: usize = 16;

/// Answers at `/api/streams`.
pub async fn answer(api: &Api, request: Request) -> Response {
    if request.method == Method::Post {
        return play_or_publish(&request);
    }
    let Some(src) = request.query_text("src") else {
        return shown(api.relay.streams().await);
    };
    match request.method {
        Method::Put => put(api, &request, src).await,
        Method::Patch => patch(api, &request, src).await,
        Method::Delete => delete(api, src).await,
        _ => look(api, &request, src).await,
    }
}

/// One stream; with `video`, `audio` or `microphone` its sources are started first.
async fn look(api: &Api, request: &Request, src: &str) -> Response {
    let [video, audio, microphone] = PROBES.map(|name| request.query(name).map(str::to_owned));
    let probe = video.is_some() || audio.is_some() || microphone.is_some();
    let stream = match probe {
        true => api.relay.probe(src, video, audio, microphone).await,
        false => api.relay.stream(src).await,
    };
    shown(stream)
}

async fn put(api: &Api, request: &Request, first: &str) -> Response {
    let sources: Vec<String> = request.query_all("src").filter(|src| !src.is_empty()).map(str::to_owned).collect();
    let name = request.query_text("name").unwrap_or(first);
    if sources.len() > MAX_SOURCES {
        return Response::text(400, format!("streams: a stream may have {MAX_SOURCES} sources at most"));
    }
    if let Err(error) = sources.iter().try_for_each(|source| sources::check(source)).and(check_name(name)) {
        return response(&error, Contract::Go2rtc);
    }
    let scope = Scope::of_client(request.peer.ip());
    let _turn = api.changes.lock().await;
    if is_shown(api, name, &sources).await {
        return Response::new(200);
    }
    if let Err(error) = api.relay.may_put(name, sources.clone(), scope).await {
        return response(&error, Contract::Go2rtc);
    }
    if let Err(error) = save(api, name.to_owned(), Some(sources.clone())).await {
        return response(&error, Contract::Go2rtc);
    }
    api.passing.forget(name);
    done(api.relay.put_stream(name, sources, scope).await)
}

/// Are these the sources of a stream as the list shows them, secrets masked? Who sends them back changes nothing.
async fn is_shown(api: &Api, name: &str, sources: &[String]) -> bool {
    if !sources.iter().any(|source| is_masked(source)) {
        return false;
    }
    let Ok(stream) = api.relay.stream(name).await else { return false };
    let producers = stream["producers"].as_array().map(Vec::as_slice).unwrap_or_default();
    producers.len() == sources.len() && producers.iter().zip(sources).all(|(shown, source)| shown["url"] == **source)
}

/// Points a stream at another source; not written to the file, as in go2rtc.
async fn patch(api: &Api, request: &Request, src: &str) -> Response {
    let Some(name) = request.query_text("name") else {
        return Response::text(400, "say which stream to change: name=<stream>");
    };
    if let Err(error) = sources::check(src).and(check_name(name)) {
        let text = format!("{error} (one stream cannot stand for another one here)");
        return response(&Error::new(error.kind, text), Contract::Go2rtc);
    }
    let _turn = api.changes.lock().await;
    api.passing.forget(name);
    done(api.relay.put_stream(name, vec![src.to_owned()], Scope::of_client(request.peer.ip())).await)
}

async fn delete(api: &Api, src: &str) -> Response {
    let _turn = api.changes.lock().await;
    if let Err(error) = save(api, src.to_owned(), None).await {
        return response(&error, Contract::Go2rtc);
    }
    api.passing.forget(src);
    match api.relay.delete_stream(src).await {
        // go2rtc knows no 404 here: the stream is gone, that was the wish.
        Err(Error { kind: ErrorKind::NotFound, .. }) => Response::new(200),
        deleted => done(deleted),
    }
}

/// Writes the change to the configuration file, on a thread that may wait for the disk. Comes before the change itself,
/// because the file may refuse it, and a refused change is none. Without a file changes last until the next start, as
/// the log says.
async fn save(api: &Api, name: String, sources: Option<Vec<String>>) -> Result<(), Error> {
    let Some(saver) = api.saver.clone() else { return Ok(()) };
    match tokio::task::spawn_blocking(move || saver(&name, sources.as_deref())).await {
        Ok(saved) => saved.map_err(|error| Error::new(ErrorKind::BadRequest, error.to_string())),
        Err(_) => {
            let text = "the configuration file could not be written; the log says more";
            Err(Error::new(ErrorKind::Internal, text))
        }
    }
}

fn done(result: Result<(), Error>) -> Response {
    match result {
        Ok(()) => Response::new(200),
        Err(error) => response(&error, Contract::Go2rtc),
    }
}

/// go2rtc plays files into cameras and pushes streams to other servers by `POST`.
fn play_or_publish(request: &Request) -> Response {
    match request.query_text("dst") {
        None => Response::text(400, "POST needs dst; streams are created by PUT /api/streams?name=<name>&src=<url>"),
        Some(_) => Response::text(501, "playing into a camera and publishing to another server are not available"),
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.len() > MAX_NAME || name.chars().any(char::is_control) {
        let text = format!("streams: a name may have {MAX_NAME} bytes at most and no control characters");
        return Err(Error::new(ErrorKind::BadRequest, text));
    }
    Ok(())
}

fn shown(result: Result<Value, Error>) -> Response {
    match result {
        Ok(value) => Response::json(&value).with("Cache-Control", "no-store"),
        Err(error) => response(&error, Contract::Go2rtc),
    }
}
