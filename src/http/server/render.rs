//! A response's head as bytes, made by tiny_http: the status line, `Date`, the fields and the length.
use super::body::Body;
use super::response::{Response, has_no_body};
use std::io;
use tiny_http::{HTTPVersion, Header, StatusCode};

/// tiny_http's word for the length of an empty body.
const NO_LENGTH: &[u8] = b"Content-Length: 0\r\n";
const END: &[u8] = b"\r\n";

/// How the client knows where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By its length, or by its chunks if it is a stream. Another response may follow.
    Told,
    /// The same, and the connection ends behind it.
    ToldLast,
    /// By its length, or with the connection if it is a stream: HTTP/1.0 knows no chunks. The connection ends in any case.
    Close,
}

/// The head of a response. `more` are complete further field lines. The body follows on its own.
pub fn head(response: &Response, more: &str, ending: Ending) -> Vec<u8> {
    let is_stream = matches!(response.body, Body::Stream(_));
    let chunks = is_stream && ending != Ending::Close;
    let mut bytes = printed(response, (!chunks).then(|| response.body.bytes().len()), None);
    if has_no_body(response.status) || (is_stream && !chunks) {
        cut(&mut bytes, NO_LENGTH);
    }
    bytes.extend_from_slice(more.as_bytes());
    // The one field of ours that tiny_http takes for its own.
    if let Some(protocol) = response.field("Upgrade") {
        bytes.extend_from_slice(format!("Connection: upgrade\r\nUpgrade: {protocol}\r\n").as_bytes());
    }
    if ending != Ending::Told {
        bytes.extend_from_slice(b"Connection: close\r\n");
    }
    bytes.extend_from_slice(END);
    bytes
}

/// The head that turns the connection into one of another protocol.
pub fn switch(response: &Response, protocol: &str) -> Vec<u8> {
    let mut bytes = printed(response, None, Some(protocol));
    bytes.extend_from_slice(END);
    bytes
}

/// Without the empty line at its end. No length stands for chunks.
fn printed(response: &Response, length: Option<usize>, protocol: Option<&str>) -> Vec<u8> {
    let mut fields = response.fields.clone();
    fields.extend(Header::from_bytes("Server", "porthole"));
    let answer = tiny_http::Response::new(StatusCode(response.status), fields, io::empty(), length, None);
    let mut bytes = Vec::new();
    // Memory takes whatever is written.
    let _ = answer.with_chunked_threshold(usize::MAX).raw_print(&mut bytes, HTTPVersion(1, 1), &[], true, protocol);
    cut(&mut bytes, END);
    bytes
}

fn cut(bytes: &mut Vec<u8>, end: &[u8]) {
    if bytes.ends_with(end) {
        bytes.truncate(bytes.len() - end.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(response: Response, ending: Ending) -> String {
        String::from_utf8(head(&response, "Vary: Origin\r\n", ending)).unwrap()
    }

    #[test]
    fn a_head_tells_status_fields_and_length_and_ends_once() {
        let long = Response::text(421, "x".repeat(100_000));
        let head = text(long, Ending::ToldLast);
        assert!(head.starts_with("HTTP/1.1 421 Misdirected Request\r\n"), "{head}");
        for line in ["Server: porthole", "Content-Length: 100001", "Vary: Origin", "Connection: close"] {
            assert_eq!(head.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line}: {head}");
        }
        assert!(head.contains("\r\nDate: ") && !head.contains("Transfer-Encoding"), "{head}");
        assert!(head.ends_with("\r\n\r\n") && head.matches("\r\n\r\n").count() == 1, "{head}");
    }

    #[test]
    fn what_has_no_body_has_no_length() {
        for status in [204, 304] {
            let head = text(Response::new(status), Ending::Told);
            assert!(!head.contains("Content-Length") && head.ends_with("Vary: Origin\r\n\r\n"), "{head}");
        }
        assert!(text(Response::new(200), Ending::Told).contains("Content-Length: 0\r\n"));
    }

    #[test]
    fn a_stream_comes_in_chunks_or_ends_with_the_connection() {
        let stream = || Response::new(200).stream("text/plain", Box::pin(futures_util::stream::empty()));
        for (ending, chunks, close) in
            [(Ending::Told, true, false), (Ending::ToldLast, true, true), (Ending::Close, false, true)]
        {
            let head = text(stream(), ending);
            assert_eq!(head.contains("\r\nTransfer-Encoding: chunked\r\n"), chunks, "{head}");
            assert_eq!(head.contains("\r\nConnection: close\r\n"), close, "{head}");
            assert!(!head.contains("Content-Length"), "{head}");
        }
    }

    #[test]
    fn who_must_change_the_protocol_is_told_to_which() {
        let head = text(Response::text(426, "speak").with("Upgrade", "websocket"), Ending::Told);
        assert!(head.contains("\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"), "{head}");
        let head = String::from_utf8(switch(&Response::new(101), "websocket")).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(head.contains("\r\nUpgrade: websocket\r\n") && !head.contains("Content-Length"), "{head}");
    }

    #[test]
    fn every_status_in_use_has_its_phrase() {
        for status in [
            200, 201, 204, 304, 307, 400, 403, 404, 405, 406, 408, 409, 412, 413, 415, 417, 421, 422, 426, 431, 500,
            501, 502, 503, 504, 505,
        ] {
            assert!(!text(Response::new(status), Ending::Told).contains("Unknown"), "{status}");
        }
    }
}
