//! One RTP packet of a track, without its header: what the ring keeps and every viewer shares.
use bytes::Bytes;

/// Largest RTP payload that we packetise ourselves, in bytes: with RTP header, SRTP tag, UDP and IPv6
/// headers it stays under 1280, the smallest MTU that IPv6 allows.
pub const MAX_PAYLOAD: usize = 1188;

/// An RTP payload as its producer sent it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Sequence number, extended beyond 16 bits by the producer's side. Gaps are packets that are
    /// lost or still to come.
    pub seq: u64,
    /// Timestamp in the codec's clock.
    pub timestamp: u32,
    /// RTP marker bit: for video the last packet of an access unit.
    pub marker: bool,
    /// This packet begins an access unit from which a decoder can start (for H.264 and H.265: the
    /// first packet of parameter sets or of an IDR slice).
    pub keyframe: bool,
    pub payload: Bytes,
}
