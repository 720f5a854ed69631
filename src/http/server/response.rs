//! A response before it is bytes: status, fields, body. Error bodies are one line of plain text.
use super::body::{Body, Pieces};
use super::limits::RETRY_AFTER;
use serde_json::Value;
use std::borrow::Cow;
use tiny_http::Header;

/// What a handler or a check answers.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields, without those of the connection and of the body's length.
    pub fields: Vec<Header>,
    /// The body.
    pub body: Body,
}

impl Response {
    /// A response without a body.
    pub fn new(status: u16) -> Self {
        Self { status, fields: Vec::new(), body: Body::Bytes(Cow::Borrowed(b"")) }
    }

    /// A sentence for people; the shape that go2rtc's clients know (`nosniff`, trailing newline).
    pub fn text(status: u16, sentence: impl Into<String>) -> Self {
        let mut text = sentence.into();
        text.push('\n');
        Self::new(status).body("text/plain; charset=utf-8", text.into_bytes())
    }

    /// 200 with a JSON value.
    pub fn json(value: &Value) -> Self {
        Self::new(200).body("application/json", value.to_string().into_bytes())
    }

    /// 405 with the methods that the address does take.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self::text(405, format!("this address takes only: {allow}")).with("Allow", allow)
    }

    /// Gives it a body of known length.
    pub fn body(mut self, content_type: &str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        self.body = Body::Bytes(body.into());
        self.typed(content_type)
    }

    /// 200 with a body whose type nobody asked for.
    pub fn untyped(body: Vec<u8>) -> Self {
        Self { body: Body::Bytes(body.into()), ..Self::new(200) }
    }

    /// Gives it a body that is made while it is read. Nothing in between may keep it: proxies would wait for its end.
    pub fn stream(mut self, content_type: &str, pieces: Pieces) -> Self {
        self.body = Body::Stream(pieces);
        self.typed(content_type).with("Cache-Control", "no-store").with("X-Accel-Buffering", "no")
    }

    fn typed(self, content_type: &str) -> Self {
        self.with("Content-Type", content_type).with("X-Content-Type-Options", "nosniff")
    }

    /// Adds a field. One that is no ASCII text is left out.
    pub fn with(mut self, name: &'static str, value: impl AsRef<str>) -> Self {
        self.fields.extend(Header::from_bytes(name, value.as_ref()));
        self
    }

    /// Adds the STUN and TURN servers that players shall use (RFC 9725 section 4.6), one field for each.
    pub fn with_links(self, links: &[String]) -> Self {
        links.iter().fold(self, |response, link| response.with("Link", link))
    }

    /// Tells the client when to come back.
    pub fn retry_later(self) -> Self {
        self.with("Retry-After", RETRY_AFTER.to_string())
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|field| field.field.as_str().as_str().eq_ignore_ascii_case(name))
            .map(|field| field.value.as_str())
    }
}

/// Statuses whose responses have neither a body nor a length (RFC 9110 section 8.6, 15.4.5).
pub fn has_no_body(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}
