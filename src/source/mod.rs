//! Where pictures come from. Each dialect is one file; all of them hand tracks and packets to a [`Sink`].
use crate::media::codec::Codec;
use crate::media::packet::Packet;

/// What a source tells the relay about one of its tracks before the first packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    pub codec: Codec,
    /// Format parameters as SDP's fmtp writes them (`profile-level-id=42e01f;packetization-mode=1`), may be empty.
    pub fmtp: String,
}

/// What a source tells the relay.
#[derive(Debug)]
pub enum SourceEvent {
    /// The source is live with these tracks; sent once, before any packet.
    Tracks(Vec<TrackInfo>),
    /// Packets of track number `track` (index into `Tracks`), in order.
    Packets { track: usize, packets: Vec<Packet> },
    /// The source ended by itself; the sentence says why.
    Ended(String),
}

/// What the relay asks of a running source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceRequest {
    /// A viewer needs a keyframe soon; a source that can't make one ignores this.
    Keyframe,
}
