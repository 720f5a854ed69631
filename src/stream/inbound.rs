//! A publisher's side of one track: RTP as it arrives becomes packets of the ring, and what is missing
//! is asked for. Pure: packets and time come in, packets and feedback go out.
use super::choice::{Choice, Verdict, Wanted};
use crate::media::codec::{Codec, Kind};
use crate::media::keyframe;
use crate::media::packet::{self, Packet};
use crate::rtc::rtcp::{self, ReportBlock};
use bytes::BytesMut;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Longest RTP packet that is taken. Senders keep to what Ethernet carries, 1,500 bytes; the kernel would put 64 KiB together.
const MAX_PACKET: usize = 2048;
/// Missing packets asked for at one time.
const MAX_MISSING: usize = 256;
/// How often one packet is asked for, and how long between.
const MAX_NACKS: u32 = 10;
const NACK_RETRY: Duration = Duration::from_millis(40);
/// Reordering that is not yet a loss.
const REORDERING: Duration = Duration::from_millis(5);
/// Numbers begin here, so that a packet from before the first one still has a place.
const FIRST: u64 = 1 << 32;

/// The fields of an RTP header that a relay looks at, and where its payload is (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub payload_type: u8,
    pub marker: bool,
    pub seq: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    payload: (usize, usize),
    extension: (usize, usize),
}

impl Header {
    pub fn read(packet: &[u8]) -> Option<Header> {
        let fixed = packet.first_chunk::<12>()?;
        if fixed[0] >> 6 != 2 || packet.len() > MAX_PACKET {
            return None;
        }
        let mut at = 12 + 4 * usize::from(fixed[0] & 0x0f);
        let mut extension = (0, 0);
        if fixed[0] & 0x10 != 0 {
            let words = u16::from_be_bytes([*packet.get(at + 2)?, *packet.get(at + 3)?]);
            extension = (at, at + 4 + 4 * usize::from(words));
            at = extension.1;
        }
        let mut end = packet.len();
        if fixed[0] & 0x20 != 0 {
            end = end.checked_sub(usize::from(*packet.last()?))?;
        }
        if at > end || extension.1 > packet.len() {
            return None;
        }
        Some(Header {
            payload_type: fixed[1] & 0x7f,
            marker: fixed[1] & 0x80 != 0,
            seq: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            payload: (at, end),
            extension,
        })
    }

    /// Value of the header extension `id` (RFC 8285 one-byte and two-byte forms).
    pub fn extension<'a>(&self, packet: &'a [u8], id: u8) -> Option<&'a [u8]> {
        let block = packet.get(self.extension.0..self.extension.1)?;
        let one_byte = match block.get(..2)? {
            [0xbe, 0xde] => true,
            [0x10, _] => false,
            _ => return None,
        };
        let mut rest = block.get(4..)?;
        while let Some((&first, after)) = rest.split_first() {
            if first == 0 {
                rest = after;
                continue;
            }
            let (this, len, value) = if one_byte {
                (first >> 4, usize::from(first & 0x0f) + 1, after)
            } else {
                (first, usize::from(*after.first()?), &after[1..])
            };
            let value = value.get(..len).map(|v| (v, &value[len..]))?;
            if this == id {
                return Some(value.0);
            }
            rest = value.1;
        }
        None
    }
}

#[derive(Debug)]
struct Missing {
    asked: u32,
    due: Instant,
}

/// What a publisher's answer agreed on for one m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    pub codec: Codec,
    pub payload_type: u8,
    pub rtx_payload_type: Option<u8>,
    pub stream: Wanted,
    pub nack: bool,
}

#[derive(Debug)]
pub struct Inbound {
    pub agreed: Agreed,
    choice: Choice,
    highest: u64,
    first: u64,
    received: u64,
    /// Counts at the last report, for the fraction lost.
    reported: (u64, u64),
    jitter: f64,
    last_transit: Option<(Instant, u32)>,
    missing: BTreeMap<u64, Missing>,
    sender_report: Option<(u64, u32, Instant)>,
    pub bytes: u64,
    pub nacked: u64,
    pub recovered: u64,
}

impl Inbound {
    pub fn new(agreed: Agreed) -> Self {
        Self {
            choice: Choice::new(agreed.stream.clone()),
            agreed,
            highest: 0,
            first: 0,
            received: 0,
            reported: (0, 0),
            jitter: 0.0,
            last_transit: None,
            missing: BTreeMap::new(),
            sender_report: None,
            bytes: 0,
            nacked: 0,
            recovered: 0,
        }
    }

    pub fn kind(&self) -> Kind {
        self.agreed.codec.kind()
    }

    pub fn ssrc(&self) -> Option<u32> {
        self.choice.ssrc()
    }

    pub fn packets(&self) -> u64 {
        self.received
    }

    /// Does a packet of this payload type belong here?
    pub fn takes(&self, payload_type: u8) -> bool {
        payload_type == self.agreed.payload_type || Some(payload_type) == self.agreed.rtx_payload_type
    }

    /// Wall clock of the publisher for a timestamp, as its sender reports tie them: NTP time and RTP timestamp.
    pub fn clock(&self) -> Option<(u64, u32)> {
        self.sender_report.map(|(ntp, rtp, _)| (ntp, rtp))
    }

    pub fn sender_report(&mut self, ssrc: u32, ntp: u64, rtp: u32, now: Instant) {
        if self.ssrc() == Some(ssrc) {
            self.sender_report = Some((ntp, rtp, now));
        }
    }

    /// Takes a decrypted RTP packet whose payload type is ours.
    pub fn rtp(&mut self, now: Instant, header: &Header, packet: BytesMut) -> Option<Packet> {
        let (mut from, to) = header.payload;
        let mut number = header.seq;
        let retransmitted = Some(header.payload_type) == self.agreed.rtx_payload_type;
        if retransmitted {
            // Without a number of the stream itself there is nothing to extend from.
            if !self.choice.retransmission(header, &packet) || self.received == 0 {
                return None;
            }
        } else {
            match self.choice.media(now, header, &packet) {
                Verdict::Taken => {}
                Verdict::Begins => self.begin_anew(number),
                Verdict::Other => return None,
            }
        }
        if retransmitted {
            // RFC 4588 section 4: the original number comes first. Padding-only packets carry none.
            number = u16::from_be_bytes(*packet[from..to].first_chunk()?);
            from += 2;
        }
        let seq = self.extend(number);
        if retransmitted && seq > self.highest {
            // Nobody repeats what has not come; it would be of another stream.
            return None;
        }
        if !retransmitted {
            self.note_arrival(now, header, seq);
        } else if self.missing.remove(&seq).is_some() {
            self.recovered += 1;
        }
        self.received += 1;
        let payload = packet::payload(packet, from..to);
        self.bytes += payload.len() as u64;
        let keyframe = keyframe::begins_keyframe(self.agreed.codec, &payload);
        Some(Packet { seq, timestamp: header.timestamp, marker: header.marker, keyframe, payload })
    }

    /// Another stream goes on as this track, with a packet of this number.
    fn begin_anew(&mut self, number: u16) {
        // Far enough away that the ring begins anew.
        self.highest = (self.highest | 0xffff) + (1 << 20);
        self.highest = self.highest & !0xffff | u64::from(number.wrapping_sub(1));
        self.missing.clear();
        // The jump is no loss, and the old stream's clock says nothing about the new one's.
        self.first = self.highest + 1 - self.received;
        self.reported = (self.received, self.received);
        (self.jitter, self.last_transit, self.sender_report) = (0.0, None, None);
    }

    /// The 64-bit number nearest to the newest one.
    fn extend(&self, number: u16) -> u64 {
        if self.received == 0 {
            return FIRST | u64::from(number);
        }
        let distance = number.wrapping_sub(self.highest as u16) as i16;
        self.highest.wrapping_add_signed(i64::from(distance))
    }

    fn note_arrival(&mut self, now: Instant, header: &Header, seq: u64) {
        if self.received == 0 {
            (self.first, self.highest) = (seq, seq);
        } else if seq > self.highest {
            if self.agreed.nack && seq - self.highest <= MAX_MISSING as u64 {
                for lost in self.highest + 1..seq {
                    if self.missing.len() < MAX_MISSING {
                        self.missing.insert(lost, Missing { asked: 0, due: now + REORDERING });
                    }
                }
            }
            self.highest = seq;
        } else if self.missing.remove(&seq).is_some_and(|missing| missing.asked > 0) {
            self.recovered += 1;
        }
        // RFC 3550 appendix A.8
        if let Some((at, timestamp)) = self.last_transit {
            let arrived = now.saturating_duration_since(at).as_secs_f64() * f64::from(self.agreed.codec.clock_rate());
            let sent = f64::from(header.timestamp.wrapping_sub(timestamp) as i32);
            self.jitter += ((arrived - sent).abs() - self.jitter) / 16.0;
        }
        self.last_transit = Some((now, header.timestamp));
    }

    /// When [`Self::write_nack`] has something to say.
    pub fn deadline(&self) -> Option<Instant> {
        self.missing.values().map(|missing| missing.due).min()
    }

    /// Appends a NACK for what is due; answers false if nothing is.
    pub fn write_nack(&mut self, now: Instant, sender: u32, out: &mut Vec<u8>) -> bool {
        let Some(ssrc) = self.ssrc() else { return false };
        self.missing.retain(|_, missing| missing.asked < MAX_NACKS);
        let mut lost = Vec::new();
        for (seq, missing) in self.missing.iter_mut().filter(|(_, missing)| missing.due <= now) {
            missing.asked += 1;
            missing.due = now + NACK_RETRY;
            lost.push(*seq as u16);
        }
        if lost.is_empty() {
            return false;
        }
        self.nacked += lost.len() as u64;
        rtcp::write_nack(out, sender, ssrc, &lost);
        true
    }

    /// Packets that should have come and did not, so far.
    pub fn lost(&self) -> u64 {
        if self.received == 0 {
            return 0;
        }
        (self.highest - self.first + 1).saturating_sub(self.received)
    }

    /// The report block for this stream (RFC 3550 section 6.4.1); begins a new report interval.
    pub fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        let ssrc = self.ssrc().filter(|_| self.received > 0)?;
        let expected = self.highest - self.first + 1;
        let (expected_now, received_now) =
            (expected.saturating_sub(self.reported.0), self.received.saturating_sub(self.reported.1));
        self.reported = (expected, self.received);
        let lost_now = expected_now.saturating_sub(received_now);
        let (last_sr, delay_since_sr) = self.sender_report.map_or((0, 0), |(ntp, _, at)| {
            let delay = now.saturating_duration_since(at).as_secs_f64() * 65_536.0;
            ((ntp >> 16) as u32, delay as u32)
        });
        Some(ReportBlock {
            ssrc,
            fraction_lost: (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8,
            total_lost: self.lost().min(0x7f_ffff) as i32,
            highest_seq: self.highest as u32,
            jitter: self.jitter as u32,
            last_sr,
            delay_since_sr,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed() -> Agreed {
        Agreed {
            codec: Codec::H264,
            payload_type: 96,
            rtx_payload_type: Some(97),
            stream: Wanted::default(),
            nack: true,
        }
    }

    fn packet(payload_type: u8, seq: u16, ssrc: u32, payload: &[u8]) -> BytesMut {
        let mut bytes = Vec::new();
        crate::rtc::srtp::write_header(&mut bytes, false, payload_type, seq, 0, ssrc);
        bytes.extend_from_slice(payload);
        BytesMut::from(&bytes[..])
    }

    fn push(inbound: &mut Inbound, now: Instant, bytes: BytesMut) -> Option<Packet> {
        let header = Header::read(&bytes).unwrap();
        inbound.rtp(now, &header, bytes)
    }

    #[test]
    fn numbers_go_on_beyond_sixteen_bits_and_before_the_first() {
        let mut inbound = Inbound::new(agreed());
        let now = Instant::now();
        let seqs: Vec<u64> = [65_534, 65_535, 0, 65_533, 2, 1]
            .map(|seq| push(&mut inbound, now, packet(96, seq, 5, b"x")).unwrap().seq - FIRST)
            .to_vec();
        assert_eq!(seqs, [65_534, 65_535, 65_536, 65_533, 65_538, 65_537]);
    }

    #[test]
    fn a_missing_packet_is_asked_for_until_it_comes_by_retransmission() {
        let mut inbound = Inbound::new(agreed());
        let start = Instant::now();
        push(&mut inbound, start, packet(96, 1, 5, b"x"));
        push(&mut inbound, start, packet(96, 4, 5, b"x"));
        let mut out = Vec::new();
        assert!(!inbound.write_nack(start, 9, &mut out), "reordering is not loss");
        assert!(inbound.write_nack(start + REORDERING, 9, &mut out));
        let mut asked = Vec::new();
        rtcp::read(&out, |message| asked.push(message));
        assert_eq!(asked, [rtcp::Message::Nack { ssrc: 5, lost: vec![2, 3] }]);
        let again = push(&mut inbound, start, packet(97, 77, 6, &[0, 2, b'y'])).unwrap();
        assert_eq!((again.seq - FIRST, &again.payload[..]), (2, &b"y"[..]));
        push(&mut inbound, start, packet(96, 3, 5, b"x"));
        assert!(inbound.deadline().is_none());
        assert_eq!(inbound.lost(), 0);
        assert_eq!(inbound.recovered, 2);
    }

    #[test]
    fn a_packet_that_never_comes_is_given_up() {
        let mut inbound = Inbound::new(agreed());
        let mut now = Instant::now();
        push(&mut inbound, now, packet(96, 1, 5, b"x"));
        push(&mut inbound, now, packet(96, 3, 5, b"x"));
        let mut times = 0;
        for _ in 0..100 {
            now += NACK_RETRY;
            times += u32::from(inbound.write_nack(now, 9, &mut Vec::new()));
        }
        assert_eq!(times, MAX_NACKS);
        let report = inbound.report(now).unwrap();
        assert_eq!((report.total_lost, report.fraction_lost), (1, 85));
    }

    #[test]
    fn a_second_stream_does_not_mix_in_but_takes_over_after_silence() {
        let mut inbound = Inbound::new(agreed());
        let now = Instant::now();
        push(&mut inbound, now, packet(96, 1, 5, b"x"));
        assert!(push(&mut inbound, now, packet(96, 900, 6, b"x")).is_none());
        let later = push(&mut inbound, now + Duration::from_secs(1), packet(96, 901, 6, b"x")).unwrap();
        assert!(later.seq > FIRST + 100_000 && later.seq as u16 == 901);
        assert_eq!(inbound.lost(), 0, "the jump is no loss");
        assert_eq!(inbound.report(now).unwrap().fraction_lost, 0);
    }

    #[test]
    fn a_retransmission_ahead_of_the_first_packet_does_not_set_the_numbering() {
        let mut inbound = Inbound::new(Agreed { stream: Wanted { ssrc: Some(5), ..Wanted::default() }, ..agreed() });
        let now = Instant::now();
        assert!(push(&mut inbound, now, packet(97, 1, 6, &[0x9c, 0x3f, b'y'])).is_none());
        let first = push(&mut inbound, now, packet(96, 40_000, 5, b"x")).unwrap();
        assert_eq!(first.seq, FIRST + 40_000);
        assert_eq!(push(&mut inbound, now, packet(96, 40_001, 5, b"x")).unwrap().seq, FIRST + 40_001);
        assert_eq!(inbound.lost(), 0);
    }

    #[test]
    fn a_retransmission_of_another_layer_does_not_end_the_picture() {
        let stream = Wanted { ssrc: Some(5), rtx_ssrc: Some(6), simulcast: true, ..Wanted::default() };
        let mut inbound = Inbound::new(Agreed { stream, ..agreed() });
        let now = Instant::now();
        push(&mut inbound, now, packet(96, 10, 5, b"x"));
        assert!(push(&mut inbound, now, packet(97, 1, 8, &[0x30, 0, b'y'])).is_none());
        assert!(push(&mut inbound, now, packet(97, 1, 6, &[0x30, 0, b'y'])).is_none(), "it has not come before");
        assert_eq!(push(&mut inbound, now, packet(96, 11, 5, b"x")).unwrap().seq, FIRST + 11);
    }

    #[test]
    fn damaged_headers_are_refused() {
        let mut bytes = packet(96, 1, 5, b"payload").to_vec();
        bytes[0] |= 0x10;
        assert!(Header::read(&bytes).is_none(), "the extension is longer than the packet");
        bytes[0] = 0xa0;
        *bytes.last_mut().unwrap() = 200;
        assert!(Header::read(&bytes).is_none(), "more padding than packet");
        for cut in 0..12 {
            assert!(Header::read(&bytes[..cut]).is_none());
        }
    }

    #[test]
    fn a_packet_longer_than_any_network_carries_is_refused() {
        let longest = packet(96, 1, 5, &vec![0; MAX_PACKET - 12]);
        assert!(Header::read(&longest).is_some());
        assert!(Header::read(&[&longest[..], b"x"].concat()).is_none());
    }

    #[test]
    fn a_packet_of_nothing_but_header_extension_is_not_kept() {
        let mut bytes = vec![0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0xbe, 0xde, 0, 250];
        bytes.resize(16 + 1000, 0);
        bytes.extend_from_slice(b"xy");
        let datagram = BytesMut::from(&bytes[..]);
        let held = datagram.as_ptr() as usize..datagram.as_ptr() as usize + datagram.len();
        let kept = push(&mut Inbound::new(agreed()), Instant::now(), datagram).unwrap().payload;
        assert_eq!(&kept[..], b"xy");
        assert!(!held.contains(&(kept.as_ptr() as usize)));
    }

    #[test]
    fn header_extensions_are_found_in_both_forms() {
        let mut one = vec![0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0xbe, 0xde, 0, 2];
        one.extend_from_slice(&[0x10, 0xaa, 0x31, 1, 2, 0, 0, 0, b'p']);
        let header = Header::read(&one).unwrap();
        assert_eq!(header.extension(&one, 3), Some(&[1, 2][..]));
        assert_eq!(header.extension(&one, 4), None);
        assert_eq!(&one[header.payload.0..], b"p");
        let mut two = one[..12].to_vec();
        two.extend_from_slice(&[0x10, 0, 0, 1, 3, 2, 7, 8]);
        assert_eq!(Header::read(&two).unwrap().extension(&two, 3), Some(&[7, 8][..]));
    }
}
