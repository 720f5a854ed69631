//! A stream in the engine: its sources and publisher, who watches, and when it starts, stops and heals.
use crate::media::codec::{Codec, Kind};
use crate::source::{self, ProducerId, SourceEvent, SourceRequest};
use crate::stream::relay::{Answer, Error, Offer};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

/// A source has to name its tracks within this time.
pub const START_DEADLINE: Duration = Duration::from_secs(10);
/// Wait before a source is opened again: doubles from the first to the longest, …
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// … and starts over once the source was healthy this long.
const HEALTHY: Duration = Duration::from_secs(10);
/// Requests that wait for one source at one time.
const MAX_WAITING: usize = 64;
/// Requests to a source that wait; further ones say nothing new.
const SOURCE_REQUESTS: usize = 4;

/// What a probe asks of a stream: for each kind a comma-separated list of codec names, empty for any.
#[derive(Debug, Default)]
pub struct Wish {
    pub video: Option<String>,
    pub audio: Option<String>,
    pub microphone: Option<String>,
}

impl Wish {
    /// Does any of these tracks fit? A microphone needs a source that takes sound, which none does yet.
    pub fn fits<'a>(&self, mut codecs: impl Iterator<Item = &'a Codec>) -> bool {
        codecs.any(|codec| {
            let wish = match codec.kind() {
                Kind::Video => &self.video,
                Kind::Audio => &self.audio,
            };
            wish.as_deref().is_some_and(|names| {
                matches!(names, "" | "all" | "copy")
                    || names.split(',').any(|name| name.trim().eq_ignore_ascii_case(codec.sdp_name()))
            })
        })
    }
}

/// Somebody who waits for the stream's tracks to be known.
pub enum Waiting {
    Offer { offer: Offer, reply: oneshot::Sender<Result<Answer, Error>>, until: Instant },
    Probe { wish: Wish, reply: oneshot::Sender<Result<Value, Error>>, until: Instant },
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

/// A source that runs.
pub struct Running {
    pub id: ProducerId,
    pub url: String,
    task: AbortHandle,
    pub requests: mpsc::Sender<SourceRequest>,
    pub tracks: Vec<u32>,
    /// Its tracks are known.
    pub live: bool,
    pub started: Instant,
}

impl Running {
    /// When it counts as failed because its tracks are still unknown.
    pub fn start_deadline(&self) -> Option<Instant> {
        (!self.live).then(|| self.started + START_DEADLINE)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Default)]
pub struct Stream {
    pub name: String,
    pub sources: Vec<String>,
    pub running: Option<Running>,
    /// Session that publishes, and its tracks.
    pub publisher: Option<(u32, Vec<u32>)>,
    /// Sessions that watch.
    pub viewers: Vec<u32>,
    pub waiting: Vec<Waiting>,
    pub stop_at: Option<Instant>,
    pub retry_at: Option<Instant>,
    pub failures: u32,
    pub last_error: Option<String>,
    /// Since its source failed for the first time in a row.
    pub down_since: Option<Instant>,
    /// Deleted, but somebody still watches.
    pub deleted: bool,
}

impl Stream {
    pub fn new(name: &str, sources: Vec<String>) -> Self {
        Self { name: name.to_owned(), sources, ..Default::default() }
    }

    /// Tracks that viewers are given: the publisher's before those of a source.
    pub fn tracks(&self) -> &[u32] {
        match (&self.publisher, &self.running) {
            (Some((_, tracks)), _) => tracks,
            (None, Some(running)) => &running.tracks,
            (None, None) => &[],
        }
    }

    /// It is known what viewers will get.
    pub fn is_live(&self) -> bool {
        self.publisher.is_some() || self.running.as_ref().is_some_and(|running| running.live)
    }

    pub fn wanted(&self) -> bool {
        !self.viewers.is_empty() || !self.waiting.is_empty()
    }

    pub fn state(&self) -> &'static str {
        match (self.is_live(), &self.running, self.retry_at) {
            (true, ..) => "live",
            (_, Some(_), _) => "connecting",
            (_, _, Some(_)) => "failing",
            _ if self.sources.is_empty() => "waiting",
            _ => "idle",
        }
    }

    /// Opens the first source that this build knows. Must be called inside the runtime.
    pub fn start(
        &mut self,
        id: ProducerId,
        events: &mpsc::Sender<(ProducerId, SourceEvent)>,
        now: Instant,
    ) -> Result<(), String> {
        self.retry_at = None;
        let (requests, receiver) = mpsc::channel(SOURCE_REQUESTS);
        let sink = source::Sink::new(id, events.clone());
        let opened = source::open(&self.sources, sink.clone(), receiver);
        let (url, run) = opened.inspect_err(|error| self.last_error = Some(error.clone()))?;
        log::info!(target: "streams", "source starts stream={:?} source={}", self.name, source::public_url(&url));
        let task = tokio::spawn(supervise(run, sink)).abort_handle();
        self.running = Some(Running { id, url, task, requests, tracks: Vec::new(), live: false, started: now });
        Ok(())
    }

    /// The source ended with this error: when to open it again.
    pub fn failed(&mut self, error: String, now: Instant, jitter: u8) {
        let healthy =
            self.running.as_ref().is_some_and(|r| r.live && now.saturating_duration_since(r.started) > HEALTHY);
        self.failures = if healthy { 1 } else { self.failures.saturating_add(1) };
        let wait = (FIRST_RETRY * (1 << (self.failures - 1).min(8))).min(LONGEST_RETRY);
        // Up to a quarter more, so that many streams of one camera do not come back in step.
        let wait = wait + wait * u32::from(jitter) / 1024;
        log::warn!(target: "streams", "source ended stream={:?} error={error:?} retry_in={}ms", self.name, wait.as_millis());
        self.last_error = Some(error);
        self.down_since.get_or_insert(now);
        self.running = None;
        self.retry_at = self.wanted().then(|| now + wait);
    }

    /// Answers whom there is no room for.
    pub fn wait(&mut self, waiting: Waiting) -> Option<Waiting> {
        if self.waiting.len() >= MAX_WAITING {
            return Some(waiting);
        }
        self.waiting.push(waiting);
        None
    }

    /// When this stream needs attention.
    pub fn deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.iter().map(Waiting::until).min();
        let start = self.running.as_ref().and_then(Running::start_deadline);
        [waiting, start, self.stop_at, self.retry_at].into_iter().flatten().min()
    }
}

/// A source that fails inside ends like any other, or its viewers would wait for it for ever.
async fn supervise(run: source::Run, sink: source::Sink) {
    let mut task = JoinSet::new();
    task.spawn(run);
    if task.join_next().await.is_some_and(|ended| ended.is_err()) {
        let _ = sink.send(SourceEvent::Ended("an internal fault ended the source".into())).await;
    }
}
