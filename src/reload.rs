//! SIGHUP: the configuration is read again. Streams follow at once; what needs a restart is named, and a
//! configuration that is wrong changes nothing.
use crate::check::{self, Checked};
use crate::config::{Config, Stream};
use crate::driver::handle::EngineHandle;
use std::collections::BTreeMap;

/// Streams to change, by name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    put: Vec<(String, Stream)>,
    delete: Vec<String>,
}

/// What brings the streams of `old` to those of `new`. All of `new` are put, because one may have been changed
/// through the API since; the engine leaves alone those that are as they were.
fn changes(old: &BTreeMap<String, Stream>, new: &BTreeMap<String, Stream>) -> Changes {
    Changes {
        put: new.iter().map(|(name, stream)| (name.clone(), stream.clone())).collect(),
        delete: old.keys().filter(|name| !new.contains_key(*name)).cloned().collect(),
    }
}

/// Sections that differ and are read at start only.
fn left_for_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    [
        ("api", old.api != new.api),
        ("webrtc", old.webrtc != new.webrtc),
        ("relay", old.relay != new.relay),
        ("webtorrent", old.webtorrent != new.webtorrent),
        ("log", old.log != new.log),
        ("the file's place", old.path != new.path),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

/// Reads what `arguments` name and brings the streams of the running relay there. Answers the configuration in
/// force and a sentence about how it went. Reads files: a small one, at the operator's word.
pub async fn reload(arguments: &[String], old: Config, relay: &EngineHandle) -> (Config, String) {
    let Checked { config: new, warnings, errors } = match check::system(arguments) {
        Ok(loaded) => loaded,
        Err(error) => {
            log::error!(target: "config", "{error}");
            log::error!(target: "config", "not reloaded, everything stays as it was");
            return (old, format!("not reloaded: {error}"));
        }
    };
    for warning in &warnings {
        log::warn!(target: "config", "{warning}");
    }
    if let Some(error) = errors.first() {
        errors.iter().for_each(|error| log::error!(target: "config", "{error}"));
        log::error!(target: "config", "not reloaded, everything stays as it was");
        return (old, format!("not reloaded: {error}"));
    }
    let Changes { put, delete } = changes(&old.streams, &new.streams);
    for name in &delete {
        if let Err(error) = relay.delete_stream(name).await {
            log::error!(target: "config", "stream={name:?} error={error}");
        }
    }
    for (name, stream) in put {
        if let Err(error) = relay.set_stream(&name, stream).await {
            log::error!(target: "config", "stream={name:?} error={error}");
        }
    }
    let restart = left_for_restart(&old, &new);
    let sentence = if restart.is_empty() {
        format!("reloaded streams={} deleted={}", new.streams.len(), delete.len())
    } else {
        let restart = restart.join(", ");
        format!("reloaded streams={} deleted={} needs_restart={restart:?}", new.streams.len(), delete.len())
    };
    log::info!(target: "config", "{sentence}");
    // What needs a restart stays different, and is named again next time.
    (Config { streams: new.streams, ..old }, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(pairs: &[(&str, &str)]) -> BTreeMap<String, Stream> {
        let stream = |source: &str| Stream { sources: vec![source.to_owned()], ..Stream::default() };
        pairs.iter().map(|(name, source)| ((*name).to_owned(), stream(source))).collect()
    }

    #[test]
    fn streams_that_are_gone_are_deleted_and_the_others_put() {
        let changes = changes(&streams(&[("a", "test:"), ("b", "test:")]), &streams(&[("b", "test:"), ("c", "test:")]));
        assert_eq!(changes.delete, ["a"]);
        assert_eq!(changes.put.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn what_is_read_at_start_only_is_named() {
        let old = Config::default();
        assert!(left_for_restart(&old, &old.clone()).is_empty());
        let mut new = old.clone();
        new.api.listen = ":80".into();
        new.log.level = log::LevelFilter::Trace;
        new.streams = streams(&[("a", "test:")]);
        assert_eq!(left_for_restart(&old, &new), ["api", "log"]);
    }

    #[test]
    fn another_credential_is_a_change_although_it_is_shown_nowhere() {
        let server = |credential: &str| crate::config::IceServer {
            urls: vec!["turn:t".into()],
            username: "u".into(),
            credential: credential.into(),
        };
        let mut old = Config::default();
        old.webrtc.ice_servers = Some(vec![server("one")]);
        let mut new = old.clone();
        new.webrtc.ice_servers = Some(vec![server("two")]);
        assert_eq!(left_for_restart(&old, &new), ["webrtc"]);
        let share = |pwd: &str| crate::config::Share {
            name: "n".into(),
            pwd: pwd.into(),
            stream: "a".into(),
            publishes: false,
            go2rtc: false,
        };
        let settings = |pwd: &str| Some(crate::config::Webtorrent { trackers: vec![], shares: vec![share(pwd)] });
        (old.webtorrent, new.webtorrent) = (settings("one"), settings("two"));
        assert_eq!(left_for_restart(&old, &new), ["webrtc", "webtorrent"]);
    }
}
