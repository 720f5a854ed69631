//! A stream in the engine: its sources and publisher, who watches, and who waits.
use super::producer::{Producer, Running};
use crate::config::{PublisherPolicy, Publishers};
use crate::engine::api::{Answer, Error, ErrorKind, Offer, Reply};
use crate::engine::keys::{PeerKey, TrackKey};
use crate::engine::media::track::Track;
use crate::engine::source::SourceErrorKind;
use crate::media::codec::{Codec, Kind};
use crate::stream::floor::Floor;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Whoever waits for a source is answered within this time.
pub const WAITING_DEADLINE: Duration = Duration::from_secs(10);
/// Requests that wait for one stream at one time.
const MAX_WAITING: usize = 64;

/// What a probe asks of a stream: for each kind a comma-separated list of codec names, empty for any.
#[derive(Debug, Default)]
pub struct Wish {
    pub video: Option<String>,
    pub audio: Option<String>,
    pub microphone: Option<String>,
}

fn names(wish: Option<&str>, codec: Codec) -> bool {
    wish.is_some_and(|names| {
        matches!(names, "" | "all" | "copy")
            || names.split(',').any(|name| name.trim().eq_ignore_ascii_case(codec.sdp_name()))
    })
}

impl Wish {
    /// Is one of these tracks what is asked for, or does the loudspeaker take the sound of the microphone that is asked
    /// for?
    pub fn fits(&self, tracks: &[Codec], backchannel: &[Codec]) -> bool {
        let sent = tracks.iter().any(|codec| match codec.kind() {
            Kind::Video => names(self.video.as_deref(), *codec),
            Kind::Audio => names(self.audio.as_deref(), *codec),
        });
        sent || backchannel.iter().any(|codec| names(self.microphone.as_deref(), *codec))
    }
}

/// Somebody who waits for the stream's tracks to be known.
#[derive(Debug)]
pub enum Waiting {
    Offer { offer: Offer, reply: Reply<Answer>, until: Instant },
    Probe { wish: Wish, reply: Reply<Value>, until: Instant },
}

impl Waiting {
    pub fn until(&self) -> Instant {
        match self {
            Waiting::Offer { until, .. } | Waiting::Probe { until, .. } => *until,
        }
    }

    pub fn refuse(self, error: Error) {
        match self {
            Waiting::Offer { reply, .. } => drop(reply.send(Err(error))),
            Waiting::Probe { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}

/// Publishers that wait for their turn at one stream.
pub const MAX_QUEUED: usize = 8;

/// A publisher that is connected and whose turn has not come. Its tracks are kept here, so that nothing of what it sends
/// takes room.
pub struct Queued {
    pub key: PeerKey,
    pub tracks: Vec<(TrackKey, Track)>,
}

#[derive(Default)]
pub struct Stream {
    pub name: String,
    /// In the order of preference.
    pub producers: Vec<Producer>,
    /// Session that publishes, and its tracks.
    pub publisher: Option<(PeerKey, Vec<TrackKey>)>,
    /// Publishers that wait until those before them have left.
    pub queue: Vec<Queued>,
    pub publishers: Publishers,
    /// Sessions that watch.
    pub viewers: Vec<PeerKey>,
    /// Which of them may speak.
    pub floor: Floor<PeerKey>,
    pub waiting: Vec<Waiting>,
    /// Deleted, but somebody still watches.
    pub deleted: bool,
}

impl Stream {
    pub fn new(name: &str, producers: Vec<Producer>) -> Self {
        Self { name: name.to_owned(), producers, ..Default::default() }
    }

    /// Does this publisher wait for its turn?
    pub fn has_waiting(&self, key: PeerKey) -> bool {
        self.queue.iter().any(|queued| queued.key == key)
    }

    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.producers.iter().map(|producer| producer.url.as_str())
    }

    /// Tracks that viewers are given: a publisher's instead of those of sources.
    pub fn tracks(&self) -> Vec<TrackKey> {
        match &self.publisher {
            Some((_, tracks)) => tracks.clone(),
            None => self.producers.iter().flat_map(Producer::tracks).copied().collect(),
        }
    }

    /// It is known what viewers will get.
    pub fn is_live(&self) -> bool {
        self.publisher.is_some() || self.producers.iter().any(Producer::is_live)
    }

    pub fn is_running(&self) -> bool {
        self.producers.iter().any(|producer| producer.running.is_some())
    }

    pub fn wanted(&self) -> bool {
        !self.viewers.is_empty() || !self.waiting.is_empty()
    }

    pub fn state(&self) -> &'static str {
        match (self.is_live(), self.is_running()) {
            (true, _) => "live",
            (false, true) => "connecting",
            _ if self.wanted() && self.retry_at().is_some() => "failing",
            _ if self.producers.is_empty() => "waiting",
            _ => "idle",
        }
    }

    /// When the next source may be tried again, if all have failed.
    pub fn retry_at(&self) -> Option<Instant> {
        self.producers.iter().filter_map(|producer| producer.retry_at).min()
    }

    /// Why there is no picture, while there is none: of several sources each one's reason.
    pub fn last_error(&self) -> Option<String> {
        if self.is_live() {
            return None;
        }
        let errors = self.producers.iter().filter_map(|producer| producer.last_error.as_ref());
        let errors: Vec<&str> = errors.map(|error| error.message.as_str()).collect();
        (!errors.is_empty()).then(|| errors.join("; then "))
    }

    /// The kind of the first source's failure, while there is no picture.
    pub fn last_error_kind(&self) -> Option<SourceErrorKind> {
        let mut errors = self.producers.iter().filter_map(|producer| producer.last_error.as_ref());
        errors.next().filter(|_| !self.is_live()).map(|error| error.kind)
    }

    pub fn failures(&self) -> u32 {
        self.producers.iter().map(|producer| producer.failures).sum()
    }

    pub fn down_since(&self) -> Option<Instant> {
        if self.is_live() { None } else { self.producers.iter().filter_map(|producer| producer.down_since).min() }
    }

    /// The source to open now that somebody wants pictures: the first that is not known to be down, unless one before
    /// it runs.
    pub fn next_source(&self) -> Option<usize> {
        let mut producers = self.producers.iter().enumerate();
        let (index, found) = producers.find(|(_, p)| p.running.is_some() || p.retry_at.is_none())?;
        found.running.is_none().then_some(index)
    }

    /// A source that was not tried, for a viewer whom those that run do not suit.
    pub fn spare_source(&self) -> Option<usize> {
        self.producers.iter().position(|producer| producer.running.is_none() && producer.retry_at.is_none())
    }

    /// What somebody is told who wants pictures while no source gives any.
    pub fn source_failed(&self) -> Error {
        let error = self.last_error().unwrap_or_else(|| "it has not been tried yet".into());
        Error::new(ErrorKind::SourceFailed, format!("the source is not available: {error}"))
    }

    /// The source that plays sound: the first, if several do.
    pub fn loudspeaker(&self) -> Option<&Running> {
        let live = self.producers.iter().filter(|producer| producer.is_live());
        live.filter_map(|producer| producer.running.as_ref()).find(|running| !running.backchannel.is_empty())
    }

    /// May somebody else publish to this stream, now or when their turn comes?
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn admit_publisher(&self) -> Result<(), Error> {
        let Publishers { allowed, policy } = self.publishers;
        let sourced = !self.producers.is_empty();
        if !allowed.unwrap_or(!sourced) {
            let why = if allowed.is_some() { "says so" } else { "gives it a source" };
            let message = format!(
                "nobody may publish to this stream, its configuration {why}; \"publish: true\" beside its url lets them"
            );
            return Err(Error::new(ErrorKind::Forbidden, message));
        }
        let refusal = match (&self.publisher, policy) {
            (Some(_), PublisherPolicy::Reject) => {
                "somebody else publishes to this stream, and its policy is reject: try again when they have stopped"
                    .to_owned()
            }
            (Some(_), PublisherPolicy::Append) if self.queue.len() >= MAX_QUEUED => {
                format!("somebody else publishes to this stream, and {MAX_QUEUED} more wait for their turn already")
            }
            (None, PublisherPolicy::Reject | PublisherPolicy::Append) if self.is_live() => {
                format!("this stream's source is there, and its policy is {}: try again when it is down", policy.name())
            }
            _ => return Ok(()),
        };
        Err(Error::new(ErrorKind::Conflict, refusal))
    }

    /// Lets somebody wait for the stream's tracks. Answers them if there is no room.
    pub fn wait(&mut self, waiting: Waiting) -> Option<Waiting> {
        if self.waiting.len() >= MAX_WAITING {
            return Some(waiting);
        }
        self.waiting.push(waiting);
        None
    }

    /// When this stream needs attention.
    pub fn deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.iter().map(Waiting::until);
        waiting.chain(self.producers.iter().filter_map(Producer::deadline)).min()
    }
}
