//! A producer's track: its ring, its clock, and who watches it.
use crate::engine::keys::PeerKey;
use crate::media::codec::Codec;
use crate::media::h264::sps;
use crate::media::packet::Packet;
use crate::media::ring::{MAX_BYTES, Pushed, Ring};
use crate::media::shape::Shape;
use crate::media::track::TrackInfo;
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

/// What a producer sends of one kind, and who watches it.
pub struct Track {
    pub info: TrackInfo,
    pub shape: Shape,
    /// What the shape made of the newest packet; kept for its room.
    shaped: Vec<Packet>,
    pub ring: Ring,
    /// Sessions with a sender on this track.
    pub viewers: Vec<PeerKey>,
    /// Packets that filled a gap since the last fan-out.
    pub late: Vec<u64>,
    /// It is on the list of those with news for their viewers.
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
        let mut track = Self {
            shape: Shape::new(info.codec, &info.fmtp),
            shaped: Vec::new(),
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
        };
        track.look_at_parameters();
        track
    }

    /// Takes a packet; true if there are news for viewers.
    pub fn push(&mut self, packet: Packet, now: Instant) -> bool {
        self.packets += 1;
        self.bytes += packet.payload.len() as u64;
        self.last_packet = Some(now);
        let keyframe = packet.keyframe;
        let mut shaped = std::mem::take(&mut self.shaped);
        self.shape.take(packet, |packet| shaped.push(packet));
        if keyframe {
            self.look_at_parameters();
        }
        let mut news = false;
        for packet in shaped.drain(..) {
            news |= self.store(packet, now);
        }
        self.shaped = shaped;
        news
    }

    /// What H.264's parameter sets say holds, whatever the description said.
    fn look_at_parameters(&mut self) {
        let Some(sps) = self.shape.sequence().filter(|_| self.info.codec == Codec::H264) else { return };
        let profile = sps.get(1..4).and_then(|bytes| <[u8; 3]>::try_from(bytes).ok());
        let Some((profile, size)) = profile.zip(sps::resolution(sps)) else { return };
        if self.picture.is_none_or(|(known, _)| known != profile) {
            let [idc, constraints, level] = profile;
            self.info.fmtp = format!("profile-level-id={idc:02x}{constraints:02x}{level:02x}");
        }
        self.picture = Some((profile, size));
    }

    fn store(&mut self, packet: Packet, now: Instant) -> bool {
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
                true
            }
            Pushed::Filled => {
                self.late.push(seq);
                true
            }
            Pushed::Ignored => false,
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

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn packet(seq: u64, timestamp: u32, payload: &'static [u8]) -> Packet {
        Packet { seq, timestamp, marker: true, keyframe: true, payload: Bytes::from_static(payload) }
    }

    /// x264, 1280x720, High, level 3.1.
    const SPS: &[u8] = &[
        0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00,
        0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60,
    ];

    #[test]
    fn the_profile_is_what_the_parameter_sets_say_and_not_what_the_description_says() {
        let said = "packetization-mode=1;profile-level-id=42e01f";
        let mut track = Track::new(TrackInfo { codec: Codec::H264, fmtp: said.into() }, true);
        let now = Instant::now();
        assert_eq!((track.picture, track.info.fmtp.as_str()), (None, said));
        for (seq, payload) in [(1, SPS), (2, &[0x68, 0xeb, 0xec]), (3, &[0x65, 0x88, 0x84])] {
            track.push(packet(seq, 0, payload), now);
        }
        assert_eq!(track.picture, Some(([0x64, 0x00, 0x1f], (1280, 720))));
        assert_eq!(track.info.fmtp, "profile-level-id=64001f");
    }

    #[test]
    fn a_keyframe_begins_with_the_sets_of_the_description() {
        let fmtp = "profile-level-id=640028;sprop-parameter-sets=Z0LAHpWgFAFuQA==,aM48gA==";
        let mut track = Track::new(TrackInfo { codec: Codec::H264, fmtp: fmtp.into() }, true);
        assert_eq!(track.info.fmtp, "profile-level-id=42c01e", "known before the first packet");
        let now = Instant::now();
        track.push(packet(7, 0, &[0x65, 0x88, 0x84]), now);
        track.push(packet(8, 90, &[0x65, 0x88, 0x84]), now);
        assert_eq!((track.ring.latest_keyframe(), track.ring.head(), track.packets), (Some(9), 11, 2));
        assert_eq!(track.keyframe.map(|keyframe| keyframe.timestamp), Some(90));
    }
}
