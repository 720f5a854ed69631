//! What sources send: their tracks come and go, their packets fill the rings, and they are asked for keyframes.
use super::producer::Producer;
use super::track::Track;
use super::{Engine, new_key};
use crate::media::codec::Kind;
use crate::media::ring::MAX_SOUND_BYTES;
use crate::source::{ProducerId, SourceEvent, SourceRequest};
use std::time::Instant;

impl Engine {
    pub(super) fn on_source(&mut self, producer: ProducerId, event: SourceEvent) {
        let now = Instant::now();
        let found = self.streams.values_mut().find_map(|stream| {
            let is = |p: &Producer| p.running.as_ref().is_some_and(|running| running.id == producer);
            let index = stream.producers.iter().position(is)?;
            Some((stream, index))
        });
        let Some((stream, index)) = found else { return };
        let Some(running) = &mut stream.producers[index].running else { return };
        match event {
            SourceEvent::Packets { track, packets } => {
                if let Some(track) = running.tracks.get(track).and_then(|key| self.tracks.get_mut(key)) {
                    for packet in packets {
                        track.push(packet, now);
                    }
                }
            }
            SourceEvent::Clock { track, at, timestamp } => {
                if let Some(track) = running.tracks.get(track).and_then(|key| self.tracks.get_mut(key)) {
                    track.set_clock(at, timestamp);
                }
            }
            SourceEvent::Progress(progress) => running.progress = progress,
            SourceEvent::Backchannel(codecs) => running.backchannel = codecs,
            SourceEvent::Tracks(infos) => {
                let keys: Vec<u32> = infos.iter().map(|_| new_key(&mut self.next_key)).collect();
                let old = std::mem::replace(&mut running.tracks, keys.clone());
                running.live.get_or_insert(now);
                (stream.producers[index].last_error, stream.producers[index].down_since) = (None, None);
                let name = stream.name.clone();
                for (key, info) in keys.iter().zip(infos) {
                    self.add_track(*key, Track::new(info, true));
                }
                self.drop_tracks(&old);
                self.on_live(&name);
            }
            SourceEvent::Ended(error) => {
                let name = stream.name.clone();
                self.on_source_failed(&name, index, error, now);
            }
        }
    }

    /// Asks the producer of a track for a keyframe, if it can and was not asked just now.
    pub(super) fn ask_keyframe(&mut self, track_key: u32, now: Instant) {
        if !self.tracks.get_mut(&track_key).is_some_and(|track| track.ask_keyframe(now)) {
            return;
        }
        for stream in self.streams.values() {
            if let Some((key, tracks)) = &stream.publisher
                && tracks.contains(&track_key)
            {
                if let Some(peer) = self.peers.get_mut(key) {
                    peer.intake.want_keyframe(track_key);
                    peer.feedback(now, &mut self.out);
                    peer.due = peer.deadline();
                    self.wire.send(&mut self.out);
                }
                return;
            }
            for running in stream.producers.iter().filter_map(|producer| producer.running.as_ref()) {
                if let Some(track) = running.tracks.iter().position(|key| *key == track_key) {
                    // A full queue holds a request already.
                    let _ = running.requests.try_send(SourceRequest::Keyframe { track });
                    return;
                }
            }
        }
    }

    pub(super) fn add_track(&mut self, key: u32, track: Track) {
        self.tracks.insert(key, track);
        self.share_buffer();
    }

    pub(super) fn drop_tracks(&mut self, keys: &[u32]) {
        for key in keys {
            self.tracks.remove(key);
        }
        self.share_buffer();
    }

    /// Gives every video track its share of the memory for packets; sound has little of its own.
    pub(super) fn share_buffer(&mut self) {
        let videos = self.tracks.values().filter(|track| track.info.codec.kind() == Kind::Video).count();
        for track in self.tracks.values_mut() {
            track.ring.set_max_bytes(match track.info.codec.kind() {
                Kind::Video => self.ring_budget / videos.max(1),
                Kind::Audio => MAX_SOUND_BYTES,
            });
        }
    }
}
