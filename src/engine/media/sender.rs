//! What one m-line of a viewer is sent.
use super::Media;
use crate::engine::keys::TrackKey;
use crate::media::codec::Kind;
use crate::rtc::answer::Ssrcs;
use crate::rtc::negotiate::{self, Accepted};
use crate::rtc::rtcp::ReportBlock;
use crate::rtc::sdp::RemoteCodec;
use crate::stream::outbound::{Outbound, Place};
use crate::stream::repeats::Repeats;
use std::time::{Duration, Instant};

/// Missing packets that are kept for the next look: more than a viewer's buffer holds of one picture.
const MAX_MISSING: usize = 1024;

/// A viewer that asks for keyframes gets one from the ring at most this often.
pub const REPLAY_INTERVAL: Duration = Duration::from_millis(500);

/// What one m-line of a viewer is sent.
pub struct Sender {
    /// Index of the m-line in the peer's offers.
    pub media: usize,
    pub kind: Kind,
    /// What the viewer takes, in our order.
    pub codecs: Vec<RemoteCodec>,
    pub ssrc: u32,
    pub rtx_ssrc: Option<u32>,
    pub rtx_seq: u64,
    pub outbound: Outbound,
    pub track: Option<TrackKey>,
    /// Payload type of the track in this session, and of its retransmissions.
    pub payload_type: u8,
    pub rtx_payload_type: Option<u8>,
    pub packets: u64,
    pub bytes: u64,
    pub retransmitted: u64,
    /// Sends that the system refused because they were too long for the way.
    pub too_long: u64,
    /// What was sent again.
    pub repeats: Repeats,
    pub nacked: u64,
    pub keyframe_requests: u64,
    pub wants_keyframe: bool,
    /// Sequence numbers that the viewer misses and that were not looked at yet.
    missing: Vec<u16>,
    pub replayed: Option<Instant>,
    pub last_sent: Option<Instant>,
    pub report: Option<ReportBlock>,
    pub loss: Loss,
}

/// What the peer's reports say of loss, smoothed: one lost packet in a quiet second is no trouble.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loss {
    pub percent: f32,
    pub reports: u32,
}

impl Loss {
    /// Part of the newest report; four of them make up most of the figure.
    const NEWEST: f32 = 0.25;

    pub fn note(&mut self, fraction: u8) {
        let percent = f32::from(fraction) * 100.0 / 256.0;
        self.percent += (percent - self.percent) * Self::NEWEST;
        self.reports = self.reports.saturating_add(1);
    }
}

impl Sender {
    /// `random` chooses where its numbers begin.
    pub fn new(media: &Accepted, ssrcs: Ssrcs, random: [u8; 8]) -> Self {
        let seq = u16::from_be_bytes([random[0], random[1]]);
        let timestamp = u32::from_be_bytes([random[2], random[3], random[4], random[5]]);
        let rate = media.codecs.first().map_or(90_000, |codec| codec.codec.clock_rate());
        Self {
            media: media.media,
            kind: media.kind,
            codecs: media.codecs.clone(),
            ssrc: ssrcs.ssrc,
            rtx_ssrc: ssrcs.rtx_ssrc,
            rtx_seq: u64::from(u16::from_be_bytes([random[6], random[7]]) & 0x7fff),
            outbound: Outbound::new(seq, timestamp, rate),
            track: None,
            payload_type: 0,
            rtx_payload_type: None,
            packets: 0,
            bytes: 0,
            retransmitted: 0,
            too_long: 0,
            repeats: Repeats::default(),
            nacked: 0,
            keyframe_requests: 0,
            wants_keyframe: false,
            missing: Vec::new(),
            replayed: None,
            last_sent: None,
            report: None,
            loss: Loss::default(),
        }
    }

    /// Chooses among a stream's tracks what fits this m-line.
    pub fn bind(&mut self, media: &Media, among: &[TrackKey]) {
        let found = among.iter().find_map(|key| {
            let track = media.get(*key).filter(|track| track.info.codec.kind() == self.kind)?;
            Some((*key, negotiate::pick(&track.info, &self.codecs)?))
        });
        match found {
            Some((key, codec)) => {
                self.payload_type = codec.payload_type;
                self.rtx_payload_type = codec.rtx.filter(|_| self.rtx_ssrc.is_some());
                if self.track != Some(key) {
                    self.track = Some(key);
                    self.outbound.stop();
                }
            }
            None => {
                self.track = None;
                self.outbound.stop();
            }
        }
    }

    /// Goes back to a cursor and to counts from before packets that the kernel refused.
    pub fn back_to(&mut self, (cursor, packets, bytes): (Place, u64, u64)) {
        self.outbound.restore(cursor);
        (self.packets, self.bytes) = (packets, bytes);
    }

    /// The viewer misses these packets: the next [`pump`](super::pump::pump) sends them again.
    pub fn miss(&mut self, lost: &[u16]) {
        self.nacked += lost.len() as u64;
        let room = MAX_MISSING.saturating_sub(self.missing.len());
        self.missing.extend(lost.iter().take(room));
    }

    pub fn take_missing(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.missing)
    }

    pub fn idle_ticks(&self, now: Instant, clock_rate: u32) -> u32 {
        let idle = self.last_sent.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        (idle.as_millis() as u64 * u64::from(clock_rate) / 1000) as u32
    }
}
