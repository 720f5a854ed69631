//! Two-way audio: a viewer's microphone is heard by the publisher, or by a camera that plays sound. One talks at a time.
use super::Engine;
use super::producer::Running;
use super::report;
use super::sessions::short;
use super::streams::Stream;
use crate::media::codec::{Codec, Kind};
use crate::media::packet::Packet;
use crate::source::{Sound, SourceRequest};
use crate::stream::floor::Turn;
use serde_json::{Value, json};
use std::time::Instant;

impl Engine {
    /// What the stream's loudspeaker takes, best first: empty where it has none, `None` while nobody knows.
    pub(super) fn backchannel(&self, stream: &Stream) -> Option<Vec<Codec>> {
        if let Some((key, _)) = &stream.publisher {
            let senders = self.peers.get(key).map_or(&[][..], |peer| &peer.senders);
            let codecs = senders.iter().filter(|sender| sender.kind == Kind::Audio).flat_map(|sender| &sender.codecs);
            return Some(codecs.map(|codec| codec.codec).collect());
        }
        let live = stream.is_live();
        live.then(|| loudspeaker(stream).map(|running| running.backchannel.clone()).unwrap_or_default())
    }

    /// A stream for `/api/streams`.
    pub(super) fn report(&self, stream: &Stream, now: Instant) -> Value {
        let mut value = report::stream(stream, &self.peers, &self.tracks);
        let available = self.backchannel(stream).is_some_and(|codecs| !codecs.is_empty());
        value["talk"] = json!({"available": available, "busy": stream.floor.talker(now).is_some()});
        value
    }

    /// A viewer's microphone sent a packet.
    pub(super) fn on_sound(&mut self, key: u32, track: u32, packet: Option<Packet>, now: Instant) {
        let Some((packet, peer)) = packet.zip(self.peers.get(&key)) else { return };
        let Some(stream) = self.streams.get_mut(&peer.stream) else { return };
        let Some(ear) = self.tracks.get_mut(&track) else { return };
        let turn = stream.floor.speak(key, now);
        if turn == Turn::Refused {
            return;
        }
        let codec = ear.info.codec;
        if turn == Turn::Begins {
            log::info!(target: "webrtc", "talk begins stream={:?} session={} codec={codec}", peer.stream, short(&peer.id));
        }
        match &stream.publisher {
            Some((publisher, _)) => {
                let publisher = *publisher;
                ear.push(packet, now);
                if turn == Turn::Begins {
                    self.let_hear(publisher, track);
                }
            }
            None => {
                let sound = Sound { talker: key, codec, timestamp: packet.timestamp, payload: packet.payload };
                if let Some(running) = loudspeaker(stream).filter(|running| running.backchannel.contains(&codec)) {
                    // A full queue belongs to a camera that takes nothing; old sound is of no use to it.
                    let _ = running.requests.try_send(SourceRequest::Sound(sound));
                }
            }
        }
    }

    /// A publisher hears this microphone, and no other.
    fn let_hear(&mut self, publisher: u32, track: u32) {
        let Some(peer) = self.peers.get_mut(&publisher) else { return };
        for sender in peer.senders.iter_mut().filter(|sender| sender.kind == Kind::Audio) {
            if let Some(before) = sender.track.and_then(|track| self.tracks.get_mut(&track)) {
                before.viewers.clear();
            }
            sender.bind(&self.tracks, &[track]);
            if let Some(track) = sender.track.and_then(|track| self.tracks.get_mut(&track)) {
                track.viewers = vec![publisher];
            }
        }
    }
}

/// The source of a stream that plays sound: the first, if several do.
fn loudspeaker(stream: &Stream) -> Option<&Running> {
    let live = stream.producers.iter().filter(|producer| producer.is_live());
    live.filter_map(|producer| producer.running.as_ref()).find(|running| !running.backchannel.is_empty())
}

/// `OPUS, PCMU`, each codec once.
pub(super) fn list(codecs: &[Codec]) -> String {
    let mut names: Vec<String> = codecs.iter().map(ToString::to_string).collect();
    names.dedup();
    names.join(", ")
}
