//! Where keyframes begin in RTP payloads that pass through undecoded.
//!
//! A payload is looked at alone, so a keyframe of several packets (parameter sets, then the IDR slice in fragments)
//! is seen more than once: the caller takes the first such packet after a packet with the marker as the beginning of the
//! access unit. Payloads come from the network: what is truncated begins nothing.
use super::codec::Codec;
use super::units::{Payload, Role, Set, Syntax, aggregated};

/// Does this RTP payload begin a picture from which a decoder can start, or carry the parameter sets ahead of
/// it? Every audio packet does.
pub fn begins_keyframe(codec: Codec, payload: &[u8]) -> bool {
    let begins = match codec {
        Codec::H264 => units(Syntax::H264, payload),
        Codec::H265 => units(Syntax::H265, payload),
        Codec::Vp8 => vp8(payload),
        Codec::Vp9 => vp9(payload),
        Codec::Av1 => av1(payload),
        Codec::Opus | Codec::Pcmu | Codec::Pcma => Some(true),
    };
    begins.unwrap_or(false)
}

/// H.264 and H.265: the start of an IRAP picture, or a parameter set that every decoder needs first.
fn units(syntax: Syntax, payload: &[u8]) -> Option<bool> {
    let begins = |header: u8| match syntax.role(header) {
        Role::Key | Role::Parameters(Set::Video | Set::Sequence) => true,
        Role::Parameters(Set::Picture) => syntax == Syntax::H265,
        Role::Slice | Role::Other => false,
    };
    let whole = |unit: &[u8]| unit.len() > syntax.header_len() && begins(unit[0]);
    Some(match syntax.read(payload)? {
        Payload::Unit(unit) => whole(unit),
        Payload::Aggregate(units) => aggregated(units).any(whole),
        Payload::Fragment(fragment) => fragment.start && begins(fragment.header[0]) && !fragment.body.is_empty(),
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
            }
        }
    }

    #[test]
    fn audio_can_start_anywhere() {
        assert!(begins_keyframe(Codec::Opus, &[0xfc]) && begins_keyframe(Codec::Pcma, &[]));
    }
}
