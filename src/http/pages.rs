//! The pages: files of `src/web`, part of the binary, with the fields that keep foreign code out of them.
use super::policy::Authority;
use super::request::Request;
use super::response::Response;
use super::routes::App;
use std::borrow::Cow;

struct File {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    /// FNV-1a of the bytes; names this build's version of the file.
    hash: u64,
}

const fn file(path: &'static str, content_type: &'static str, bytes: &'static [u8]) -> File {
    File { path, content_type, bytes, hash: fnv1a(bytes) }
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Statics, so that the hashes are made by the compiler. `webrtc.html` is the address of go2rtc's player.
static FILES: [File; 22] = [
    file("/", HTML, include_bytes!("../web/index.html")),
    file("/index.html", HTML, include_bytes!("../web/index.html")),
    file("/index.js", SCRIPT, include_bytes!("../web/index.js")),
    file("/wall", HTML, include_bytes!("../web/wall.html")),
    file("/wall.html", HTML, include_bytes!("../web/wall.html")),
    file("/wall.js", SCRIPT, include_bytes!("../web/wall.js")),
    file("/links.html", HTML, include_bytes!("../web/links.html")),
    file("/links.js", SCRIPT, include_bytes!("../web/links.js")),
    file("/qr.js", SCRIPT, include_bytes!("../web/qr.js")),
    file("/remember.js", SCRIPT, include_bytes!("../web/remember.js")),
    file("/stream.html", HTML, include_bytes!("../web/stream.html")),
    file("/webrtc.html", HTML, include_bytes!("../web/stream.html")),
    file("/stream.js", SCRIPT, include_bytes!("../web/stream.js")),
    file("/doctor.html", HTML, include_bytes!("../web/doctor.html")),
    file("/doctor.js", SCRIPT, include_bytes!("../web/doctor.js")),
    file("/publish.html", HTML, include_bytes!("../web/publish.html")),
    file("/publish.js", SCRIPT, include_bytes!("../web/publish.js")),
    file("/trust.html", HTML, include_bytes!("../web/trust.html")),
    file("/trust.js", SCRIPT, include_bytes!("../web/trust.js")),
    file("/porthole.js", SCRIPT, include_bytes!("../web/porthole.js")),
    file("/style.css", STYLE, include_bytes!("../web/style.css")),
    file("/icon.svg", SVG, include_bytes!("../web/icon.svg")),
];

/// `path` is decoded; the method is GET or HEAD.
pub fn answer(app: &App, request: &Request, path: &str) -> Response {
    let path = if path == "/favicon.ico" { "/icon.svg" } else { path };
    let Some(file) = FILES.iter().find(|file| file.path == path) else {
        return Response::text(404, "there is no such page; the list of streams is at /");
    };
    let tells = file.content_type == HTML && !app.services.ice_links.is_empty();
    let bytes: Cow<'static, [u8]> =
        if tells { with_servers(file.bytes, &app.services.ice_links).into() } else { file.bytes.into() };
    let hash = if tells { fnv1a(&bytes) } else { file.hash };
    let etag = format!("\"{hash:016x}\"");
    let response = if request.if_none_match.as_deref().is_some_and(|known| known.contains(&etag)) {
        Response::new(304)
    } else {
        Response::new(200).body(file.content_type, bytes)
    };
    response
        .with("Content-Security-Policy", security_policy(request.host.as_deref(), &app.frame_origins))
        .with("Referrer-Policy", "no-referrer")
        .with("Cache-Control", "no-cache")
        .with("ETag", etag)
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
fn security_policy(host: Option<&str>, frame_origins: &[String]) -> String {
    let mut policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; \
        img-src 'self' data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; \
        require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors 'self'"
        .to_owned();
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
        let policy = security_policy(Some("Printer.local:1984"), &["https://ha.example".into()]);
        let ancestors = "frame-ancestors 'self' http://printer.local:* https://printer.local:* https://ha.example";
        assert!(policy.ends_with(ancestors), "{policy}");
        assert!(security_policy(Some("[::1]:1984"), &[]).ends_with("frame-ancestors 'self'"));
        assert!(security_policy(Some("x; script-src *"), &[]).ends_with("frame-ancestors 'self'"));
    }

    #[test]
    fn a_page_tells_its_player_of_servers_and_no_text_of_them_becomes_markup() {
        let links = [r#"<turn:a>; username="x\"><script>&""#.to_owned()];
        let page = String::from_utf8(with_servers(b"<head><title>P</title></head><body>", &links)).unwrap();
        let meta = r#"<meta name="ice-server" content="&lt;turn:a>; username=&quot;x\&quot;>&lt;script>&amp;&quot;">"#;
        assert_eq!(page, format!("<head><title>P</title>{meta}\n</head><body>"));
    }

    #[test]
    fn the_hash_is_fnv1a() {
        assert_eq!(fnv1a(b"foobar"), 0x85944171f73967e8);
    }
}
