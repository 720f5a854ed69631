//! Who publishes to a stream: when several want to, its policy decides between the one who does and the one who comes.
use super::Engine;
use super::api::Error;
use super::keys::{PeerKey, TrackKey};
use super::sessions::peer::Peer;
use super::streams::stream::{Queued, Stream};
use crate::config::PublisherPolicy;
use crate::media::codec::Kind;
use crate::rtc::session::Reason;
use std::time::Instant;

impl Engine {
    /// May somebody else publish to this stream, now or when their turn comes?
    ///
    /// # Errors
    /// A sentence that says why not.
    pub(super) fn admit_publisher(&self, name: &str) -> Result<(), Error> {
        self.streams.get(name).map_or(Ok(()), |stream| stream.admit_publisher())
    }

    /// A publisher connected. An offer alone takes nobody's place. With the policy `replace` the newest wins, so that one
    /// that crashed and came back does not wait for its own ghost. Answers the sessions that end by this.
    pub(super) fn on_publisher(&mut self, key: PeerKey, now: Instant) -> Vec<(PeerKey, Reason)> {
        let Some(peer) = self.sessions.get(key) else { return Vec::new() };
        let name = peer.stream.clone();
        let tracks: Vec<TrackKey> = peer.intake.receivers.iter().map(|receiver| receiver.track).collect();
        // Of two that were let in at one time the first to connect counts.
        if self.admit_publisher(&name).is_err() {
            return vec![(key, Reason::TurnedAway)];
        }
        let Some(stream) = self.streams.get_mut(&name) else { return Vec::new() };
        if stream.publisher.is_some() && stream.publishers.policy == PublisherPolicy::Append {
            let tracks = tracks.into_iter().filter_map(|track| Some((track, self.media.take(track)?))).collect();
            stream.queue.push(Queued { key, tracks });
            log::info!(target: "streams", "publisher waits for its turn stream={name:?} before_it={}", stream.queue.len());
            return Vec::new();
        }
        let replaced = stream.publisher.take();
        self.publish(&name, key, tracks, now);
        let Some((old, _)) = replaced else { return Vec::new() };
        log::info!(target: "streams", "publisher replaced stream={name:?}");
        vec![(old, Reason::Replaced)]
    }

    /// Makes a publisher the stream's producer.
    fn publish(&mut self, name: &str, key: PeerKey, tracks: Vec<TrackKey>, now: Instant) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        stream.publisher = Some((key, tracks.clone()));
        stream.floor.clear();
        let stopped = self.streams.stop_all(name);
        self.media.remove(&stopped);
        self.on_live(name, now);
        for track in tracks {
            // One that waited sent its first keyframe long ago.
            if self.media.get(track).is_some_and(|track| track.info.codec.kind() == Kind::Video) {
                self.ask_keyframe(track, now);
            }
        }
    }

    /// A publisher left: the next one's turn has come. False: nobody waits.
    pub(super) fn on_publisher_left(&mut self, name: &str, now: Instant) -> bool {
        let Some(stream) = self.streams.get_mut(name).filter(|stream| !stream.queue.is_empty()) else { return false };
        let Queued { key, tracks } = stream.queue.remove(0);
        let keys = tracks.iter().map(|(track, _)| *track).collect();
        for (key, track) in tracks {
            self.media.add(key, track);
        }
        log::info!(target: "streams", "the next publisher's turn stream={name:?}");
        self.publish(name, key, keys, now);
        true
    }

    /// A session left its stream.
    pub(super) fn leave(&mut self, peer: &Peer, key: PeerKey, now: Instant) {
        let tracks: Vec<_> = peer.intake.receivers.iter().map(|receiver| receiver.track).collect();
        self.media.remove(&tracks);
        let Some(stream) = self.streams.get_mut(&peer.stream) else { return };
        stream.viewers.retain(|viewer| *viewer != key);
        stream.floor.leave(key);
        stream.queue.retain(|queued| queued.key != key);
        if stream.publisher.as_ref().is_some_and(|(publisher, _)| *publisher == key) {
            stream.publisher = None;
            if self.on_publisher_left(&peer.stream, now) {
                return;
            }
            self.bind_viewers(&peer.stream);
            if self.streams.get(&peer.stream).is_some_and(Stream::wanted) {
                self.start_wanted(&peer.stream, now);
            }
        }
        self.rest(&peer.stream, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Publishers;
    use crate::engine::api::{Answer, ErrorKind, Intent, Offer};
    use crate::engine::source::{ProducerId, SourceEvent};
    use crate::engine::streams::stream::MAX_QUEUED;
    use crate::engine::tests::{self, engine, key, nothing_left, offer, remove, view};
    use crate::gather::scope::Scope;
    use crate::media::codec::Codec;
    use crate::media::track::TrackInfo;

    const PUBLISHER: &str = include_str!("../../tests/captures/chromium_publisher.sdp");

    fn ask(engine: &mut Engine) -> Result<Answer, Error> {
        tests::ask(engine, Offer { sdp: PUBLISHER.into(), ..offer("door", Intent::Publish) })
    }

    fn connect(engine: &mut Engine, key: PeerKey) {
        for (key, reason) in engine.on_publisher(key, Instant::now()) {
            engine.remove_session(key, reason, Instant::now());
        }
    }

    /// A publisher that is connected: its key.
    fn publish(engine: &mut Engine) -> PeerKey {
        let answer = ask(engine).expect("let in");
        let key = key(engine, &answer);
        connect(engine, key);
        key
    }

    fn publishing(engine: &Engine) -> Option<PeerKey> {
        engine.streams.get("door").unwrap().publisher.as_ref().map(|(key, _)| *key)
    }

    fn waiting(engine: &Engine) -> Vec<PeerKey> {
        engine.streams.get("door").unwrap().queue.iter().map(|queued| queued.key).collect()
    }

    #[test]
    fn the_newest_publisher_replaces_the_one_before_it() {
        let mut engine = engine("{door: }");
        let (first, second) = (publish(&mut engine), publish(&mut engine));
        assert_eq!((publishing(&engine), engine.sessions.get(first).is_some()), (Some(second), false));
        assert!(engine.journal.past().any(|past| past.facts.replaced && !past.facts.failed));
        remove(&mut engine, second);
        assert_eq!(engine.media.len(), 0);
        nothing_left(&engine);
    }

    #[test]
    fn with_reject_nobody_takes_the_place_of_who_publishes() {
        let mut engine = engine("{door: {policy: reject}}");
        // Both were let in before either of them was connected.
        let late = ask(&mut engine).unwrap();
        let late = key(&engine, &late);
        let first = publish(&mut engine);
        let error = ask(&mut engine).unwrap_err();
        assert_eq!((error.kind, error.message.contains("policy is reject")), (ErrorKind::Conflict, true));
        connect(&mut engine, late);
        assert_eq!((publishing(&engine), engine.sessions.len()), (Some(first), 1));
        remove(&mut engine, first);
        assert!(ask(&mut engine).is_ok(), "the place is free");
    }

    #[test]
    fn with_append_each_publisher_gets_its_turn_and_viewers_see_the_one_whose_turn_it_is() {
        let mut engine = engine("{door: {policy: append}}");
        let viewer = view(&mut engine, "door");
        let viewer = key(&engine, &viewer);
        let [first, second, third] = std::array::from_fn(|_| publish(&mut engine));
        assert_eq!((publishing(&engine), waiting(&engine)), (Some(first), vec![second, third]));
        let own = |engine: &Engine, key: PeerKey| {
            let receivers = &engine.sessions.get(key).unwrap().intake.receivers;
            receivers.iter().find(|receiver| receiver.inbound.kind() == Kind::Video).unwrap().track
        };
        let seen = |engine: &Engine| engine.sessions.get(viewer).unwrap().senders[0].track;
        let (of_first, of_second, of_third) = (own(&engine, first), own(&engine, second), own(&engine, third));
        assert_eq!(seen(&engine), Some(of_first));
        assert!(engine.media.get(of_second).is_none(), "what somebody sends whose turn has not come takes no room");
        remove(&mut engine, first);
        assert_eq!((publishing(&engine), seen(&engine)), (Some(second), Some(of_second)));
        assert_eq!(engine.media.get(of_second).unwrap().asked, 1, "its first keyframe was sent long ago");
        remove(&mut engine, third);
        assert!(waiting(&engine).is_empty(), "one that gave up has no turn");
        assert!(engine.media.get(of_third).is_none());
        remove(&mut engine, second);
        assert_eq!((publishing(&engine), seen(&engine)), (None, None));
        remove(&mut engine, viewer);
        assert_eq!(engine.media.len(), 0);
        nothing_left(&engine);
    }

    #[test]
    fn the_queue_of_publishers_is_bounded() {
        let mut engine = engine("{door: {policy: append}}");
        for _ in 0..=MAX_QUEUED {
            publish(&mut engine);
        }
        let error = ask(&mut engine).unwrap_err();
        assert_eq!((error.kind, error.message.contains("8 more wait")), (ErrorKind::Conflict, true));
    }

    #[test]
    fn a_stream_keeps_its_policy_until_the_configuration_says_another() {
        let mut engine = engine("{door: {policy: append}}");
        let now = Instant::now();
        let rules = |policy| Publishers { policy, allowed: None };
        engine.put_stream("door", vec!["test:".into()], Scope::Any, None, now).unwrap();
        assert_eq!(engine.streams.get("door").unwrap().publishers, rules(PublisherPolicy::Append));
        engine.put_stream("door", vec!["test:".into()], Scope::Any, Some(rules(PublisherPolicy::Reject)), now).unwrap();
        assert_eq!(engine.streams.get("door").unwrap().publishers, rules(PublisherPolicy::Reject));
        engine.delete_stream("door", now);
        engine.put_stream("door", vec![], Scope::Any, None, now).unwrap();
        assert_eq!(engine.streams.get("door").unwrap().publishers, Publishers::default());
    }

    fn refused(engine: &mut Engine) -> (ErrorKind, String) {
        let error = ask(engine).unwrap_err();
        (error.kind, error.message)
    }

    #[test]
    fn nobody_takes_the_place_of_a_camera_unless_the_configuration_lets_them() {
        for rules in ["", ", policy: replace", ", policy: reject", ", policy: append", ", publish: false"] {
            let mut engine = engine(&format!("{{door: {{url: 'test:'{rules}}}}}"));
            let (kind, why) = refused(&mut engine);
            assert_eq!(
                (kind, why.contains("\"publish: true\" beside its url")),
                (ErrorKind::Forbidden, true),
                "{rules}"
            );
            // By the door of viewers, too, where the offer's directions decide.
            let sends = Offer {
                sdp: PUBLISHER.replace("sendrecv", "sendonly").as_str().into(),
                ..offer("door", Intent::FromOffer)
            };
            assert_eq!(tests::ask(&mut engine, sends).unwrap_err().kind, ErrorKind::Forbidden);
            nothing_left(&engine);
        }
        let mut engine = engine("{door: {publish: false}}");
        assert_eq!(refused(&mut engine).0, ErrorKind::Forbidden, "nor where there is none");
    }

    #[test]
    fn a_source_that_is_there_keeps_its_place_unless_the_policy_is_replace() {
        for (policy, taken) in [("replace", true), ("reject", false), ("append", false)] {
            let mut engine = engine(&format!("{{door: {{url: 'test:', publish: true, policy: {policy}}}}}"));
            let early = ask(&mut engine).expect("the source is not running");
            let early = key(&engine, &early);
            engine.start_wanted("door", Instant::now());
            let tracks = vec![TrackInfo { codec: Codec::H264, fmtp: String::new() }];
            engine.on_source(ProducerId(1), SourceEvent::Tracks(tracks), Instant::now());
            assert!(engine.streams.get("door").unwrap().is_live());
            match taken {
                true => drop(publish(&mut engine)),
                false => {
                    let (kind, why) = refused(&mut engine);
                    assert_eq!((kind, why.contains("source is there")), (ErrorKind::Conflict, true), "{policy}");
                }
            }
            connect(&mut engine, early);
            assert_eq!(publishing(&engine).is_some(), taken, "{policy}: nor one that was let in before it was there");
        }
    }
}
