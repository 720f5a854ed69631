//! AV1 as it lies in RTP payloads: open bitstream units behind an aggregation header (RTP Payload Format For AV1, section 4).
//! A decoder begins with a sequence header, which some encoders send only once: it is put ahead of each keyframe that comes
//! without it.
use super::numbering::{Numbering, Place};
use super::packet::Packet;
use bytes::Bytes;

/// Bits of the aggregation header: the first element goes on from the packet before, the last one goes on in the next packet, a
/// coded video sequence begins.
const CONTINUES: u8 = 0x80;
const UNFINISHED: u8 = 0x40;
const BEGINS: u8 = 0x08;
/// One element.
const ONE: u8 = 1 << 4;
/// Longest sequence header that is kept; they have about a dozen bytes.
const MAX_SEQUENCE: usize = 256;
/// `obu_type` (AV1 specification, section 6.2.2).
const SEQUENCE_HEADER: u8 = 1;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;

/// Puts the sequence header of one track in its place.
#[derive(Debug, Default)]
pub struct Obus {
    numbering: Numbering,
    /// A payload of nothing but the newest sequence header.
    sequence: Option<Bytes>,
    /// Of the newest temporal unit that has a sequence header.
    led: Option<u32>,
    /// A keyframe came, but no sequence header ever.
    pub undecodable: bool,
}

impl Obus {
    pub fn take(&mut self, packet: Packet, each: &mut impl FnMut(Packet)) {
        match self.numbering.arrive(packet.seq) {
            Place::Newest => {}
            Place::Late(seq) => return each(Packet { seq, ..packet }),
            Place::Useless => return,
        }
        let mut key = false;
        for obu in whole(&packet.payload) {
            match kind(obu) {
                Some(SEQUENCE_HEADER) => {
                    self.learn(obu);
                    self.led = Some(packet.timestamp);
                }
                Some(FRAME_HEADER | FRAME) => key |= begins_key_frame(obu),
                _ => {}
            }
        }
        if key {
            self.undecodable = self.sequence.is_none();
        }
        if key && self.led != Some(packet.timestamp) {
            self.led = Some(packet.timestamp);
            if let Some(payload) = self.sequence.clone() {
                let (seq, timestamp) = (self.numbering.next(), packet.timestamp);
                each(Packet { seq, timestamp, marker: false, keyframe: true, payload });
            }
        }
        let seq = self.numbering.next();
        each(Packet { seq, ..packet });
    }

    fn learn(&mut self, obu: &[u8]) {
        let known = self.sequence.as_ref().is_some_and(|payload| payload[1..] == *obu);
        if !known && obu.len() <= MAX_SEQUENCE {
            self.sequence = Some([&[ONE | BEGINS], obu].concat().into());
        }
    }
}

/// The units of a payload that begin in it; the last may go on in the next packet.
fn whole(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (header, mut rest) = payload.split_first().map_or((0, payload), |(header, rest)| (*header, rest));
    let mut left = match header >> 4 & 3 {
        0 => usize::MAX,
        count => usize::from(count),
    };
    let counted = left != usize::MAX;
    let mut skip = header & CONTINUES != 0;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() || left == 0 {
                return None;
            }
            left -= 1;
            let size = if counted && left == 0 { rest.len() } else { leb128(&mut rest)? };
            let (element, others) = rest.split_at_checked(size)?;
            rest = others;
            if std::mem::take(&mut skip) {
                continue;
            }
            let cut = header & UNFINISHED != 0 && rest.is_empty();
            // Of a sequence header that goes on elsewhere nothing is known.
            if !(cut && kind(element) == Some(SEQUENCE_HEADER)) {
                return Some(element);
            }
        }
    })
}

fn leb128(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in 0..4 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= usize::from(byte & 0x7f) << (7 * shift);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn kind(obu: &[u8]) -> Option<u8> {
    Some(obu.first()? >> 3 & 0x0f)
}

/// `show_existing_frame` and `frame_type` of a frame header (section 5.9.2) are both 0.
fn begins_key_frame(obu: &[u8]) -> bool {
    let (extension, sized) = (obu[0] & 0x04 != 0, obu[0] & 0x02 != 0);
    let Some(mut body) = obu.get(1 + usize::from(extension)..) else { return false };
    if sized && leb128(&mut body).is_none() {
        return false;
    }
    body.first().is_some_and(|bits| bits & 0xe0 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEQUENCE: &[u8] = &[0x08, 0x00, 0x00, 0x00, 0x24];
    const KEY: &[u8] = &[0x30, 0x10, 0x00, 0xaa];
    const INTER: &[u8] = &[0x30, 0x30, 0x00, 0xaa];

    fn payload(flags: u8, obus: &[&[u8]]) -> Vec<u8> {
        let mut payload = vec![flags | (obus.len() as u8) << 4];
        for (i, obu) in obus.iter().enumerate() {
            if i + 1 < obus.len() {
                payload.push(obu.len() as u8);
            }
            payload.extend_from_slice(obu);
        }
        payload
    }

    fn shaped(packets: &[(u64, u32, Vec<u8>)]) -> Vec<Packet> {
        let (mut obus, mut out) = (Obus::default(), Vec::new());
        for (seq, timestamp, payload) in packets {
            let keyframe = payload.first().is_some_and(|header| header & BEGINS != 0);
            let payload = Bytes::copy_from_slice(payload);
            let packet = Packet { seq: *seq, timestamp: *timestamp, marker: true, keyframe, payload };
            obus.take(packet, &mut |packet| out.push(packet));
        }
        out
    }

    #[test]
    fn a_sequence_header_that_came_once_stands_before_every_keyframe() {
        let out = shaped(&[
            (1, 0, payload(BEGINS, &[SEQUENCE, KEY])),
            (2, 90, payload(0, &[INTER])),
            (3, 180, payload(UNFINISHED, &[KEY])),
            (4, 180, payload(CONTINUES, &[KEY])),
            (5, 270, payload(0, &[INTER])),
        ]);
        assert_eq!(out.iter().map(|packet| packet.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(out[2].payload, payload(BEGINS, &[SEQUENCE]));
        assert!(out[2].keyframe && !out[2].marker && out[2].timestamp == 180);
    }

    #[test]
    fn a_keyframe_with_its_sequence_header_passes_untouched() {
        let packets = [
            (1, 0, payload(BEGINS, &[SEQUENCE])),
            (2, 0, payload(0, &[KEY])),
            (3, 90, [&[0u8, 5][..], SEQUENCE, &[4], KEY].concat()),
        ];
        let out = shaped(&packets);
        assert_eq!(out.len(), 3);
        assert!(
            out.iter().zip(packets).all(|(out, (seq, _, payload))| (out.seq, &out.payload[..]) == (seq, &payload[..]))
        );
    }

    #[test]
    fn keyframes_without_a_sequence_header_that_anybody_knows_are_told_of() {
        let mut obus = Obus::default();
        let packet = |seq, payload: Vec<u8>| Packet {
            seq,
            timestamp: seq as u32,
            marker: true,
            keyframe: false,
            payload: payload.into(),
        };
        obus.take(packet(1, payload(0, &[KEY])), &mut |_| {});
        assert!(obus.undecodable);
        obus.take(packet(2, payload(BEGINS, &[SEQUENCE, KEY])), &mut |_| {});
        assert!(!obus.undecodable);
    }

    #[test]
    fn no_payload_is_fatal() {
        let mut state = 7u32;
        let mut obus = Obus::default();
        for seq in 0..50_000 {
            let bytes: Vec<u8> = (0..seq % 12)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            let packet =
                Packet { seq, timestamp: (seq / 3) as u32, marker: false, keyframe: false, payload: bytes.into() };
            obus.take(packet, &mut |_| {});
        }
    }
}
