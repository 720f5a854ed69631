//! Why nothing of an offer can be used, in words that players look for, with a remedy.
use crate::media::codec::{Codec, Kind};
use std::fmt;

/// Why nothing of an offer can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// No codec in common; `source` is empty for a publisher of nothing that we know.
    Codecs { source: Vec<Codec>, viewer: Vec<Codec> },
    /// A camera whose answer sends nothing that we offered to take; `named` are the m-lines in which it sends something.
    Camera { ours: Vec<Codec>, named: Vec<String> },
    /// A layer was asked for that is not `there`.
    Layer { asked: String, there: Vec<String> },
    /// A viewer that wants to receive nothing.
    NothingToSend,
    /// A publisher that sends nothing.
    NothingToReceive,
}

impl Mismatch {
    fn remedy(source: &[Codec], viewer: &[Codec]) -> &'static str {
        let asks = |kind| viewer.iter().any(|codec| codec.kind() == kind);
        let Some(first) = source.iter().find(|codec| asks(codec.kind())) else {
            return match source.first().map(|codec| codec.kind()) {
                None => "publish H.264 or VP8 video, Opus or G.711 audio",
                Some(Kind::Video) => "let the player ask for video too, with a codec that the source has",
                Some(Kind::Audio) => "the source has audio only: let the player ask for audio too",
            };
        };
        match first {
            Codec::H265 => {
                "this player can't show H.265: set the camera to H.264 or add its H.264 sub-stream, \
                 or use Safari 18 or a Chrome from 136 on with hardware decoding"
            }
            Codec::H264 => {
                "this player was built without H.264: use another browser or install its codec package, \
                 or let the source send VP8"
            }
            Codec::Vp8 | Codec::Vp9 | Codec::Av1 => "this player can't show that: let the source send H.264",
            Codec::Opus | Codec::Pcmu | Codec::Pcma => "let the source send Opus or G.711 (PCMA, PCMU) audio",
        }
    }

    /// What does not fit and what can be done about it, each in a sentence without its full stop.
    pub fn sentences(&self) -> (String, String) {
        match self {
            Mismatch::Codecs { source, viewer } => (
                format!(
                    "the two share no codec: the source has {}, the other side takes {}",
                    list(source),
                    list(viewer)
                ),
                Mismatch::remedy(source, viewer).into(),
            ),
            Mismatch::Camera { .. } => (self.to_string(), "let the camera send H.264".into()),
            Mismatch::Layer { there, .. } if there.is_empty() => {
                (self.to_string(), "let the publisher name its layers (rid), or ask for none".into())
            }
            Mismatch::Layer { .. } => (self.to_string(), "ask for a layer that comes, or for none".into()),
            Mismatch::NothingToSend | Mismatch::NothingToReceive => {
                (self.to_string(), "use a player or an encoder that offers what it is to do".into())
            }
        }
    }
}

/// The pattern before the semicolon is go2rtc's, which players look for.
impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Codecs { source, viewer } => {
                let (from, to) = (list(source), list(viewer));
                let remedy = Mismatch::remedy(source, viewer);
                write!(f, "streams: codecs not matched: {from} => {to}; {remedy}")
            }
            Mismatch::Camera { ours, named } => {
                let ours = list(ours);
                match named.is_empty() {
                    true => write!(f, "the camera's answer sends nothing; we offered to take {ours}"),
                    false => write!(
                        f,
                        "codecs not matched: the camera's {} has none of {ours}; let the camera send H.264",
                        named.join(" and ")
                    ),
                }
            }
            Mismatch::Layer { asked, there } if there.is_empty() => {
                write!(f, "layer {asked:?} can't be told from others: the offer has no extmap for rtp-stream-id")
            }
            Mismatch::Layer { asked, there } => {
                write!(f, "no layer {asked:?} comes (rid=): there are {}", there.join(", "))
            }
            Mismatch::NothingToSend => {
                f.write_str("the offer lets us send nothing: a viewer needs a recvonly video or audio m-line with RTP")
            }
            Mismatch::NothingToReceive => {
                f.write_str("the offer sends nothing: a publisher needs a sendonly video or audio m-line with RTP")
            }
        }
    }
}

impl std::error::Error for Mismatch {}

/// `video:H264, audio:OPUS`, each codec once.
fn list(codecs: &[Codec]) -> String {
    let mut names: Vec<String> = Vec::new();
    for codec in codecs {
        let kind = codec.kind();
        let name = format!("{kind}:{}", codec.sdp_name().to_ascii_uppercase());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
