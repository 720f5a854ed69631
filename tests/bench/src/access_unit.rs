//! Finds the first complete H.264 keyframe in a stream of RTP packets (RFC 6184).
use str0m::rtp::RtpPacket;

const IDR: u8 = 5;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_END: u8 = 0x40;

/// The access unit at hand.
#[derive(Default)]
pub struct FirstKeyframe {
    timestamp: u32,
    next: Option<u64>,
    /// A packet of it is missing.
    broken: bool,
    /// A slice of a keyframe has been seen to its end.
    idr: bool,
}

impl FirstKeyframe {
    /// Does this packet complete a keyframe?
    pub fn completes(&mut self, packet: &RtpPacket) -> bool {
        self.take(*packet.seq_no, packet.header.timestamp, packet.header.marker, &packet.payload)
    }

    fn take(&mut self, number: u64, timestamp: u32, marker: bool, payload: &[u8]) -> bool {
        if self.timestamp != timestamp {
            (self.timestamp, self.broken, self.idr) = (timestamp, false, false);
        }
        self.broken |= self.next.is_some_and(|next| next != number);
        self.next = Some(number + 1);
        self.idr |= ends_idr(payload);
        marker && self.idr && !self.broken
    }
}

/// Does the payload hold the end of a slice of an instantaneous decoder refresh?
fn ends_idr(payload: &[u8]) -> bool {
    match payload {
        [first, indicator, ..] if first & 0x1f == FU_A => indicator & 0x1f == IDR && indicator & FU_END != 0,
        [first, rest @ ..] if first & 0x1f == STAP_A => {
            let mut rest = rest;
            while let [high, low, nal @ ..] = rest {
                if nal.first().is_some_and(|first| first & 0x1f == IDR) {
                    return true;
                }
                rest = nal.get(usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or_default();
            }
            false
        }
        [first, ..] => first & 0x1f == IDR,
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyframe_counts_when_its_last_packet_came() {
        let mut keyframe = FirstKeyframe::default();
        assert!(!keyframe.take(1, 90, false, &[STAP_A, 0, 1, 0x67, 0, 1, 0x68]));
        assert!(!keyframe.take(2, 90, false, &[0x7c, 0x85, 1]));
        assert!(keyframe.take(3, 90, true, &[0x7c, 0x45, 1]));
    }

    #[test]
    fn a_keyframe_with_a_hole_and_other_pictures_do_not_count() {
        let mut keyframe = FirstKeyframe::default();
        assert!(!keyframe.take(1, 90, true, &[0x41, 1]));
        assert!(!keyframe.take(2, 180, false, &[0x7c, 0x85]));
        assert!(!keyframe.take(4, 180, true, &[0x7c, 0x45]));
        assert!(keyframe.take(5, 270, true, &[0x65, 1]));
    }
}
