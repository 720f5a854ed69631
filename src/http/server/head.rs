//! A request head: parsed with httparse, refused where two readers could understand it differently (RFC 9112
//! sections 3, 5 and 6), and rewritten in one canonical form for the handler.
use super::authority::{Authority, default_port};
use super::limits::{BODY_BYTES, HEAD_BYTES, HEAD_FIELDS};
use super::refusal::{Kind, Refusal};
use tiny_http::Method;

/// How the end of the body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(usize),
    Chunked,
}

/// The fields of a WebSocket handshake (RFC 6455 section 4.2.1), unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSocketAsk {
    pub version: String,
    pub key: String,
}

/// What a request line and its fields say.
#[derive(Clone, Debug)]
pub struct Head {
    pub method: Method,
    /// Origin form, ASCII.
    pub target: String,
    pub framing: Framing,
    pub expects_continue: bool,
    /// HTTP/1.0, which has neither chunks nor 100.
    pub old: bool,
    /// Another request may follow on this connection. Never in HTTP/1.0.
    pub keep_alive: bool,
    pub websocket: Option<WebSocketAsk>,
    pub host: Option<String>,
    pub origin: Option<String>,
    /// `Access-Control-Request-Method` is present: a browser asks before it sends the real request.
    pub preflight: bool,
    pub private_network: bool,
    /// What the handler may see: [`FORWARDED`] only, values in visible ASCII.
    pub fields: Vec<(&'static str, String)>,
}

/// Fields that are handed on to the handler, besides `Host` and `Origin`. Everything else, above all a client's own copies of the gate's fields, ends
/// here.
const FORWARDED: [&str; 6] =
    ["content-type", "user-agent", "if-match", "if-none-match", "sec-fetch-site", "accept-encoding"];

/// Those of them that may stand on several lines, which are one list (RFC 9110 section 5.3). Lists that are not handed
/// on, such as `Cookie`, may too.
const LISTS: [&str; 3] = ["if-match", "if-none-match", "accept-encoding"];

/// Reads a head from the start of `bytes`: `None` while it is incomplete, else the head and its length.
pub fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; HEAD_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(Refusal::head_too_large()),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(
                Kind::HeadTooLarge,
                format!("a request may have {HEAD_FIELDS} header fields at most"),
            ));
        }
        Err(httparse::Error::Version) => {
            return Err(Refusal::new(Kind::Version, "this server speaks HTTP/1.1 and HTTP/1.0"));
        }
        Err(error) => return Err(Refusal::malformed(error)),
    };
    if length > HEAD_BYTES {
        return Err(Refusal::head_too_large());
    }
    if has_bare_newline(&bytes[..length]) {
        return Err(Refusal::malformed("lines must end with CR LF"));
    }
    let old = request.version == Some(0);
    let method = method(request.method.unwrap_or_default())?;
    let fields = Fields(request.headers);
    let host = host(&fields, old)?;
    let target = target(&method, request.path.unwrap_or_default(), host.as_deref())?;
    let framing = framing(&fields, old)?;
    let expects_continue = match fields.list("expect") {
        Some(_) if old => false,
        None => false,
        Some(value) if value.split(',').all(|one| one.trim().eq_ignore_ascii_case("100-continue")) => true,
        Some(_) => return Err(Refusal::new(Kind::Expectation, "the only expectation known here is 100-continue")),
    };
    let upgrades = fields.has_token("upgrade", "websocket") && fields.has_token("connection", "upgrade");
    let websocket = match method {
        Method::Get if upgrades && !old => Some(WebSocketAsk {
            version: fields.one("sec-websocket-version")?.unwrap_or_default(),
            key: fields.one("sec-websocket-key")?.unwrap_or_default(),
        }),
        _ => None,
    };
    let mut forwarded = Vec::new();
    for name in FORWARDED {
        let value = if LISTS.contains(&name) { fields.list(name) } else { fields.one(name)? };
        forwarded.extend(value.map(|value| (name, value)));
    }
    let head = Head {
        target,
        framing,
        expects_continue,
        old,
        keep_alive: !old && !fields.has_token("connection", "close"),
        websocket,
        host,
        origin: fields.one("origin")?,
        preflight: method == Method::Options && fields.one("access-control-request-method")?.is_some(),
        private_network: fields.one("access-control-request-private-network")?.as_deref() == Some("true"),
        fields: forwarded,
        method,
    };
    Ok(Some((head, length)))
}

/// Methods that nobody takes end here.
fn method(text: &str) -> Result<Method, Refusal> {
    match text.parse() {
        Ok(Method::Connect | Method::Trace | Method::NonStandard(_)) | Err(()) => Err(Refusal::method()),
        Ok(method) => Ok(method),
    }
}

struct Fields<'a>(&'a [httparse::Header<'a>]);

impl Fields<'_> {
    fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s [u8]> {
        self.0.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// The value of a field that may stand once. Bytes outside visible ASCII become `?`.
    fn one(&self, name: &str) -> Result<Option<String>, Refusal> {
        let mut values = self.all(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Refusal::malformed(format!("the field {name} stands twice")));
        }
        Ok(Some(visible(value)))
    }

    /// The value of a field that is a list, from all of its lines.
    fn list(&self, name: &str) -> Option<String> {
        let lines: Vec<String> = self.all(name).map(visible).collect();
        if lines.is_empty() { None } else { Some(lines.join(", ")) }
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).any(|value| {
            value.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
        })
    }
}

fn visible(value: &[u8]) -> String {
    let visible = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' };
    value.iter().map(visible).collect::<String>().trim().to_owned()
}

fn host(fields: &Fields<'_>, old: bool) -> Result<Option<String>, Refusal> {
    match fields.one("host")? {
        None if !old => Err(Refusal::malformed("HTTP/1.1 requests need a Host field")),
        host => Ok(host),
    }
}

/// Origin form from what the request line says (RFC 9112 section 3.2): proxies' absolute form is cut if it names the same
/// host. `*` stays, for `OPTIONS` only.
fn target(method: &Method, text: &str, host: Option<&str>) -> Result<String, Refusal> {
    if text == "*" && *method == Method::Options {
        return Ok(text.to_owned());
    }
    let mut text = text;
    let mut target = String::with_capacity(text.len());
    if let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_web(scheme)) {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let default = default_port(&scheme.to_ascii_lowercase());
        let same = host.and_then(Authority::parse).zip(Authority::parse(authority));
        if !same.is_some_and(|(host, named)| host.is_same(&named, default)) {
            return Err(Refusal::malformed("the request line and the Host field name different hosts"));
        }
        text = &rest[authority.len()..];
        if !text.starts_with('/') {
            target.push('/');
        }
    } else if !text.starts_with('/') {
        return Err(Refusal::malformed("the request target must start with /"));
    }
    for byte in text.bytes() {
        match byte {
            b'#' => break,
            b'!'..=b'~' => target.push(char::from(byte)),
            b'\0'..=b' ' | 0x7f => return Err(Refusal::malformed("control characters in the request target")),
            _ => target.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(target)
}

fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// RFC 9112 section 6.3, without its leniencies: a request whose end could be read in two ways is refused.
fn framing(fields: &Fields<'_>, old: bool) -> Result<Framing, Refusal> {
    let length = fields.one("content-length")?;
    let Some(coding) = fields.one("transfer-encoding")? else {
        let Some(length) = length else { return Ok(Framing::Length(0)) };
        if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refusal::malformed("Content-Length must be one decimal number"));
        }
        return match length.parse() {
            Ok(length) if length <= BODY_BYTES => Ok(Framing::Length(length)),
            _ => Err(Refusal::body_too_large()),
        };
    };
    if length.is_some() {
        return Err(Refusal::malformed("Content-Length and Transfer-Encoding exclude each other"));
    }
    if old {
        return Err(Refusal::malformed("HTTP/1.0 has no Transfer-Encoding"));
    }
    if !coding.eq_ignore_ascii_case("chunked") {
        return Err(Refusal::new(Kind::Coding, "the only transfer coding known here is chunked"));
    }
    Ok(Framing::Chunked)
}

fn has_bare_newline(bytes: &[u8]) -> bool {
    let mut previous = 0;
    bytes.iter().any(|byte| {
        let bare = *byte == b'\n' && previous != b'\r';
        previous = *byte;
        bare
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Head, u16> {
        match parse(text.as_bytes()) {
            Ok(Some((head, length))) => {
                assert_eq!(length, text.len());
                Ok(head)
            }
            Ok(None) => panic!("incomplete: {text:?}"),
            Err(refusal) => Err(refusal.status()),
        }
    }

    fn fields(fields: &str) -> Result<Head, u16> {
        head(&format!("POST /api/webrtc HTTP/1.1\r\nHost: x\r\n{fields}\r\n"))
    }

    #[test]
    fn a_plain_request_is_taken() {
        let head =
            head("GET /a?b=c HTTP/1.1\r\nHost: x:1984\r\nUser-Agent: caf\u{e9}\r\nX-Porthole-Peer: 1.2.3.4\r\n\r\n");
        let head = head.unwrap();
        assert_eq!((head.method, head.target.as_str(), head.keep_alive), (Method::Get, "/a?b=c", true));
        assert_eq!(head.fields, [("user-agent", "caf??".to_string())]);
        assert_eq!(head.framing, Framing::Length(0));
    }

    #[test]
    fn an_incomplete_head_waits() {
        assert!(parse(b"GET / HTTP/1.1\r\nHost: x\r\n").unwrap().is_none());
        assert!(parse(b"").unwrap().is_none());
    }

    #[test]
    fn requests_with_two_meanings_are_refused() {
        for wrong in [
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            "Content-Length: 3, 3\r\n",
            "Content-Length: +3\r\n",
            "Content-Length: -3\r\n",
            "Content-Length: 0x3\r\n",
            "Content-Length:\r\n",
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length : 3\r\n",
            "X-A: b\r\n folded\r\n",
            "X-A: b\nX-B: c\r\n",
            "X-A: b\rc\r\n",
            "X-A: b\0c\r\n",
            "Host: y\r\n",
            "Origin: http://x\r\nOrigin: http://x\r\n",
        ] {
            assert_eq!(fields(wrong).unwrap_err(), 400, "{wrong:?}");
        }
        assert_eq!(fields("Transfer-Encoding: gzip, chunked\r\n").unwrap_err(), 501);
        assert_eq!(fields("Transfer-Encoding: identity\r\n").unwrap_err(), 501);
        assert_eq!(fields("Expect: magic\r\n").unwrap_err(), 417);
        assert_eq!(head("GET / HTTP/1.1\r\n\r\n").unwrap_err(), 400);
        assert_eq!(head("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap_err(), 400);
        assert_eq!(head("GET / HTTP/2.0\r\nHost: x\r\n\r\n").unwrap_err(), 505);
        assert_eq!(head("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap_err(), 405);
        assert_eq!(head("GET x HTTP/1.1\r\nHost: x\r\n\r\n").unwrap_err(), 400);
        assert_eq!(head("GET /\nHost: x\r\n\r\n").unwrap_err(), 400);
    }

    #[test]
    fn framing_is_read_from_length_or_chunks() {
        assert_eq!(fields("Content-Length: 0042\r\n").unwrap().framing, Framing::Length(42));
        assert_eq!(fields("Transfer-Encoding: Chunked\r\n").unwrap().framing, Framing::Chunked);
        assert_eq!(fields(&format!("Content-Length: {}\r\n", BODY_BYTES + 1)).unwrap_err(), 413);
        assert_eq!(fields("Content-Length: 99999999999999999999999999\r\n").unwrap_err(), 413);
    }

    #[test]
    fn sizes_are_bounded() {
        let many = "A: b\r\n".repeat(HEAD_FIELDS);
        assert_eq!(fields(&many).unwrap_err(), 431);
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(HEAD_BYTES));
        assert_eq!(parse(long.as_bytes()).unwrap_err().status(), 431);
    }

    #[test]
    fn the_target_becomes_origin_form_in_ascii() {
        let target = |line: &str| head(&format!("GET {line} HTTP/1.1\r\nHost: x:80\r\n\r\n")).map(|head| head.target);
        assert_eq!(target("http://x:80/a?b").unwrap(), "/a?b");
        assert_eq!(target("http://x:80").unwrap(), "/");
        assert_eq!(target("http://y/a").unwrap_err(), 400);
        assert_eq!(target("/küche").unwrap(), "/k%C3%BCche");
        assert_eq!(target("/a#b").unwrap(), "/a");
        assert_eq!(target("HTTP://x/a").unwrap(), "/a");
        assert_eq!(target("http://X:80?src=a").unwrap(), "/?src=a");
        assert_eq!(target("http://x#a/b").unwrap(), "/");
        assert_eq!(target("/http://y/").unwrap(), "/http://y/");
        for wrong in ["https://x/", "http://y?http://x:80/", "http://x:81/", "http://u@x:80/", "ftp://x:80/", "*", "?a"]
        {
            assert_eq!(target(wrong).unwrap_err(), 400, "{wrong}");
        }
        assert_eq!(head("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").unwrap().target, "*");
    }

    #[test]
    fn lists_may_stand_on_several_lines_and_are_one() {
        let head = fields(
            "Accept-Encoding: br\r\nIf-None-Match: \"a\"\r\nAccept-Encoding: gzip\r\nIf-None-Match: \"b\"\r\n\
             Cookie: a=b\r\nCookie: c=d\r\nAccept: a/b\r\nAccept: */*\r\nConnection: keep-alive\r\n\
             Connection: close\r\nExpect: 100-continue\r\nExpect: 100-Continue\r\n",
        );
        let head = head.unwrap();
        let value = |name: &str| head.fields.iter().find(|(have, _)| *have == name).map(|(_, value)| value.as_str());
        assert_eq!((value("accept-encoding"), value("if-none-match")), (Some("br, gzip"), Some("\"a\", \"b\"")));
        assert!(head.expects_continue && !head.keep_alive);
        assert_eq!(fields("Expect: 100-continue\r\nExpect: magic\r\n").unwrap_err(), 417);
        let ask = "GET /api/ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\
            Upgrade: websocket\r\nSec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n\r\n";
        assert!(self::head(ask).unwrap().websocket.is_some());
        for once in ["Content-Type", "Sec-Fetch-Site", "User-Agent"] {
            assert_eq!(fields(&format!("{once}: a\r\n{once}: a\r\n")).unwrap_err(), 400, "{once}");
        }
    }

    #[test]
    fn many_cookies_fit() {
        let cookies = format!("Cookie: {}\r\n", "a".repeat(9 * 1024));
        assert!(fields(&cookies).is_ok());
    }

    #[test]
    fn a_websocket_ask_is_recognised_among_tokens() {
        let ask = "GET /api/ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
            Sec-WebSocket-Key: k\r\nSec-WebSocket-Version: 13\r\n\r\n";
        let ask = head(ask).unwrap().websocket.unwrap();
        assert_eq!((ask.version.as_str(), ask.key.as_str()), ("13", "k"));
        assert!(head("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n").unwrap().websocket.is_none());
    }

    #[test]
    fn old_clients_get_one_response_for_each_connection() {
        let head = head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
        assert!(!head.keep_alive && head.host.is_none());
    }
}
