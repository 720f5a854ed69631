//! The ring of a track: immutable packets back to the latest keyframe, bounded by bytes and by time.
//! Live fan-out, the burst for a late viewer and retransmission all read from it.
use crate::media::packet::{MAX_WASTE, Packet};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets before the latest keyframe are kept this long, to answer NACKs for them.
pub const RETRANSMISSION_WINDOW: Duration = Duration::from_secs(1);
/// Packets older than this go even if no newer keyframe came: a viewer that starts from them would
/// have more to catch up than to see.
pub const MAX_AGE: Duration = Duration::from_secs(60);
/// Most bytes that one track holds, however much memory there is.
pub const MAX_BYTES: usize = 32 << 20;
/// Most bytes that a sound track holds: a second of the fastest sound, 400 packets, needs half of it.
pub const MAX_SOUND_BYTES: usize = 256 << 10;
/// Most packets that one track holds, gaps included.
pub const MAX_PACKETS: usize = 16_384;
/// Keyframes that a late packet may still belong to.
const NEIGHBOURS: usize = 4;
/// A sequence number this far from the newest one is a new beginning, not a loss.
const MAX_GAP: u64 = 4_096;

/// What a place costs, filled or not: the queue may have twice the room that it needs, and a payload's allocation has a
/// header of its own.
const SLOT_BYTES: usize = 2 * size_of::<Option<Slot>>() + 48;

/// What became of a packet that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// Newest packet of the track.
    Appended,
    /// Filled a gap: viewers that went past it get it now.
    Filled,
    /// Known already, or older than everything held.
    Ignored,
    /// Its number is out of any relation with what was held: the ring was emptied and begins with it.
    Restarted,
}

#[derive(Debug)]
struct Slot {
    packet: Packet,
    at: Instant,
}

/// Where an access unit begins from which decoding can start.
#[derive(Clone, Copy, Debug)]
struct Entry {
    seq: u64,
    timestamp: u32,
}

#[derive(Debug)]
pub struct Ring {
    slots: VecDeque<Option<Slot>>,
    /// Sequence number of `slots[0]`.
    first: u64,
    entries: VecDeque<Entry>,
    /// Allocated for payloads, at most.
    payloads: usize,
    max_bytes: usize,
    /// The newest timestamp and the one of the access unit before it.
    timestamps: Option<(u32, Option<u32>)>,
    /// Counts restarts, so that a stale cursor is recognised.
    generation: u32,
}

impl Ring {
    pub fn new(max_bytes: usize) -> Self {
        Self {
            slots: VecDeque::new(),
            first: 0,
            entries: VecDeque::new(),
            payloads: 0,
            max_bytes,
            timestamps: None,
            generation: 0,
        }
    }

    /// Changes how many bytes may be held; takes effect with the next packet.
    pub fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes.min(MAX_BYTES);
    }

    /// Sequence number after the newest packet.
    pub fn head(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// Oldest sequence number still held.
    pub fn tail(&self) -> u64 {
        self.first
    }

    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Bytes of memory that are held, at most.
    pub fn bytes(&self) -> usize {
        self.payloads + self.slots.len() * SLOT_BYTES
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// First packet of the newest access unit from which decoding can start.
    pub fn latest_keyframe(&self) -> Option<u64> {
        self.entries.back().map(|entry| entry.seq)
    }

    /// Timestamp of the newest access unit.
    pub fn newest_timestamp(&self) -> Option<u32> {
        self.timestamps.map(|(newest, _)| newest)
    }

    /// Clock ticks between the two newest access units.
    pub fn frame_interval(&self) -> Option<u32> {
        let (newest, previous) = self.timestamps?;
        Some(newest.wrapping_sub(previous?))
    }

    pub fn get(&self, seq: u64) -> Option<&Packet> {
        let index = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.slots.get(index)?.as_ref().map(|slot| &slot.packet)
    }

    /// Takes a packet in; `now` is its arrival.
    pub fn push(&mut self, packet: Packet, now: Instant) -> Pushed {
        let seq = packet.seq;
        if self.slots.is_empty() {
            self.first = seq;
        }
        let head = self.head();
        let outcome = if seq >= head {
            if seq - head > MAX_GAP {
                self.restart(seq);
                self.append(packet, now);
                return Pushed::Restarted;
            }
            for _ in head..seq {
                self.slots.push_back(None);
            }
            self.append(packet, now);
            Pushed::Appended
        } else if head - seq > MAX_GAP {
            self.restart(seq);
            self.append(packet, now);
            return Pushed::Restarted;
        } else if seq < self.first {
            return Pushed::Ignored;
        } else {
            let index = (seq - self.first) as usize;
            if self.slots[index].is_some() {
                return Pushed::Ignored;
            }
            self.note_keyframe(&packet);
            self.payloads += allocated(&packet);
            self.slots[index] = Some(Slot { packet, at: now });
            Pushed::Filled
        };
        self.trim(now);
        outcome
    }

    fn restart(&mut self, seq: u64) {
        self.slots.clear();
        self.entries.clear();
        self.payloads = 0;
        self.first = seq;
        self.timestamps = None;
        self.generation = self.generation.wrapping_add(1);
    }

    fn append(&mut self, packet: Packet, now: Instant) {
        match self.timestamps {
            Some((newest, _)) if newest == packet.timestamp => {}
            Some((newest, _)) if (packet.timestamp.wrapping_sub(newest) as i32) < 0 => {}
            Some((newest, _)) => self.timestamps = Some((packet.timestamp, Some(newest))),
            None => self.timestamps = Some((packet.timestamp, None)),
        }
        self.note_keyframe(&packet);
        self.payloads += allocated(&packet);
        self.slots.push_back(Some(Slot { packet, at: now }));
    }

    /// Parameter sets and the slices of one keyframe are several flagged packets with one timestamp:
    /// the access unit begins at the first of them.
    fn note_keyframe(&mut self, packet: &Packet) {
        if !packet.keyframe {
            return;
        }
        match self.entries.iter_mut().rev().take(NEIGHBOURS).find(|entry| entry.timestamp == packet.timestamp) {
            Some(entry) => entry.seq = entry.seq.min(packet.seq),
            None => {
                let at = self.entries.partition_point(|entry| entry.seq < packet.seq);
                self.entries.insert(at, Entry { seq: packet.seq, timestamp: packet.timestamp });
            }
        }
    }

    fn trim(&mut self, now: Instant) {
        let keyframe = self.latest_keyframe().unwrap_or(self.first);
        while let Some(front) = self.slots.front() {
            let over = self.bytes() > self.max_bytes || self.slots.len() > MAX_PACKETS;
            let stale = match front {
                None => self.first < keyframe || self.slots.len() > MAX_PACKETS,
                Some(slot) => {
                    let age = now.saturating_duration_since(slot.at);
                    age > MAX_AGE || (self.first < keyframe && age > RETRANSMISSION_WINDOW)
                }
            };
            if !over && !stale {
                break;
            }
            if let Some(Some(slot)) = self.slots.pop_front() {
                self.payloads -= allocated(&slot.packet);
            }
            self.first += 1;
        }
        while self.entries.front().is_some_and(|entry| entry.seq < self.first) {
            self.entries.pop_front();
        }
        if self.slots.capacity() > 4 * (self.slots.len() + 64) {
            self.slots.shrink_to(2 * self.slots.len());
        }
    }
}

/// Bytes that a packet keeps allocated, at most.
fn allocated(packet: &Packet) -> usize {
    packet.payload.len() + MAX_WASTE
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn packet(seq: u64, timestamp: u32, keyframe: bool) -> Packet {
        Packet { seq, timestamp, marker: true, keyframe, payload: Bytes::from_static(&[0; 100]) }
    }

    #[test]
    fn holds_everything_since_the_latest_keyframe() {
        let mut ring = Ring::new(MAX_BYTES);
        let start = Instant::now();
        for i in 0..100u64 {
            let at = start + Duration::from_millis(100 * i);
            ring.push(packet(1000 + i, 9000 * i as u32, i % 50 == 0), at);
        }
        assert_eq!(ring.latest_keyframe(), Some(1050));
        assert!(ring.get(1050).is_some() && ring.get(1099).is_some());
        assert_eq!(ring.head(), 1100);
        assert!(ring.tail() <= 1050 && ring.tail() >= 1039, "old packets stay for the retransmission window only");
        assert_eq!(ring.frame_interval(), Some(9000));
    }

    #[test]
    fn a_late_packet_fills_its_gap_once() {
        let mut ring = Ring::new(MAX_BYTES);
        let now = Instant::now();
        assert_eq!(ring.push(packet(5, 0, true), now), Pushed::Appended);
        assert_eq!(ring.push(packet(7, 0, false), now), Pushed::Appended);
        assert!(ring.get(6).is_none());
        assert_eq!(ring.push(packet(6, 0, false), now), Pushed::Filled);
        assert_eq!(ring.push(packet(6, 0, false), now), Pushed::Ignored);
        assert_eq!(ring.push(packet(4, 0, false), now), Pushed::Ignored);
    }

    #[test]
    fn parameter_sets_and_slices_of_one_keyframe_are_one_entry() {
        let mut ring = Ring::new(MAX_BYTES);
        let now = Instant::now();
        ring.push(packet(1, 0, false), now);
        ring.push(packet(3, 90, true), now);
        ring.push(packet(4, 90, true), now);
        assert_eq!(ring.latest_keyframe(), Some(3));
        ring.push(packet(2, 90, true), now);
        assert_eq!(ring.latest_keyframe(), Some(2));
    }

    #[test]
    fn bytes_are_bounded_even_without_a_keyframe() {
        let mut ring = Ring::new(10_000);
        let now = Instant::now();
        for i in 0..1000 {
            ring.push(packet(i, i as u32, i == 0), now);
            assert!(ring.bytes() <= 10_000);
        }
        assert_eq!(ring.latest_keyframe(), None);
    }

    #[test]
    fn packets_of_next_to_nothing_and_gaps_are_counted_as_what_they_hold() {
        for step in [1, 100] {
            let mut ring = Ring::new(100_000);
            let now = Instant::now();
            for i in 0..4_000 {
                ring.push(Packet { payload: Bytes::from_static(&[1]), ..packet(i * step, 0, i == 0) }, now);
            }
            let places = ring.slots.capacity() * size_of::<Option<Slot>>();
            let packets = ring.slots.iter().flatten().count();
            assert!(
                places + packets * (MAX_WASTE + 48) <= 100_000 + 128 * size_of::<Option<Slot>>(),
                "{places} {packets}"
            );
            assert!(packets > 0);
        }
    }

    #[test]
    fn a_jump_of_the_numbers_restarts_the_ring() {
        let mut ring = Ring::new(MAX_BYTES);
        let now = Instant::now();
        ring.push(packet(100_000, 0, true), now);
        assert_eq!(ring.push(packet(1, 0, true), now), Pushed::Restarted);
        assert_eq!(ring.head(), 2);
        assert_eq!(ring.generation(), 1);
        assert_eq!(ring.push(packet(1 << 40, 0, true), now), Pushed::Restarted);
    }
}
