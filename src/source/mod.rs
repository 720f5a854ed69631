//! Where pictures come from. Each kind has a folder or file; all of them hand tracks and packets to a [`Sink`].
pub mod checks;
#[cfg_attr(not(feature = "clouds"), path = "echo_absent.rs")]
pub mod echo;
mod scheme;
pub mod test;
pub mod webrtc;

use crate::engine::source::{ProducerId, SourceError, SourceErrorKind, SourceEvent, SourceRequest};
use crate::gather::policy::Policy;
use crate::gather::scope::Scope;
use crate::net::http_client::OtherStatus;
use crate::net::interfaces;
use crate::net::websocket::NotOpened;
use crate::rtc::session::Identity;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

pub use crate::config::secrets::Secrets;

/// Time for a source to end after the relay has given it up.
pub const FAREWELL: Duration = Duration::from_secs(3);

/// What sources are given of the relay.
#[derive(Clone)]
pub struct Surroundings {
    /// Who we are to every peer.
    pub identity: Arc<Identity>,
    /// STUN and TURN servers of the relay's own, for calls that nobody names others for.
    pub ice_servers: Arc<[webrtc::url::IceServer]>,
    /// Programs that `echo:` may run; `None`: any.
    #[cfg_attr(not(feature = "clouds"), expect(dead_code, reason = "only echo: runs programs"))]
    pub echo_paths: Option<Arc<[String]>>,
    /// The filters for sockets and addresses, where they hold for calls.
    pub filters: Option<Arc<Policy>>,
}

/// Where a source's tracks and packets go. The queue behind it is bounded: a full one slows the source down.
#[derive(Clone, Debug)]
pub struct Sink {
    producer: ProducerId,
    events: mpsc::Sender<(ProducerId, SourceEvent)>,
}

impl Sink {
    pub fn new(producer: ProducerId, events: mpsc::Sender<(ProducerId, SourceEvent)>) -> Self {
        Self { producer, events }
    }

    /// Waits for room in the queue. An error means that nobody listens any more: the source ends.
    pub async fn send(&self, event: SourceEvent) -> Result<(), Closed> {
        self.events.send((self.producer, event)).await.map_err(|_| Closed)
    }
}

/// The relay has given up the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the relay no longer listens to this source")
    }
}

impl std::error::Error for Closed {}

impl From<OtherStatus> for SourceError {
    fn from(other: OtherStatus) -> Self {
        Self::new(kind_of(Some(other.status)), other.to_string())
    }
}

impl From<NotOpened> for SourceError {
    fn from(error: NotOpened) -> Self {
        Self::new(kind_of(error.status), error.to_string())
    }
}

/// Of what an HTTP server answered.
fn kind_of(status: Option<u16>) -> SourceErrorKind {
    if matches!(status, Some(401 | 403)) { SourceErrorKind::Denied } else { SourceErrorKind::Failed }
}

/// A source at work: runs until it fails or the relay drops its requests; answers why it ended.
pub type Run = Pin<Box<dyn Future<Output = SourceError> + Send>>;

/// Makes of a URL what is to be spawned; `scope` says where it may lead. Why that ended repeats no secret of the URL,
/// whoever says it: servers answer with what they were asked.
///
/// # Errors
/// If the URL is of no known kind, or its options are wrong: a sentence that names the part to change.
pub fn open(
    url: &str,
    scope: Scope,
    surroundings: &Surroundings,
    sink: Sink,
    requests: mpsc::Receiver<SourceRequest>,
) -> Result<Run, SourceError> {
    let secrets = Secrets::of(url);
    let hide = |error: SourceError, secrets: &Secrets| SourceError::new(error.kind, secrets.hide(&error.message));
    let run: Run = match Kind::of(url).map_err(|error| hide(error, &secrets))? {
        Kind::Test(options) => Box::pin(async move {
            test::run(options, sink, requests).await;
            SourceError::new(SourceErrorKind::Failed, "the test camera stopped")
        }),
        Kind::WebRtc(target) => Box::pin(webrtc::run(*target, scope, surroundings.clone(), sink, requests)),
        Kind::Echo(command) => Box::pin(echo::run(command, surroundings.clone(), sink, requests)),
    };
    Ok(Box::pin(async move { hide(run.await, &secrets) }))
}

/// Is this a URL that [`open`] takes?
///
/// # Errors
/// A sentence that names the part to change.
pub fn check(url: &str) -> Result<(), String> {
    Kind::of(url).map(drop).map_err(|error| Secrets::of(url).hide(&error.message))
}

/// May a URL that somebody with this scope wrote become a source? Names are looked at when they are looked up.
///
/// # Errors
/// If it leads where it may not: a sentence that says what to do instead.
pub fn check_scope(url: &str, scope: Scope) -> Result<(), String> {
    let Ok(Kind::WebRtc(target)) = Kind::of(url) else { return Ok(()) };
    let host = &target.place.host;
    let local =
        |name: &str| name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost");
    let ip = match host.parse::<IpAddr>() {
        Ok(ip) => ip,
        Err(_) if local(host.trim_end_matches('.')) => IpAddr::from([127, 0, 0, 1]),
        Err(_) => return Ok(()),
    };
    scope.check(ip, interfaces::own).map_err(|barred| format!("{} {barred}", target.place.authority()))
}

/// What of a URL that [`open`] takes is of no use: sentences for the operator.
pub fn warnings(url: &str) -> Vec<String> {
    match Kind::of(url) {
        Ok(Kind::WebRtc(target)) => target.problems.iter().map(|problem| format!("#ice_servers: {problem}")).collect(),
        _ => Vec::new(),
    }
}

/// Names the camera of a URL if it serves one session at a time: nobody may call it twice.
pub fn exclusive(url: &str) -> Option<String> {
    match Kind::of(url) {
        Ok(Kind::WebRtc(target)) if target.format == webrtc::url::Format::Creality => {
            Some(format!("{}{}", target.place.authority(), target.place.path))
        }
        _ => None,
    }
}

/// The name of a source's kind for lists: `test`, `webrtc/creality`.
pub fn format_name(url: &str) -> String {
    match Kind::of(url) {
        Ok(Kind::WebRtc(target)) => target.format.name().to_owned(),
        _ => url.split(':').next().unwrap_or_default().to_owned(),
    }
}

/// How signalling with a source goes: `http`, `ws`, or nothing.
pub fn protocol(url: &str) -> &'static str {
    match Kind::of(url) {
        Ok(Kind::WebRtc(target)) => target.format.protocol(),
        _ => "",
    }
}

/// Schemes of the sources that there are.
pub const SCHEMES: [&str; 3] = ["echo", "test", "webrtc"];

/// Longest name of a kind that a sentence repeats.
const MAX_SCHEME: usize = 16;

/// A source URL, understood.
enum Kind {
    Test(test::TestOptions),
    WebRtc(Box<webrtc::url::Target>),
    Echo(Vec<String>),
}

impl Kind {
    fn of(url: &str) -> Result<Self, SourceError> {
        // A text without a kind is not repeated: a program may have said a token in place of a URL.
        let named = |(scheme, _): &(&str, &str)| {
            scheme.len() <= MAX_SCHEME
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        };
        let Some((scheme, rest)) = url.split_once(':').filter(named) else {
            let message = format!("a source begins with its kind and a colon, the kinds are {}", SCHEMES.join(", "));
            return Err(SourceError::new(SourceErrorKind::Unsupported, message));
        };
        match scheme {
            "test" => Ok(Kind::Test(test::TestOptions::parse(url).map_err(|error| error.to_string())?)),
            "webrtc" => Ok(Kind::WebRtc(Box::new(webrtc::url::Target::parse(rest)?))),
            "echo" => Ok(Kind::Echo(echo::words(rest)?)),
            _ => Err(SourceError::new(
                SourceErrorKind::Unsupported,
                format!(
                    "no source of kind {scheme:?} can be opened by this version, the kinds are {}",
                    SCHEMES.join(", ")
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_from_the_network_names_no_service_of_this_machine() {
        for url in [
            "webrtc:http://127.0.0.1:7125/printer/gcode/script?script=M112",
            "webrtc:http://u:p@LOCALHOST:80/#format=creality",
            "webrtc:ws://cam.localhost./",
            "webrtc:http://[::1]:80/",
            "webrtc:http://[::ffff:127.0.0.1]/",
            "webrtc:http://169.254.169.254/latest/meta-data",
            "webrtc:http://[fe80::1]/",
            "webrtc:http://0.0.0.0/",
        ] {
            let error = check_scope(url, Scope::Others).unwrap_err();
            assert!(error.contains("configuration file") && !error.contains("u:p"), "{url}: {error}");
            assert_eq!(check_scope(url, Scope::Any), Ok(()), "{url}");
        }
        for url in ["webrtc:http://192.168.77.3/whep", "webrtc:ws://cam.lan/", "test:", "rtsp://127.0.0.1/"] {
            assert_eq!(check_scope(url, Scope::Others), Ok(()), "{url}");
        }
    }

    #[test]
    fn kinds_are_known_by_their_urls() {
        assert_eq!(format_name("webrtc:http://p:8000/call/webrtc_local#format=creality"), "webrtc/creality");
        assert_eq!(
            exclusive("webrtc:http://p:8000/call/webrtc_local#format=creality").as_deref(),
            Some("p:8000/call/webrtc_local")
        );
        assert_eq!(exclusive("webrtc:http://p:8000/whep"), None);
        assert_eq!(protocol("webrtc:http://b/signaling/a?kvs#format=wyze"), "ws");
        assert!(check("rtsp://cam").unwrap_err().contains("the kinds are echo, test, webrtc"));
    }

    #[cfg(feature = "clouds")]
    #[tokio::test]
    async fn why_a_source_ended_repeats_no_secret_that_a_program_printed() {
        let surroundings = Surroundings {
            identity: Arc::new(Identity::generate(crate::rtc::session::CryptoCost::AesInstructions).unwrap()),
            ice_servers: Arc::new([]),
            echo_paths: None,
            filters: None,
        };
        let ended = async |script: &str| {
            let ((events, _events), (_requests, requests)) = (mpsc::channel(8), mpsc::channel(8));
            let url = format!("echo:/bin/sh -c '{script}' hunter2");
            open(&url, Scope::Any, &surroundings, Sink::new(ProducerId(1), events), requests).unwrap().await.message
        };
        let why = ended("echo 403 for https://u:p@cloud/?token=abcd1234 by $0 >&2; exit 1").await;
        assert!(why.contains("403 for") && why.contains("by ***"), "{why}");
        assert!(["u:p", "abcd1234", "hunter2"].iter().all(|secret| !why.contains(secret)), "{why}");
        let why = ended("echo webrtc:http://127.0.0.1:1/?token=abcd1234").await;
        assert!(why.contains("127.0.0.1:1") && !why.contains("abcd1234"), "{why}");
        let why = ended("echo abcd1234").await;
        assert!(why.contains("its kind") && !why.contains("abcd1234"), "{why}");
    }

    #[test]
    fn what_is_wrong_with_a_source_is_said_without_its_secrets() {
        for url in ["IQoJb3JpZ2luX2VjE", "{\"token\": \"IQoJb3JpZ2luX2VjE\"}", "IQoJb3JpZ2luX2VjE: no camera"] {
            let error = check(url).unwrap_err();
            assert!(!error.contains("IQoJ"), "{error}");
        }
    }
}
