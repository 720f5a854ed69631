//! A track before its first packet: its codec and its format parameters.
use super::codec::Codec;

/// What a source tells the relay about one of its tracks before the first packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    pub codec: Codec,
    /// Format parameters as SDP's fmtp writes them (`profile-level-id=42e01f;packetization-mode=1`), may be empty.
    pub fmtp: String,
}

/// The value of one format parameter; keys are compared without regard to case.
pub fn parameter<'a>(fmtp: &'a str, key: &str) -> Option<&'a str> {
    fmtp.split(';').find_map(|pair| {
        let (k, value) = pair.split_once('=')?;
        k.trim().eq_ignore_ascii_case(key).then(|| value.trim())
    })
}
