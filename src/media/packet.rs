//! One RTP packet of a track, without its header: what the ring keeps and every viewer shares.
use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// Largest RTP payload that we packetise ourselves, in bytes: with RTP header, SRTP tag, UDP and IPv6
/// headers it stays under 1280, the smallest MTU that IPv6 allows.
pub const MAX_PAYLOAD: usize = 1188;

/// Largest payload that is forwarded without being cut, where the codec lets us cut: with all headers, the longest SRTP tag and
/// the number of a retransmission it just fits the same 1280.
pub const MAX_FORWARDED: usize = 1200;

/// Bytes that a payload may keep allocated besides itself: RTP header, header extensions and padding of an ordinary packet.
/// A payload in a larger allocation is copied out of it, so that what is held is what is counted.
pub const MAX_WASTE: usize = 64;

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

/// The payload of a datagram, without keeping much more than it.
pub fn payload(datagram: BytesMut, place: Range<usize>) -> Bytes {
    if datagram.capacity() > place.len() + MAX_WASTE {
        Bytes::copy_from_slice(&datagram[place])
    } else {
        datagram.freeze().slice(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_payload_does_not_keep_a_large_datagram() {
        for (len, place, shares) in
            [(1200, 12..1200, true), (1200, 1100..1200, false), (80, 12..14, false), (90, 40..90, true)]
        {
            let datagram = BytesMut::from(&vec![7; len][..]);
            let at = datagram.as_ptr() as usize + place.start;
            let kept = payload(datagram, place.clone());
            assert_eq!(kept.len(), place.len());
            assert_eq!(kept.as_ptr() as usize == at, shares, "{len} {place:?}");
        }
    }
}
