//! The formats of one m-section: what `a=rtpmap`, `a=fmtp` and `a=rtcp-fb` say of each payload type.
//!
//! Every line is looked at once: it goes to the payload type that it names, and what names none of the m-line is
//! passed over at once. So the work grows with the text alone, whatever its shape.
use super::{MAX_CODECS, MAX_PARAMETERS, RemoteCodec, SdpError, parameter};
use crate::media::codec::{Codec, Kind};

/// Most parameters and bytes of one payload type's fmtp that are kept: H.265 has a dozen, its parameter sets the most bytes.
const MAX_KEPT: usize = 32;
const MAX_FMTP: usize = 1024;
/// Payload types have seven bits (RFC 3550 section 5.1).
const PAYLOAD_TYPES: usize = 128;
/// No entry for a payload type: there are fewer than this.
const NONE: u8 = u8::MAX;
const _: () = assert!(MAX_CODECS < NONE as usize);

/// What an `a=rtpmap` line says about a payload type.
#[derive(Clone, Copy, Debug)]
enum Mapping {
    Known(Codec),
    Rtx,
    Foreign,
}

/// The feedback that a peer takes for a payload type, or for all of them.
#[derive(Clone, Copy, Debug, Default)]
struct Feedback {
    nack: bool,
    pli: bool,
    fir: bool,
    remb: bool,
    transport_cc: bool,
}

impl Feedback {
    fn add(&mut self, text: &str) {
        let mut words = text.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        let (second, more) = (words.next(), words.next().is_some());
        let says = |word: &str, parameter: Option<&str>| {
            let same = second.zip(parameter).map_or(second.is_none() && parameter.is_none(), |(written, known)| {
                written.eq_ignore_ascii_case(known)
            });
            !more && same && first.eq_ignore_ascii_case(word)
        };
        self.nack |= says("nack", None);
        self.pli |= says("nack", Some("pli"));
        self.fir |= says("ccm", Some("fir"));
        self.remb |= says("goog-remb", None);
        self.transport_cc |= says("transport-cc", None);
    }

    fn and(self, other: Feedback) -> Feedback {
        Feedback {
            nack: self.nack || other.nack,
            pli: self.pli || other.pli,
            fir: self.fir || other.fir,
            remb: self.remb || other.remb,
            transport_cc: self.transport_cc || other.transport_cc,
        }
    }
}

/// All fmtp lines of a payload type as one; the first line to name a key wins.
///
/// Creality's printers give a second line with nothing but `x-google-…` keys, which mean something only to
/// the encoder that wrote them.
#[derive(Debug, Default)]
struct Fmtp {
    /// Pairs, joined by `;`.
    text: String,
    /// Where the keys are in it.
    keys: Vec<(usize, usize)>,
}

impl Fmtp {
    fn add(&mut self, pair: &str) {
        let key = pair.split('=').next().unwrap_or_default().trim();
        let vendor = key.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("x-google"));
        let safe = pair.bytes().all(|b| b.is_ascii_graphic());
        let room = self.keys.len() < MAX_KEPT && self.text.len() + pair.len() < MAX_FMTP;
        let known = || self.keys.iter().any(|(from, to)| self.text[*from..*to].eq_ignore_ascii_case(key));
        if key.is_empty() || vendor || !safe || !room || known() {
            return;
        }
        if !self.text.is_empty() {
            self.text.push(';');
        }
        self.keys.push((self.text.len(), self.text.len() + key.len()));
        self.text.push_str(pair);
    }
}

/// A payload type of the m-line.
#[derive(Debug)]
struct Entry {
    payload_type: u8,
    mapping: Option<Mapping>,
    fmtp: Fmtp,
    feedback: Feedback,
}

#[derive(Debug)]
pub struct Formats {
    /// In the m-line's order, each once.
    entries: Vec<Entry>,
    /// Where each payload type is in [`Self::entries`].
    places: [u8; PAYLOAD_TYPES],
    /// For all payload types (`a=rtcp-fb:* …`).
    every: Feedback,
}

impl Default for Formats {
    /// Of a section that has none: the session's.
    fn default() -> Self {
        Self { entries: Vec::new(), places: [NONE; PAYLOAD_TYPES], every: Feedback::default() }
    }
}

impl Formats {
    /// The payload types of an m-line; what is no number names no codec.
    pub fn new<'a>(formats: impl Iterator<Item = &'a str>) -> Self {
        let mut all = Self::default();
        for payload_type in formats.filter_map(|format| format.parse::<u8>().ok()) {
            let Some(place) = all.places.get_mut(usize::from(payload_type)).filter(|place| **place == NONE) else {
                continue;
            };
            *place = all.entries.len() as u8;
            all.entries.push(Entry {
                payload_type,
                mapping: None,
                fmtp: Fmtp::default(),
                feedback: Feedback::default(),
            });
        }
        all
    }

    fn entry(&mut self, payload_type: u8) -> Option<&mut Entry> {
        let place = *self.places.get(usize::from(payload_type))?;
        self.entries.get_mut(usize::from(place))
    }

    pub fn rtpmap(&mut self, at: usize, value: &str) -> Result<(), SdpError> {
        let Some((payload_type, encoding)) = with_payload_type(value) else {
            return Err(SdpError::at(at, "a=rtpmap does not begin with a payload type from 0 to 127"));
        };
        let Some(entry) = self.entry(payload_type).filter(|entry| entry.mapping.is_none()) else { return Ok(()) };
        let mut parts = encoding.split('/').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let clock = parts.next().and_then(|clock| clock.parse::<u32>().ok());
        let channels = parts.next();
        entry.mapping = Some(match Codec::from_sdp_name(name) {
            _ if name.eq_ignore_ascii_case("rtx") => Mapping::Rtx,
            Some(codec) if clock == Some(codec.clock_rate()) && has_channels(codec, channels) => Mapping::Known(codec),
            _ => Mapping::Foreign,
        });
        Ok(())
    }

    /// `looked_at` counts the parameters of the whole description.
    pub fn fmtp(&mut self, at: usize, value: &str, looked_at: &mut usize) -> Result<(), SdpError> {
        let Some((payload_type, parameters)) = with_payload_type(value) else { return Ok(()) };
        let Some(entry) = self.entry(payload_type) else { return Ok(()) };
        for pair in parameters.split(';') {
            *looked_at += 1;
            if *looked_at > MAX_PARAMETERS {
                return Err(SdpError::at(at, format!("more than {MAX_PARAMETERS} parameters in all a=fmtp")));
            }
            entry.fmtp.add(pair.trim());
        }
        Ok(())
    }

    pub fn feedback(&mut self, value: &str) {
        let (format, feedback) = value.split_once(' ').unwrap_or((value, ""));
        match format.parse() {
            Ok(payload_type) => self.entry(payload_type).into_iter().for_each(|entry| entry.feedback.add(feedback)),
            Err(_) if format == "*" => self.every.add(feedback),
            Err(_) => {}
        }
    }

    /// The formats that are codecs of this kind, each with its parameters and feedback.
    pub fn codecs(&self, kind: Option<Kind>) -> Vec<RemoteCodec> {
        let retransmissions = self.retransmissions();
        let codecs = self.entries.iter().filter(|entry| is_rtp_payload_type(entry.payload_type)).filter_map(|entry| {
            let codec = entry.codec().filter(|codec| Some(codec.kind()) == kind)?;
            let feedback = entry.feedback.and(self.every);
            Some(RemoteCodec {
                payload_type: entry.payload_type,
                codec,
                fmtp: entry.fmtp.text.clone(),
                rtx: retransmissions[usize::from(entry.payload_type)],
                nack: feedback.nack,
                pli: feedback.pli,
                fir: feedback.fir,
                remb: feedback.remb,
                transport_cc: feedback.transport_cc,
            })
        });
        codecs.collect()
    }

    /// For each payload type the one that retransmits it (RFC 4588 section 8.1).
    fn retransmissions(&self) -> [Option<u8>; PAYLOAD_TYPES] {
        let mut of = [None; PAYLOAD_TYPES];
        for entry in self.entries.iter().filter(|entry| matches!(entry.mapping, Some(Mapping::Rtx))) {
            let apt = parameter(&entry.fmtp.text, "apt").and_then(|apt| apt.parse::<usize>().ok());
            if is_rtp_payload_type(entry.payload_type)
                && let Some(of) = apt.and_then(|apt| of.get_mut(apt))
            {
                of.get_or_insert(entry.payload_type);
            }
        }
        of
    }
}

impl Entry {
    /// 0 and 8 need no rtpmap (RFC 3551 section 6).
    fn codec(&self) -> Option<Codec> {
        match (self.mapping, self.payload_type) {
            (Some(Mapping::Known(codec)), _) => Some(codec),
            (None, 0) => Some(Codec::Pcmu),
            (None, 8) => Some(Codec::Pcma),
            _ => None,
        }
    }
}

/// Payload types that can't be taken for RTCP on a shared port (RFC 5761 section 4).
fn is_rtp_payload_type(payload_type: u8) -> bool {
    payload_type < 64 || (96..128).contains(&payload_type)
}

/// A missing channel count is forgiven, a wrong one is another codec.
fn has_channels(codec: Codec, channels: Option<&str>) -> bool {
    channels.is_none_or(|written| written.parse() == Ok(codec.channels().unwrap_or(1)))
}

fn with_payload_type(value: &str) -> Option<(u8, &str)> {
    let (payload_type, rest) = value.split_once(' ')?;
    Some((payload_type.parse().ok().filter(|pt| *pt < 128)?, rest.trim()))
}
