//! NAL units as they lie in RTP payloads: alone, several together, or in fragments. H.264 (RFC 6184 section 5) and H.265
//! (RFC 7798 section 4.4, without the DONL fields that WebRTC never asks for) differ in their headers only.
use super::codec::Codec;
use super::h264::sps::BitReader;

/// Bits of a fragment's header: the unit begins here, ends here.
pub const START: u8 = 0x80;
pub const END: u8 = 0x40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    H264,
    H265,
}

/// What a NAL unit is to a decoder that is about to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Parameters(Set),
    /// A slice of a picture from which decoding can start.
    Key,
    /// A slice of any other picture.
    Slice,
    /// Delimiters, supplemental information and the like.
    Other,
}

/// The kinds of parameter sets, in the order in which a decoder needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Set {
    Video,
    Sequence,
    Picture,
}

/// What an RTP payload holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    Unit(&'a [u8]),
    /// Units with their sizes in front.
    Aggregate(&'a [u8]),
    Fragment(Fragment<'a>),
}

/// A piece of a unit: FU-A or FU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    pub start: bool,
    pub end: bool,
    /// The unit's own header; H.264's is one byte.
    pub header: [u8; 2],
    /// Of the unit, after its header.
    pub body: &'a [u8],
}

impl Syntax {
    pub fn of(codec: Codec) -> Option<Syntax> {
        match codec {
            Codec::H264 => Some(Syntax::H264),
            Codec::H265 => Some(Syntax::H265),
            _ => None,
        }
    }

    /// Bytes of a unit's header.
    pub fn header_len(self) -> usize {
        match self {
            Syntax::H264 => 1,
            Syntax::H265 => 2,
        }
    }

    /// `nal_unit_type` from the first byte of a unit.
    fn kind(self, first: u8) -> u8 {
        match self {
            Syntax::H264 => first & 0x1f,
            Syntax::H265 => first >> 1 & 0x3f,
        }
    }

    /// What the unit is that begins with this byte.
    pub fn role(self, first: u8) -> Role {
        match (self, self.kind(first)) {
            (Syntax::H264, 7) => Role::Parameters(Set::Sequence),
            (Syntax::H264, 8) => Role::Parameters(Set::Picture),
            (Syntax::H264, 5) => Role::Key,
            (Syntax::H264, 1..=4) => Role::Slice,
            (Syntax::H265, 32) => Role::Parameters(Set::Video),
            (Syntax::H265, 33) => Role::Parameters(Set::Sequence),
            (Syntax::H265, 34) => Role::Parameters(Set::Picture),
            // BLA, IDR and CRA pictures.
            (Syntax::H265, 16..=21) => Role::Key,
            (Syntax::H265, 0..=31) => Role::Slice,
            _ => Role::Other,
        }
    }

    /// Takes a payload apart; `None` if it is cut short.
    pub fn read(self, payload: &[u8]) -> Option<Payload<'_>> {
        let (&first, rest) = payload.split_first()?;
        Some(match (self, self.kind(first)) {
            (Syntax::H264, 24) => Payload::Aggregate(rest),
            (Syntax::H264, 28) => {
                let (&fu, body) = rest.split_first()?;
                let header = [first & 0xe0 | fu & 0x1f, 0];
                Payload::Fragment(Fragment { start: fu & START != 0, end: fu & END != 0, header, body })
            }
            (Syntax::H265, 48) => Payload::Aggregate(rest.get(1..)?),
            (Syntax::H265, 49) => {
                let [second, fu, body @ ..] = rest else { return None };
                let header = [first & 0x81 | (fu & 0x3f) << 1, *second];
                Payload::Fragment(Fragment { start: fu & START != 0, end: fu & END != 0, header, body })
            }
            _ => Payload::Unit(payload),
        })
    }

    /// Is the slice with this body, which follows its header, one that may look ahead (H.264 section 7.4.3, `slice_type`)?
    /// H.265's tell nothing: its encoders use such slices without looking ahead.
    pub fn is_bidirectional(self, body: &[u8]) -> bool {
        let slice_type = |body: &[u8]| {
            let mut bits = BitReader::new(body);
            bits.ue()?;
            bits.ue()
        };
        self == Syntax::H264 && slice_type(body.get(..8).unwrap_or(body)).is_some_and(|kind| kind % 5 == 1)
    }

    /// What stands in front of each fragment of the unit with this header; the last byte takes [`START`] and [`END`].
    pub fn fragment_header(self, header: [u8; 2]) -> ([u8; 3], usize) {
        match self {
            Syntax::H264 => ([header[0] & 0xe0 | 28, header[0] & 0x1f, 0], 2),
            Syntax::H265 => ([header[0] & 0x81 | 49 << 1, header[1], header[0] >> 1 & 0x3f], 3),
        }
    }

    /// Several units as one payload.
    pub fn aggregate<'a>(self, units: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut payload = match self {
            // The highest importance (nal_ref_idc), which parameter sets have.
            Syntax::H264 => vec![0x60 | 24],
            // Layer 0, temporal layer 0.
            Syntax::H265 => vec![48 << 1, 1],
        };
        for unit in units {
            payload.extend_from_slice(&(unit.len() as u16).to_be_bytes());
            payload.extend_from_slice(unit);
        }
        payload
    }
}

/// The units of an aggregate; ends at the first that is cut short.
pub fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (size, others) = rest.split_first_chunk::<2>()?;
        let (unit, others) = others.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
        rest = others;
        Some(unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_name_their_unit_and_are_written_as_they_were_read() {
        for (syntax, payload, header) in [
            (Syntax::H264, &[0x7c, 0x85, 9, 8][..], [0x65, 0]),
            (Syntax::H265, &[0x62, 0x01, 0x93, 9, 8], [0x26, 0x01]),
        ] {
            let Some(Payload::Fragment(fragment)) = syntax.read(payload) else { panic!("{syntax:?}") };
            assert_eq!(fragment, Fragment { start: true, end: false, header, body: &[9, 8] });
            assert_eq!(syntax.role(header[0]), Role::Key);
            let (mut written, len) = syntax.fragment_header(header);
            written[len - 1] |= START;
            assert_eq!(written[..len], payload[..len]);
        }
    }

    #[test]
    fn an_aggregate_is_taken_apart_again() {
        for syntax in [Syntax::H264, Syntax::H265] {
            let units: [&[u8]; 2] = [&[0x67, 1, 2], &[0x68, 3]];
            let payload = syntax.aggregate(units.into_iter());
            let Some(Payload::Aggregate(body)) = syntax.read(&payload) else { panic!("{syntax:?}") };
            assert_eq!(aggregated(body).collect::<Vec<_>>(), units);
            assert_eq!(aggregated(&body[..body.len() - 1]).count(), 1);
        }
    }

    #[test]
    fn payloads_that_are_cut_short_are_nothing() {
        for (syntax, payload) in [(Syntax::H264, &[][..]), (Syntax::H264, &[0x7c]), (Syntax::H265, &[0x62, 1])] {
            assert_eq!(syntax.read(payload), None);
        }
    }
}
