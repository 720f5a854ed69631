//! Whether the engine does its work: what a watchdog asks.
use crate::engine::Engine;
use crate::engine::streams::stream::Stream;
use std::time::{Duration, Instant};

/// What was due this long ago and is not done, is not going to be. Much longer than a busy board's longest turn.
const OVERDUE: Duration = Duration::from_secs(20);

impl Engine {
    /// Names a session or stream that waits for something that should have happened: its deadline passed and nobody
    /// came, or somebody wants its picture while its source neither runs nor waits for another try.
    pub(in crate::engine) fn overdue(&self, now: Instant) -> Option<String> {
        let before = now.checked_sub(OVERDUE)?;
        if let Some(peer) = self.sessions.overdue(before) {
            return Some(format!("a session of stream {:?}", peer.stream));
        }
        let late = |stream: &&Stream| stream.deadline().is_some_and(|at| at < before);
        let stuck = self.streams.all().find(|stream| late(stream) || forgotten(stream))?;
        Some(format!("stream {:?}", stuck.name))
    }
}

fn forgotten(stream: &Stream) -> bool {
    let configured = !stream.producers.is_empty() && !stream.deleted;
    let given_up = !stream.is_running() && stream.retry_at().is_none();
    configured && stream.wanted() && stream.publisher.is_none() && given_up
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::keys::PeerKey;
    use crate::engine::streams::producer::Producer;

    #[test]
    fn a_source_that_somebody_wants_runs_or_waits_for_another_try() {
        let viewer = PeerKey::from_number(1).unwrap();
        let mut stream = Stream { viewers: vec![viewer], ..Stream::new("cam", vec![Producer::default()]) };
        assert!(forgotten(&stream));
        stream.producers[0].retry_at = Some(Instant::now());
        assert!(!forgotten(&stream));
        stream.producers[0].retry_at = None;
        stream.viewers.clear();
        assert!(!forgotten(&stream));
        let waiting = Stream { viewers: vec![viewer], ..Stream::new("studio", vec![]) };
        assert!(!forgotten(&waiting), "it waits for a publisher");
    }
}
