//! Who publishes to a stream: nobody where it has a source, unless its configuration lets them; and when several want to,
//! its policy decides between the one who does and the one who comes.
use super::Engine;
use super::producer::Producer;
use super::track::Track;
use crate::config::{PublisherPolicy, Publishers};
use crate::media::codec::Kind;
use crate::rtc::session::Reason;
use crate::stream::relay::{Error, ErrorKind};
use std::time::Instant;

/// Publishers that wait for their turn at one stream.
const MAX_QUEUED: usize = 8;

/// A publisher that is connected and whose turn has not come. Its tracks are kept here, so that nothing of what it sends
/// takes room.
pub struct Queued {
    pub key: u32,
    tracks: Vec<(u32, Track)>,
}

impl Engine {
    /// May somebody else publish to this stream, now or when their turn comes?
    ///
    /// # Errors
    /// A sentence that says why not.
    pub(super) fn admit_publisher(&self, name: &str) -> Result<(), Error> {
        let Some(stream) = self.streams.get(name) else { return Ok(()) };
        let Publishers { allowed, policy } = stream.publishers;
        let sourced = !stream.producers.is_empty();
        if !allowed.unwrap_or(!sourced) {
            let why = if allowed.is_some() { "says so" } else { "gives it a source" };
            let message = format!(
                "nobody may publish to this stream, its configuration {why}; \"publish: true\" beside its url lets them"
            );
            return Err(Error::new(ErrorKind::Forbidden, message));
        }
        let refusal = match (&stream.publisher, policy) {
            (Some(_), PublisherPolicy::Reject) => {
                "somebody else publishes to this stream, and its policy is reject: try again when they have stopped"
                    .to_owned()
            }
            (Some(_), PublisherPolicy::Append) if stream.queue.len() >= MAX_QUEUED => {
                format!("somebody else publishes to this stream, and {MAX_QUEUED} more wait for their turn already")
            }
            (None, PublisherPolicy::Reject | PublisherPolicy::Append) if stream.is_live() => {
                format!("this stream's source is there, and its policy is {}: try again when it is down", policy.name())
            }
            _ => return Ok(()),
        };
        Err(Error::new(ErrorKind::Conflict, refusal))
    }

    /// A publisher connected. An offer alone takes nobody's place. With the policy `replace` the newest wins, so that one
    /// that crashed and came back does not wait for its own ghost.
    pub(super) fn on_publisher(&mut self, key: u32, now: Instant) {
        let Some(peer) = self.peers.get(&key) else { return };
        let name = peer.stream.clone();
        let tracks: Vec<u32> = peer.intake.receivers.iter().map(|receiver| receiver.track).collect();
        // Of two that were let in at one time the first to connect counts.
        if self.admit_publisher(&name).is_err() {
            return self.remove_peer(key, Reason::TurnedAway);
        }
        let Some(stream) = self.streams.get_mut(&name) else { return };
        if stream.publisher.is_some() && stream.publishers.policy == PublisherPolicy::Append {
            let tracks = tracks.into_iter().filter_map(|track| Some((track, self.tracks.remove(&track)?))).collect();
            stream.queue.push(Queued { key, tracks });
            log::info!(target: "streams", "publisher waits for its turn stream={name:?} before_it={}", stream.queue.len());
            return self.share_buffer();
        }
        let replaced = stream.publisher.take();
        self.publish(&name, key, tracks, now);
        if let Some((old, _)) = replaced {
            log::info!(target: "streams", "publisher replaced stream={name:?}");
            self.remove_peer(old, Reason::Replaced);
        }
    }

    /// Makes a publisher the stream's producer.
    fn publish(&mut self, name: &str, key: u32, tracks: Vec<u32>, now: Instant) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        let videos = tracks.clone();
        stream.publisher = Some((key, tracks));
        stream.floor.clear();
        let stopped: Vec<u32> = stream.producers.iter().flat_map(Producer::tracks).copied().collect();
        for producer in &mut stream.producers {
            *producer = Producer::new(std::mem::take(&mut producer.url), producer.scope);
        }
        self.drop_tracks(&stopped);
        self.on_live(name);
        let video = |key: &u32| self.tracks.get(key).is_some_and(|track| track.info.codec.kind() == Kind::Video);
        for track in videos.into_iter().filter(video).collect::<Vec<_>>() {
            // One that waited sent its first keyframe long ago.
            self.ask_keyframe(track, now);
        }
    }

    /// A publisher left: the next one's turn has come. False: nobody waits.
    pub(super) fn on_publisher_left(&mut self, name: &str, now: Instant) -> bool {
        let Some(stream) = self.streams.get_mut(name).filter(|stream| !stream.queue.is_empty()) else { return false };
        let Queued { key, tracks } = stream.queue.remove(0);
        let keys = tracks.iter().map(|(track, _)| *track).collect();
        for (key, track) in tracks {
            self.add_track(key, track);
        }
        log::info!(target: "streams", "the next publisher's turn stream={name:?}");
        self.publish(name, key, keys, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{engine, nothing_left, offer, view};
    use super::*;
    use crate::gather::scope::Scope;
    use crate::stream::relay::{Answer, Intent, Offer};
    use tokio::sync::oneshot;

    const PUBLISHER: &str = include_str!("../../tests/captures/chromium_publisher.sdp");

    fn ask(engine: &mut Engine) -> Result<Answer, Error> {
        let (reply, mut answer) = oneshot::channel();
        let offer = Offer { sdp: PUBLISHER.into(), ..offer("door", Intent::Publish) };
        engine.on_offer(offer, reply, Instant::now());
        answer.try_recv().expect("answered at once")
    }

    /// A publisher that is connected: its key.
    fn publish(engine: &mut Engine) -> u32 {
        let id = ask(engine).expect("let in").id;
        let key = engine.by_id[&id];
        engine.on_publisher(key, Instant::now());
        key
    }

    fn publishing(engine: &Engine) -> Option<u32> {
        engine.streams["door"].publisher.as_ref().map(|(key, _)| *key)
    }

    fn waiting(engine: &Engine) -> Vec<u32> {
        engine.streams["door"].queue.iter().map(|queued| queued.key).collect()
    }

    fn leave(engine: &mut Engine, key: u32) {
        engine.remove_peer(key, Reason::ClosedByPeer);
    }

    #[tokio::test]
    async fn the_newest_publisher_replaces_the_one_before_it() {
        let mut engine = engine("{door: }");
        let (first, second) = (publish(&mut engine), publish(&mut engine));
        assert_eq!((publishing(&engine), engine.peers.contains_key(&first)), (Some(second), false));
        assert!(engine.history.iter().any(|past| past.facts.replaced && !past.facts.failed));
        leave(&mut engine, second);
        assert!(engine.tracks.is_empty());
        nothing_left(&engine);
    }

    #[tokio::test]
    async fn with_reject_nobody_takes_the_place_of_who_publishes() {
        let mut engine = engine("{door: {policy: reject}}");
        // Both were let in before either of them was connected.
        let late = ask(&mut engine).unwrap().id;
        let late = engine.by_id[&late];
        let first = publish(&mut engine);
        let error = ask(&mut engine).unwrap_err();
        assert_eq!((error.kind, error.message.contains("policy is reject")), (ErrorKind::Conflict, true));
        engine.on_publisher(late, Instant::now());
        assert_eq!((publishing(&engine), engine.peers.len()), (Some(first), 1));
        leave(&mut engine, first);
        assert!(ask(&mut engine).is_ok(), "the place is free");
    }

    #[tokio::test]
    async fn with_append_each_publisher_gets_its_turn_and_viewers_see_the_one_whose_turn_it_is() {
        let mut engine = engine("{door: {policy: append}}");
        let viewer = view(&mut engine, "door").id;
        let viewer = engine.by_id[&viewer];
        let [first, second, third] = std::array::from_fn(|_| publish(&mut engine));
        assert_eq!((publishing(&engine), waiting(&engine)), (Some(first), vec![second, third]));
        let receiver = |engine: &Engine, key: u32| {
            let receivers = &engine.peers[&key].intake.receivers;
            receivers.iter().position(|receiver| receiver.inbound.kind() == Kind::Video).unwrap()
        };
        let own = |engine: &Engine, key: u32| engine.peers[&key].intake.receivers[receiver(engine, key)].track;
        let seen = |engine: &Engine| engine.peers[&viewer].senders[0].track;
        let (of_first, of_second, of_third) = (own(&engine, first), own(&engine, second), own(&engine, third));
        assert_eq!(seen(&engine), Some(of_first));
        assert!(!engine.tracks.contains_key(&of_second), "what somebody sends whose turn has not come takes no room");
        leave(&mut engine, first);
        assert_eq!((publishing(&engine), seen(&engine)), (Some(second), Some(of_second)));
        assert_eq!(engine.tracks[&of_second].asked, 1, "its first keyframe was sent long ago");
        leave(&mut engine, third);
        assert!(waiting(&engine).is_empty(), "one that gave up has no turn");
        assert!(!engine.tracks.contains_key(&of_third));
        leave(&mut engine, second);
        assert_eq!((publishing(&engine), seen(&engine)), (None, None));
        leave(&mut engine, viewer);
        assert!(engine.tracks.is_empty());
        nothing_left(&engine);
    }

    #[tokio::test]
    async fn the_queue_of_publishers_is_bounded() {
        let mut engine = engine("{door: {policy: append}}");
        for _ in 0..=MAX_QUEUED {
            publish(&mut engine);
        }
        let error = ask(&mut engine).unwrap_err();
        assert_eq!((error.kind, error.message.contains("8 more wait")), (ErrorKind::Conflict, true));
    }

    #[tokio::test]
    async fn a_stream_keeps_its_policy_until_the_configuration_says_another() {
        let mut engine = engine("{door: {policy: append}}");
        let now = Instant::now();
        let rules = |policy| Publishers { policy, allowed: None };
        engine.put_stream("door", vec!["test:".into()], Scope::Any, None, now).unwrap();
        assert_eq!(engine.streams["door"].publishers, rules(PublisherPolicy::Append));
        engine.put_stream("door", vec!["test:".into()], Scope::Any, Some(rules(PublisherPolicy::Reject)), now).unwrap();
        assert_eq!(engine.streams["door"].publishers, rules(PublisherPolicy::Reject));
        engine.delete_stream("door", now);
        engine.put_stream("door", vec![], Scope::Any, None, now).unwrap();
        assert_eq!(engine.streams["door"].publishers, Publishers::default());
    }

    fn refused(engine: &mut Engine) -> (ErrorKind, String) {
        let error = ask(engine).unwrap_err();
        (error.kind, error.message)
    }

    #[tokio::test]
    async fn nobody_takes_the_place_of_a_camera_unless_the_configuration_lets_them() {
        for rules in ["", ", policy: replace", ", policy: reject", ", policy: append", ", publish: false"] {
            let mut engine = engine(&format!("{{door: {{url: 'test:'{rules}}}}}"));
            let (kind, why) = refused(&mut engine);
            assert_eq!(
                (kind, why.contains("\"publish: true\" beside its url")),
                (ErrorKind::Forbidden, true),
                "{rules}"
            );
            // By the door of viewers, too, where the offer's directions decide.
            let (reply, mut answer) = oneshot::channel();
            let sends = Offer {
                sdp: PUBLISHER.replace("sendrecv", "sendonly").as_str().into(),
                ..offer("door", Intent::FromOffer)
            };
            engine.on_offer(sends, reply, Instant::now());
            assert_eq!(answer.try_recv().unwrap().unwrap_err().kind, ErrorKind::Forbidden);
            nothing_left(&engine);
        }
        let mut engine = engine("{door: {publish: false}}");
        assert_eq!(refused(&mut engine).0, ErrorKind::Forbidden, "nor where there is none");
    }

    #[tokio::test]
    async fn a_source_that_is_there_keeps_its_place_unless_the_policy_is_replace() {
        for (policy, taken) in [("replace", true), ("reject", false), ("append", false)] {
            let mut engine = engine(&format!("{{door: {{url: 'test:', publish: true, policy: {policy}}}}}"));
            let early = ask(&mut engine).expect("the source is not running").id;
            let early = engine.by_id[&early];
            engine.want("door", Instant::now());
            let (producer, event) = engine.sources.1.recv().await.unwrap();
            engine.on_source(producer, event);
            assert!(engine.streams["door"].is_live());
            match taken {
                true => drop(publish(&mut engine)),
                false => {
                    let (kind, why) = refused(&mut engine);
                    assert_eq!((kind, why.contains("source is there")), (ErrorKind::Conflict, true), "{policy}");
                }
            }
            engine.on_publisher(early, Instant::now());
            assert_eq!(publishing(&engine).is_some(), taken, "{policy}: nor one that was let in before it was there");
        }
    }
}
