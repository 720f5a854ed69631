//! What sources send: their tracks come and go, and their packets fill the rings.
use super::Engine;
use super::media::track::Track;
use super::source::{ProducerId, SourceEvent};
use std::time::Instant;

impl Engine {
    pub(super) fn on_source(&mut self, id: ProducerId, event: SourceEvent, now: Instant) {
        match event {
            SourceEvent::Packets { track, packets } => {
                let Some(key) = self.streams.track_of(id, track) else { return };
                for packet in packets {
                    self.media.push(key, packet, now);
                }
            }
            SourceEvent::Clock { track, at, timestamp } => {
                if let Some(track) = self.streams.track_of(id, track).and_then(|key| self.media.get_mut(key)) {
                    track.set_clock(at, timestamp);
                }
            }
            rare => self.on_rare(id, rare, now),
        }
    }

    fn on_rare(&mut self, id: ProducerId, event: SourceEvent, now: Instant) {
        // It may be of a run that was given up.
        let Some((name, index)) = self.streams.home(id) else { return };
        let Some(stream) = self.streams.get_mut(&name) else { return };
        let Some(running) = &mut stream.producers[index].running else { return };
        match event {
            SourceEvent::Packets { .. } | SourceEvent::Clock { .. } => {}
            SourceEvent::Progress(progress) => running.progress = progress,
            SourceEvent::Backchannel(codecs) => running.backchannel = codecs,
            SourceEvent::Tracks(infos) => {
                let keys: Vec<_> = infos.iter().map(|_| self.keys.track()).collect();
                let old = std::mem::replace(&mut running.tracks, keys.clone());
                running.live.get_or_insert(now);
                let producer = &mut stream.producers[index];
                (producer.last_error, producer.down_since) = (None, None);
                for (key, info) in keys.iter().zip(infos) {
                    self.media.add(*key, Track::new(info, true));
                }
                self.media.remove(&old);
                self.on_live(&name, now);
            }
            SourceEvent::Ended(error) => self.on_source_failed(&name, index, &error, now),
        }
    }
}
