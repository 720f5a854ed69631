//! The RTCP that a relay needs: what peers report and ask for, and the few packets it writes itself
//! (RFC 3550 section 6, RFC 4585, RFC 5104). Pure: bytes in, meanings out.

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

const FMT_NACK: u8 = 1;
const FMT_TRANSPORT_CC: u8 = 15;
const FMT_PLI: u8 = 1;
const FMT_FIR: u8 = 4;
const FMT_APPLICATION: u8 = 15;

/// Packets that one compound may ask for by NACK, however many NACKs it holds; the rest is passed over.
pub const MAX_NACKED: usize = 512;

/// One report block: how a receiver got one of our streams (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: u32,
    /// Lost since the last report, in 256ths.
    pub fraction_lost: u8,
    pub total_lost: i32,
    pub highest_seq: u32,
    /// In ticks of the stream's clock.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report, 0 = none.
    pub last_sr: u32,
    /// Time between receiving that and sending this, in 1/65536 s.
    pub delay_since_sr: u32,
}

/// What a compound packet says, one call of the callback for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// `ntp` is the 64-bit NTP timestamp at which the sender's clock shows `rtp`.
    SenderReport {
        ssrc: u32,
        ntp: u64,
        rtp: u32,
    },
    Report(ReportBlock),
    /// The receiver misses these packets of `ssrc`.
    Nack {
        ssrc: u32,
        lost: Vec<u16>,
    },
    /// The receiver needs a keyframe of `ssrc` (PLI or FIR).
    KeyframeRequest {
        ssrc: u32,
    },
    /// The receiver estimates that it can take this many bits per second.
    Bitrate {
        bps: u64,
    },
    /// Transport-wide congestion feedback: packets that arrived and that did not.
    TransportFeedback {
        received: u32,
        lost: u32,
    },
    Bye {
        ssrc: u32,
    },
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Walks a decrypted compound packet. A malformed packet ends the walk; unknown ones are skipped.
pub fn read(mut bytes: &[u8], mut each: impl FnMut(Message)) {
    let mut nackable = MAX_NACKED;
    while bytes.len() >= 4 && bytes[0] >> 6 == 2 {
        let count = bytes[0] & 0x1f;
        let kind = bytes[1];
        let len = 4 * (usize::from(bytes[2]) << 8 | usize::from(bytes[3])) + 4;
        let Some(packet) = bytes.get(..len) else { return };
        if read_one(kind, count, packet, &mut nackable, &mut each).is_none() {
            log::debug!(target: "webrtc", "malformed rtcp type={kind} length={len}");
        }
        bytes = &bytes[len..];
    }
}

fn read_one(kind: u8, count: u8, packet: &[u8], nackable: &mut usize, each: &mut impl FnMut(Message)) -> Option<()> {
    match (kind, count) {
        (SENDER_REPORT, _) => {
            let ntp = u64::from(u32_at(packet, 8)?) << 32 | u64::from(u32_at(packet, 12)?);
            each(Message::SenderReport { ssrc: u32_at(packet, 4)?, ntp, rtp: u32_at(packet, 16)? });
            read_blocks(packet.get(28..)?, count, each)?;
        }
        (RECEIVER_REPORT, _) => read_blocks(packet.get(8..)?, count, each)?,
        (BYE, 1..) => each(Message::Bye { ssrc: u32_at(packet, 4)? }),
        (TRANSPORT_FEEDBACK, FMT_NACK) => {
            let mut lost = Vec::new();
            for pair in packet.get(12..)?.chunks_exact(4) {
                let (first, mask) = (u16_at(pair, 0)?, u16_at(pair, 2)?);
                lost.push(first);
                lost.extend((0..16).filter(|bit| mask >> bit & 1 == 1).map(|bit| first.wrapping_add(bit + 1)));
                if lost.len() >= *nackable {
                    break;
                }
            }
            lost.truncate(*nackable);
            *nackable -= lost.len();
            each(Message::Nack { ssrc: u32_at(packet, 8)?, lost });
        }
        (TRANSPORT_FEEDBACK, FMT_TRANSPORT_CC) => {
            let total = u32::from(u16_at(packet, 14)?);
            let received = received_in(packet.get(20..)?, total)?;
            each(Message::TransportFeedback { received, lost: total - received });
        }
        (PAYLOAD_FEEDBACK, FMT_PLI) => each(Message::KeyframeRequest { ssrc: u32_at(packet, 8)? }),
        (PAYLOAD_FEEDBACK, FMT_FIR) => {
            for entry in packet.get(12..)?.chunks_exact(8) {
                each(Message::KeyframeRequest { ssrc: u32_at(entry, 0)? });
            }
        }
        (PAYLOAD_FEEDBACK, FMT_APPLICATION) if packet.get(12..16) == Some(b"REMB") => {
            let word = u32_at(packet, 16)?;
            let (exponent, mantissa) = (word >> 18 & 0x3f, u64::from(word & 0x3_ffff));
            each(Message::Bitrate { bps: mantissa.checked_shl(exponent).unwrap_or(u64::MAX) });
        }
        _ => {}
    }
    Some(())
}

fn read_blocks(bytes: &[u8], count: u8, each: &mut impl FnMut(Message)) -> Option<()> {
    for block in bytes.chunks_exact(24).take(usize::from(count)) {
        let lost = u32_at(block, 4)?;
        each(Message::Report(ReportBlock {
            ssrc: u32_at(block, 0)?,
            fraction_lost: (lost >> 24) as u8,
            total_lost: ((lost << 8) as i32) >> 8,
            highest_seq: u32_at(block, 8)?,
            jitter: u32_at(block, 12)?,
            last_sr: u32_at(block, 16)?,
            delay_since_sr: u32_at(block, 20)?,
        }));
    }
    Some(())
}

/// Counts the packets that transport feedback says arrived: run-length and status-vector chunks
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).
fn received_in(chunks: &[u8], total: u32) -> Option<u32> {
    let (mut seen, mut received) = (0, 0);
    for chunk in chunks.chunks_exact(2) {
        if seen >= total {
            break;
        }
        let word = u16_at(chunk, 0)?;
        let left = total - seen;
        if word & 0x8000 == 0 {
            let run = u32::from(word & 0x1fff).min(left);
            if matches!(word >> 13 & 3, 1 | 2) {
                received += run;
            }
            seen += run;
        } else if word & 0x4000 == 0 {
            let symbols = left.min(14);
            received += (0..symbols).filter(|i| word >> (13 - i) & 1 == 1).count() as u32;
            seen += symbols;
        } else {
            let symbols = left.min(7);
            received += (0..symbols).filter(|i| matches!(word >> (12 - 2 * i) & 3, 1 | 2)).count() as u32;
            seen += symbols;
        }
    }
    Some(received)
}

fn open(out: &mut Vec<u8>, count: u8, kind: u8) -> usize {
    out.extend_from_slice(&[0x80 | count, kind, 0, 0]);
    out.len() - 4
}

fn close(out: &mut [u8], at: usize) {
    let words = ((out.len() - at) / 4 - 1) as u16;
    out[at + 2..at + 4].copy_from_slice(&words.to_be_bytes());
}

/// Appends a sender report for one of our streams.
pub fn write_sender_report(out: &mut Vec<u8>, ssrc: u32, ntp: u64, rtp: u32, packets: u32, octets: u32) {
    let at = open(out, 0, SENDER_REPORT);
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(&ntp.to_be_bytes());
    for word in [rtp, packets, octets] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    close(out, at);
}

/// Appends a receiver report; every compound packet begins with a report (RFC 3550 section 6.1).
pub fn write_receiver_report(out: &mut Vec<u8>, ssrc: u32, blocks: &[ReportBlock]) {
    let blocks = &blocks[..blocks.len().min(31)];
    let at = open(out, blocks.len() as u8, RECEIVER_REPORT);
    out.extend_from_slice(&ssrc.to_be_bytes());
    for block in blocks {
        out.extend_from_slice(&block.ssrc.to_be_bytes());
        out.extend_from_slice(
            &(u32::from(block.fraction_lost) << 24 | (block.total_lost as u32 & 0xff_ffff)).to_be_bytes(),
        );
        for word in [block.highest_seq, block.jitter, block.last_sr, block.delay_since_sr] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
    close(out, at);
}

/// Appends a source description with the canonical name only (RFC 3550 section 6.5.1).
pub fn write_cname(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    let at = open(out, 1, SOURCE_DESCRIPTION);
    out.extend_from_slice(&ssrc.to_be_bytes());
    let cname = &cname.as_bytes()[..cname.len().min(255)];
    out.extend_from_slice(&[1, cname.len() as u8]);
    out.extend_from_slice(cname);
    out.push(0);
    while !(out.len() - at).is_multiple_of(4) {
        out.push(0);
    }
    close(out, at);
}

/// Appends a request for a keyframe of `media` (RFC 4585 section 6.3.1).
pub fn write_pli(out: &mut Vec<u8>, sender: u32, media: u32) {
    let at = open(out, FMT_PLI, PAYLOAD_FEEDBACK);
    out.extend_from_slice(&sender.to_be_bytes());
    out.extend_from_slice(&media.to_be_bytes());
    close(out, at);
}

/// Appends a request for the packets `lost` of `media`, in rising order (RFC 4585 section 6.2.1).
pub fn write_nack(out: &mut Vec<u8>, sender: u32, media: u32, lost: &[u16]) {
    let at = open(out, FMT_NACK, TRANSPORT_FEEDBACK);
    out.extend_from_slice(&sender.to_be_bytes());
    out.extend_from_slice(&media.to_be_bytes());
    let mut rest = lost;
    while let Some((&first, mut following)) = rest.split_first() {
        let mut mask = 0u16;
        while let Some((&next, after)) = following.split_first() {
            match next.wrapping_sub(first) {
                distance @ 1..=16 => mask |= 1 << (distance - 1),
                _ => break,
            }
            following = after;
        }
        out.extend_from_slice(&first.to_be_bytes());
        out.extend_from_slice(&mask.to_be_bytes());
        rest = following;
    }
    close(out, at);
}

/// Appends what we are ready to receive for the given streams (draft-alvestrand-rmcat-remb-03 section 2.2).
pub fn write_remb(out: &mut Vec<u8>, sender: u32, bps: u64, ssrcs: &[u32]) {
    let at = open(out, FMT_APPLICATION, PAYLOAD_FEEDBACK);
    out.extend_from_slice(&sender.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(b"REMB");
    let exponent = (64 - bps.leading_zeros()).saturating_sub(18);
    let ssrcs = &ssrcs[..ssrcs.len().min(255)];
    let word = (ssrcs.len() as u32) << 24 | exponent << 18 | (bps >> exponent) as u32;
    out.extend_from_slice(&word.to_be_bytes());
    for ssrc in ssrcs {
        out.extend_from_slice(&ssrc.to_be_bytes());
    }
    close(out, at);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        read(bytes, |message| messages.push(message));
        messages
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let block = ReportBlock {
            ssrc: 9,
            fraction_lost: 12,
            total_lost: -3,
            highest_seq: 70_000,
            jitter: 5,
            last_sr: 6,
            delay_since_sr: 7,
        };
        let mut bytes = Vec::new();
        write_sender_report(&mut bytes, 1, 0x1122_3344_5566_7788, 90, 10, 1000);
        write_receiver_report(&mut bytes, 2, &[block]);
        write_cname(&mut bytes, 2, "porthole");
        write_pli(&mut bytes, 2, 9);
        write_nack(&mut bytes, 2, 9, &[65_534, 65_535, 0, 14, 15, 16, 400]);
        write_remb(&mut bytes, 2, 5_000_000, &[9]);
        let messages = all(&bytes);
        assert_eq!(messages[0], Message::SenderReport { ssrc: 1, ntp: 0x1122_3344_5566_7788, rtp: 90 });
        assert_eq!(messages[1], Message::Report(block));
        assert_eq!(messages[2], Message::KeyframeRequest { ssrc: 9 });
        assert_eq!(messages[3], Message::Nack { ssrc: 9, lost: vec![65_534, 65_535, 0, 14, 15, 16, 400] });
        assert!(matches!(messages[4], Message::Bitrate { bps } if (4_990_000..=5_000_000).contains(&bps)));
        assert_eq!(messages.len(), 5);
    }

    #[test]
    fn transport_feedback_is_counted() {
        // 2-bit vector: received, lost, received large, then a run of 3 lost and a 1-bit vector of 2 received.
        let chunks = [0b1101_0010_0000_0000u16, 3, 0b1011_0000_0000_0000];
        let bytes: Vec<u8> = chunks.iter().flat_map(|c| c.to_be_bytes()).collect();
        assert_eq!(received_in(&bytes[..2], 3), Some(2));
        assert_eq!(received_in(&bytes[2..], 5), Some(2));
    }

    #[test]
    fn one_compound_asks_for_so_many_packets_and_no_more_however_many_nacks_it_holds() {
        let mut bytes = Vec::new();
        let numbers: Vec<u16> = (0..300).collect();
        for ssrc in 0..20 {
            write_nack(&mut bytes, 2, ssrc, &numbers);
        }
        let asked = |message: &Message| if let Message::Nack { lost, .. } = message { lost.len() } else { 0 };
        assert_eq!(all(&bytes).iter().map(asked).sum::<usize>(), MAX_NACKED);
    }

    #[test]
    fn damaged_packets_are_never_more_than_ignored() {
        let mut bytes = Vec::new();
        write_sender_report(&mut bytes, 1, 2, 3, 4, 5);
        write_nack(&mut bytes, 2, 9, &[1, 2, 3]);
        write_remb(&mut bytes, 2, u64::MAX, &[9]);
        for cut in 0..bytes.len() {
            all(&bytes[..cut]);
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[cut] ^= 1 << bit;
                all(&damaged);
            }
        }
    }
}
