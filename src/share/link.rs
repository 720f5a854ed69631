//! The link itself, and what its parts must be like. The secret stands behind the `#`, which browsers send to nobody.
use crate::config::{Share, Webtorrent};
use crate::gather::ice_servers::{Kind, Uri};
use crate::net::connect::Place;

/// Shares that may exist at one time: each is announced at each tracker every minute.
pub const MAX_SHARES: usize = 32;
/// Trackers that are used.
pub const MAX_TRACKERS: usize = 4;
/// STUN servers that a link names: a page tries all of them.
const MAX_STUN: usize = 2;
/// A secret of letters and digits has 128 bits with 22 of them.
const MIN_SECRET: usize = 22;
/// go2rtc's own bounds.
const GO2RTC_MIN_NAME: usize = 8;
const GO2RTC_MIN_PWD: usize = 4;
/// Longest name and secret; a link should fit a QR code.
const MAX_WORD: usize = 64;

/// Can this share be offered?
///
/// # Errors
/// The key at fault, and a sentence. The secret is not in it.
pub fn check_share(share: &Share) -> Result<(), (&'static str, String)> {
    let (name, pwd) = (share.name.chars().count(), share.pwd.chars().count());
    let plain = |text: &str| !text.chars().any(char::is_control);
    if name == 0 || name > MAX_WORD || !plain(&share.name) {
        return Err(("", format!("a share's name has 1 to {MAX_WORD} characters")));
    }
    if pwd > MAX_WORD || !plain(&share.pwd) {
        return Err(("pwd", format!("has {MAX_WORD} characters at most")));
    }
    if share.stream.is_empty() {
        return Err(("", "needs either src, the stream to watch, or dst, the stream to send to".into()));
    }
    if share.go2rtc && name < GO2RTC_MIN_NAME {
        return Err(("", format!("with compat: go2rtc a share's name has {GO2RTC_MIN_NAME} characters at least")));
    }
    if share.go2rtc && pwd < GO2RTC_MIN_PWD {
        return Err((
            "pwd",
            format!("with compat: go2rtc it has {GO2RTC_MIN_PWD} characters at least, better {MIN_SECRET}"),
        ));
    }
    if !share.go2rtc && pwd < MIN_SECRET {
        return Err((
            "pwd",
            format!(
                "needs {MIN_SECRET} random characters or more, such as \"openssl rand -hex 16\" prints; for go2rtc's \
                 pages and passwords add compat: go2rtc"
            ),
        ));
    }
    Ok(())
}

/// Can trackers under this URL be used?
///
/// # Errors
/// A sentence that does not repeat the URL.
pub fn check_tracker(url: &str) -> Result<Place, String> {
    let wrong = || "expected a tracker such as wss://tracker.example.org or ws://192.168.1.2:8000".to_owned();
    if !url.starts_with("wss://") && !url.starts_with("ws://") {
        return Err(wrong());
    }
    let place = Place::parse(url).map_err(|_| wrong())?;
    if place.login.is_some() {
        return Err("a tracker's URL can hold no password, because every link repeats it".into());
    }
    if !place.host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')) {
        return Err("write the tracker's host as a name or an IPv4 address: pages can be allowed no other".into());
    }
    Ok(place)
}

/// What a Content-Security-Policy calls the tracker: scheme and host, for WebSockets to it.
pub fn csp_source(url: &str) -> Option<String> {
    let place = check_tracker(url).ok()?;
    Some(format!("{}://{}:{}", if place.secure { "wss" } else { "ws" }, place.host, place.port))
}

/// `stun:` servers of the settings as links name them, without the scheme.
pub fn stun_servers(webrtc: &crate::config::Webrtc) -> Vec<String> {
    let urls = webrtc.ice_servers.iter().flatten().flat_map(|server| &server.urls);
    let stun = urls.filter_map(|url| Uri::parse(url).ok()).filter(|uri| uri.kind == Kind::Stun);
    stun.take(MAX_STUN).map(|uri| uri.to_string().replacen("stun:", "", 1)).collect()
}

/// The page and the fragment, below the relay's own address. go2rtc's form where go2rtc's version is spoken.
pub fn write(share: &Share, trackers: &[String], stun: &[String]) -> String {
    let secret = if share.go2rtc { "pwd" } else { "key" };
    let mut link = format!("webtorrent.html#share={}&{secret}={}", escaped(&share.name), escaped(&share.pwd));
    let media = match (share.publishes, share.go2rtc) {
        (true, _) => "&media=camera+microphone",
        (false, true) => "&media=video+audio",
        (false, false) => "",
    };
    link += media;
    for tracker in trackers {
        link += &format!("&tr={}", escaped(tracker));
    }
    for server in stun {
        link += &format!("&stun={}", escaped(server));
    }
    link
}

/// The trackers of the settings that can be used.
pub fn trackers(settings: &Webtorrent) -> Vec<String> {
    settings.trackers.iter().filter(|url| check_tracker(url).is_ok()).take(MAX_TRACKERS).cloned().collect()
}

/// Percent-encoded where a fragment's parameter needs it.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte);
    let bytes =
        text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share() -> Share {
        Share { name: "front-door".into(), pwd: "k".repeat(22), stream: "yard".into(), publishes: false, go2rtc: false }
    }

    #[test]
    fn a_link_holds_what_a_visitor_s_page_needs() {
        let trackers = ["wss://tracker.example".to_owned()];
        let link = |share: &Share, stun: &[String]| write(share, &trackers, stun);
        let key = "k".repeat(22);
        assert_eq!(
            link(&share(), &["stun.example:3478".into()]),
            format!("webtorrent.html#share=front-door&key={key}&tr=wss://tracker.example&stun=stun.example:3478")
        );
        let go2rtc = Share { go2rtc: true, pwd: "a&b c+ü".into(), ..share() };
        assert_eq!(
            link(&go2rtc, &[]),
            "webtorrent.html#share=front-door&pwd=a%26b%20c%2B%C3%BC&media=video+audio&tr=wss://tracker.example"
        );
        assert!(link(&Share { publishes: true, ..share() }, &[]).contains("&media=camera+microphone&"));
    }

    #[test]
    fn a_share_that_can_be_guessed_or_names_nothing_is_refused_without_its_secret() {
        assert_eq!(check_share(&share()), Ok(()));
        assert_eq!(check_share(&Share { go2rtc: true, pwd: "1234".into(), ..share() }), Ok(()));
        for (share, key) in [
            (Share { name: String::new(), ..share() }, ""),
            (Share { name: "two\nlines".into(), ..share() }, ""),
            (Share { name: "x".repeat(65), ..share() }, ""),
            (Share { stream: String::new(), ..share() }, ""),
            (Share { pwd: "hunter2hunter2hunter2".into(), ..share() }, "pwd"),
            (Share { pwd: "h".repeat(65), ..share() }, "pwd"),
            (Share { go2rtc: true, pwd: "123".into(), ..share() }, "pwd"),
            (Share { go2rtc: true, name: "short".into(), ..share() }, ""),
        ] {
            let (at, sentence) = check_share(&share).unwrap_err();
            assert!(at == key && !sentence.contains("hunter2"), "{sentence}");
        }
    }

    #[test]
    fn trackers_are_web_sockets_and_have_a_place_in_the_pages_policy() {
        assert_eq!(csp_source("wss://tracker.example/announce?x").as_deref(), Some("wss://tracker.example:443"));
        assert_eq!(csp_source("ws://10.0.0.1:8000").as_deref(), Some("ws://10.0.0.1:8000"));
        for url in [
            "",
            "https://a",
            "udp://a:1",
            "wss://",
            "wss://u:p@a",
            "wss://[::1]:1",
            "wss://a;script-src",
            "ws://a b",
            "wss://*",
        ] {
            assert!(check_tracker(url).is_err() && csp_source(url).is_none(), "{url}");
        }
    }
}
