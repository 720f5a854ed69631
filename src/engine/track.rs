//! A producer's track: its ring, its clock, and who watches it.
use crate::media::codec::Codec;
use crate::media::keyframe;
use crate::media::packet::Packet;
use crate::media::ring::{MAX_BYTES, Pushed, Ring};
use crate::source::TrackInfo;
use std::time::{Duration, Instant};

/// A producer is asked for a keyframe at most this often.
pub const KEYFRAME_INTERVAL: Duration = Duration::from_millis(500);

/// The newest keyframe of a track.
#[derive(Clone, Copy, Debug)]
pub struct Keyframe {
    pub at: Instant,
    timestamp: u32,
    /// Time since the one before it.
    pub apart: Option<Duration>,
}

pub struct Track {
    pub info: TrackInfo,
    pub ring: Ring,
    /// Sessions with a sender on this track.
    pub viewers: Vec<u32>,
    /// Packets that filled a gap since the last fan-out.
    pub late: Vec<u64>,
    /// There is news for the viewers.
    pub dirty: bool,
    /// A moment and what the track's clock showed then: from the publisher's sender reports, else from arrival.
    clock: Option<(Instant, u32)>,
    reported: bool,
    /// Can its producer make a keyframe on demand?
    pub asks: bool,
    keyframe_asked: Option<Instant>,
    /// Requests for a keyframe that went to the producer since the last one came.
    pub asked: u32,
    pub keyframe: Option<Keyframe>,
    /// `profile-level-id` and size of an H.264 picture, as its parameter sets say.
    pub picture: Option<([u8; 3], (u32, u32))>,
    pub packets: u64,
    pub bytes: u64,
    pub last_packet: Option<Instant>,
}

impl Track {
    pub fn new(info: TrackInfo, asks: bool) -> Self {
        Self {
            info,
            ring: Ring::new(MAX_BYTES),
            viewers: Vec::new(),
            late: Vec::new(),
            dirty: false,
            clock: None,
            reported: false,
            asks,
            keyframe_asked: None,
            asked: 0,
            keyframe: None,
            picture: None,
            packets: 0,
            bytes: 0,
            last_packet: None,
        }
    }

    pub fn push(&mut self, packet: Packet, now: Instant) {
        self.packets += 1;
        self.bytes += packet.payload.len() as u64;
        self.last_packet = Some(now);
        if packet.keyframe && self.info.codec == Codec::H264 {
            let picture = keyframe::h264_profile(&packet.payload).zip(keyframe::h264_resolution(&packet.payload));
            self.picture = picture.or(self.picture);
        }
        if packet.keyframe {
            self.asked = 0;
            // Parameter sets and the slices of one picture are marked each: one keyframe.
            let last = self.keyframe;
            if last.is_none_or(|last| last.timestamp != packet.timestamp) {
                let apart = last.map(|last| now.saturating_duration_since(last.at));
                self.keyframe = Some(Keyframe { at: now, timestamp: packet.timestamp, apart });
            }
        }
        let (seq, timestamp) = (packet.seq, packet.timestamp);
        match self.ring.push(packet, now) {
            pushed @ (Pushed::Appended | Pushed::Restarted) => {
                // Another RTP stream has another clock, until its first report from arrival.
                self.reported &= pushed == Pushed::Appended;
                if !self.reported {
                    self.clock = Some((now, timestamp));
                }
                self.dirty = true;
            }
            Pushed::Filled => {
                self.late.push(seq);
                self.dirty = true;
            }
            Pushed::Ignored => {}
        }
    }

    /// The publisher tied a moment to a timestamp.
    pub fn set_clock(&mut self, at: Instant, timestamp: u32) {
        self.clock = Some((at, timestamp));
        self.reported = true;
    }

    /// What the track's clock shows now.
    pub fn timestamp_at(&self, now: Instant) -> Option<u32> {
        let (at, timestamp) = self.clock?;
        let rate = u128::from(self.info.codec.clock_rate());
        // The publisher's reports may name any moment: wide enough for all of them.
        let ticks = |duration: Duration| (duration.as_micros() * rate / 1_000_000) as u32;
        Some(match now.checked_duration_since(at) {
            Some(after) => timestamp.wrapping_add(ticks(after)),
            None => timestamp.wrapping_sub(ticks(at - now)),
        })
    }

    /// May the producer be asked for a keyframe now? Counts as asked if so.
    pub fn ask_keyframe(&mut self, now: Instant) -> bool {
        let due = self.keyframe_asked.is_none_or(|at| now.saturating_duration_since(at) >= KEYFRAME_INTERVAL);
        if self.asks && due {
            self.keyframe_asked = Some(now);
            self.asked = self.asked.saturating_add(1);
        }
        self.asks && due
    }
}
