//! Two-way audio: a viewer's microphone is heard by the publisher, or by a camera that plays sound. One talks at a time.
use super::Engine;
use super::api::{Error, TalkEvents};
use super::keys::{PeerKey, TrackKey};
use super::sessions::short;
use super::source::{Sound, SourceRequest};
use super::streams::stream::Stream;
use crate::media::codec::{Codec, Kind};
use crate::media::packet::Packet;
use crate::stream::floor::Turn;
use std::time::Instant;

impl Engine {
    /// What the stream's loudspeaker takes, best first: empty where it has none, `None` while nobody knows.
    pub(super) fn backchannel(&self, stream: &Stream) -> Option<Vec<Codec>> {
        if let Some((key, _)) = &stream.publisher {
            let senders = self.sessions.get(*key).map_or(&[][..], |peer| &peer.senders);
            let codecs = senders.iter().filter(|sender| sender.kind == Kind::Audio).flat_map(|sender| &sender.codecs);
            return Some(codecs.map(|codec| codec.codec).collect());
        }
        let live = stream.is_live();
        live.then(|| stream.loudspeaker().map(|running| running.backchannel.clone()).unwrap_or_default())
    }

    /// Does the stream's loudspeaker take sound in this codec?
    fn hears(&self, stream: &Stream, codec: Codec) -> bool {
        match stream.publisher.as_ref().and_then(|(key, _)| self.sessions.get(*key)) {
            Some(peer) => {
                let audio = peer.senders.iter().filter(|sender| sender.kind == Kind::Audio);
                audio.flat_map(|sender| &sender.codecs).any(|taken| taken.codec == codec)
            }
            None => stream.loudspeaker().is_some_and(|running| running.backchannel.contains(&codec)),
        }
    }

    /// A viewer's microphone sent a packet.
    pub(super) fn on_sound(&mut self, key: PeerKey, track: TrackKey, packet: Option<Packet>, now: Instant) {
        // Some decoders take a packet without sound for the end of all sound.
        let Some(packet) = packet.filter(|packet| !packet.payload.is_empty()) else { return };
        let Some(peer) = self.sessions.get(key) else { return };
        let Some(codec) = self.media.get(track).map(|microphone| microphone.info.codec) else { return };
        // What nobody hears keeps nobody from talking.
        if !self.streams.get(&peer.stream).is_some_and(|stream| self.hears(stream, codec)) {
            return;
        }
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let Some(stream) = self.streams.get_mut(&peer.stream) else { return };
        let turn = stream.floor.speak(key, now);
        let waited = peer.is_refused(now);
        match turn {
            Turn::Refused => {
                peer.refused = Some(now);
                if !waited {
                    if let Some(left_out) = self.journal.admit(peer.origin.remote.ip(), now) {
                        let (name, id) = (&peer.stream, short(&peer.id));
                        log::info!(
                            target: "webrtc",
                            "talk refused, somebody else talks stream={name:?} session={id}{left_out}"
                        );
                    }
                    peer.tell_talker(false);
                }
                return;
            }
            Turn::Begins => {
                if let Some(left_out) = self.journal.admit(peer.origin.remote.ip(), now) {
                    let (name, id) = (&peer.stream, short(&peer.id));
                    log::info!(target: "webrtc", "talk begins stream={name:?} session={id} codec={codec}{left_out}");
                }
                peer.refused = None;
                if waited {
                    peer.tell_talker(true);
                }
            }
            Turn::Goes => {}
        }
        if let Some((publisher, _)) = stream.publisher {
            self.media.push(track, packet, now);
            if turn == Turn::Begins {
                self.route_talker(publisher, track);
            }
        } else if let Some(id) = stream.loudspeaker().map(|running| running.id) {
            let sound = Sound { talker: key.number(), codec, timestamp: packet.timestamp, payload: packet.payload };
            self.streams.ask(id, SourceRequest::Sound(sound));
        }
    }

    /// Tells from now on whether a viewer's microphone is heard. The first event may have happened before somebody asks:
    /// that it is refused now is told at once.
    pub(super) fn on_talk(&mut self, id: &str, events: TalkEvents, now: Instant) -> Result<(), Error> {
        let key = self.sessions.key_of(id)?;
        let peer = self.sessions.expect(key)?;
        peer.talk_events = Some(events);
        if peer.is_refused(now) {
            peer.tell_talker(false);
        }
        Ok(())
    }

    /// A publisher hears this microphone, and no other.
    fn route_talker(&mut self, publisher: PeerKey, track: TrackKey) {
        let Some(peer) = self.sessions.get_mut(publisher) else { return };
        for sender in peer.senders.iter_mut().filter(|sender| sender.kind == Kind::Audio) {
            if let Some(before) = sender.track {
                self.media.unwatch(before, publisher);
            }
            sender.bind(&self.media, &[track]);
            if let Some(track) = sender.track {
                self.media.watch(track, publisher);
            }
        }
    }
}
