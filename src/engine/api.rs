//! What the doors (HTTP, WebSocket, share links) ask of the engine, and its answers and errors.
use crate::config::Publishers;
use crate::gather::scope::Scope;
use crate::rtc::negotiate::Mismatch;
use crate::rtc::sdp::{self, Remote, SdpError};
use serde_json::Value;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What kind of failure it was; the HTTP status follows from it in one table of the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The stream or session does not exist.
    NotFound,
    /// The caller's message is wrong and the text says where.
    BadRequest,
    /// Both sides are fine but share no codec.
    CodecMismatch,
    /// The source could not be opened, or did not answer in time.
    SourceFailed,
    /// Somebody else has the place that the caller wants.
    Conflict,
    /// The configuration does not let anybody do this.
    Forbidden,
    /// Understood, but not something that this relay does (an ICE restart where trickle is meant, …).
    Unprocessable,
    /// A precondition (`If-Match`) names another version of the session.
    PreconditionFailed,
    /// A bound is reached: too many sessions, too little memory.
    Full,
    /// The engine failed or is shutting down.
    Internal,
}

/// A failure with the sentence that the operator or player shall read.
#[derive(Clone, Debug)]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
    /// Of [`ErrorKind::CodecMismatch`]: what does not fit.
    pub mismatch: Option<Mismatch>,
}

impl From<Mismatch> for Error {
    fn from(mismatch: Mismatch) -> Self {
        Self { mismatch: Some(mismatch.clone()), ..Self::new(ErrorKind::CodecMismatch, mismatch.to_string()) }
    }
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), mismatch: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Which side of a stream an offer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// WHEP path, `?src=` on a strict viewer door.
    View,
    /// WHIP path, `?dst=`.
    Publish,
    /// `POST /api/webrtc?src=`: the offer's directions decide.
    FromOffer,
}

/// A description that came in, read by whoever brought it: the engine's thread, which moves all pictures, has no text to
/// read. What is wrong with it is said by the engine, which knows what else is.
#[derive(Clone, Debug)]
pub struct Description {
    pub read: Result<Arc<Remote>, SdpError>,
    /// As it came.
    #[cfg(test)]
    pub text: String,
}

impl From<&str> for Description {
    fn from(text: &str) -> Self {
        Self {
            read: sdp::parse(text).map(Arc::new),
            #[cfg(test)]
            text: text.to_owned(),
        }
    }
}

impl Description {
    /// # Errors
    /// If it was no description, or is of an offer that no answer of ours fits, with the line that is wrong.
    pub fn offer(&self) -> Result<Arc<Remote>, Error> {
        let remote = self.read.clone().map_err(|error| Error::new(ErrorKind::BadRequest, error.to_string()))?;
        remote.multiplexes().map_err(|error| Error::new(ErrorKind::Unprocessable, error.to_string()))?;
        Ok(remote)
    }
}

/// [`Offer::format`] of visitors by share links.
pub const BY_SHARE_LINK: &str = "webtorrent";

/// An offer that came in by any door.
#[derive(Clone, Debug)]
pub struct Offer {
    pub stream: String,
    pub intent: Intent,
    pub sdp: Description,
    /// The layer to take of a publisher's picture that comes in several.
    pub layer: Option<String>,
    /// Name of the door as `/api/streams` shows it: `webrtc/json`, `webrtc/whep`, `webrtc/post`, `webrtc/whip`, `webrtc` (WebSocket).
    pub format: &'static str,
    /// `http` or `ws`.
    pub protocol: &'static str,
    pub user_agent: String,
    /// Peer of the HTTP connection; of a visitor by share link what it says itself.
    pub remote: SocketAddr,
    /// The literal address in the `Host` header, by which the client called us.
    pub host: Option<IpAddr>,
}

/// Our answer to an [`Offer`].
#[derive(Clone, Debug)]
pub struct Answer {
    /// 128 random bits as 32 hexadecimal digits.
    pub id: String,
    /// Complete answer, candidates included.
    pub sdp: String,
    /// The same candidates as lines without `a=` (`candidate:… 1 udp … typ host`), for trickling doors.
    pub candidates: Vec<String>,
    /// Further candidates may come: see [`Command::LateCandidates`].
    pub more: bool,
    /// Strong entity tag with its quotes (`"1f3a…"`); names the ICE generation.
    pub etag: String,
    /// A viewer's session that takes sound: see [`Command::Talk`].
    pub talks: bool,
}

/// What a PATCH or a WebSocket brings of the peer's candidates.
#[derive(Clone, Debug, Default)]
pub struct Trickle {
    /// Candidate lines without `a=`.
    pub candidates: Vec<String>,
    /// `ice-ufrag` and `ice-pwd` of the fragment, if it carries them. Other ones than the session's ask for an ICE restart.
    pub credentials: Option<(String, String)>,
    /// `If-Match` as received: `None` if the header is absent.
    pub if_match: Option<String>,
}

/// Outcome of [`Command::Trickle`].
#[derive(Clone, Debug)]
pub enum Trickled {
    /// Candidates taken: HTTP 204.
    Taken,
    /// ICE restarted: HTTP 200 with our new credentials and candidates and a new entity tag.
    Restarted { fragment: String, etag: String },
}

/// Where the answer to one question goes. Dropped without an answer, it tells the asker that there will be none.
pub struct Reply<T>(Box<dyn Waiter<T> + Send>);

/// Whoever waits for an answer.
pub trait Waiter<T> {
    /// Nobody waits any more.
    fn is_gone(&self) -> bool;

    /// # Errors
    /// The answer, if nobody waits for it any more.
    fn answer(self: Box<Self>, answer: Result<T, Error>) -> Result<(), Result<T, Error>>;
}

impl<T> Reply<T> {
    pub fn new(waiter: impl Waiter<T> + Send + 'static) -> Self {
        Self(Box::new(waiter))
    }

    pub fn is_closed(&self) -> bool {
        self.0.is_gone()
    }

    /// # Errors
    /// The answer, if nobody waits for it any more.
    pub fn send(self, answer: Result<T, Error>) -> Result<(), Result<T, Error>> {
        self.0.answer(answer)
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

/// Hears whether a viewer's microphone is heard: `false` each time its sound is refused because somebody else talks,
/// `true` once it is heard after all. Answers false when nobody listens any more.
pub struct TalkEvents(Box<dyn FnMut(bool) -> bool + Send>);

impl TalkEvents {
    pub fn new(listener: impl FnMut(bool) -> bool + Send + 'static) -> Self {
        Self(Box::new(listener))
    }

    /// False: nobody listens any more.
    pub fn tell(&mut self, heard: bool) -> bool {
        (self.0)(heard)
    }
}

impl fmt::Debug for TalkEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TalkEvents")
    }
}

/// One question to the engine. `reply` is dropped unanswered only when the engine ends.
#[derive(Debug)]
pub enum Command {
    Offer {
        offer: Offer,
        reply: Reply<Answer>,
    },
    /// Another offer in a session.
    Reoffer {
        id: String,
        sdp: Description,
        reply: Reply<Option<Answer>>,
    },
    /// Whoever asks hears from now on whether a viewer's microphone is heard.
    Talk {
        id: String,
        events: TalkEvents,
        reply: Reply<()>,
    },
    Trickle {
        id: String,
        trickle: Trickle,
        reply: Reply<Trickled>,
    },
    /// Candidates of a session that were not known when it was answered; answered when they are, or never will be.
    LateCandidates {
        id: String,
        reply: Reply<Vec<String>>,
    },
    Close {
        id: String,
        reply: Reply<()>,
    },
    /// Does the session exist? Answers its entity tag.
    Etag {
        id: String,
        reply: Reply<String>,
    },
    /// All streams as `/api/streams` shows them.
    Streams {
        reply: Reply<Value>,
    },
    /// One stream as `/api/streams?src=` shows it.
    Stream {
        name: String,
        reply: Reply<Value>,
    },
    /// Starts the stream's sources, waits for their tracks, answers the stream.
    Probe {
        name: String,
        video: Option<String>,
        audio: Option<String>,
        microphone: Option<String>,
        reply: Reply<Value>,
    },
    /// May a stream of this name be put, with these sources?
    MayPut {
        name: String,
        sources: Vec<String>,
        scope: Scope,
        reply: Reply<()>,
    },
    /// Creates or replaces a stream (sources already checked by the front); `scope` says where those that are new may lead.
    /// Without rules for publishers it keeps its own.
    PutStream {
        name: String,
        sources: Vec<String>,
        scope: Scope,
        publishers: Option<Publishers>,
        reply: Reply<()>,
    },
    DeleteStream {
        name: String,
        reply: Reply<()>,
    },
    /// Live figures of one session for the player page.
    Session {
        id: String,
        reply: Reply<Value>,
    },
    /// What the doctor finds. The clocks are seconds since 1970: this machine's, and the asker's where it told.
    Doctor {
        clock_s: u64,
        asker_clock_s: Option<u64>,
        reply: Reply<Value>,
    },
    /// Does the engine turn, and is nothing overdue in it? Answers what is.
    Pulse {
        reply: Reply<Option<String>>,
    },
    /// The machine's own state: listeners, candidates, counts.
    Status {
        reply: Reply<Value>,
    },
}
