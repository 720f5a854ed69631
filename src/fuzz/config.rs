//! The configuration's text, and changes to it by the API.
use super::{Target, texts};
use crate::check::{self, Checked};
use crate::config::{self, Config, Edge, edit};
use std::io;
use std::path::Path;

pub const TARGETS: &[Target] = &[
    Target { name: "config", max: 16 << 10, run: file, seeds: || texts(FILES) },
    Target { name: "config_argument", max: 1 << 10, run: argument, seeds: || texts(ARGUMENTS) },
    Target { name: "config_edit", max: 4 << 10, run: change, seeds: || texts(CHANGES) },
];

const FILES: &[&str] = &[
    "api:\n  listen: ':1984'\n  origin: '*'\n  allow: [10.0.0.0/8, 127.0.0.1]\n  hosts: relay.lan\n\
     webrtc:\n  listen: ':8555/tcp'\n  candidates: [192.168.1.2:8555, stun:8555]\n  ice_servers:\n  - urls: [turn:a]\n    username: u\n    credential: p\n\
     \x20 filters: {networks: [udp4, tcp6], interfaces: [eth0], ips: ['::1'], loopback: true, ports: [40000, 40100]}\n\
     relay: {linger: 10s, sessions: 4, buffer: 1M}\nlog: {level: debug, webrtc: trace}\n\
     streams:\n  a: 'test:'\n  b:\n  - 'webrtc:ws://u:p@cam/#talk'\n  - echo:x\n  c: {url: 'test:', policy: replace, publish: false}\n",
    "base: &b {x: 'test:'}\nstreams: {<<: *b, y: \"${HOST:z}\"}\nenv: {HOST: 'test:'}\nwebtorrent:\n  shares:\n    abcdefghijkl: {pwd: 0123456789abcdef, src: y}\n",
    "streems:\n  a: x\nrtsp: {listen: ':8554'}\napi: {lisen: 1, username: x}\n",
];
const ARGUMENTS: &[&str] =
    &["api.listen=:1984", "{streams: {a: 'test:'}}", "webrtc.filters.ips=[10.0.0.1, '::1']", "streams.a=test:"];
const CHANGES: &[&str] = &[
    "cam\ntest:\ntest:?fps=5\n\napi: {listen: ':1984'}\nstreams:\n  a: 'test:'\n  cam:\n  # a comment\n  - x\nlog: {level: info}\n",
    "a b\n\nstreams: {a b: 'test:', c: 'test:'}\n",
    "new\ntest:\n\nstreams:\r\n  a:\r\n    url: 'test:'\r\n    policy: append\r\n",
];

/// Loads `arguments` where one file has this text and nothing else is there.
fn load(text: &str, arguments: &[String]) -> Result<Checked, config::Error> {
    let read = |path: &Path| match path.to_str() {
        Some("x.yaml") => Ok(text.to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let interfaces = Some(vec!["eth0".to_owned()]);
    check::load(arguments, &Edge { read: &read, variable: &|_| None, memory: Some(64 << 20), interfaces })
}

fn loaded(text: &str) -> Option<Config> {
    let loaded = load(text, &["x.yaml".to_owned()]).ok()?;
    few_words(&loaded, text.len());
    Some(loaded.config)
}

/// Messages are lines, and no more of them than a person reads.
fn few_words(loaded: &Checked, length: usize) {
    let lines = || loaded.warnings.iter().chain(&loaded.errors);
    let bytes: usize = lines().map(String::len).sum();
    assert!(bytes <= (64 << 10) + 8 * length, "{bytes} bytes of messages for {length}");
}

/// A text is loaded or refused, and the refusal is bounded.
fn file(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match load(&text, &["x.yaml".to_owned()]) {
        Ok(loaded) => few_words(&loaded, text.len()),
        Err(error) => assert!(error.to_string().len() <= 4 * text.len() + 1024),
    }
}

/// An argument of `-c`.
fn argument(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let refused = config::refusal(&text);
    if let Ok(loaded) = load("streams: {a: 'test:'}", &["x.yaml".to_owned(), text.clone()]) {
        few_words(&loaded, text.len());
    }
    assert!(refused.is_none_or(|sentence| sentence.len() <= 8 * text.len() + 1024));
}

/// A change of one stream leaves everything else as it was: the first line names it, the next ones its sources.
fn change(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some((name, rest)) = text.split_once('\n') else { return };
    let (sources, text) = rest.split_once("\n\n").unwrap_or(("", rest));
    let sources: Vec<String> = sources.lines().map(str::to_owned).collect();
    let wanted = (!sources.is_empty()).then_some(&sources[..]);
    let Ok(after) = edit::edit(text, name, wanted) else { return };
    assert!(after.len() <= 2 * text.len() + 8 * bytes.len() + 1024);
    let (Some(before), Some(mut after)) = (loaded(text), loaded(&after)) else { return };
    let mut expected = before;
    match wanted {
        Some(_) if text.contains("${") => return,
        Some(_) => {
            let Some(stream) = after.streams.remove(name) else { panic!("{name:?} is not there") };
            assert_eq!(stream.sources, sources);
        }
        None => assert!(!after.streams.contains_key(name), "{name:?} is still there"),
    }
    expected.streams.remove(name);
    if text.contains("streams") {
        assert_eq!(after.streams, expected.streams);
    }
    assert_eq!(
        (after.api, after.webrtc, after.relay, after.log),
        (expected.api, expected.webrtc, expected.relay, expected.log)
    );
}
