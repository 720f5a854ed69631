//! Keys that this version does not know: typing errors get the nearest name, go2rtc's own keys get a word
//! about what their absence means.
use super::finding::Finding;
use super::parts::{ApiPart, EchoPart, FiltersPart, LOG_FORMS, RelayPart, Root, SharePart, WebrtcPart, WebtorrentPart};
use super::values::STREAM_KEYS;
use serde_yaml::Value;

/// Parts of the program that have a log level of their own: what the code gives as the log target.
pub const LOG_MODULES: &[&str] = &["app", "config", "api", "ws", "webrtc", "streams", "source", "net", "webtorrent"];

/// Sections and log modules of go2rtc that Porthole has no code for.
const FOREIGN_SECTIONS: &[&str] = &[
    "alsa",
    "app",
    "bubble",
    "doorbird",
    "dvrip",
    "eseecloud",
    "exec",
    "expr",
    "ffmpeg",
    "flussonic",
    "gopro",
    "hass",
    "hls",
    "homekit",
    "http",
    "isapi",
    "ivideon",
    "kasa",
    "mjpeg",
    "mp4",
    "mpegts",
    "multitrans",
    "nest",
    "ngrok",
    "onvif",
    "pinggy",
    "preload",
    "publish",
    "ring",
    "roborock",
    "rtmp",
    "rtsp",
    "srtp",
    "tapo",
    "tcp",
    "tuya",
    "v4l2",
    "wyoming",
    "wyze",
    "xiaomi",
    "yandex",
];

/// Keys of go2rtc inside sections that Porthole has, and what leaving them out means.
const FOREIGN_KEYS: &[(&str, &str)] = &[
    ("api.username", "passwords are not asked for in this version; who may connect follows from api.allow"),
    ("api.password", "passwords are not asked for in this version; who may connect follows from api.allow"),
    ("api.local_auth", "passwords are not asked for in this version"),
    ("api.static_dir", "not part of this version, the built-in pages are served"),
    ("api.unix_listen", "not part of this version"),
    ("api.allow_paths", "not part of this version, every path is served"),
];

/// Typing errors that a suggestion still covers: one for each so many letters.
const LETTERS_PER_ERROR: usize = 3;
/// Longest key, in bytes, that can be a typing error: a comparison takes memory by the length, and a key may be as long as its file.
const MAX_KEY: usize = 64;

/// The keys that a map at this path may have; `None`: any (names of streams, variables) or no map.
pub(super) fn known(path: &[&str]) -> Option<&'static [&'static str]> {
    match path {
        [] => Some(Root::KEYS),
        ["api"] => Some(ApiPart::KEYS),
        ["webrtc"] => Some(WebrtcPart::KEYS),
        ["webrtc", "filters"] => Some(FiltersPart::KEYS),
        ["relay"] => Some(RelayPart::KEYS),
        ["webtorrent"] => Some(WebtorrentPart::KEYS),
        ["webtorrent", "shares", _] => Some(SharePart::KEYS),
        ["echo"] => Some(EchoPart::KEYS),
        ["log"] => Some(LOG_MODULES),
        ["streams", _] => Some(STREAM_KEYS),
        _ => None,
    }
}

/// Everything in the document that nothing reads.
pub(super) fn findings(root: &Value) -> Vec<Finding> {
    let mut found = vec![];
    walk(root, &[], &mut found);
    found
}

fn walk(value: &Value, path: &[&str], found: &mut Vec<Finding>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Mapping(map) => map.iter().filter_map(|(key, child)| Some((key_text(key)?, child))).collect(),
        Value::Sequence(list) => list.iter().enumerate().map(|(index, child)| (index.to_string(), child)).collect(),
        _ => return,
    };
    let keys = value.as_mapping().and_then(|_| known(path));
    for (key, child) in &children {
        let below = [path, &[key.as_str()]].concat();
        match keys.and_then(|keys| unread(path, key, keys)) {
            Some(message) => found.push(Finding::new(&below, message)),
            None => walk(child, &below, found),
        }
    }
}

fn key_text(key: &Value) -> Option<String> {
    match key {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Why the key at this path is not read, if so.
fn unread(path: &[&str], key: &str, keys: &[&str]) -> Option<String> {
    if keys.contains(&key) || path == ["log"] && key == "level" {
        return None;
    }
    Some(foreign(path, key).unwrap_or_else(|| unknown(key, keys)))
}

/// What it means that a key of go2rtc is not part of this version.
fn foreign(path: &[&str], key: &str) -> Option<String> {
    let full = [path, &[key]].concat().join(".");
    if let Some((_, consequence)) = FOREIGN_KEYS.iter().find(|(foreign, _)| *foreign == full) {
        return Some((*consequence).to_owned());
    }
    let message = match path {
        [] if FOREIGN_SECTIONS.contains(&key) => {
            "this section of go2rtc is not part of this version, its settings have no effect"
        }
        ["log"] if LOG_FORMS.contains(&key) => {
            "not part of this version, lines have one shape and go to standard output"
        }
        ["log"] if FOREIGN_SECTIONS.contains(&key) => "there is no such module in this version",
        _ => return None,
    };
    Some(message.to_owned())
}

fn unknown(key: &str, keys: &[&str]) -> String {
    match nearest(key, keys) {
        Some(name) => format!("unknown key, did you mean \"{name}\"?"),
        None => format!("unknown key, known here: {}", keys.join(", ")),
    }
}

/// The first step of a path that neither this version nor go2rtc knows, with what is known there.
pub(super) fn unknown_step(path: &[&str]) -> Option<String> {
    for (depth, key) in path.iter().enumerate() {
        let above = &path[..depth];
        if let Some(keys) = known(above)
            && unread(above, key, keys).is_some()
        {
            let full = path[..=depth].join(".");
            return foreign(above, key).is_none().then(|| format!("{full}: {}", unknown(key, keys)));
        }
    }
    None
}

/// The name that was meant, if the difference is small enough for a typing error.
pub fn nearest<'k>(key: &str, keys: &[&'k str]) -> Option<&'k str> {
    if key.len() > MAX_KEY {
        return None;
    }
    let allowed = (key.chars().count() / LETTERS_PER_ERROR).max(1);
    let distances = keys.iter().map(|name| (distance(key, name), *name));
    distances.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Edit distance in characters; two neighbours that changed places count as one error.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(yaml: &str) -> Vec<String> {
        let found = findings(&serde_yaml::from_str(yaml).unwrap());
        found.into_iter().map(|f| format!("{}: {}", f.path.join("."), f.message)).collect()
    }

    #[test]
    fn typing_errors_get_the_nearest_key() {
        assert_eq!(messages("stream: {a: x}"), ["stream: unknown key, did you mean \"streams\"?"]);
        assert_eq!(messages("{api: {lisen: ':1'}}"), ["api.lisen: unknown key, did you mean \"listen\"?"]);
        assert_eq!(
            messages("{streams: {a: {polcy: reject}}}"),
            ["streams.a.polcy: unknown key, did you mean \"policy\"?"]
        );
        assert_eq!(messages("{log: {webtrc: debug}}"), ["log.webtrc: unknown key, did you mean \"webrtc\"?"]);
    }

    #[test]
    fn keys_that_resemble_nothing_get_the_list_of_known_ones() {
        assert_eq!(
            messages("{relay: {colour: red}}"),
            ["relay.colour: unknown key, known here: linger, sessions, buffer"]
        );
    }

    #[test]
    fn sections_of_go2rtc_are_named_once_each() {
        let found = messages("{rtsp: {listen: ':8554', default_query: video}, homekit: {a: {}}, log: {rtsp: debug}}");
        assert_eq!(found.len(), 3);
        assert!(found[0].starts_with("rtsp: this section"), "{}", found[0]);
    }

    #[test]
    fn a_password_that_is_not_asked_for_is_said_so() {
        assert!(messages("{api: {password: x}}")[0].contains("passwords are not asked for"));
    }

    #[test]
    fn names_of_streams_and_variables_are_free() {
        assert!(messages("{streams: {anything: x, 'a b': [x], 7: {url: x, policy: append}}, env: {X: y}}").is_empty());
    }

    #[test]
    fn a_key_that_is_as_long_as_a_file_is_compared_with_none() {
        let known: &[&str] = &["streams"];
        assert_eq!(nearest(&"streams".repeat(100_000), known), None);
        assert_eq!(nearest(&"s".repeat(MAX_KEY + 1), &[&"s".repeat(MAX_KEY)]), None);
    }

    #[test]
    fn distances_count_single_letters() {
        assert_eq!(distance("network", "networks"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("eht0", "eth0"), 1);
    }
}
