//! Addresses, URLs and lists of servers, as people, services and cameras write them.
use super::{Target, texts};
use crate::base::link;
use crate::config::candidates::Manual;
use crate::config::ice_list::Reading;
use crate::config::ice_uri::Uri;
use crate::config::listen::Listen;
use crate::config::secrets::public_url;
use crate::doctor;
use crate::gather::scope::Scope;
use crate::http::server::authority::{self, Authority, Listed, Origin};
use crate::http::server::peers::Network;
use crate::http::server::percent::{decode_form, decode_path};
use crate::http::server::punycode;
use crate::net::connect::Place;
use crate::net::reference;
use crate::source;

pub const TARGETS: &[Target] = &[
    Target { name: "source_url", max: 4 << 10, run: source_url, seeds: || texts(SOURCES) },
    Target { name: "url", max: 2 << 10, run: url, seeds: || texts(URLS) },
    Target { name: "host", max: 1 << 10, run: host, seeds: || texts(HOSTS) },
    Target { name: "ice_servers", max: 8 << 10, run: ice_servers, seeds: || texts(LISTS) },
];

const SOURCES: &[&str] = &[
    "webrtc:ws://u:p@192.168.1.123:1984/api/ws?src=camera1#talk#rid=h#insecure",
    "webrtc:http://cam/call/webrtc_local#format=creality",
    "webrtc:wss://x/?X-Amz-Signature=1#format=kinesis#client_id=a#ice_servers=[{\"urls\":\"turn:a\",\"username\":\"u\",\"credential\":\"p\"}]",
    "test:?size=640x360&fps=30&gop=30&audio=opus",
    "echo:python3 'cam era.py' --x \"a b\"",
];
const URLS: &[&str] =
    &["http://a/b/c/d;p?q\n../g?y#s", "https://u:p@[fd00::1]:8443/x?y\n//other:1/x", "ws://cam\n/api ws"];
const HOSTS: &[&str] = &[
    "küche.example:8443",
    "[fd00::1]:1984",
    "https://bücher.ÖBB.at/pfad?x",
    "203.0.113.7:8555/udp",
    "stun:8555",
    "10.0.0.0/8",
    "turn:a.example:443?transport=tcp",
    "a=%20b&c=+%e4",
    ":1984",
];
const LISTS: &[&str] = &[
    r#"[{"urls":["stun:a","turn:b:443?transport=udp"],"username":"u","credential":"p"},"stun:c",null,{"Uris":"turns:d","ttl":86400}]"#,
    r#"{"iceServers":{"url":"stun:a"}}"#,
    r#"<turn:a?transport=udp>; rel="ice-server"; username="u"; credential="p\"", <stun:b>; rel=ice-server"#,
    "- urls: stun:a\n- {urls: [turn:b], username: 1, credential: 2.50}\n",
];

/// The URL of a source is taken or refused; what is shown of it holds no more than it did.
fn source_url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let wrong = source::check(&text);
    let _ = (source::check_scope(&text, Scope::Others), source::warnings(&text), source::exclusive(&text));
    let shown = public_url(&text);
    assert!(shown.len() <= 3 * text.len() + 64, "{} bytes shown of {}", shown.len(), text.len());
    assert_eq!(public_url(&shown), shown, "{text:?}");
    if let Err(wrong) = wrong {
        assert!(wrong.len() <= 4 * text.len() + 512);
    }
    let _ = (source::format_name(&text), source::protocol(&text));
}

/// A place is written so that it reads the same, and a reference that is followed leads to a place of the same kind.
fn url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (first, second) = text.split_once('\n').unwrap_or((&text, ""));
    let Ok(place) = Place::parse(first) else { return };
    let scheme = if place.secure { "https" } else { "http" };
    let login = place.login.as_ref().map(|login| format!("{login}@")).unwrap_or_default();
    let written = format!("{scheme}://{login}{}{}", place.authority(), place.path);
    // A path may hold what a reader takes for the end of an authority, but never the other way around.
    assert!(Place::parse(&written) == Ok(place.clone()), "{first:?} {written:?}");
    assert!(place.basic().is_none_or(|basic| basic.len() <= 12 + 4 * first.len() && basic.is_ascii()));
    if let Ok(next) = place.join(second) {
        assert!(next.path.starts_with('/') && !next.path.contains(|c: char| c.is_control() || c == ' '), "{second:?}");
        assert!(next.login.is_none() || reference::names_host(second) || next.is_same_origin(&place), "{second:?}");
        assert!(next.path.len() <= first.len() + 3 * second.len() + 2);
    }
}

/// Hosts, ports, networks and what else settings and fields hold, alone.
fn host(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(Authority { name, port }) = Authority::parse(&text) {
        let written = if name.contains(':') { format!("[{name}]") } else { name.clone() };
        let written = port.map_or(written.clone(), |port| format!("{written}:{port}"));
        assert_eq!(Authority::parse(&written), Some(Authority { name, port }), "{written:?}");
    }
    if let Some(origin) = Origin::parse(&text) {
        let again = Origin::parse(&origin.to_string()).unwrap_or_else(|| panic!("{origin}"));
        assert!(again.is_same(&origin), "{origin}");
        let _ = (Listed::parse(&text).is_some_and(|listed| listed.allows(&origin)), origin.is_web());
    }
    if let Some(Listed::Origin(origin)) = Listed::parse(&text) {
        assert!(origin.to_string().is_ascii());
    }
    let _ = (authority::host(&text), Network::parse(&text), Listen::parse(&text), Manual::parse(&text));
    assert!(punycode::to_ascii(&text).len() <= 16 * text.len() + 16);
    if let Ok(uri) = Uri::parse(&text) {
        assert_eq!(Uri::parse(&uri.to_string()), Ok(uri));
    }
    assert!(decode_path(&text).is_none_or(|path| path.len() <= text.len()));
    assert!(decode_form(&text).iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= 3 * text.len());
    let shown = doctor::print::plain(&text);
    assert!(!shown.contains(char::is_control) && shown.chars().count() == text.chars().count());
    let _ = (doctor::facts::clip(&text), doctor::facts::clip_sentence(&text));
}

/// Lists of servers as JSON, as YAML and in `Link` fields: what is used of them and said about them has a bound.
fn ice_servers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let links = link::links(&text);
    let read: usize = links.iter().flat_map(|link| &link.params).map(|(name, value)| name.len() + value.len()).sum();
    assert!(links.len() <= 64 && read <= text.len());
    let readings = [
        Some(Reading::of_links([&*text].into_iter())),
        serde_json::from_str(&text).ok(),
        if text.contains('*') { None } else { serde_yaml::from_str(&text).ok() },
    ];
    for reading in readings.into_iter().flatten() {
        assert!(reading.servers.len() <= 64 && reading.problems.len() <= 64);
        let servers = crate::source::webrtc::url::servers(reading.servers);
        assert!(servers.len() <= 8);
        servers.iter().for_each(|server| assert_eq!(Uri::parse(&server.uri.to_string()).as_ref(), Ok(&server.uri)));
        for problem in &reading.problems {
            assert!(problem.to_string().len() <= 2 * text.len() + 512, "{problem}");
        }
    }
}
