//! Requests, their bodies, and the messages of WebSockets.
use super::script::cuts;
use super::{Target, texts};
use crate::http::api::trickle::MAX_LINE;
use crate::http::api::ws_messages::{self as dialect, Ask, Dialect};
use crate::http::server::chunked::Chunked;
use crate::http::server::head::{self, Framing, Head};
use crate::http::server::limits::{BODY_BYTES, HEAD_BYTES, HEAD_FIELDS};
use crate::http::server::percent::decode_path;
use crate::http::server::request::Request;
use crate::net::websocket::bounds;
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

pub const TARGETS: &[Target] = &[
    Target { name: "http_head", max: HEAD_BYTES + 256, run: request, seeds: || texts(REQUESTS) },
    Target { name: "chunked", max: 8 << 10, run: chunks, seeds: || texts(CHUNKS) },
    Target { name: "websocket_message", max: 16 << 10, run: message, seeds: || texts(MESSAGES) },
    Target { name: "websocket_frames", max: 8 << 10, run: frames, seeds: frame_seeds },
];

const REQUESTS: &[&str] = &[
    "GET /api/streams?src=a%20b&video HTTP/1.1\r\nHost: relay.lan:1984\r\nUser-Agent: x\r\nAccept-Encoding: gzip;q=0.5\r\n\r\n",
    "POST /cam/whep HTTP/1.1\r\nHost: [fd00::1]:1984\r\nContent-Length: 5\r\nContent-Type: application/sdp; a=b\r\n\
     Expect: 100-continue\r\nOrigin: http://x\r\nIf-Match: \"a\"\r\n\r\nhello",
    "PATCH /s/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close, Upgrade\r\n\r\n0\r\n\r\n",
    "GET /api/ws?src=a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-Fetch-Site: same-origin\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: x\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Private-Network: true\r\n\r\n",
    "GET HTTP://x:80?a#b HTTP/1.0\r\nHost: x\r\n\r\n",
];
const CHUNKS: &[&str] =
    &["5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n", "0\r\n\r\n", "fffffffffffffff\r\n"];
const MESSAGES: &[&str] = &[
    r#"{"type":"webrtc/offer","value":"v=0","session":"0a1b"}"#,
    r#"{"type":"webrtc","value":{"type":"offer","sdp":"v=0","ice_servers":[{"urls":["stun:x"]}]}}"#,
    r#"{"type":"webrtc/candidate","value":"a=candidate:1 1 udp 1 10.0.0.2 9 typ host"}"#,
    r#"{"type":"mse","value":"avc1.640029"}"#,
];

/// Visible ASCII and blanks.
fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A head has one meaning, and the same one however it comes.
fn request(bytes: &[u8]) {
    let Ok(Some((head, length))) = head::parse(bytes) else { return };
    assert!(length <= HEAD_BYTES && length <= bytes.len());
    let text = String::from_utf8_lossy(&bytes[..length]).to_ascii_lowercase();
    one_meaning(&head, &text);
    let again = head::parse(&bytes[..length]).unwrap_or_else(|_| panic!("refused alone: {text:?}"));
    let (again, same) = again.expect("complete");
    assert_eq!((&again.target, again.framing, &again.fields, same), (&head.target, head.framing, &head.fields, length));
    for cut in cuts(&bytes[..length - 1]) {
        assert!(!matches!(head::parse(&bytes[..cut]), Ok(Some(_))), "{text:?} ends at {cut}");
    }
    let request = Request::new(head, ([127, 0, 0, 1], 1).into(), Vec::new());
    let _ = request.host_address();
    assert!(request.query.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= 3 * length);
    assert!(decode_path(&request.path).is_none_or(|path| !path.contains(char::is_control)));
}

fn one_meaning(head: &Head, text: &str) {
    assert!(head.target.starts_with('/') || head.target == "*", "{head:?}");
    assert!(head.target.bytes().all(|byte| byte.is_ascii_graphic()), "{head:?}");
    let texts = head.fields.iter().map(|(_, value)| value).chain(&head.host).chain(&head.origin);
    assert!(head.fields.len() <= HEAD_FIELDS && texts.into_iter().all(|text| is_visible(text)), "{head:?}");
    let count = |name: &str| text.split("\r\n").filter(|line| line.split(':').next() == Some(name)).count();
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    assert!(lengths + codings <= 1, "two ways to read it: {text:?}");
    match head.framing {
        Framing::Length(length) => assert!(length <= BODY_BYTES && codings == 0, "{text:?}"),
        Framing::Chunked => assert!(codings == 1 && text.contains("http/1.1"), "{text:?}"),
    }
    assert!(count("host") <= 1 && count("origin") <= 1, "{text:?}");
}

/// The body, and how many bytes it took; a status where it is refused.
fn unchunk(parts: &[&[u8]]) -> Result<Option<(Vec<u8>, usize)>, u16> {
    let (mut decoder, mut body, mut rest, mut used) = (Chunked::default(), Vec::new(), Vec::new(), 0);
    for part in parts {
        rest.extend_from_slice(part);
        let length = decoder.feed(&rest, &mut body).map_err(|refusal| refusal.status())?;
        rest.drain(..length);
        used += length;
        if decoder.is_done() {
            return Ok(Some((body, used)));
        }
    }
    Ok(None)
}

/// A chunked body is the same however it is cut.
fn chunks(bytes: &[u8]) {
    let whole = unchunk(&[bytes]);
    let [first, second] = cuts(bytes);
    assert_eq!(unchunk(&[&bytes[..first], &bytes[first..second], &bytes[second..]]), whole);
    assert_eq!(unchunk(&bytes.chunks(1).collect::<Vec<_>>()), whole);
    if let Ok(Some((body, used))) = whole {
        assert!(body.len() + 5 <= used && used <= bytes.len() && body.len() <= BODY_BYTES);
        let mut written = Vec::new();
        body.chunks(1 + first % 64).for_each(|chunk| {
            written.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            written.extend_from_slice(chunk);
            written.extend_from_slice(b"\r\n");
        });
        written.extend_from_slice(b"0\r\n\r\n");
        assert_eq!(unchunk(&[&written]), Ok(Some((body, written.len()))));
    }
}

/// What a message asks for is no longer than the message, and written by a client again it asks for the same.
fn message(bytes: &[u8]) {
    let Some(ask) = dialect::parse(bytes) else { return };
    let again = match &ask {
        Ask::Offer { dialect, sdp, session } => {
            assert!(sdp.len() + session.as_ref().map_or(0, String::len) <= bytes.len());
            let value = if *dialect == Dialect::Bare { json!(sdp) } else { json!({"type": "offer", "sdp": sdp}) };
            let mut message = json!({"type": dialect.request(), "value": value});
            if let Some(session) = session {
                message["session"] = json!(session);
            }
            message.to_string()
        }
        Ask::Candidate(line) => {
            assert!(line.len() <= MAX_LINE);
            // only the first `a=` is none of the line's
            json!({"type": "webrtc/candidate", "value": format!("a={line}")}).to_string()
        }
        Ask::Refused(text) => {
            assert!(text.len() <= 128);
            let _: Value = serde_json::from_str(&dialect::error(text)).expect("JSON");
            return;
        }
        Ask::Ignored => return,
    };
    if !matches!(&ask, Ask::Candidate(line) if line.len() + 2 > MAX_LINE) {
        assert_eq!(dialect::parse(again.as_bytes()), Some(ask));
    }
}

/// A stream that brings its bytes in pieces of this size.
struct Pieces<'a> {
    rest: &'a [u8],
    size: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.size.min(buffer.len()).min(self.rest.len());
        let (now, later) = self.rest.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.rest = later;
        Ok(count)
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Longest message of [`frames`].
const MAX_MESSAGE: usize = 1024;

fn received(rest: &[u8], size: usize, role: Role) -> Vec<Message> {
    let mut socket = WebSocket::from_raw_socket(Pieces { rest, size }, role, Some(bounds(MAX_MESSAGE)));
    let mut messages = Vec::new();
    while let Ok(message) = socket.read() {
        assert!(message.len() <= MAX_MESSAGE);
        messages.push(message);
    }
    messages
}

/// Messages are in bounds and the same however their frames are cut, for both ends.
fn frames(bytes: &[u8]) {
    for role in [Role::Server, Role::Client] {
        let whole = received(bytes, usize::MAX, role);
        // For a close with a code that there is none of the library has words of its own.
        let said = whole.iter().filter(|message| !message.is_close());
        assert!(said.map(Message::len).sum::<usize>() <= bytes.len());
        assert_eq!(received(bytes, 1 + cuts(bytes)[0] % 9, role), whole);
        for message in whole {
            if let Message::Text(text) = message {
                dialect::parse(text.as_bytes());
            }
        }
    }
}

fn frame_seeds() -> Vec<Vec<u8>> {
    let text = MESSAGES[0].as_bytes();
    let masked = [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text].concat();
    let fragments: &[u8] = b"\x01\x83\0\0\0\0abc\x89\x80\0\0\0\0\x80\x82\0\0\0\0de\x88\x80\0\0\0\0";
    let client: &[u8] = b"\x81\x02{}\x82\x7e\0\x80";
    vec![masked, fragments.to_vec(), [client, &[7; 128]].concat()]
}
