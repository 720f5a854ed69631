//! The door between the front (HTTP, WebSocket) and the engine: questions go in, answers come out.
//! All streams and sessions live on the engine's thread; nothing here locks.
use crate::config::{Publishers, Stream};
use crate::gather::scope::Scope;
use crate::rtc::sdp::{self, Remote, SdpError};
use serde_json::Value;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

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
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
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

/// The relay's answer to an [`Offer`].
#[derive(Clone, Debug)]
pub struct Answer {
    /// 128 random bits as 32 hexadecimal digits.
    pub id: String,
    /// Complete answer, candidates included.
    pub sdp: String,
    /// The same candidates as lines without `a=` (`candidate:… 1 udp … typ host`), for trickling doors.
    pub candidates: Vec<String>,
    /// Further candidates may come: see [`Relay::late_candidates`].
    pub more: bool,
    /// Strong entity tag with its quotes (`"1f3a…"`); names the ICE generation.
    pub etag: String,
    /// A viewer's session that takes sound: see [`Relay::turns`].
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

/// Outcome of [`Relay::trickle`].
#[derive(Clone, Debug)]
pub enum Trickled {
    /// Candidates taken: HTTP 204.
    Taken,
    /// ICE restarted: HTTP 200 with our new credentials and candidates and a new entity tag.
    Restarted { fragment: String, etag: String },
}

/// One question to the engine. `reply` is dropped unanswered only when the engine ends.
#[derive(Debug)]
pub enum Command {
    Offer {
        offer: Offer,
        reply: oneshot::Sender<Result<Answer, Error>>,
    },
    /// Another offer in a session.
    Reoffer {
        id: String,
        sdp: Description,
        reply: oneshot::Sender<Result<Option<Answer>, Error>>,
    },
    /// Whoever asks is told how a viewer's words fare.
    Turns {
        id: String,
        reply: oneshot::Sender<Result<mpsc::Receiver<bool>, Error>>,
    },
    Trickle {
        id: String,
        trickle: Trickle,
        reply: oneshot::Sender<Result<Trickled, Error>>,
    },
    LateCandidates {
        id: String,
        reply: oneshot::Sender<Result<Vec<String>, Error>>,
    },
    Close {
        id: String,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// Does the session exist? Answers its entity tag.
    Etag {
        id: String,
        reply: oneshot::Sender<Result<String, Error>>,
    },
    /// All streams as `/api/streams` shows them.
    Streams {
        reply: oneshot::Sender<Result<Value, Error>>,
    },
    /// One stream as `/api/streams?src=` shows it.
    Stream {
        name: String,
        reply: oneshot::Sender<Result<Value, Error>>,
    },
    /// Starts the stream's sources, waits for their tracks, answers the stream.
    Probe {
        name: String,
        video: Option<String>,
        audio: Option<String>,
        microphone: Option<String>,
        reply: oneshot::Sender<Result<Value, Error>>,
    },
    /// May a stream of this name be put, with these sources?
    MayPut {
        name: String,
        sources: Vec<String>,
        scope: Scope,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// Creates or replaces a stream (sources already checked by the front); `scope` says where those that are new may lead.
    /// Without rules for publishers it keeps its own.
    PutStream {
        name: String,
        sources: Vec<String>,
        scope: Scope,
        publishers: Option<Publishers>,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    DeleteStream {
        name: String,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    /// Live figures of one session for the player page; see `Relay::session`.
    Session {
        id: String,
        reply: oneshot::Sender<Result<Value, Error>>,
    },
    /// What the doctor finds; `clock` is the asker's, in seconds since 1970.
    Doctor {
        clock: Option<u64>,
        reply: oneshot::Sender<Result<Value, Error>>,
    },
    /// Does the engine turn, and is nothing overdue in it? Answers what is.
    Pulse {
        reply: oneshot::Sender<Result<Option<String>, Error>>,
    },
    /// The machine's own state: listeners, candidates, counts.
    Status {
        reply: oneshot::Sender<Result<Value, Error>>,
    },
}

/// Questions that may wait for the engine at one time; more wait in their callers.
pub const COMMAND_QUEUE: usize = 64;

/// A handle to the engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct Relay {
    commands: mpsc::Sender<Command>,
}

impl Relay {
    /// The handle and the engine's end of it.
    pub fn new() -> (Relay, mpsc::Receiver<Command>) {
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        (Relay { commands }, receiver)
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Command) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let stopping = || Error::new(ErrorKind::Internal, "the relay is shutting down");
        self.commands.send(question(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// Answers an offer. Host candidates only, so nothing waits for the network; a source that must be
    /// dialled first may take up to the signalling deadline.
    pub async fn offer(&self, offer: Offer) -> Result<Answer, Error> {
        self.ask(|reply| Command::Offer { offer, reply }).await
    }

    /// Answers another offer in a session, which goes on; `None` if the offer is not of this session and wants one of its own.
    pub async fn reoffer(&self, id: &str, sdp: Description) -> Result<Option<Answer>, Error> {
        self.ask(|reply| Command::Reoffer { id: id.to_owned(), sdp, reply }).await
    }

    /// How what a viewer says fares from now on: false as often as it is refused, because somebody else talks, true when it is
    /// heard after all. That it is refused now comes first.
    pub async fn turns(&self, id: &str) -> Result<mpsc::Receiver<bool>, Error> {
        self.ask(|reply| Command::Turns { id: id.to_owned(), reply }).await
    }

    pub async fn trickle(&self, id: &str, trickle: Trickle) -> Result<Trickled, Error> {
        self.ask(|reply| Command::Trickle { id: id.to_owned(), trickle, reply }).await
    }

    /// Candidates of a session that were not known when it was answered; waits until they are, or never will be.
    pub async fn late_candidates(&self, id: &str) -> Result<Vec<String>, Error> {
        self.ask(|reply| Command::LateCandidates { id: id.to_owned(), reply }).await
    }

    /// Ends a session; both ends are free when this returns.
    pub async fn close(&self, id: &str) -> Result<(), Error> {
        self.ask(|reply| Command::Close { id: id.to_owned(), reply }).await
    }

    pub async fn etag(&self, id: &str) -> Result<String, Error> {
        self.ask(|reply| Command::Etag { id: id.to_owned(), reply }).await
    }

    pub async fn streams(&self) -> Result<Value, Error> {
        self.ask(|reply| Command::Streams { reply }).await
    }

    pub async fn stream(&self, name: &str) -> Result<Value, Error> {
        self.ask(|reply| Command::Stream { name: name.to_owned(), reply }).await
    }

    /// Each of `video`, `audio`, `microphone` is the query value when the parameter is present (`""` = any).
    pub async fn probe(
        &self,
        name: &str,
        video: Option<String>,
        audio: Option<String>,
        microphone: Option<String>,
    ) -> Result<Value, Error> {
        self.ask(|reply| Command::Probe { name: name.to_owned(), video, audio, microphone, reply }).await
    }

    /// Fails with what [`Self::put_stream`] would fail with, and changes nothing.
    pub async fn may_put(&self, name: &str, sources: Vec<String>, scope: Scope) -> Result<(), Error> {
        self.ask(|reply| Command::MayPut { name: name.to_owned(), sources, scope, reply }).await
    }

    /// Makes or changes a stream at somebody's wish; `scope` says where sources that are new may lead.
    pub async fn put_stream(&self, name: &str, sources: Vec<String>, scope: Scope) -> Result<(), Error> {
        self.ask(|reply| Command::PutStream { name: name.to_owned(), sources, scope, publishers: None, reply }).await
    }

    /// Makes a stream what the configuration says.
    pub async fn set_stream(&self, name: &str, stream: Stream) -> Result<(), Error> {
        let (Stream { sources, publishers }, scope) = (stream, Scope::Any);
        self.ask(|reply| Command::PutStream {
            name: name.to_owned(),
            sources,
            scope,
            publishers: Some(publishers),
            reply,
        })
        .await
    }

    pub async fn delete_stream(&self, name: &str) -> Result<(), Error> {
        self.ask(|reply| Command::DeleteStream { name: name.to_owned(), reply }).await
    }

    /// `{state, stream, path:{protocol,local,remote}|null, codecs, sent:{packets,bytes,retransmitted}, loss, rtt_ms, reason}`.
    pub async fn session(&self, id: &str) -> Result<Value, Error> {
        self.ask(|reply| Command::Session { id: id.to_owned(), reply }).await
    }

    /// `{machine, streams, sessions, past, findings}`; see `doctor`.
    pub async fn doctor(&self, clock: Option<u64>) -> Result<Value, Error> {
        self.ask(|reply| Command::Doctor { clock, reply }).await
    }

    /// Answers as soon as the engine's loop turns: `None`, or what should have been done long ago.
    pub async fn pulse(&self) -> Result<Option<String>, Error> {
        self.ask(|reply| Command::Pulse { reply }).await
    }

    /// `{listen:[…], candidates:[…], sessions, streams, …}`.
    pub async fn status(&self) -> Result<Value, Error> {
        self.ask(|reply| Command::Status { reply }).await
    }
}
