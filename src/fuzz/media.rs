//! Media that passes through: parameter sets, the beginnings of keyframes, and what packets become on their way to viewers.
use super::Target;
use super::script::{pieces, script};
use crate::media::codec::Codec;
use crate::media::h264::parameters::Format;
use crate::media::h264::sps;
use crate::media::keyframe::begins_keyframe;
use crate::media::packet::{MAX_FORWARDED, MAX_PAYLOAD, Packet};
use crate::media::parameters::Parameters;
use crate::media::ring::Ring;
use crate::media::shape::Shape;
use crate::media::units::{Payload, Syntax, aggregated};
use bytes::Bytes;
use std::time::Instant;

pub const TARGETS: &[Target] = &[
    Target { name: "parameter_sets", max: 2048, run: parameter_sets, seeds: sets },
    Target { name: "payload", max: 2048, run: payload, seeds: payloads },
    Target { name: "shape", max: 24 << 10, run: shape, seeds: shapes },
];

const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1e, 0x95, 0xa0, 0x14, 0x01, 0x6e, 0x40];
const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];

fn sets() -> Vec<Vec<u8>> {
    // x264, 1280x720, High, level 3.1.
    let high: &[u8] = &[
        0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00,
        0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60,
    ];
    let h265: [&[u8]; 3] = [
        &[0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60],
        &[
            0x42, 0x01, 0x01, 0x01, 0x60, 0, 0, 3, 0, 0, 3, 0, 0, 3, 0, 0, 3, 0, 0x78, 0xa0, 3, 0xc0, 0x80, 0x11, 7,
            0xcb,
        ],
        &[0x44, 0x01, 0xc0, 0x72, 0xf0, 0x53, 0x24],
    ];
    [
        vec![SPS.to_vec(), PPS.to_vec(), high.to_vec()],
        h265.map(<[u8]>::to_vec).to_vec(),
        super::texts(&[
            "packetization-mode=1;sprop-parameter-sets=Z0LAHpWgFAFuQA==,aM48gA==",
            "sprop-pps=RAHAcvBTJA==;sprop-sps=QgEBAWAAAAMAAAMAAAMAAAMAeKADwIARB8s=;sprop-vps=QAEMAf//AWA=",
        ]),
    ]
    .concat()
}

/// A size is one that exists, what our own writer says is read back, and sets that are kept fit one packet.
fn parameter_sets(bytes: &[u8]) {
    if let Some((width, height)) = sps::resolution(bytes) {
        assert!((1..=16_384).contains(&width) && (1..=32_768).contains(&height), "{width}x{height}");
    }
    if let Some(&[a, b, c, d]) = bytes.first_chunk::<4>() {
        let side = |high: u8, low: u8| 16 + 2 * (u32::from(high & 7) << 8 | u32::from(low));
        let size = (side(a, b), side(c, d));
        assert_eq!(sps::resolution(&Format { size, fps: 30, bitrate: 0 }.sps()), Some(size));
    }
    let text = String::from_utf8_lossy(bytes);
    for syntax in [Syntax::H264, Syntax::H265] {
        let mut parameters = Parameters::new(syntax, &text);
        parameters.learn(bytes);
        for unit in aggregated(bytes) {
            parameters.learn(unit);
        }
        let Some(payload) = parameters.payload() else { continue };
        assert!(payload.len() <= MAX_PAYLOAD);
        let Some(Payload::Aggregate(units)) = syntax.read(&payload) else { panic!("sets are an aggregate") };
        let mut again = Parameters::new(syntax, "");
        aggregated(units).for_each(|unit| assert!(again.learn(unit)));
        assert_eq!(again.payload(), Some(payload));
    }
}

fn payloads() -> Vec<Vec<u8>> {
    let payloads: [&[u8]; 12] = [
        &[0x65, 0x88, 0x84],
        &[0x78, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 2, 0x68, 0xce],
        &[0x7c, 0x85, 0x88],
        &[0x7c, 0x45, 0x88, 9],
        &[0x26, 0x01, 0xaf],
        &[0x60, 0x01, 0, 3, 0x42, 0x01, 0x01],
        &[0x62, 0x01, 0x93, 0xaf],
        &[0x90, 0x80, 0x81, 0x23, 0x50],
        &[0x90, 0xf0, 0x12, 0x07, 0x40, 0x50],
        &[0xaa, 0x81, 0x23, 0x00, 0x01],
        &[0x18, 0x0a, 0x0b],
        &[0x28, 0x05, 0x0a, 0x03, 1, 2, 3, 0x32, 0x10],
    ];
    payloads.map(<[u8]>::to_vec).to_vec()
}

/// A payload is taken apart within itself, and put together again it is the same.
fn payload(bytes: &[u8]) {
    for codec in Codec::ALL {
        begins_keyframe(codec, bytes);
    }
    for syntax in [Syntax::H264, Syntax::H265] {
        match syntax.read(bytes) {
            Some(Payload::Fragment(fragment)) => {
                let (front, len) = syntax.fragment_header(fragment.header);
                assert_eq!(front[..len - 1], bytes[..len - 1]);
                assert_eq!(fragment.body, &bytes[len..]);
            }
            Some(Payload::Aggregate(body)) => {
                let units: Vec<&[u8]> = aggregated(body).collect();
                let written = syntax.aggregate(units.iter().copied());
                assert!(body.starts_with(&written[syntax.header_len()..]));
            }
            Some(Payload::Unit(unit)) => assert_eq!(unit, bytes),
            None => assert!(bytes.len() < 3),
        }
        let _ = syntax.is_bidirectional(bytes);
    }
}

/// Bits of a piece's flags: the marker, another picture, a packet is missing before it, it comes late.
const MARKER: u8 = 1;
const NEXT: u8 = 2;
const GAP: u8 = 4;
const LATE: u8 = 8;

fn shapes() -> Vec<Vec<u8>> {
    let long = |first: &[u8], len: usize| [first, &vec![0x55; len]].concat();
    let aggregate = Syntax::H264.aggregate([SPS, PPS, &long(&[0x65, 0x88], 1300)].into_iter());
    let h264 = [
        (0, SPS.to_vec()),
        (0, PPS.to_vec()),
        (0, long(&[0x7c, 0x85, 0x88], 1380)),
        (GAP, long(&[0x7c, 0x45], 900)),
        (NEXT | MARKER, long(&[0x65, 0x88], 1900)),
        (LATE, long(&[0x41, 0x9a], 10)),
        (NEXT | MARKER, aggregate),
        (NEXT | MARKER, long(&[0x41, 0x9a], 100)),
    ];
    let h265 = [(0, long(&[0x62, 1, 0x93], 1300)), (MARKER, long(&[0x62, 1, 0x53], 1300)), (NEXT, sets()[4].clone())];
    let av1 = [(0, payloads()[11].clone()), (MARKER, vec![0x18, 0x32, 0x10, 0]), (NEXT, vec![0x18, 0x32, 0x10, 0])];
    let whole = |codec: u8, pieces: &[(u8, Vec<u8>)]| {
        let pieces: Vec<(u8, &[u8])> = pieces.iter().map(|(flags, piece)| (*flags, piece.as_slice())).collect();
        [&[codec][..], &script(&pieces)].concat()
    };
    vec![whole(0, &h264), whole(1, &h265), whole(2, &av1)]
}

/// Packets of a track: viewers get no more bytes than came, but for parameter sets, and hardly more packets.
fn shape(bytes: &[u8]) {
    let Some((codec, rest)) = bytes.split_first() else { return };
    let codec = [Codec::H264, Codec::H265, Codec::Av1, Codec::Vp8][usize::from(codec & 3)];
    let (mut shape, mut ring) = (Shape::new(codec, ""), Ring::new(64 << 10));
    let (now, mut seq, mut timestamp) = (Instant::now(), 1u64 << 32, 0u32);
    let mut newest = None;
    let (mut came, mut left, mut packets, mut out) = (0, 0, 0, 0);
    for (flags, piece) in pieces(rest) {
        let piece = &piece[..piece.len().min(2048)];
        seq += 1 + u64::from(flags & GAP != 0);
        timestamp = timestamp.wrapping_add(if flags & NEXT != 0 { 3000 } else { 0 });
        let number = if flags & LATE != 0 { seq - u64::from(flags >> 4) } else { seq };
        let packet = Packet {
            seq: number,
            timestamp,
            marker: flags & MARKER != 0,
            keyframe: begins_keyframe(codec, piece),
            payload: Bytes::copy_from_slice(piece),
        };
        (came, packets) = (came + piece.len(), packets + 1);
        shape.take(packet, |packet| {
            assert!(packet.payload.len() <= piece.len().max(MAX_FORWARDED).max(2048));
            (left, out) = (left + packet.payload.len(), out + 1);
            newest = newest.max(Some(packet.seq));
            ring.push(packet, now);
        });
        assert!(ring.bytes() <= (64 << 10) + 4096 || ring.head() - ring.tail() <= 1, "{} bytes", ring.bytes());
    }
    let _ = (shape.sequence().map(sps::resolution), shape.is_reordered(), shape.is_undecodable());
    assert!(out <= 3 * packets + came / 512, "{packets} packets became {out}");
    assert!(left <= came + packets * (MAX_PAYLOAD + 16), "{came} bytes became {left}");
}
