//! The pages: files of `src/web`, part of the binary, with the fields that keep foreign code out of them.
use crate::http::api::routes::App;
use crate::http::api::share;
use crate::http::server::authority::Authority;
use crate::http::server::request::Request;
use crate::http::server::response::Response;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use std::borrow::Cow;

struct File {
    path: &'static str,
    content_type: &'static str,
    /// HTML as it is; everything else by gzip, as the build script packed it.
    bytes: &'static [u8],
    /// FNV-1a of the bytes; names this build's version of the file.
    hash: u64,
}

const fn page(path: &'static str, bytes: &'static [u8]) -> File {
    File { path, content_type: HTML, bytes, hash: fnv1a(bytes) }
}

const fn packed(path: &'static str, content_type: &'static str, bytes: &'static [u8]) -> File {
    File { path, content_type, bytes, hash: fnv1a(bytes) }
}

macro_rules! gz {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz"))
    };
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Before and behind the compressed data of a gzip file without name and comment (RFC 1952 section 2.3).
const GZIP_HEADER: usize = 10;
const GZIP_TRAILER: usize = 8;
/// Where visitors from outside come: the one page that may speak to trackers, and to nobody else.
const SHARE_PAGE: &str = "/webtorrent.html";
/// The largest file of the pages, unpacked.
const FILE_MAX: usize = 128 * 1024;

/// Statics, so that the hashes are made by the compiler. `webrtc.html` is the address of go2rtc's player.
static FILES: &[File] = &[
    page("/", include_bytes!("../../web/index.html")),
    page("/index.html", include_bytes!("../../web/index.html")),
    packed("/index.js", SCRIPT, gz!("index.js")),
    page("/wall", include_bytes!("../../web/wall.html")),
    page("/wall.html", include_bytes!("../../web/wall.html")),
    packed("/wall.js", SCRIPT, gz!("wall.js")),
    page("/links.html", include_bytes!("../../web/links.html")),
    packed("/links.js", SCRIPT, gz!("links.js")),
    packed("/qr.js", SCRIPT, gz!("qr.js")),
    packed("/remember.js", SCRIPT, gz!("remember.js")),
    page("/stream.html", include_bytes!("../../web/stream.html")),
    page("/webrtc.html", include_bytes!("../../web/stream.html")),
    packed("/stream.js", SCRIPT, gz!("stream.js")),
    page("/doctor.html", include_bytes!("../../web/doctor.html")),
    packed("/doctor.js", SCRIPT, gz!("doctor.js")),
    page("/publish.html", include_bytes!("../../web/publish.html")),
    packed("/publish.js", SCRIPT, gz!("publish.js")),
    page("/trust.html", include_bytes!("../../web/trust.html")),
    packed("/trust.js", SCRIPT, gz!("trust.js")),
    page(SHARE_PAGE, include_bytes!("../../web/publish.html")),
    #[cfg(feature = "shares")]
    packed("/webtorrent.js", SCRIPT, gz!("webtorrent.js")),
    #[cfg(feature = "shares")]
    packed("/share.js", SCRIPT, gz!("share.js")),
    packed("/porthole.js", SCRIPT, gz!("porthole.js")),
    packed("/style.css", STYLE, gz!("style.css")),
    packed("/icon.svg", SVG, gz!("icon.svg")),
];

/// `path` is decoded; the method is GET or HEAD.
pub fn answer(app: &App, request: &Request, path: &str) -> Response {
    let path = if path == "/favicon.ico" { "/icon.svg" } else { path };
    let Some(file) = FILES.iter().find(|file| file.path == path) else {
        return Response::text(404, "there is no such page; the list of streams is at /");
    };
    let connects = match (path, &app.services.shares) {
        (SHARE_PAGE, None) => {
            return Response::text(404, share::OFF);
        }
        (SHARE_PAGE, Some(book)) => book.csp_sources().join(" "),
        _ => "'self' ws: wss:".to_owned(),
    };
    let mut encoding = None;
    let bytes: Cow<'static, [u8]> = if file.content_type != HTML && request.accepts_gzip {
        encoding = Some("gzip");
        file.bytes.into()
    } else if file.content_type != HTML {
        unpacked(file.bytes).into()
    } else if app.services.ice_links.is_empty() {
        file.bytes.into()
    } else {
        with_servers(file.bytes, &app.services.ice_links).into()
    };
    let hash = if matches!(bytes, Cow::Borrowed(_)) { file.hash } else { fnv1a(&bytes) };
    let etag = format!("\"{hash:016x}\"");
    let response = if request.if_none_match.as_deref().is_some_and(|known| known.contains(&etag)) {
        Response::new(304)
    } else {
        let response = Response::new(200).body(file.content_type, bytes);
        encoding.into_iter().fold(response, |response, encoding| response.with("Content-Encoding", encoding))
    };
    let response = if file.content_type == HTML { response } else { response.with("Vary", "Accept-Encoding") };
    response
        .with("Content-Security-Policy", security_policy(&connects, request.host.as_deref(), &app.frame_origins))
        .with("Referrer-Policy", "no-referrer")
        .with("Cache-Control", "no-cache")
        .with("ETag", etag)
}

/// For clients that don't take gzip, as curl without `--compressed`.
fn unpacked(gzip: &[u8]) -> Vec<u8> {
    let deflated = &gzip[GZIP_HEADER..gzip.len() - GZIP_TRAILER];
    // what our own build packed can be unpacked; a test does it with every file
    decompress_to_vec_with_limit(deflated, FILE_MAX).unwrap_or_default()
}

/// The page with the `Link` values in its head, so that its player knows them without a further request. Where no
/// server is configured, pages stay as they are in the binary.
fn with_servers(page: &[u8], links: &[String]) -> Vec<u8> {
    let escape = |link: &String| link.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let meta = |link: &String| format!("<meta name=\"ice-server\" content=\"{}\">\n", escape(link));
    let metas: String = links.iter().map(meta).collect();
    let page = String::from_utf8_lossy(page);
    page.replacen("</head>", &format!("{metas}</head>"), 1).into_bytes()
}

/// Own scripts only, and none that turns text into markup: with Trusted Types and no policy for them, `innerHTML` and its
/// like throw, so that names and errors can only become text. Fluidd and Mainsail show the player in a frame from another port of the same host, hence
/// `frame-ancestors`, and no `X-Frame-Options`, which could not say that. The grammar has no IPv6 addresses.
/// `connects`: whom the page's scripts may speak to.
fn security_policy(connects: &str, host: Option<&str>, frame_origins: &[String]) -> String {
    let mut policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src {connects}; \
        img-src 'self' data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; \
        require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors 'self'"
    );
    if let Some(Authority { name, .. }) = host.and_then(Authority::parse).filter(|host| !host.name.contains(':')) {
        policy += &format!(" http://{name}:* https://{name}:*");
    }
    for origin in frame_origins {
        policy += &format!(" {origin}");
    }
    policy
}

const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_same_host_are_allowed_on_any_port() {
        let policy = security_policy("'self'", Some("Printer.local:1984"), &["https://ha.example".into()]);
        let ancestors = "frame-ancestors 'self' http://printer.local:* https://printer.local:* https://ha.example";
        assert!(policy.ends_with(ancestors), "{policy}");
        assert!(security_policy("'self'", Some("[::1]:1984"), &[]).ends_with("frame-ancestors 'self'"));
        assert!(security_policy("'self'", Some("x; script-src *"), &[]).ends_with("frame-ancestors 'self'"));
    }

    #[test]
    fn a_page_tells_its_player_of_servers_and_no_text_of_them_becomes_markup() {
        let links = [r#"<turn:a>; username="x\"><script>&""#.to_owned()];
        let page = String::from_utf8(with_servers(b"<head><title>P</title></head><body>", &links)).unwrap();
        let meta = r#"<meta name="ice-server" content="&lt;turn:a>; username=&quot;x\&quot;>&lt;script>&amp;&quot;">"#;
        assert_eq!(page, format!("<head><title>P</title>{meta}\n</head><body>"));
    }

    #[test]
    fn every_packed_file_is_what_was_written_but_for_lines_of_comment() {
        for file in FILES.iter().filter(|file| file.content_type != HTML) {
            let written = std::fs::read_to_string(format!("src/web{}", file.path)).unwrap();
            let packed = String::from_utf8(unpacked(file.bytes)).unwrap();
            let mut packed = packed.lines().peekable();
            for line in written.lines() {
                if packed.next_if_eq(&line).is_none() {
                    let line = line.trim();
                    assert!(file.content_type == SCRIPT && line.starts_with('/'), "{}: {line}", file.path);
                }
            }
            assert_eq!(packed.next(), None, "{}", file.path);
        }
    }

    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a(b"foobar"), 0x85944171f73967e8);
    }
}
