//! The packet path: producers' tracks with their rings, and what brings their packets to viewers.
pub mod pump;
pub mod send_buffer;
pub mod sender;
pub mod track;

use super::keys::{PeerKey, TrackKey};
use crate::media::codec::Kind;
use crate::media::packet::Packet;
use crate::media::ring::MAX_SOUND_BYTES;
use std::collections::HashMap;
use std::time::Instant;
use track::Track;

pub struct Media {
    tracks: HashMap<TrackKey, Track>,
    /// Tracks with news for their viewers.
    dirty: Vec<TrackKey>,
    /// Bytes that all rings together may hold.
    budget: usize,
    pub packets_forwarded: u64,
}

impl Media {
    /// `budget`: bytes that all rings together may hold.
    pub fn new(budget: usize) -> Self {
        Self { tracks: HashMap::new(), dirty: Vec::new(), budget, packets_forwarded: 0 }
    }

    pub fn get(&self, key: TrackKey) -> Option<&Track> {
        self.tracks.get(&key)
    }

    pub fn get_mut(&mut self, key: TrackKey) -> Option<&mut Track> {
        self.tracks.get_mut(&key)
    }

    /// Those of these tracks that exist.
    pub fn of<'k>(&'k self, keys: &'k [TrackKey]) -> impl Iterator<Item = &'k Track> {
        keys.iter().filter_map(|key| self.get(*key))
    }

    pub fn add(&mut self, key: TrackKey, track: Track) {
        self.tracks.insert(key, track);
        self.share_budget();
    }

    /// Takes a track out, to be added again later.
    pub fn take(&mut self, key: TrackKey) -> Option<Track> {
        let track = self.tracks.remove(&key);
        self.share_budget();
        track
    }

    pub fn remove(&mut self, keys: &[TrackKey]) {
        for key in keys {
            self.tracks.remove(key);
        }
        self.share_budget();
    }

    /// Gives every video track its share of the memory for packets; sound has little of its own.
    fn share_budget(&mut self) {
        let videos = self.tracks.values().filter(|track| track.info.codec.kind() == Kind::Video).count();
        for track in self.tracks.values_mut() {
            track.ring.set_max_bytes(match track.info.codec.kind() {
                Kind::Video => self.budget / videos.max(1),
                Kind::Audio => MAX_SOUND_BYTES,
            });
        }
    }

    /// A producer's packet.
    pub fn push(&mut self, key: TrackKey, packet: Packet, now: Instant) {
        let Some(track) = self.tracks.get_mut(&key) else { return };
        if track.push(packet, now) && !std::mem::replace(&mut track.dirty, true) {
            self.dirty.push(key);
        }
    }

    /// A viewer is sent this track from now on.
    pub fn watch(&mut self, key: TrackKey, viewer: PeerKey) {
        let Some(track) = self.tracks.get_mut(&key) else { return };
        track.viewers.push(viewer);
        if !std::mem::replace(&mut track.dirty, true) {
            self.dirty.push(key);
        }
    }

    pub fn unwatch(&mut self, key: TrackKey, viewer: PeerKey) {
        if let Some(track) = self.tracks.get_mut(&key) {
            track.viewers.retain(|watching| *watching != viewer);
        }
    }

    pub fn is_watched(&self, key: TrackKey) -> bool {
        self.get(key).is_some_and(|track| !track.viewers.is_empty())
    }

    /// Are there news for any viewer?
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// The viewers of tracks with news, some of them twice.
    pub fn viewers_with_news(&self) -> impl Iterator<Item = PeerKey> {
        self.dirty.iter().filter_map(|key| self.tracks.get(key)).flat_map(|track| track.viewers.iter().copied())
    }

    /// Every viewer has seen the news.
    pub fn settle(&mut self) {
        for key in self.dirty.drain(..) {
            if let Some(track) = self.tracks.get_mut(&key) {
                track.dirty = false;
                track.late.clear();
            }
        }
    }

    /// Bytes that all rings hold.
    pub fn ring_bytes(&self) -> usize {
        self.tracks.values().map(|track| track.ring.bytes()).sum()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.tracks.len()
    }
}
