//! The codecs that the relay passes through.
use std::fmt;

/// Audio or video: an RTP m-line's media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Video,
    Audio,
}

impl Kind {
    /// As SDP, the API and the log write it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Video => "video",
            Kind::Audio => "audio",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A codec by its RTP encoding name (RFC 4855). The relay never decodes; it needs names, clocks and
/// where keyframes begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    H264,
    H265,
    Vp8,
    Vp9,
    Av1,
    Opus,
    Pcmu,
    Pcma,
}

impl Codec {
    /// Every codec that the relay passes through, in the order in which lists for people name them.
    pub const ALL: [Codec; 8] =
        [Codec::H264, Codec::H265, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::Opus, Codec::Pcmu, Codec::Pcma];

    pub fn kind(self) -> Kind {
        match self {
            Codec::Opus | Codec::Pcmu | Codec::Pcma => Kind::Audio,
            _ => Kind::Video,
        }
    }

    /// RTP clock rate in Hz.
    pub fn clock_rate(self) -> u32 {
        match self {
            Codec::Opus => 48_000,
            Codec::Pcmu | Codec::Pcma => 8_000,
            _ => 90_000,
        }
    }

    /// Encoding name as SDP writes it (`H264`, `opus`).
    pub fn sdp_name(self) -> &'static str {
        match self {
            Codec::H264 => "H264",
            Codec::H265 => "H265",
            Codec::Vp8 => "VP8",
            Codec::Vp9 => "VP9",
            Codec::Av1 => "AV1",
            Codec::Opus => "opus",
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
        }
    }

    /// Number of audio channels where SDP names it: RTP always carries Opus as two (RFC 7587 section 7).
    pub fn channels(self) -> Option<u8> {
        match self {
            Codec::Opus => Some(2),
            _ => None,
        }
    }

    /// What follows the payload type in an `a=rtpmap` line (`H264/90000`, `opus/48000/2`; RFC 8866 section 6.6).
    pub fn rtpmap(self) -> String {
        match self.channels() {
            Some(channels) => format!("{}/{}/{channels}", self.sdp_name(), self.clock_rate()),
            None => format!("{}/{}", self.sdp_name(), self.clock_rate()),
        }
    }

    /// Parses an encoding name in any case.
    pub fn from_sdp_name(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|c| c.sdp_name().eq_ignore_ascii_case(name))
    }
}

/// The name that operators read: `H264`, `OPUS/48000/2`, `PCMA/8000`.
impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Codec::Opus => f.write_str("OPUS/48000/2"),
            Codec::Pcmu => f.write_str("PCMU/8000"),
            Codec::Pcma => f.write_str("PCMA/8000"),
            other => f.write_str(other.sdp_name()),
        }
    }
}

/// `H264, OPUS/48000/2`: each codec once, in the order in which they come.
pub fn list(codecs: impl IntoIterator<Item = Codec>) -> String {
    let mut names: Vec<String> = codecs.into_iter().map(|codec| codec.to_string()).collect();
    names.dedup();
    names.join(", ")
}
