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
use crate::stream::relay::Error;
use serde_json::{Value, json};
use std::time::Instant;
use tokio::sync::mpsc;

/// Turns that wait to be told to one talker; of those beyond it is not told.
const TURNS_QUEUE: usize = 4;

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
        value["talk"] = json!({"available": available, "busy": available && stream.floor.talker(now).is_some()});
        value
    }

    /// Does the stream's loudspeaker take sound in this codec?
    fn hears(&self, stream: &Stream, codec: Codec) -> bool {
        match stream.publisher.as_ref().and_then(|(key, _)| self.peers.get(key)) {
            Some(peer) => {
                let audio = peer.senders.iter().filter(|sender| sender.kind == Kind::Audio);
                audio.flat_map(|sender| &sender.codecs).any(|taken| taken.codec == codec)
            }
            None => loudspeaker(stream).is_some_and(|running| running.backchannel.contains(&codec)),
        }
    }

    /// A viewer's microphone sent a packet.
    pub(super) fn on_sound(&mut self, key: u32, track: u32, packet: Option<Packet>, now: Instant) {
        // Some decoders take a packet without sound for the end of all sound.
        let Some(packet) = packet.filter(|packet| !packet.payload.is_empty()) else { return };
        let Some(peer) = self.peers.get(&key) else { return };
        let Some(codec) = self.tracks.get(&track).map(|ear| ear.info.codec) else { return };
        // What nobody hears keeps nobody from talking.
        if !self.streams.get(&peer.stream).is_some_and(|stream| self.hears(stream, codec)) {
            return;
        }
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let Some(stream) = self.streams.get_mut(&peer.stream) else { return };
        let turn = stream.floor.speak(key, now);
        let waited = peer.is_refused(now);
        match turn {
            Turn::Refused => {
                peer.refused = Some(now);
                if !waited {
                    if let Some(left_out) = self.sparing.admit(peer.origin.remote.ip(), now) {
                        let (name, id) = (&peer.stream, short(&peer.id));
                        log::info!(
                            target: "webrtc",
                            "talk refused, somebody else talks stream={name:?} session={id}{left_out}"
                        );
                    }
                    peer.tell_turn(false);
                }
                return;
            }
            Turn::Begins => {
                if let Some(left_out) = self.sparing.admit(peer.origin.remote.ip(), now) {
                    let (name, id) = (&peer.stream, short(&peer.id));
                    log::info!(target: "webrtc", "talk begins stream={name:?} session={id} codec={codec}{left_out}");
                }
                peer.refused = None;
                if waited {
                    peer.tell_turn(true);
                }
            }
            Turn::Goes => {}
        }
        if let Some((publisher, _)) = stream.publisher {
            if let Some(ear) = self.tracks.get_mut(&track) {
                ear.push(packet, now);
            }
            if turn == Turn::Begins {
                self.let_hear(publisher, track);
            }
        } else if let Some(running) = loudspeaker(stream) {
            let sound = Sound { talker: key, codec, timestamp: packet.timestamp, payload: packet.payload };
            // A full queue belongs to a camera that takes nothing; old sound is of no use to it.
            let _ = running.requests.try_send(SourceRequest::Sound(sound));
        }
    }

    /// Tells from now on how a viewer's words fare; that they are refused now too, since the first may be here before who asks.
    pub(super) fn on_turns(&mut self, id: &str, now: Instant) -> Result<mpsc::Receiver<bool>, Error> {
        let key = self.key_of(id)?;
        let (sender, receiver) = mpsc::channel(TURNS_QUEUE);
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.turns = Some(sender);
            if peer.is_refused(now) {
                peer.tell_turn(false);
            }
        }
        Ok(receiver)
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
