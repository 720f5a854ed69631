//! The operator's settings: what `porthole.yaml` and `-c` say.
pub mod candidates;
mod document;
mod documents;
pub(crate) mod edit;
mod finding;
mod given;
pub mod ice_list;
pub mod ice_uri;
mod keep;
mod keys;
pub mod listen;
mod load;
mod parts;
mod place;
mod save;
pub mod secrets;
mod substitute;
mod text;
mod values;
mod yaml;

pub use documents::Documents;
pub use finding::{Finding, Severity, left_out};
pub use given::Given;
pub use keep::Keeper;
pub use keys::nearest;
pub use load::{Edge, Loaded, line_of_key, load, refusal};

use crate::base::protocol::Protocol;
use log::LevelFilter;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Why a configuration can't be used or changed: the place, the key, and what is expected there.
#[derive(Debug)]
pub struct Error {
    message: String,
}

impl Error {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Everything that the operator may set, with the defaults filled in.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub api: Api,
    pub webrtc: Webrtc,
    pub streams: BTreeMap<String, Stream>,
    pub relay: Relay,
    /// Share links. Default `None`: there are none, and none can be made.
    pub webtorrent: Option<Webtorrent>,
    /// `echo.allow_paths`: programs that `echo:` sources may run. Default `None`: any that the file names.
    pub echo_paths: Option<Vec<String>>,
    pub log: Log,
    /// The first file given or found, absolute: where API changes are written. `None`: no file.
    pub path: Option<PathBuf>,
}

/// One entry of `streams`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// In the order of preference; without any the stream waits for a publisher.
    pub sources: Vec<String>,
    pub publishers: Publishers,
}

/// Who may publish to a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Publishers {
    /// `publish`: may anybody? Default `None`: where the stream has no source.
    pub allowed: Option<bool>,
    pub policy: PublisherPolicy,
}

/// `policy` of a stream: what becomes of somebody who publishes to it while somebody else does, or its source is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublisherPolicy {
    /// They take the place of the one who does.
    #[default]
    Replace,
    /// They are turned away.
    Reject,
    /// They wait until those before them have left.
    Append,
}

impl PublisherPolicy {
    /// The word for it in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            PublisherPolicy::Replace => "replace",
            PublisherPolicy::Reject => "reject",
            PublisherPolicy::Append => "append",
        }
    }
}

/// Section `api`.
#[derive(Clone, Debug, PartialEq)]
pub struct Api {
    /// `host:port`, `:port`; empty switches HTTP off. Default `:1984`.
    pub listen: String,
    /// Networks (`10.0.0.0/8`, `2001:db8::/32`, single addresses) that may connect besides loopback, private, link-local and unique-local ones.
    pub allow: Vec<String>,
    /// Host names besides the built-in rule that `Host` may carry.
    pub hosts: Vec<String>,
    /// Origins (`https://example.lan`, or a bare host name) that may call besides those of the same host name.
    pub origin: Vec<String>,
    /// The folder under which a reverse proxy shows the relay, such as `/webcam`. Default: none.
    pub base_path: String,
    /// Where the certificate of HTTPS comes from if [`Api::tls_cert`] is not set. Default: there is none.
    pub tls: TlsMode,
    /// Where HTTPS is spoken besides [`Api::listen`], which speaks both: `host:port`, `:port`. Default: nowhere else.
    pub tls_listen: String,
    /// The certificate and those that lead to its authority: the path of a PEM file, or PEM. Default: empty.
    pub tls_cert: Given,
    /// The certificate's key: the path of a PEM file, or PEM. Default: empty.
    pub tls_key: Given,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: ":1984".into(),
            allow: vec![],
            hosts: vec![],
            origin: vec![],
            base_path: String::new(),
            tls: TlsMode::Off,
            tls_listen: String::new(),
            tls_cert: Given::default(),
            tls_key: Given::default(),
        }
    }
}

/// `api.tls`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// HTTPS only with `tls_cert` and `tls_key`.
    #[default]
    Off,
    /// A certificate of an authority that this relay makes for itself.
    Auto,
}

/// Section `webrtc`.
#[derive(Clone, Debug, PartialEq)]
pub struct Webrtc {
    /// `:8555`, `ip:8555`, `:8555/tcp`, `:8555/udp` or empty (random UDP ports). Default `:8555`.
    pub listen: String,
    /// Additional host candidates, first one with the highest priority: entries that [`candidates::Manual`] takes.
    pub candidates: Vec<String>,
    /// STUN and TURN servers. Default `None`: nobody on the Internet is asked, unless a `stun:PORT` candidate needs it.
    pub ice_servers: Option<Vec<IceServer>>,
    /// Ask the local network for the addresses behind the `.local` names of browsers. Default `false`.
    pub mdns: bool,
    pub filters: Filters,
}

impl Default for Webrtc {
    fn default() -> Self {
        Self { listen: ":8555".into(), candidates: vec![], ice_servers: None, mdns: false, filters: Filters::default() }
    }
}

/// One entry of `webrtc.ice_servers`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:host:port`, `turn:host:port?transport=udp`, …
    pub urls: Vec<String>,
    pub username: String,
    pub credential: String,
}

impl IceServer {
    /// When the credentials end, in seconds since 1970: TURN servers that hand them out for a while put the
    /// time in front of the user name (`1893456000:name`).
    pub fn expires(&self) -> Option<u64> {
        let time = self.username.split(':').next()?.parse().ok()?;
        (time > 1_000_000_000).then_some(time)
    }
}

/// Leaves the credential out, because `{:?}` ends up in logs.
impl fmt::Debug for IceServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// Section `webrtc.filters`; `None` = not set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    /// Discovered host candidates that may be advertised; an empty list advertises none of them.
    pub candidates: Option<Vec<IpAddr>>,
    /// Advertise loopback addresses too.
    pub loopback: bool,
    /// Interface names whose addresses may be used.
    pub interfaces: Option<Vec<String>>,
    /// Names, or patterns with `*` and `?`, of interfaces whose addresses may not be used.
    pub exclude_interfaces: Vec<String>,
    /// Local addresses that may be used.
    pub ips: Option<Vec<IpAddr>>,
    /// Transports and address families that may be used.
    pub networks: Option<Vec<Network>>,
    /// First and last of the random UDP ports that stand in for a fixed one.
    pub udp_ports: Option<(u16, u16)>,
    /// Addresses of container bridges and of 172.16.0.0/12. Default `auto`.
    pub docker: Docker,
}

/// `webrtc.filters.docker`: are addresses advertised that look like those between containers?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Docker {
    /// Not beside others; where there are no others they are.
    #[default]
    Auto,
    /// Like any other address.
    Include,
    /// Never.
    Exclude,
}

/// One value of `webrtc.filters.networks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    Udp4,
    Udp6,
    Tcp4,
    Tcp6,
}

impl Network {
    /// The one that `protocol` to or from `ip` belongs to.
    pub fn of(protocol: Protocol, ip: IpAddr) -> Self {
        match (protocol, ip) {
            (Protocol::Udp, IpAddr::V4(_)) => Network::Udp4,
            (Protocol::Udp, IpAddr::V6(_)) => Network::Udp6,
            (Protocol::Tcp, IpAddr::V4(_)) => Network::Tcp4,
            (Protocol::Tcp, IpAddr::V6(_)) => Network::Tcp6,
        }
    }
}

/// Section `relay`: Porthole's own settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    /// How long a source keeps running after its last viewer left, so that a page reload does not
    /// restart a camera. Default 10 s.
    pub linger: Duration,
    /// WebRTC sessions that may exist at one time. Default by the board's memory, see [`sessions_for`].
    pub sessions: usize,
    /// MiB of packets that all streams together keep for late viewers and retransmission. Default by the
    /// board's memory, see [`buffer_for`].
    pub buffer: usize,
}

/// Default of `relay.linger`: longer than a page reload, shorter than a battery camera minds.
pub const DEFAULT_LINGER: Duration = Duration::from_secs(10);
/// Memory set aside for one session when its limit is derived from the board's size. A viewer itself needs
/// some 26 KiB; the rest is socket buffers, stalled queues and the system's own needs.
const MEMORY_PER_SESSION: u64 = 512 * 1024;
/// Bounds of the derived limit: the smallest board serves a household, the largest is still a small board.
const SESSIONS_BY_MEMORY: std::ops::RangeInclusive<u64> = 16..=1024;

/// Bounds of the buffer that follows from the memory, in MiB: a few seconds of one camera, a minute of many.
const BUFFER_BY_MEMORY: std::ops::RangeInclusive<u64> = 4..=256;

/// The default of `relay.sessions` for a machine with that much memory (bytes); unknown memory counts as little.
pub fn sessions_for(memory: Option<u64>) -> usize {
    let by_memory = memory.unwrap_or(0) / MEMORY_PER_SESSION;
    by_memory.clamp(*SESSIONS_BY_MEMORY.start(), *SESSIONS_BY_MEMORY.end()) as usize
}

/// The default of `relay.buffer` in MiB for a machine with that much memory (bytes): an eighth of it.
pub fn buffer_for(memory: Option<u64>) -> usize {
    let by_memory = memory.unwrap_or(0) / (8 << 20);
    by_memory.clamp(*BUFFER_BY_MEMORY.start(), *BUFFER_BY_MEMORY.end()) as usize
}

impl Default for Relay {
    fn default() -> Self {
        Self { linger: DEFAULT_LINGER, sessions: sessions_for(None), buffer: buffer_for(None) }
    }
}

/// Section `webtorrent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webtorrent {
    /// Where visitors and the relay find each other: `wss://host`, `ws://host:port`. Default: [`DEFAULT_TRACKER`].
    pub trackers: Vec<String>,
    pub shares: Vec<Share>,
}

/// go2rtc's.
pub const DEFAULT_TRACKER: &str = "wss://tracker.openwebtorrent.com";

/// One entry of `webtorrent.shares`, or one that was made through the API.
#[derive(Clone, PartialEq, Eq)]
pub struct Share {
    pub name: String,
    /// The secret of the link.
    pub pwd: String,
    /// `src` or `dst`.
    pub stream: String,
    /// `dst`: the link is for sending to the stream.
    pub publishes: bool,
    /// `compat: go2rtc`: speaks go2rtc's version, for its pages.
    pub go2rtc: bool,
}

/// Leaves the secret out, because `{:?}` ends up in logs.
impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("name", &self.name).field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// Section `log`.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Lines below this level are not written. Default `info`.
    pub level: LevelFilter,
    /// Levels of single modules, by the name in brackets of a log line.
    pub modules: BTreeMap<String, LevelFilter>,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LevelFilter::Info, modules: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_limit_follows_the_memory_of_the_board() {
        assert_eq!(sessions_for(None), 16);
        assert_eq!(sessions_for(Some(64 << 20)), 128);
        assert_eq!(sessions_for(Some(512 << 20)), 1024);
        assert_eq!(sessions_for(Some(64 << 30)), 1024);
        assert_eq!(buffer_for(None), 4);
        assert_eq!(buffer_for(Some(64 << 20)), 8);
        assert_eq!(buffer_for(Some(64 << 30)), 256);
    }

    #[test]
    fn credentials_stay_out_of_debug_output() {
        let share =
            Share { name: "n".into(), pwd: "s3cret".into(), stream: "a".into(), publishes: false, go2rtc: true };
        assert!(!format!("{share:?}").contains("s3cret"));
        let server = IceServer { urls: vec!["turn:t".into()], username: "u53r".into(), credential: "s3cret".into() };
        let text = format!("{server:?}");
        assert!(!text.contains("s3cret") && !text.contains("u53r"), "{text}");
    }
}
