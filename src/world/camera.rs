//! A camera: pictures of VP8 whose payload says which they are, at a steady pace, until its plan says otherwise.
use crate::engine::source::{SourceError, SourceErrorKind, SourceEvent, SourceRequest};
use crate::media::codec::Codec;
use crate::media::packet::Packet;
use crate::media::track::TrackInfo;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// What a camera does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// From the call to the first picture.
    pub starts_after: Duration,
    /// From one picture to the next.
    pub every: Duration,
    /// Pictures from one keyframe to the next.
    pub gop: u32,
    /// Packets of one picture.
    pub parts: u16,
    /// Makes a keyframe when it is asked for one.
    pub listens: bool,
    /// It ends this long after the call.
    pub dies_after: Option<Duration>,
    pub codec: Codec,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            starts_after: Duration::from_millis(50),
            every: Duration::from_millis(40),
            gop: 50,
            parts: 4,
            listens: true,
            dies_after: None,
            codec: Codec::Vp8,
        }
    }
}

/// Bytes of a packet's payload.
const PART: usize = 900;

/// The payload of one packet of a picture: a VP8 payload descriptor and the first byte of the frame header, then the
/// picture's number, and which of how many packets this is.
pub fn payload(picture: u32, part: u16, parts: u16, keyframe: bool) -> Vec<u8> {
    let mut bytes = vec![if part == 0 { 0x10 } else { 0 }, u8::from(!keyframe)];
    bytes.extend_from_slice(&picture.to_be_bytes());
    bytes.extend_from_slice(&part.to_be_bytes());
    bytes.extend_from_slice(&parts.to_be_bytes());
    bytes.resize(PART, picture as u8);
    bytes
}

/// What [`payload`] wrote: picture, part, parts and whether it is of a keyframe.
pub fn read_payload(bytes: &[u8]) -> Option<(u32, u16, u16, bool)> {
    let numbers: [u8; 8] = bytes.get(2..10)?.try_into().ok()?;
    let picture = u32::from_be_bytes(numbers[..4].try_into().ok()?);
    let [part, parts] = [4, 6].map(|at| u16::from_be_bytes([numbers[at], numbers[at + 1]]));
    Some((picture, part, parts, bytes[1] & 1 == 0))
}

pub struct Camera {
    plan: Plan,
    next: Instant,
    dies: Option<Instant>,
    announced: bool,
    picture: u32,
    since_keyframe: u32,
    wants_keyframe: bool,
    seq: u64,
}

impl Camera {
    /// `first`: the number of its first picture.
    pub fn new(plan: Plan, first: u32, now: Instant) -> Self {
        Self {
            next: now + plan.starts_after,
            dies: plan.dies_after.map(|after| now + after),
            announced: false,
            picture: first,
            since_keyframe: 0,
            wants_keyframe: true,
            seq: 1000,
            plan,
        }
    }

    pub fn ask(&mut self, request: &SourceRequest) {
        if matches!(request, SourceRequest::Keyframe { .. }) && self.plan.listens {
            self.wants_keyframe = true;
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.dies.into_iter().chain([self.next]).min()
    }

    pub fn tick(&mut self, now: Instant) -> Vec<SourceEvent> {
        if self.dies.is_some_and(|at| at <= now) {
            return vec![SourceEvent::Ended(SourceError::new(SourceErrorKind::Failed, "the camera was switched off"))];
        }
        let mut events = Vec::new();
        if self.next > now {
            return events;
        }
        if !std::mem::replace(&mut self.announced, true) {
            events.push(SourceEvent::Tracks(vec![TrackInfo { codec: self.plan.codec, fmtp: String::new() }]));
        }
        self.since_keyframe += 1;
        let keyframe = std::mem::take(&mut self.wants_keyframe) || self.since_keyframe >= self.plan.gop;
        if keyframe {
            self.since_keyframe = 0;
        }
        let timestamp = (90 * self.plan.every.as_millis() as u32).wrapping_mul(self.picture);
        let packets = (0..self.plan.parts).map(|part| {
            self.seq += 1;
            Packet {
                seq: self.seq,
                timestamp,
                marker: part + 1 == self.plan.parts,
                keyframe: keyframe && part == 0,
                payload: Bytes::from(payload(self.picture, part, self.plan.parts, keyframe)),
            }
        });
        events.push(SourceEvent::Packets { track: 0, packets: packets.collect() });
        self.picture += 1;
        self.next = now + self.plan.every;
        events
    }
}
