//! The pages: files of `src/web`, part of the binary, with the fields that keep foreign code out of them.
mod files;

use crate::http::server::{Authority, Method, Request, Response};
use files::{FILES, HTML, SHARE_PAGE, fnv1a, unpacked};
use std::borrow::Cow;

const METHODS: &str = "GET, HEAD, OPTIONS";
/// Whom the scripts of most pages may speak to.
const CONNECTS: &str = "'self' ws: wss:";

/// What pages are told when they are sent.
pub struct Pages {
    /// Values of the `Link` fields that tell players of STUN and TURN servers.
    pub ice_links: Vec<String>,
    /// Whom the page of share links may speak to, or why there is no such page.
    pub share_connects: Result<String, &'static str>,
    /// Listed origins that may show the pages in a frame, besides the same host.
    pub frame_origins: Vec<String>,
}

/// `path` is decoded.
pub fn answer(pages: &Pages, request: &Request, path: &str) -> Response {
    match request.method {
        Method::Get | Method::Head => page(pages, request, path),
        Method::Options => Response::new(204).with("Allow", METHODS),
        _ => Response::method_not_allowed(METHODS),
    }
}

fn page(pages: &Pages, request: &Request, path: &str) -> Response {
    let path = if path == "/favicon.ico" { "/icon.svg" } else { path };
    let Some(file) = FILES.iter().find(|file| file.path == path) else {
        return Response::text(404, "there is no such page; the list of streams is at /");
    };
    let connects = match (path, &pages.share_connects) {
        (SHARE_PAGE, Err(why_not)) => return Response::text(404, *why_not),
        (SHARE_PAGE, Ok(connects)) => connects,
        _ => CONNECTS,
    };
    let mut encoding = None;
    let bytes: Cow<'static, [u8]> = if file.content_type != HTML && request.accepts_gzip {
        encoding = Some("gzip");
        file.bytes.into()
    } else if file.content_type != HTML {
        unpacked(file.bytes).into()
    } else if pages.ice_links.is_empty() {
        file.bytes.into()
    } else {
        with_servers(file.bytes, &pages.ice_links).into()
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
        .with("Content-Security-Policy", security_policy(connects, request.host.as_deref(), &pages.frame_origins))
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
}
