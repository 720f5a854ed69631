//! Where keyframes begin in RTP payloads that pass through undecoded.
//!
//! A payload is looked at alone, so a keyframe of several packets (parameter sets, then the IDR slice in fragments)
//! is seen more than once: the caller takes the first such packet after a packet with the marker as the beginning of the
//! access unit. Payloads come from the network: what is truncated begins nothing.
use super::codec::Codec;
use super::h264::{nal, sps};

/// RFC 6184, table 1.
const H264_STAP_A: u8 = 24;
const H264_FU_A: u8 = 28;
/// RFC 7798, 4.4.
const H265_AP: u8 = 48;
const H265_FU: u8 = 49;
/// Start bit of the FU headers of H.264 and H.265.
const FU_START: u8 = 0x80;

/// Does this RTP payload begin a picture from which a decoder can start, or carry the parameter sets ahead of
/// it? Every audio packet does.
pub fn begins_keyframe(codec: Codec, payload: &[u8]) -> bool {
    let begins = match codec {
        Codec::H264 => h264(payload),
        Codec::H265 => h265(payload),
        Codec::Vp8 => vp8(payload),
        Codec::Vp9 => vp9(payload),
        Codec::Av1 => av1(payload),
        Codec::Opus | Codec::Pcmu | Codec::Pcma => Some(true),
    };
    begins.unwrap_or(false)
}

/// `profile_idc`, constraint flags and `level_idc` (the bytes of `profile-level-id`, RFC 6184, 8.1) of the
/// first whole SPS in a payload: alone or in a STAP-A.
pub fn h264_profile(payload: &[u8]) -> Option<[u8; 3]> {
    h264_sps(payload)?.get(1..4)?.try_into().ok()
}

/// Visible width and height in samples, from the first whole SPS in a payload: alone (so a bare SPS does, too) or in a
/// STAP-A.
pub fn h264_resolution(payload: &[u8]) -> Option<(u32, u32)> {
    sps::resolution(h264_sps(payload)?)
}

fn h264_sps(payload: &[u8]) -> Option<&[u8]> {
    let is_sps = |nal: &[u8]| nal.first().is_some_and(|header| nal::kind(*header) == nal::SPS);
    match nal::kind(*payload.first()?) {
        nal::SPS => Some(payload),
        H264_STAP_A => aggregated(&payload[1..]).find(|nal| is_sps(nal)),
        _ => None,
    }
}

/// NAL units with 16-bit sizes ahead, as in STAP-A and AP; ends at the first that is cut short.
fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (size, others) = rest.split_first_chunk::<2>()?;
        let (nal, others) = others.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
        rest = others;
        Some(nal)
    })
}

/// RFC 6184, 5.4: single NAL unit, STAP-A, FU-A.
fn h264(payload: &[u8]) -> Option<bool> {
    let begins = |kind: u8| matches!(kind, nal::IDR | nal::SPS);
    Some(match nal::kind(*payload.first()?) {
        H264_STAP_A => aggregated(&payload[1..]).filter_map(<[u8]>::first).any(|header| begins(nal::kind(*header))),
        H264_FU_A => {
            let header = *payload.get(1)?;
            header & FU_START != 0 && begins(nal::kind(header)) && payload.len() > 2
        }
        kind => begins(kind) && payload.len() > 1,
    })
}

/// RFC 7798, 4.4: single NAL unit, AP, FU; without the DONL fields that WebRTC never asks for.
fn h265(payload: &[u8]) -> Option<bool> {
    // IRAP pictures (BLA, IDR, CRA) and VPS, SPS, PPS.
    let begins = |kind: u8| matches!(kind, 16..=21 | 32..=34);
    let kind = |header: u8| header >> 1 & 0x3f;
    let body = payload.get(2..)?;
    Some(match kind(payload[0]) {
        H265_AP => aggregated(body).filter(|nal| nal.len() > 2).any(|nal| begins(kind(nal[0]))),
        H265_FU => {
            let header = *body.first()?;
            header & FU_START != 0 && begins(header & 0x3f) && body.len() > 1
        }
        kind => begins(kind) && !body.is_empty(),
    })
}

/// RFC 7741, 4.2 and 4.3: start of partition 0 whose frame header has P = 0.
fn vp8(payload: &[u8]) -> Option<bool> {
    let (&descriptor, mut rest) = payload.split_first()?;
    if descriptor & 0x80 != 0 {
        let (&extension, after) = rest.split_first()?;
        rest = after;
        if extension & 0x80 != 0 {
            // PictureID: one byte, or two with M
            rest = rest.get(if rest.first()? & 0x80 != 0 { 2 } else { 1 }..)?;
        }
        if extension & 0x40 != 0 {
            rest = rest.get(1..)?; // TL0PICIDX
        }
        if extension & 0x30 != 0 {
            rest = rest.get(1..)?; // TID, Y, KEYIDX
        }
    }
    let starts = descriptor & 0x10 != 0 && descriptor & 0x07 == 0;
    Some(starts && rest.first()? & 0x01 == 0)
}

/// RFC 9628, 4.2: beginning (B) of a frame that isn't predicted from other pictures (P = 0), in the lowest spatial layer.
fn vp9(payload: &[u8]) -> Option<bool> {
    let (&descriptor, mut rest) = payload.split_first()?;
    let [has_id, predicted, has_layer] = [0x80, 0x40, 0x20].map(|bit| descriptor & bit != 0);
    if has_id {
        rest = rest.get(if rest.first()? & 0x80 != 0 { 2 } else { 1 }..)?;
    }
    let spatial = if has_layer { rest.first()? >> 1 & 0x07 } else { 0 };
    Some(descriptor & 0x08 != 0 && !predicted && spatial == 0 && !rest.is_empty())
}

/// AV1 RTP, 4.4: N says that a coded video sequence begins here; Z that the packet goes on with an OBU, which excludes it.
fn av1(payload: &[u8]) -> Option<bool> {
    let header = *payload.first()?;
    Some(header & 0x08 != 0 && header & 0x80 == 0 && payload.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Payloads that begin a keyframe, each with the number of bytes that it takes to know.
    fn keyframes() -> Vec<(Codec, Vec<u8>, usize)> {
        use Codec::*;
        vec![
            (H264, vec![0x65, 0x88, 0x84], 2),
            (H264, vec![0x67, 0x42, 0xe0, 0x1f], 2),
            (H264, vec![0x78, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 2, 0x68, 0xce], 7),
            (H264, vec![0x78, 0, 2, 0x09, 0xf0, 0, 2, 0x65, 0x88], 9),
            (H264, vec![0x7c, 0x85, 0x88], 3),
            (H265, vec![0x26, 0x01, 0xaf], 3),
            (H265, vec![0x40, 0x01, 0x0c], 3),
            (H265, vec![0x60, 0x01, 0, 3, 0x42, 0x01, 0x01], 7),
            (H265, vec![0x62, 0x01, 0x93, 0xaf], 4),
            (Vp8, vec![0x10, 0x50, 0x02], 2),
            (Vp8, vec![0x90, 0x80, 0x81, 0x23, 0x50], 5),
            (Vp8, vec![0x90, 0xf0, 0x12, 0x07, 0x40, 0x50], 6),
            (Vp9, vec![0x88, 0x12, 0x34], 3),
            (Vp9, vec![0xaa, 0x81, 0x23, 0x00, 0x01], 4),
            (Av1, vec![0x18, 0x0a, 0x0b], 2),
        ]
    }

    #[test]
    fn keyframes_of_every_codec_are_seen_and_their_truncations_are_not() {
        for (codec, payload, needed) in keyframes() {
            for length in 0..=payload.len() {
                assert_eq!(
                    begins_keyframe(codec, &payload[..length]),
                    length >= needed,
                    "{codec} {payload:x?} {length}"
                );
            }
        }
    }

    #[test]
    fn other_payloads_begin_nothing() {
        use Codec::*;
        let others: [(Codec, &[u8]); 16] = [
            (H264, &[0x41, 0x9a, 0x00]),
            (H264, &[0x68, 0xce, 0x3c]),
            (H264, &[0x7c, 0x05, 0x88]), // a later fragment of an IDR slice
            (H264, &[0x7c, 0x81, 0x9a]),
            (H264, &[0x78, 0, 2, 0x41, 0x9a]),
            (H265, &[0x02, 0x01, 0xd0]),
            (H265, &[0x62, 0x01, 0x13, 0xaf]),
            (Vp8, &[0x10, 0x51, 0x02]),
            (Vp8, &[0x00, 0x50, 0x02]),
            (Vp8, &[0x11, 0x50, 0x02]),
            (Vp9, &[0xc8, 0x12, 0x34]),
            (Vp9, &[0x80, 0x12, 0x34]),
            (Vp9, &[0xaa, 0x81, 0x23, 0x02, 0x01]), // spatial layer 1
            (Av1, &[0x10, 0x0a, 0x0b]),
            (Av1, &[0x98, 0x0a, 0x0b]),
            (H264, &[0x78, 0xff, 0xff, 0x67]),
        ];
        for (codec, payload) in others {
            assert!(!begins_keyframe(codec, payload), "{codec} {payload:x?}");
        }
    }

    #[test]
    fn no_payload_of_two_leading_bytes_and_any_length_is_fatal() {
        let codecs = [Codec::H264, Codec::H265, Codec::Vp8, Codec::Vp9, Codec::Av1];
        for lead in 0..=u16::MAX {
            let mut payload = [0xff; 7];
            payload[..2].copy_from_slice(&lead.to_be_bytes());
            for length in 0..=payload.len() {
                for codec in codecs {
                    begins_keyframe(codec, &payload[..length]);
                }
                h264_profile(&payload[..length]);
                h264_resolution(&payload[..length]);
            }
        }
    }

    #[test]
    fn audio_can_start_anywhere() {
        assert!(begins_keyframe(Codec::Opus, &[0xfc]) && begins_keyframe(Codec::Pcma, &[]));
    }

    #[test]
    fn the_profile_is_read_from_an_sps_alone_or_aggregated() {
        let stap = [0x78, 0, 2, 0x09, 0xf0, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 2, 0x68, 0xce];
        assert_eq!(h264_profile(&[0x67, 0x42, 0xe0, 0x1f, 0x95]), Some([0x42, 0xe0, 0x1f]));
        assert_eq!(h264_profile(&stap), Some([0x42, 0xe0, 0x1f]));
        assert_eq!(h264_profile(&stap[..10]), None);
        assert_eq!(h264_profile(&[0x65, 0x88, 0x84, 0x00]), None);
    }
}
