//! A response's head as bytes, made by tiny_http: the status line, `Date`, the fields and the length.
use super::response::{Response, has_no_body};
use std::io;
use tiny_http::{HTTPVersion, Header, StatusCode};

/// tiny_http's word for the length of an empty body.
const NO_LENGTH: &[u8] = b"Content-Length: 0\r\n";
const END: &[u8] = b"\r\n";

/// `more` are complete further field lines. The body follows on its own, by the length that the head tells: HTTP/1.0
/// clients know nothing else.
pub fn head(response: &Response, more: &str, close: bool) -> Vec<u8> {
    let fields = response.fields.iter().map(|(name, value)| (*name, value.as_str())).chain([("Server", "porthole")]);
    let fields = fields.filter_map(|(name, value)| Header::from_bytes(name, value).ok()).collect();
    let length = Some(response.body.len());
    let answer = tiny_http::Response::new(StatusCode(response.status), fields, io::empty(), length, None);
    let mut bytes = Vec::new();
    // Memory takes whatever is written.
    let _ = answer.with_chunked_threshold(usize::MAX).raw_print(&mut bytes, HTTPVersion(1, 1), &[], true, None);
    cut(&mut bytes, END);
    if has_no_body(response.status) {
        cut(&mut bytes, NO_LENGTH);
    }
    bytes.extend_from_slice(more.as_bytes());
    if close {
        bytes.extend_from_slice(b"Connection: close\r\n");
    }
    bytes.extend_from_slice(END);
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

    fn text(response: Response, close: bool) -> String {
        String::from_utf8(head(&response, "Vary: Origin\r\n", close)).unwrap()
    }

    #[test]
    fn a_head_tells_status_fields_and_length_and_ends_once() {
        let long = Response::text(421, "x".repeat(100_000));
        let head = text(long, true);
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
            let head = text(Response::new(status), false);
            assert!(!head.contains("Content-Length") && head.ends_with("Vary: Origin\r\n\r\n"), "{head}");
        }
        assert!(text(Response::new(200), false).contains("Content-Length: 0\r\n"));
    }

    #[test]
    fn every_status_in_use_has_its_phrase() {
        for status in [
            200, 201, 204, 304, 400, 403, 404, 405, 406, 408, 409, 412, 413, 415, 417, 421, 422, 426, 431, 500, 501,
            502, 503, 504, 505,
        ] {
            assert!(!text(Response::new(status), false).contains("Unknown"), "{status}");
        }
    }
}
