//! A source as the engine sees it: events come in, orders go out. What speaks to a camera lives above the engine.
use crate::gather::scope::Scope;
use crate::media::codec::Codec;
use crate::media::packet::Packet;
use crate::media::track::TrackInfo;
use crate::rtc::route::Route;
use bytes::Bytes;
use std::time::Instant;

pub use crate::base::source_error::{SourceError, SourceErrorKind};

/// Names one run of a source, so that events of a run that was given up can't be taken for those of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub u64);

/// What a source tells the engine.
#[derive(Debug)]
pub enum SourceEvent {
    /// How far the source is, for lists.
    Progress(Progress),
    /// The source is live with these tracks; sent before any packet, and again when they are others.
    Tracks(Vec<TrackInfo>),
    /// Packets of track number `track` (index into `Tracks`), in order.
    Packets { track: usize, packets: Vec<Packet> },
    /// What the camera's loudspeaker takes, best first; nothing if this never comes. Sent before `Tracks`.
    Backchannel(Vec<Codec>),
    /// The camera tied a moment to a timestamp of a track, by its sender reports.
    Clock { track: usize, at: Instant, timestamp: u32 },
    /// The source ended by itself, or could not be opened.
    Ended(SourceError),
}

/// How far a source is that is called over a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// `signalling`, `checking`, `handshaking`, `waiting for media` or `connected`; empty where there is nothing to tell.
    pub state: &'static str,
    /// The way that media takes.
    pub route: Option<Route>,
}

/// What the engine asks of a running source.
#[derive(Clone, Debug)]
pub enum SourceRequest {
    /// A viewer needs a keyframe of this track soon; a source that can't make one ignores this.
    Keyframe { track: usize },
    /// Plays this on the camera's loudspeaker; only to sources that told their `Backchannel`.
    Sound(Sound),
}

/// One packet of somebody's voice.
#[derive(Clone, Debug)]
pub struct Sound {
    /// Tells talkers apart: each has a clock of its own.
    pub talker: u32,
    pub codec: Codec,
    /// In the codec's clock.
    pub timestamp: u32,
    pub payload: Bytes,
}

/// What the URL of a source says, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFacts {
    /// The URL without its secrets.
    pub public_url: String,
    /// The name of its kind for lists: `test`, `webrtc/creality`.
    pub format: String,
    /// How signalling goes: `http`, `ws`, or nothing.
    pub protocol: &'static str,
    /// Names the camera if it serves one session at a time: nobody may call it twice.
    pub exclusive: Option<String>,
}

/// What the engine asks about URLs of sources; whoever opens them knows.
pub trait SourceUrls: Send + Sync {
    fn facts(&self, url: &str) -> SourceFacts;

    /// May a URL that somebody with this scope wrote become a source?
    ///
    /// # Errors
    /// If it leads where it may not: a sentence that says what to do instead.
    fn check_scope(&self, url: &str, scope: Scope) -> Result<(), String>;
}
