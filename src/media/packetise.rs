//! H.264 access units into RTP payloads (RFC 6184, packetization-mode 1), and Annex B byte streams into NAL units.
use super::h264::nal;
use super::packet::{MAX_PAYLOAD, Packet};
use bytes::{BufMut, Bytes, BytesMut};

/// NAL unit types of RFC 6184, table 1.
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
/// FU indicator and FU header in front of each fragment (5.8).
const FU_OVERHEAD: usize = 2;
/// `F` and `nal_ref_idc` bits of a NAL header, which STAP-A and FU-A indicators carry on.
const F: u8 = 0x80;
const NRI: u8 = 0x60;

/// Numbers the packets of one H.264 track.
#[derive(Debug, Default)]
pub struct H264Packetiser {
    next_seq: u64,
}

impl H264Packetiser {
    /// One access unit, as NAL units without start codes, into packets; the last one carries the marker, the first
    /// one the keyframe flag if an SPS or an IDR slice is among them. Access unit delimiters and filler are left
    /// out. Parameter sets that follow one another share a STAP-A (5.7.1); a NAL unit larger than
    /// [`MAX_PAYLOAD`] becomes FU-A fragments (5.8) of equal size, only the last one shorter, because a segmented
    /// send needs equal segments. Takes one allocation for all payloads.
    ///
    /// `timestamp` is in 90 kHz.
    pub fn access_unit<'a>(&mut self, timestamp: u32, nals: impl IntoIterator<Item = &'a [u8]>) -> Vec<Packet> {
        let sent = |nal: &&[u8]| !nal.is_empty() && !matches!(nal::kind(nal[0]), nal::DELIMITER | nal::FILLER);
        let nals: Vec<&[u8]> = nals.into_iter().filter(sent).collect();
        let keyframe = nals.iter().any(|nal| matches!(nal::kind(nal[0]), nal::SPS | nal::IDR));
        let bytes: usize = nals.iter().map(|nal| nal.len()).sum();
        let mut buffer = BytesMut::with_capacity(bytes + bytes / 256 + nals.len() * 8);
        let mut sizes = Vec::with_capacity(bytes / MAX_PAYLOAD + nals.len());
        let mut rest = &nals[..];
        while let [nal, others @ ..] = rest {
            let sets = parameter_sets(rest);
            if sets > 1 {
                sizes.push(aggregate(&mut buffer, &rest[..sets]));
                rest = &rest[sets..];
                continue;
            }
            if nal.len() <= MAX_PAYLOAD {
                buffer.put_slice(nal);
                sizes.push(nal.len());
            } else {
                fragment(&mut buffer, &mut sizes, nal);
            }
            rest = others;
        }
        let mut buffer = buffer.freeze();
        let mut packets: Vec<Packet> = Vec::with_capacity(sizes.len());
        for size in sizes {
            let payload: Bytes = buffer.split_to(size);
            let first = packets.is_empty();
            packets.push(Packet { seq: self.next_seq, timestamp, marker: false, keyframe: keyframe && first, payload });
            self.next_seq += 1;
        }
        if let Some(last) = packets.last_mut() {
            last.marker = true;
        }
        packets
    }
}

/// How many parameter sets stand at the front and fit one STAP-A together.
fn parameter_sets(nals: &[&[u8]]) -> usize {
    let mut size = 1;
    nals.iter()
        .take_while(|nal| {
            size += 2 + nal.len();
            matches!(nal::kind(nal[0]), nal::SPS | nal::PPS) && size <= MAX_PAYLOAD
        })
        .count()
}

/// Appends a STAP-A; returns its size.
fn aggregate(buffer: &mut BytesMut, nals: &[&[u8]]) -> usize {
    let from = buffer.len();
    let nri = nals.iter().map(|nal| nal[0] & NRI).max().unwrap_or(0);
    let f = nals.iter().fold(0, |f, nal| f | nal[0] & F);
    buffer.put_u8(f | nri | STAP_A);
    for nal in nals {
        buffer.put_u16(nal.len() as u16);
        buffer.put_slice(nal);
    }
    buffer.len() - from
}

/// Appends the FU-A fragments of a NAL unit and their sizes.
fn fragment(buffer: &mut BytesMut, sizes: &mut Vec<usize>, nal: &[u8]) {
    let body = &nal[1..];
    let count = body.len().div_ceil(MAX_PAYLOAD - FU_OVERHEAD);
    let mut fragments = body.chunks(body.len().div_ceil(count)).peekable();
    let mut start = 0x80;
    while let Some(fragment) = fragments.next() {
        let end = if fragments.peek().is_none() { 0x40 } else { 0 };
        buffer.put_u8(nal[0] & (F | NRI) | FU_A);
        buffer.put_u8(start | end | nal::kind(nal[0]));
        buffer.put_slice(fragment);
        sizes.push(FU_OVERHEAD + fragment.len());
        start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nal(header: u8, len: usize) -> Vec<u8> {
        let mut nal: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        nal[0] = header;
        nal
    }

    /// Puts NAL units together again as RFC 6184, section 7 tells a receiver.
    fn depacketise(packets: &[Packet]) -> Vec<Vec<u8>> {
        let mut nals: Vec<Vec<u8>> = vec![];
        for packet in packets {
            let payload = &packet.payload;
            match nal::kind(payload[0]) {
                STAP_A => {
                    let mut rest = &payload[1..];
                    while !rest.is_empty() {
                        let size = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
                        nals.push(rest[2..2 + size].to_vec());
                        rest = &rest[2 + size..];
                    }
                }
                FU_A => {
                    if payload[1] & 0x80 != 0 {
                        nals.push(vec![payload[0] & 0xe0 | payload[1] & 0x1f]);
                    }
                    nals.last_mut().unwrap().extend_from_slice(&payload[2..]);
                }
                _ => nals.push(payload.to_vec()),
            }
        }
        nals
    }

    #[test]
    fn an_access_unit_survives_packets_and_back() {
        let mut packetiser = H264Packetiser::default();
        for size in [2, MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, 2 * MAX_PAYLOAD, 5000, 345_678] {
            let nals = [nal(0x67, 30), nal(0x68, 6), nal(0x65, size)];
            let packets = packetiser.access_unit(9000, nals.iter().map(Vec::as_slice));
            assert_eq!(depacketise(&packets), nals);
            assert!(packets.iter().all(|packet| packet.payload.len() <= MAX_PAYLOAD));
        }
    }

    #[test]
    fn fragments_of_one_nal_have_one_size_and_only_the_last_is_shorter() {
        let nal = nal(0x41, 10_000);
        let packets = H264Packetiser::default().access_unit(0, [&nal[..]]);
        let sizes: Vec<usize> = packets.iter().map(|packet| packet.payload.len()).collect();
        assert_eq!(sizes.len(), 9);
        assert!(sizes[..8].iter().all(|size| *size == sizes[0]) && sizes[8] <= sizes[0], "{sizes:?}");
        let flags: Vec<u8> = packets.iter().map(|packet| packet.payload[1] & 0xc0).collect();
        assert_eq!(flags, [0x80, 0, 0, 0, 0, 0, 0, 0, 0x40]);
    }

    #[test]
    fn parameter_sets_travel_together_ahead_of_their_idr() {
        let nals = [nal(0x09, 2), nal(0x67, 30), nal(0x68, 6), nal(0x65, 100)];
        let packets = H264Packetiser::default().access_unit(0, nals.iter().map(Vec::as_slice));
        assert_eq!(packets.len(), 2);
        assert_eq!(packets[0].payload[0], 0x60 | STAP_A);
        assert_eq!(packets[0].payload.len(), 1 + 2 + 30 + 2 + 6);
        assert!(packets[0].keyframe && !packets[0].marker);
        assert!(!packets[1].keyframe && packets[1].marker);
    }

    #[test]
    fn sequence_numbers_go_on_across_access_units() {
        let mut packetiser = H264Packetiser::default();
        let (idr, p) = (nal(0x65, 3000), nal(0x41, 50));
        let first = packetiser.access_unit(0, [&idr[..]]);
        let second = packetiser.access_unit(9000, [&p[..]]);
        assert_eq!(first.iter().chain(&second).map(|packet| packet.seq).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!(!second[0].keyframe && second[0].marker);
    }

    #[test]
    fn an_access_unit_of_nothing_but_filler_sends_nothing() {
        let filler = nal(0x0c, 100);
        assert!(H264Packetiser::default().access_unit(0, [&filler[..], &[]]).is_empty());
    }
}
