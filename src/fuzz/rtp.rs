//! RTP of a publisher or camera, from its header to what is asked of the sender.
use super::Target;
use super::script::{pieces, script};
use crate::media::codec::Codec;
use crate::rtc::{rtcp, srtp};
use crate::stream::choice::{Named, Wanted};
use crate::stream::inbound::{Agreed, Header, Inbound};
use bytes::BytesMut;
use std::time::{Duration, Instant};

pub const TARGETS: &[Target] = &[
    Target { name: "rtp_header", max: 2100, run: header, seeds: headers },
    Target { name: "rtp", max: 24 << 10, run: packets, seeds: streams },
];

fn headers() -> Vec<Vec<u8>> {
    let mut plain = Vec::new();
    srtp::write_header(&mut plain, true, 96, 7, 90_000, 5);
    let mut full = plain.clone();
    full[0] |= 0x31;
    // a contributing source, one-byte extensions, padding
    full.extend_from_slice(b"\0\0\0\x09\xbe\xde\0\x02\x10\x61\x22abc\0\0payload\0\0\x03");
    let mut two = plain.clone();
    two[0] |= 0x10;
    two.extend_from_slice(b"\x10\0\0\x02\x01\x01a\x04\x03abcpayload");
    plain.extend_from_slice(b"\x65\x88payload");
    vec![plain, full, two]
}

/// Whatever a header says, it stays within its packet; what we write reads the same.
fn header(bytes: &[u8]) {
    let Some(header) = Header::read(bytes) else { return };
    for id in [0, 1, 2, 3, 4, 5, 14, 15, 16, 255] {
        assert!(header.extension(bytes, id).is_none_or(|value| value.len() <= 255));
    }
    let mut written = Vec::new();
    srtp::write_header(&mut written, header.marker, header.payload_type, header.seq, header.timestamp, header.ssrc);
    let again = Header::read(&written).expect("what we write is RTP");
    let fields = |header: &Header| (header.marker, header.payload_type, header.seq, header.timestamp, header.ssrc);
    assert_eq!(fields(&again), fields(&header));
}

fn streams() -> Vec<Vec<u8>> {
    let packet = |payload_type: u8, seq: u16, ssrc: u32, payload: &[u8]| {
        let mut bytes = Vec::new();
        srtp::write_header(&mut bytes, false, payload_type, seq, 0, ssrc);
        bytes.extend_from_slice(payload);
        bytes
    };
    let named = |seq: u16| {
        let mut bytes = packet(96, seq, 9, b"\xbe\xde\0\x01\x10h\0\0\x41x");
        bytes[0] |= 0x10;
        bytes
    };
    let list = [
        packet(96, 1, 5, b"x"),
        packet(96, 4, 5, b"x"),
        packet(97, 9, 6, b"\0\x02x"),
        packet(96, 65_535, 5, b"x"),
        packet(96, 3, 8, b"x"),
        named(7),
        named(900),
    ];
    let pieces: Vec<(u8, &[u8])> = list.iter().enumerate().map(|(i, packet)| (i as u8 * 40, &packet[..])).collect();
    (0..4).map(|kind| [&[kind][..], &script(&pieces)].concat()).collect()
}

/// Packets of one track in any order: what is asked of the sender has a bound, and reports add up.
fn packets(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let named = Named { name: "h".into(), extension: 1, repaired: Some(2) };
    let stream = match kind & 3 {
        0 => Wanted::default(),
        1 => Wanted { ssrc: Some(5), rtx_ssrc: Some(6), ..Wanted::default() },
        2 => Wanted { layer: Some(named), simulcast: true, ..Wanted::default() },
        _ => Wanted { ssrc: Some(5), simulcast: true, ..Wanted::default() },
    };
    let codec = if kind & 4 == 0 { Codec::H264 } else { Codec::Opus };
    let mut inbound = Inbound::new(Agreed { codec, payload_type: 96, rtx_payload_type: Some(97), stream, nack: true });
    let mut now = Instant::now();
    let mut came = 0;
    for (flags, packet) in pieces(rest) {
        now += Duration::from_millis(u64::from(flags & 0x3f) * if flags & 0x40 == 0 { 1 } else { 50 });
        let Some(header) = Header::read(packet) else { continue };
        if inbound.takes(header.payload_type) {
            came += 1;
            if let Some(taken) = inbound.rtp(now, &header, BytesMut::from(packet)) {
                assert!(taken.payload.len() <= packet.len() - 12);
            }
        }
        inbound.sender_report(header.ssrc, u64::from(header.timestamp) << 20, header.timestamp, now);
        let mut out = Vec::new();
        if inbound.write_nack(now, 1, &mut out) {
            assert!(out.len() <= 12 + 4 * 256);
            rtcp::read(&out, |message| {
                assert!(matches!(message, rtcp::Message::Nack { lost, .. } if lost.len() <= 256))
            });
        }
        if flags & 0x80 != 0
            && let Some(report) = inbound.report(now)
        {
            assert!(report.total_lost >= 0 && inbound.packets() > 0);
        }
        let _ = (inbound.deadline(), inbound.lost());
    }
    assert!(inbound.packets() <= came && inbound.nacked <= 10 * 256 * (1 + rest.len() as u64 / 15));
}
