//! A response before it is bytes: status, fields, body. Error bodies are one line of plain text.
use super::limits::RETRY_AFTER;
use serde_json::Value;
use std::borrow::Cow;

/// What a route or a check answers. Never streamed: the largest bodies are the log and the list of streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub fields: Vec<(&'static str, String)>,
    pub body: Cow<'static, [u8]>,
}

impl Response {
    /// A response without a body.
    pub fn new(status: u16) -> Self {
        Self { status, fields: Vec::new(), body: Cow::Borrowed(b"") }
    }

    /// A sentence for people; the shape that go2rtc's clients know (`nosniff`, trailing newline).
    pub fn text(status: u16, sentence: impl Into<String>) -> Self {
        let mut text = sentence.into();
        text.push('\n');
        Self::new(status).body("text/plain; charset=utf-8", text.into_bytes())
    }

    pub fn json(value: &Value) -> Self {
        Self::new(200).body("application/json", value.to_string().into_bytes())
    }

    /// 405 with the methods that the address does take.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self::text(405, format!("this address takes only: {allow}")).with("Allow", allow)
    }

    pub fn body(mut self, content_type: &str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        self.body = body.into();
        self.with("Content-Type", content_type).with("X-Content-Type-Options", "nosniff")
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// The STUN and TURN servers that players shall use (RFC 9725 section 4.6), one field for each.
    pub fn with_links(self, links: &[String]) -> Self {
        links.iter().fold(self, |response, link| response.with("Link", link))
    }

    /// Tells the client when to come back.
    pub fn retry_later(self) -> Self {
        self.with("Retry-After", RETRY_AFTER.to_string())
    }

    /// The sentence of a response of [`Response::text`].
    pub fn sentence(&self) -> String {
        String::from_utf8_lossy(&self.body).trim_end().to_owned()
    }

    #[cfg(test)]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Statuses whose responses have neither a body nor a length (RFC 9110 section 8.6, 15.4.5).
pub fn has_no_body(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}
