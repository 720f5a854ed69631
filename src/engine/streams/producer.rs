//! One source of a stream in the engine: it runs, or waits to be tried again, or is not needed.
use crate::engine::keys::TrackKey;
use crate::engine::source::{ProducerId, Progress, SourceError, SourceErrorKind, SourceFacts};
use crate::gather::scope::Scope;
use crate::media::codec::Codec;
use std::time::{Duration, Instant};

/// A source has deadlines of its own for each thing that it waits for; one that overran them all is given up.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// Wait before a source is opened again: doubles from the first to the longest, …
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// … from this where the camera wants another password …
const DENIED_RETRY: Duration = Duration::from_secs(15);
/// … and starts over once the source was healthy this long.
const HEALTHY: Duration = Duration::from_secs(10);

/// A source that runs.
#[derive(Debug)]
pub struct Running {
    pub id: ProducerId,
    pub tracks: Vec<TrackKey>,
    /// What the camera's loudspeaker takes, best first.
    pub backchannel: Vec<Codec>,
    started: Instant,
    /// Since its tracks are known.
    pub live: Option<Instant>,
    pub progress: Progress,
}

/// One source of a stream.
#[derive(Default)]
pub struct Producer {
    pub url: String,
    pub facts: SourceFacts,
    /// Where it may lead.
    pub scope: Scope,
    pub running: Option<Running>,
    /// Times in a row that it ended without having been healthy.
    pub failures: u32,
    /// When it may be tried again after a failure.
    pub retry_at: Option<Instant>,
    pub last_error: Option<SourceError>,
    /// Since it failed for the first time in a row.
    pub down_since: Option<Instant>,
    /// When it is given up because nobody needs it.
    pub stop_at: Option<Instant>,
}

impl Producer {
    pub fn new(url: String, facts: SourceFacts, scope: Scope) -> Self {
        Self { url, facts, scope, ..Self::default() }
    }

    /// The same source, as if it had never been opened.
    pub fn reset(&mut self) {
        *self = Self::new(std::mem::take(&mut self.url), std::mem::take(&mut self.facts), self.scope);
    }

    pub fn is_live(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.live.is_some())
    }

    pub fn tracks(&self) -> &[TrackKey] {
        self.running.as_ref().map_or(&[], |running| &running.tracks)
    }

    /// The source is opened, as this run.
    pub fn start(&mut self, id: ProducerId, now: Instant) {
        (self.retry_at, self.stop_at) = (None, None);
        let (tracks, backchannel, progress) = (Vec::new(), Vec::new(), Progress::default());
        self.running = Some(Running { id, tracks, backchannel, started: now, live: None, progress });
    }

    /// The source ended with this error: answers how long to wait before it is opened again.
    pub fn failed(&mut self, error: SourceError, now: Instant, jitter: u8) -> Duration {
        let live = self.running.as_ref().and_then(|running| running.live);
        let healthy = live.is_some_and(|since| now.saturating_duration_since(since) > HEALTHY);
        self.failures = if healthy { 1 } else { self.failures.saturating_add(1) };
        let wait = match error.kind {
            // The next try brings nothing else, and some cameras lock out who tries often.
            SourceErrorKind::Denied => DENIED_RETRY,
            _ => FIRST_RETRY,
        };
        let wait = (wait * (1 << (self.failures - 1).min(8))).min(LONGEST_RETRY);
        // Up to a quarter more, so that many streams of one camera do not come back in step.
        let wait = wait + wait * u32::from(jitter) / 1024;
        self.last_error = Some(error);
        self.down_since.get_or_insert(now);
        self.running = None;
        self.stop_at = None;
        self.retry_at = Some(now + wait);
        wait
    }

    /// When this source needs attention.
    pub fn deadline(&self) -> Option<Instant> {
        [self.start_deadline(), self.stop_at, self.retry_at].into_iter().flatten().min()
    }

    /// When it counts as failed because its tracks are still unknown.
    pub fn start_deadline(&self) -> Option<Instant> {
        self.running.as_ref().filter(|running| running.live.is_none()).map(|running| running.started + START_DEADLINE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone() -> SourceError {
        "gone".to_owned().into()
    }

    #[test]
    fn the_wait_doubles_up_to_a_minute_and_starts_over_after_health() {
        let mut producer = Producer::new("test:".into(), SourceFacts::default(), Scope::Any);
        let now = Instant::now();
        let waits: Vec<u128> = (0..10).map(|_| producer.failed(gone(), now, 0).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
        assert_eq!(producer.failed(gone(), now, 255).as_millis(), 74_941);
        assert_eq!((producer.failures, producer.down_since), (11, Some(now)));
    }

    #[test]
    fn a_wrong_password_is_not_tried_again_soon() {
        let mut producer = Producer::new("test:".into(), SourceFacts::default(), Scope::Any);
        let denied = SourceError::new(SourceErrorKind::Denied, "it wants another password");
        assert_eq!(producer.failed(denied, Instant::now(), 0), DENIED_RETRY);
        assert_eq!(producer.failed(gone(), Instant::now(), 0), FIRST_RETRY * 2, "a lost connection is");
    }
}
