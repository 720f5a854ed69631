use super::*;
use crate::media::keyframe::begins_keyframe;
use crate::media::packet::MAX_FORWARDED;
use bytes::Bytes;

const SPS: &[u8] = &[0x67, 0x42, 0xc0, 0x1e, 0x95, 0xa0, 0x14, 0x01, 0x6e, 0x40];
const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];
const IDR: &[u8] = &[0x65, 0x88, 0x84, 0x21];
const SEI: &[u8] = &[0x06, 5, 1, 2];
const P: &[u8] = &[0x41, 0x9a, 0x24, 0x6c];
const SPROP: &str = "packetization-mode=1;sprop-parameter-sets=Z0LAHpWgFAFuQA==,aM48gA==";

/// What the ring gets of these packets: number, timestamp, payload, marker, keyframe.
fn shaped(codec: Codec, fmtp: &str, packets: &[(u64, u32, &[u8], bool)]) -> Vec<Packet> {
    let (mut shape, mut out) = (Shape::new(codec, fmtp), Vec::new());
    for (seq, timestamp, payload, marker) in packets {
        let payload = Bytes::copy_from_slice(payload);
        let keyframe = begins_keyframe(codec, &payload);
        let packet = Packet { seq: *seq, timestamp: *timestamp, marker: *marker, keyframe, payload };
        shape.take(packet, |packet| out.push(packet));
    }
    out
}

/// `7-8-5/90!`: the units of a packet, its timestamp, its marker.
fn lines(syntax: Syntax, packets: &[Packet]) -> Vec<String> {
    let kind = |unit: &[u8]| if syntax == Syntax::H264 { unit[0] & 31 } else { unit[0] >> 1 & 63 }.to_string();
    let line = |packet: &Packet| {
        let units = match syntax.read(&packet.payload).unwrap() {
            Payload::Unit(unit) => kind(unit),
            Payload::Aggregate(units) => aggregated(units).map(kind).collect::<Vec<_>>().join("-"),
            Payload::Fragment(fragment) => format!("({})", kind(&fragment.header)),
        };
        format!("{units}/{}{}", packet.timestamp, if packet.marker { "!" } else { "" })
    };
    packets.iter().map(line).collect()
}

/// Numbers of the packets without their beginning; no two are the same.
fn numbers(packets: &[Packet]) -> Vec<u64> {
    packets.iter().map(|packet| packet.seq).collect()
}

fn stap(units: &[&[u8]]) -> Vec<u8> {
    Syntax::H264.aggregate(units.iter().copied())
}

#[test]
fn sets_of_the_description_stand_before_every_keyframe() {
    let out = shaped(
        Codec::H264,
        SPROP,
        &[(9, 0, IDR, true), (10, 90, P, true), (11, 180, IDR, false), (12, 180, IDR, true)],
    );
    assert_eq!(lines(Syntax::H264, &out), ["7-8/0", "5/0!", "1/90!", "7-8/180", "5/180", "5/180!"]);
    assert_eq!(numbers(&out), [9, 10, 11, 12, 13, 14]);
    assert!(out[0].keyframe && out[3].keyframe && !out[2].keyframe);
}

#[test]
fn sets_that_came_once_at_the_beginning_stand_before_every_keyframe() {
    let both = stap(&[SPS, PPS]);
    for beginning in [&[SPS, PPS][..], &[&both[..]][..], &[PPS, SPS][..]] {
        let mut packets: Vec<(u64, u32, &[u8], bool)> = Vec::new();
        packets.extend(beginning.iter().enumerate().map(|(i, set)| (i as u64, 0, *set, false)));
        packets.extend([(5, 0, IDR, true), (6, 90, P, true), (7, 180, IDR, true)].map(|(i, t, p, m)| (i, t, p, m)));
        let packets: Vec<_> = packets.iter().enumerate().map(|(i, p)| (i as u64, p.1, p.2, p.3)).collect();
        let out = shaped(Codec::H264, "", &packets);
        let lines = lines(Syntax::H264, &out);
        assert_eq!(lines[lines.len() - 3..], ["1/90!", "7-8/180", "5/180!"], "{lines:?}");
    }
}

#[test]
fn sets_in_fragments_are_put_together() {
    let (first, last) = ([&[0x7c, 0x87][..], &SPS[1..5]].concat(), [&[0x7c, 0x47][..], &SPS[5..]].concat());
    let packets: [(u64, u32, &[u8], bool); 5] =
        [(0, 0, &first, false), (1, 0, &last, false), (2, 0, PPS, false), (3, 0, IDR, true), (4, 90, IDR, true)];
    let out = shaped(Codec::H264, "", &packets);
    assert_eq!(lines(Syntax::H264, &out), ["(7)/0", "(7)/0", "8/0", "5/0!", "7-8/90", "5/90!"]);
    assert_eq!(out[4].payload, stap(&[SPS, PPS]));
}

#[test]
fn a_keyframe_that_brings_its_sets_passes_untouched() {
    let both = stap(&[SPS, PPS]);
    let all = stap(&[SPS, PPS, IDR]);
    let packets: [(u64, u32, &[u8], bool); 7] = [
        (1, 0, &both, false),
        (2, 0, IDR, true),
        (3, 90, P, true),
        (4, 180, SPS, false),
        (5, 180, PPS, false),
        (6, 180, IDR, true),
        (7, 270, &all, true),
    ];
    let out = shaped(Codec::H264, SPROP, &packets);
    assert_eq!(out.len(), packets.len());
    for (out, (seq, timestamp, payload, marker)) in out.iter().zip(packets) {
        assert_eq!((out.seq, out.timestamp, &out.payload[..], out.marker), (seq, timestamp, payload, marker));
    }
}

#[test]
fn sets_with_timestamps_and_markers_of_their_own_join_their_picture() {
    let packets: [(u64, u32, &[u8], bool); 6] = [
        (1, 0, P, true),
        (2, 10, SPS, true),
        (3, 20, PPS, true),
        (4, 30, SEI, true),
        (5, 90, IDR, true),
        (6, 180, P, true),
    ];
    let out = shaped(Codec::H264, "", &packets);
    assert_eq!(lines(Syntax::H264, &out), ["1/0!", "7/90", "8/90", "6/90", "5/90!", "1/180!"]);
    assert_eq!(numbers(&out), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn sets_that_no_picture_follows_do_not_pile_up() {
    let packets: Vec<(u64, u32, &[u8], bool)> = (0..100).map(|i| (i, i as u32, SPS, true)).collect();
    let out = shaped(Codec::H264, "", &packets);
    assert!(out.len() >= packets.len() - MAX_WAITING);
    assert!(numbers(&out).windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn the_newest_sets_are_the_ones_that_are_put_in() {
    let newer: &[u8] = &[0x67, 0x42, 0xc0, 0x1f, 0x95, 0xa0, 0x0b];
    let packets: [(u64, u32, &[u8], bool); 4] =
        [(1, 0, newer, false), (2, 0, PPS, false), (3, 0, IDR, true), (4, 90, IDR, true)];
    let out = shaped(Codec::H264, SPROP, &packets);
    assert_eq!(out[3].payload, stap(&[newer, PPS]));
}

#[test]
fn sets_that_may_be_lost_with_newer_ones_are_not_put_in() {
    // The second keyframe's own sets are missing: old ones behind them would spoil its picture.
    let both = stap(&[SPS, PPS]);
    let packets: [(u64, u32, &[u8], bool); 5] =
        [(1, 0, &both, false), (2, 0, IDR, true), (3, 90, P, true), (5, 180, IDR, true), (4, 180, &both, false)];
    let out = shaped(Codec::H264, "", &packets);
    assert_eq!(lines(Syntax::H264, &out), ["7-8/0", "5/0!", "1/90!", "5/180!", "7-8/180"]);
    assert_eq!(numbers(&out), [1, 2, 3, 5, 4]);
}

#[test]
fn a_keyframe_that_came_late_and_has_no_room_for_sets_is_no_place_to_begin() {
    let packets: [(u64, u32, &[u8], bool); 5] =
        [(1, 0, IDR, true), (2, 90, P, true), (4, 180, P, true), (3, 180, IDR, false), (5, 270, IDR, true)];
    let out = shaped(Codec::H264, SPROP, &packets);
    assert_eq!(lines(Syntax::H264, &out), ["7-8/0", "5/0!", "1/90!", "1/180!", "5/180", "7-8/270", "5/270!"]);
    assert_eq!(numbers(&out), [1, 2, 3, 5, 4, 6, 7]);
    assert!(!out[4].keyframe && out[5].keyframe);
}

#[test]
fn a_keyframe_without_sets_that_anybody_knows_passes_and_is_told_of() {
    let mut shape = Shape::new(Codec::H264, "profile-level-id=42e01f");
    let packet = |seq, payload: &'static [u8]| Packet {
        seq,
        timestamp: seq as u32,
        marker: true,
        keyframe: true,
        payload: Bytes::from_static(payload),
    };
    let mut out = 0;
    shape.take(packet(1, IDR), |_| out += 1);
    assert!(out == 1 && shape.is_undecodable());
    for (seq, payload) in [(2, SPS), (3, PPS), (4, IDR)] {
        shape.take(packet(seq, payload), |_| out += 1);
    }
    assert!(out == 4 && !shape.is_undecodable() && shape.sequence() == Some(SPS));
}

#[test]
fn a_new_beginning_of_the_numbers_is_one_behind_the_shape_too() {
    let packets: [(u64, u32, &[u8], bool); 4] =
        [(1, 0, IDR, true), (2, 5, SPS, true), (100_000, 7, IDR, true), (9, 8, IDR, true)];
    let out = shaped(Codec::H264, SPROP, &packets);
    assert_eq!(lines(Syntax::H264, &out), ["7-8/0", "5/0!", "7-8/7", "5/7!", "7-8/8", "5/8!"]);
    let numbers = numbers(&out);
    assert!(numbers[2] - numbers[1] > 4096 && numbers[3] - numbers[4] > 4096, "{numbers:?}");
}

#[test]
fn h265_has_its_three_sets_before_a_keyframe_too() {
    let fmtp = "sprop-pps=RAHAcvBTJA==;sprop-sps=QgEBAWAAAAMAAAMAAAMAAAMAeKADwIARB8s=;sprop-vps=QAEMAf//AWA=";
    let packets: [(u64, u32, &[u8], bool); 3] = [
        (1, 0, &[0x26, 0x01, 0xaf, 1], true),
        (2, 90, &[0x02, 0x01, 0xd0, 1], true),
        (3, 180, &[0x62, 0x01, 0x93, 0xaf], false),
    ];
    let out = shaped(Codec::H265, fmtp, &packets);
    assert_eq!(lines(Syntax::H265, &out), ["32-33-34/0", "19/0!", "1/90!", "32-33-34/180", "(19)/180"]);
}

#[test]
fn long_fragments_of_a_keyframe_are_cut_behind_its_sets() {
    let mut packets: Vec<(u64, u32, Vec<u8>, bool)> = Vec::new();
    for i in 0..10u8 {
        let flags = if i == 0 { 0x80 } else { 0 } | if i == 9 { 0x40 } else { 0 };
        packets.push((1 + u64::from(i), 0, [&[0x7c, flags | 5], &[i; 1_310][..]].concat(), i == 9));
    }
    packets.push((11, 90, P.to_vec(), true));
    let packets: Vec<_> = packets.iter().map(|p| (p.0, p.1, &p.2[..], p.3)).collect();
    let out = shaped(Codec::H264, SPROP, &packets);
    assert!(out.iter().all(|packet| packet.payload.len() <= MAX_FORWARDED));
    assert_eq!(numbers(&out), (1..=13).collect::<Vec<_>>());
    assert_eq!(lines(Syntax::H264, &out)[11..], ["(5)/0!", "1/90!"]);
    // The same with a packet missing in the middle, which comes late.
    let mut disturbed = packets.clone();
    let lost = disturbed.remove(4);
    disturbed.push(lost);
    let mut out = shaped(Codec::H264, SPROP, &disturbed);
    assert_eq!(out.last().unwrap().payload.len(), 1_312, "it has one place only");
    out.sort_by_key(|packet| packet.seq);
    assert!(numbers(&out).windows(2).all(|pair| pair[0] + 1 == pair[1]), "no hole is left");
    let body: Vec<u8> = out[1..out.len() - 1].iter().flat_map(|packet| packet.payload[2..].to_vec()).collect();
    assert_eq!(body, (0..10u8).flat_map(|i| [i; 1_310]).collect::<Vec<_>>());
}

#[test]
fn other_codecs_pass_as_they_are() {
    let long = [0x10; 1_400];
    let packets: [(u64, u32, &[u8], bool); 3] = [(5, 0, &long, true), (9, 1, &long, true), (7, 0, &long, true)];
    let out = shaped(Codec::Vp8, "", &packets);
    assert_eq!(numbers(&out), [5, 9, 7]);
    assert!(out.iter().all(|packet| packet.payload.len() == 1_400));
}

#[test]
fn whatever_comes_numbers_stay_apart_and_nothing_is_fatal() {
    let mut state = 7u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    for codec in [Codec::H264, Codec::H265] {
        let (mut shape, mut out, mut seq) = (Shape::new(codec, SPROP), Vec::new(), 1u64 << 32);
        for _ in 0..20_000 {
            seq = (seq + u64::from(random() % 4)).saturating_sub(u64::from(random() % 3));
            let kinds = [0x67, 0x68, 0x65, 0x41, 0x7c, 0x78, 0x06, 0x26, 0x40, 0x42, 0x44, 0x62, 0x60];
            let mut payload = vec![kinds[random() as usize % kinds.len()], random() as u8, random() as u8];
            payload.resize(3 + random() as usize % 1_900, random() as u8);
            payload.truncate(if random() % 9 == 0 { random() as usize % 4 } else { usize::MAX });
            let packet = Packet {
                seq,
                timestamp: (seq / 5) as u32,
                marker: random() % 5 == 0,
                keyframe: begins_keyframe(codec, &payload),
                payload: payload.into(),
            };
            shape.take(packet, |packet| out.push(packet.seq));
        }
        let all = out.len();
        out.sort_unstable();
        out.dedup();
        assert_eq!(out.len(), all);
    }
}
