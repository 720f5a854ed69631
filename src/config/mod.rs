//! The operator's settings: what `porthole.yaml` and `-c` say.
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything that the operator may set, with the defaults filled in.
#[derive(Clone, Debug, Default)]
pub struct Config {
    pub api: Api,
    pub webrtc: Webrtc,
    /// Name to sources; an empty list is a stream that waits for a publisher.
    pub streams: BTreeMap<String, Vec<String>>,
    /// The first file given or found, absolute: where API changes are written. `None`: no file.
    pub path: Option<PathBuf>,
}

/// Section `api`.
#[derive(Clone, Debug)]
pub struct Api {
    /// `host:port`, `:port`; empty switches HTTP off. Default `:1984`.
    pub listen: String,
    /// Networks (`10.0.0.0/8`, `2001:db8::/32`, single addresses) that may connect besides loopback, private, link-local and unique-local ones.
    pub allow: Vec<String>,
    /// Host names besides the built-in rule that `Host` may carry.
    pub hosts: Vec<String>,
    /// Origins (`https://example.lan`, or a bare host name) that may call besides those of the same host name.
    pub origin: Vec<String>,
}

impl Default for Api {
    fn default() -> Self {
        Self { listen: ":1984".into(), allow: vec![], hosts: vec![], origin: vec![] }
    }
}

/// Section `webrtc`.
#[derive(Clone, Debug)]
pub struct Webrtc {
    /// `:8555`, `ip:8555`, `:8555/tcp`, `:8555/udp` or empty (random UDP ports). Default `:8555`.
    pub listen: String,
    /// Additional host candidates, first one with the highest priority.
    pub candidates: Vec<String>,
    pub filters: Filters,
}

impl Default for Webrtc {
    fn default() -> Self {
        Self { listen: ":8555".into(), candidates: vec![], filters: Filters::default() }
    }
}

/// Section `webrtc.filters`; `None` = not set.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// Advertise loopback addresses too.
    pub loopback: bool,
    /// Only these interfaces.
    pub interfaces: Option<Vec<String>>,
    /// Only these addresses.
    pub ips: Option<Vec<String>>,
}
