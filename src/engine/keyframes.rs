//! Requests for keyframes on their way to whoever can make one.
use super::Engine;
use super::keys::TrackKey;
use super::source::SourceRequest;
use super::streams::stream::Stream;
use std::time::Instant;

impl Engine {
    /// Asks the producer of a track for a keyframe, if it can and was not asked just now.
    pub(super) fn ask_keyframe(&mut self, track: TrackKey, now: Instant) {
        if !self.media.get_mut(track).is_some_and(|track| track.ask_keyframe(now)) {
            return;
        }
        let publishes = |stream: &&Stream| matches!(&stream.publisher, Some((_, tracks)) if tracks.contains(&track));
        if let Some((publisher, _)) = self.streams.all().find(publishes).and_then(|stream| stream.publisher.as_ref()) {
            let publisher = *publisher;
            if let Some(peer) = self.sessions.get_mut(publisher) {
                peer.intake.want_keyframe(track);
                peer.feedback(now, &mut self.work.out);
                self.sessions.settle(publisher);
            }
            return;
        }
        let running = self.streams.all().flat_map(|stream| &stream.producers).filter_map(|p| p.running.as_ref());
        let found = running.filter_map(|r| Some((r.id, r.tracks.iter().position(|key| *key == track)?))).next();
        if let Some((id, track)) = found {
            self.streams.ask(id, SourceRequest::Keyframe { track });
        }
    }
}
