//! The shape of one YAML document: every key optional, because documents are laid over one another and
//! the defaults come last.
use super::Given;
use super::values::{
    Address, ApiListen, BasePath, Candidates, CompatWord, DockerWord, Level, Networks, Peers, Ports, Span, TlsWord,
    WebrtcListen, Words,
};
use super::{
    Api, Config, DEFAULT_TRACKER, Filters, Log, Relay, Share, Stream, Webrtc, Webtorrent, buffer_for, sessions_for,
};
use crate::config::ice_list::Reading;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;

/// Laying one document over another: maps merge, everything else is replaced.
pub(super) trait Merge {
    fn merge(&mut self, over: Self);
}

impl<T: Merge> Merge for Option<T> {
    fn merge(&mut self, over: Self) {
        match (self.as_mut(), over) {
            (Some(below), Some(over)) => below.merge(over),
            (None, over) => *self = over,
            (Some(_), None) => {}
        }
    }
}

impl<V> Merge for BTreeMap<String, V> {
    fn merge(&mut self, over: Self) {
        self.extend(over);
    }
}

macro_rules! replaced {
    ($($name:ty),*) => {$(
        impl Merge for $name {
            fn merge(&mut self, over: Self) {
                *self = over;
            }
        }
    )*};
}
replaced!(
    ApiListen,
    BasePath,
    TlsWord,
    WebrtcListen,
    Candidates,
    CompatWord,
    DockerWord,
    Words,
    Networks,
    Ports,
    Reading,
    Span,
    Level,
    String,
    bool,
    NonZeroUsize
);

impl<T> Merge for Vec<T> {
    fn merge(&mut self, over: Self) {
        *self = over;
    }
}

/// A section: its keys are the fields, so that the list of known keys, the parser and the merge can't drift apart.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($key:ident : $ty:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, serde::Deserialize)]
        #[serde(default, expecting = "a map of settings")]
        pub(super) struct $name {
            $(pub $key: Option<$ty>,)*
        }

        impl $name {
            pub(super) const KEYS: &[&str] = &[$(stringify!($key)),*];
        }

        impl Merge for $name {
            fn merge(&mut self, over: Self) {
                $(self.$key.merge(over.$key);)*
            }
        }
    };
}

section!(Root {
    env: BTreeMap<String, String>,
    api: ApiPart,
    webrtc: WebrtcPart,
    streams: BTreeMap<String, Stream>,
    relay: RelayPart,
    webtorrent: WebtorrentPart,
    echo: EchoPart,
    log: LogPart,
});

section!(ApiPart {
    listen: ApiListen,
    allow: Vec<Peers>,
    hosts: Words,
    origin: Words,
    base_path: BasePath,
    tls: TlsWord,
    tls_listen: ApiListen,
    tls_cert: String,
    tls_key: String,
});

section!(WebrtcPart {
    listen: WebrtcListen,
    candidates: Candidates,
    ice_servers: Reading,
    mdns: bool,
    filters: FiltersPart,
});

section!(FiltersPart {
    candidates: Vec<Address>,
    loopback: bool,
    interfaces: Words,
    exclude_interfaces: Words,
    ips: Vec<Address>,
    networks: Networks,
    udp_ports: Ports,
    docker: DockerWord,
});

section!(WebtorrentPart { trackers: Words, shares: BTreeMap<String, SharePart> });

section!(SharePart { pwd: String, src: String, dst: String, compat: CompatWord });

section!(EchoPart { allow_paths: Words });

section!(RelayPart { linger: Span, sessions: NonZeroUsize, buffer: NonZeroUsize });

/// Section `log`: `level` and one key for each module, all of them levels.
#[derive(Clone, Debug, Default)]
pub(super) struct LogPart(BTreeMap<String, Level>);

/// Keys of go2rtc's `log` that are no modules and take other words than levels; ignored with a warning.
pub(super) const LOG_FORMS: &[&str] = &["format", "output", "time"];

impl Merge for LogPart {
    fn merge(&mut self, over: Self) {
        self.0.extend(over.0);
    }
}

impl<'de> Deserialize<'de> for LogPart {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct LogVisitor;
        impl<'de> Visitor<'de> for LogVisitor {
            type Value = LogPart;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of levels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LogPart, A::Error> {
                let mut levels = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    if LOG_FORMS.contains(&key.as_str()) {
                        map.next_value::<IgnoredAny>()?;
                    } else if let Some(level) = map.next_value()? {
                        levels.insert(key, level);
                    }
                }
                Ok(LogPart(levels))
            }
        }
        from.deserialize_map(LogVisitor)
    }
}

impl Root {
    /// Fills in the defaults. `memory`: the machine's bytes of RAM, for the bounds that follow from it.
    pub(super) fn into_config(self, memory: Option<u64>) -> Config {
        let mut config = Config {
            relay: Relay { sessions: sessions_for(memory), buffer: buffer_for(memory), ..Relay::default() },
            streams: self.streams.unwrap_or_default(),
            ..Config::default()
        };
        if let Some(part) = self.api {
            part.fill(&mut config.api);
        }
        if let Some(part) = self.webrtc {
            part.fill(&mut config.webrtc);
        }
        if let Some(part) = self.relay {
            set(&mut config.relay.linger, part.linger.map(|span| span.0));
            set(&mut config.relay.sessions, part.sessions.map(NonZeroUsize::get));
            set(&mut config.relay.buffer, part.buffer.map(NonZeroUsize::get));
        }
        config.webtorrent = self.webtorrent.map(Webtorrent::from);
        config.echo_paths = self.echo.and_then(|part| part.allow_paths).map(|words| words.0);
        if let Some(part) = self.log {
            part.fill(&mut config.log);
        }
        config
    }
}

/// Overwrites a default where the operator said something.
fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

impl ApiPart {
    fn fill(self, api: &mut Api) {
        set(&mut api.listen, self.listen.map(|listen| listen.0));
        set(&mut api.allow, self.allow.map(|list| list.into_iter().map(|peers| peers.0).collect()));
        set(&mut api.hosts, self.hosts.map(|words| words.0));
        set(&mut api.base_path, self.base_path.map(|path| path.0));
        set(&mut api.tls, self.tls.map(|word| word.0));
        set(&mut api.tls_listen, self.tls_listen.map(|listen| listen.0));
        set(&mut api.tls_cert, self.tls_cert.map(Given));
        set(&mut api.tls_key, self.tls_key.map(Given));
        // "*" would let every web page on the Internet talk to the cameras; it was warned about.
        set(&mut api.origin, self.origin.map(|words| words.0.into_iter().filter(|origin| origin != "*").collect()));
    }
}

impl WebrtcPart {
    fn fill(self, webrtc: &mut Webrtc) {
        set(&mut webrtc.listen, self.listen.map(|listen| listen.0));
        set(&mut webrtc.candidates, self.candidates.map(|words| words.0));
        webrtc.ice_servers = self.ice_servers.map(|list| list.servers);
        webrtc.mdns = self.mdns.unwrap_or(false);
        if let Some(part) = self.filters {
            part.fill(&mut webrtc.filters);
        }
    }
}

impl From<WebtorrentPart> for Webtorrent {
    fn from(part: WebtorrentPart) -> Self {
        let trackers = part.trackers.map_or_else(|| vec![DEFAULT_TRACKER.to_owned()], |words| words.0);
        let share = |(name, part): (String, SharePart)| Share {
            name,
            pwd: part.pwd.unwrap_or_default(),
            publishes: part.dst.is_some(),
            // both together mean neither
            stream: part.src.xor(part.dst).unwrap_or_default(),
            go2rtc: part.compat.is_some(),
        };
        Self { trackers, shares: part.shares.unwrap_or_default().into_iter().map(share).collect() }
    }
}

impl FiltersPart {
    fn fill(self, filters: &mut Filters) {
        let addresses = |list: Vec<Address>| list.into_iter().map(|address| address.0).collect();
        filters.candidates = self.candidates.map(addresses);
        filters.loopback = self.loopback.unwrap_or(false);
        filters.interfaces = self.interfaces.map(|words| words.0);
        filters.exclude_interfaces = self.exclude_interfaces.unwrap_or_default().0;
        filters.ips = self.ips.map(addresses);
        filters.networks = self.networks.map(|networks| networks.0);
        filters.udp_ports = self.udp_ports.map(|ports| (ports.0, ports.1));
        filters.docker = self.docker.map(|word| word.0).unwrap_or_default();
    }
}

impl LogPart {
    fn fill(mut self, log: &mut Log) {
        set(&mut log.level, self.0.remove("level").map(|level| level.0));
        log.modules = self.0.into_iter().map(|(module, level)| (module, level.0)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::LevelFilter;
    use std::time::Duration;

    fn laid(documents: &[&str]) -> Config {
        let mut root = Root::default();
        for text in documents {
            root.merge(serde_yaml::from_str(text).unwrap());
        }
        root.into_config(None)
    }

    #[test]
    fn maps_merge_and_lists_and_scalars_are_replaced() {
        let config = laid(&[
            "{api: {listen: ':1', hosts: [a, b]}, streams: {x: 'test:', y: ['test:', 'test:']}, log: {api: debug}}",
            "{api: {hosts: c}, streams: {y: ~, z: 'test:'}, log: {level: warn, webrtc: trace}}",
        ]);
        assert_eq!(config.api.listen, ":1");
        assert_eq!(config.api.hosts, ["c"]);
        let streams: Vec<_> =
            config.streams.iter().map(|(name, stream)| (name.as_str(), stream.sources.len())).collect();
        assert_eq!(streams, [("x", 1), ("y", 0), ("z", 1)]);
        assert_eq!(config.log.level, LevelFilter::Warn);
        assert_eq!(config.log.modules.len(), 2);
    }

    #[test]
    fn a_key_without_a_value_keeps_the_default() {
        let config = laid(&["{api: {listen: }, webrtc: , relay: {linger: }, log: {level: }}"]);
        assert_eq!(config.api.listen, ":1984");
        assert_eq!(config.webrtc.listen, ":8555");
        assert_eq!(config.relay.linger, Duration::from_secs(10));
    }

    #[test]
    fn an_empty_list_of_interfaces_is_not_the_same_as_none() {
        assert_eq!(laid(&["{webrtc: {filters: {ips: []}}}"]).webrtc.filters.ips, Some(vec![]));
        assert_eq!(laid(&["{webrtc: {filters: {}}}"]).webrtc.filters.ips, None);
    }

    #[test]
    fn urls_of_an_ice_server_are_a_string_or_a_list() {
        let servers =
            laid(&["webrtc: {ice_servers: [{urls: 'stun:a:1'}, {urls: ['turn:b:2'], username: u, credential: 7}]}"]);
        let servers = servers.webrtc.ice_servers.unwrap();
        assert_eq!(servers[0].urls, ["stun:a:1"]);
        assert_eq!((servers[1].username.as_str(), servers[1].credential.as_str()), ("u", "7"));
    }
}
