//! Why the server turns a request away before anybody is asked to answer it, and the one table from that to statuses.
use super::limits::{BODY_BYTES, HEAD_BYTES};
use super::response::Response;
use std::fmt;

/// Methods that some address takes; the rest ends at the server.
pub const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// What is wrong with a request, or with the moment that it comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is no HTTP, or could be understood in two ways.
    Malformed,
    /// A peer or a page that may not use this relay.
    Forbidden,
    /// A method that no address takes.
    Method,
    /// The client took too long to send it.
    TooSlow,
    /// Its body is beyond the bound.
    BodyTooLarge,
    /// It expects something else than `100-continue`.
    Expectation,
    /// It calls the relay by a name that the relay does not know as its own.
    UnknownHost,
    /// A version of the WebSocket protocol that is not spoken.
    WebSocketVersion,
    /// Its request line and fields are beyond the bound.
    HeadTooLarge,
    /// A transfer coding that is not known.
    Coding,
    /// As many connections or responses as can be are in use.
    Crowded,
    /// A version of HTTP that is not spoken.
    Version,
}

/// A request that is turned away, with the sentence that its sender shall read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// From which the status follows.
    pub kind: Kind,
    sentence: String,
}

impl Refusal {
    /// A refusal with its sentence.
    pub fn new(kind: Kind, sentence: impl Into<String>) -> Self {
        Self { kind, sentence: sentence.into() }
    }

    /// Not HTTP, or with two meanings: `wrong` says where.
    pub fn malformed(wrong: impl fmt::Display) -> Self {
        Self::new(Kind::Malformed, format!("malformed HTTP request: {wrong}"))
    }

    /// A body beyond [`BODY_BYTES`].
    pub fn body_too_large() -> Self {
        Self::new(Kind::BodyTooLarge, format!("a request body may have {BODY_BYTES} bytes at most"))
    }

    /// A head beyond [`HEAD_BYTES`].
    pub fn head_too_large() -> Self {
        let text = format!("the request line and the header fields may have {HEAD_BYTES} bytes at most");
        Self::new(Kind::HeadTooLarge, text)
    }

    /// A method that no address takes.
    pub fn method() -> Self {
        Self::new(Kind::Method, format!("this address takes only: {METHODS}"))
    }

    /// The status that follows from the kind.
    pub fn status(&self) -> u16 {
        match self.kind {
            Kind::Malformed => 400,
            Kind::Forbidden => 403,
            Kind::Method => 405,
            Kind::TooSlow => 408,
            Kind::BodyTooLarge => 413,
            Kind::Expectation => 417,
            Kind::UnknownHost => 421,
            Kind::WebSocketVersion => 426,
            Kind::HeadTooLarge => 431,
            Kind::Coding => 501,
            Kind::Crowded => 503,
            Kind::Version => 505,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        let response = Self::text(refusal.status(), refusal.sentence);
        match refusal.kind {
            Kind::Method => response.with("Allow", METHODS),
            Kind::WebSocketVersion => response.with("Upgrade", "websocket").with("Sec-WebSocket-Version", "13"),
            Kind::Crowded => response.retry_later(),
            _ => response,
        }
    }
}
