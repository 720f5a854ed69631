//! What the relay says about itself: `/api`, schemes, log, state.
use super::errors::{Contract, response};
use super::sources::SCHEMES;
use super::state::Api;
use crate::http::server::{Method, Request, Response};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The level of go2rtc's API that is spoken here. Home Assistant wants at least 1.9.13 and less than 2.
const API_LEVEL: &str = "1.9.14";
/// Of what the system says is wrong, so much is read, and so many sentences are passed on.
const MAX_PROBLEMS_BYTES: u64 = 4096;
const MAX_PROBLEMS: usize = 16;

/// `/api`, for any method: go2rtc's keys, then our own name and version.
pub fn api(api: &Api, request: &Request) -> Response {
    let path = api.config_path.as_ref().map(|path| path.display().to_string());
    Response::json(&json!({
        "config_path": path.unwrap_or_default(),
        "host": request.host.as_deref().unwrap_or_default(),
        "name": "porthole",
        "porthole_version": env!("CARGO_PKG_VERSION"),
        "revision": option_env!("PORTHOLE_REVISION").unwrap_or_default(),
        "rtsp": {"listen": "", "default_query": "video&audio"},
        "version": API_LEVEL,
    }))
}

/// `/api/schemes`
pub fn schemes() -> Response {
    Response::json(&json!(SCHEMES))
}

/// `/api/log`: one JSON object in each line; DELETE empties it.
pub async fn log(api: &Api, request: &Request) -> Response {
    let log = api.log.as_ref();
    match request.method {
        Method::Get | Method::Head => {}
        Method::Delete => {
            log.inspect(|log| log.clear());
            return Response::new(200);
        }
        _ => return Response::text(405, "GET shows the log, DELETE empties it").with("Allow", "GET, HEAD, DELETE"),
    }
    let text = match log.cloned() {
        // A text of this size takes a small board some ten milliseconds.
        Some(log) => tokio::task::spawn_blocking(move || log.text()).await,
        None => Ok(String::new()),
    };
    let Ok(text) = text else { return Response::text(500, "the log could not be put together") };
    Response::new(200).body("application/jsonlines", text.into_bytes()).with("Cache-Control", "no-store")
}

/// `/api/log/follow`: the lines that `/api/log` has, then those that come, until the client leaves. Nothing is kept for it:
/// what it reads too late is forgotten with the log's oldest lines.
pub fn follow(api: &Api) -> Response {
    match &api.log {
        Some(log) => Response::new(200).stream("application/jsonlines", log.follow()),
        None => Response::text(404, "no log is kept"),
    }
}

/// `/api/session?id=`: live figures of one session.
pub async fn session(api: &Api, request: &Request) -> Response {
    match request.query_text("id") {
        Some(id) => figures(api.relay.session(id).await),
        None => Response::text(400, "say which session: /api/session?id=<last part of its Location>"),
    }
}

/// `/api/status`: the machine's own state.
pub async fn status(api: &Api) -> Response {
    figures(api.relay.status().await.map(|mut status| {
        let tls = api.tls.as_ref();
        status["tls"] = tls.map(|tls| tls.status()).unwrap_or_default();
        if let Some(problems) = status["problems"].as_array_mut() {
            let https = tls.and_then(|tls| tls.error()).map(|error| format!("HTTPS: {error}"));
            let around = api.problems.as_deref().map(problems_in).unwrap_or_default();
            problems.extend(https.into_iter().chain(around).map(Value::String));
        }
        status
    }))
}

/// The lines of a file of the system's, which lies in memory. None if there is no such file.
fn problems_in(path: &Path) -> Vec<String> {
    let mut bytes = vec![];
    if let Ok(file) = File::open(path) {
        // What could be read counts.
        let _ = file.take(MAX_PROBLEMS_BYTES).read_to_end(&mut bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(str::trim).filter(|line| !line.is_empty()).take(MAX_PROBLEMS).map(str::to_owned).collect()
}

/// `/ca.crt`: the authority to trust. Browsers and phones know what to do with this type.
pub fn authority(api: &Api) -> Response {
    match api.tls.as_ref().and_then(|tls| tls.root()) {
        Some(pem) => {
            Response::new(200).body("application/x-x509-ca-cert", pem.into_bytes()).with("Cache-Control", "no-store")
        }
        None => Response::text(404, "there is no authority of this relay's own; api: {tls: auto} makes one"),
    }
}

/// `/api/doctor`: what is wrong and what to do. `?clock=` is the asker's time in seconds since 1970.
pub async fn doctor(api: &Api, request: &Request) -> Response {
    let clock = request.query_text("clock").and_then(|clock| clock.parse().ok());
    let (refused, recent) = api.refused.report(std::time::Instant::now());
    figures(api.relay.doctor(clock).await.map(|mut report| {
        let findings = report["findings"].as_u64().unwrap_or(0) + recent as u64;
        report["refused"] = Value::Array(refused);
        report["findings"] = json!(findings);
        report["healthy"] = json!(findings == 0);
        report
    }))
}

fn figures(result: Result<Value, crate::engine::api::Error>) -> Response {
    match result {
        Ok(value) => Response::json(&value).with("Cache-Control", "no-store"),
        Err(error) => response(&error, Contract::Go2rtc),
    }
}
