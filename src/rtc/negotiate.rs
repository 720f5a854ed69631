//! What we accept of an offer: which m-lines carry media, which way, and with which codecs.
//!
//! Viewers get every codec that both sides know, those of the source first, so that a source may change its
//! codec under a running session. Publishers get exactly one codec for each kind, so that nobody waits for a
//! codec that was only promised.
mod fit;
mod layer;
mod mismatch;
#[cfg(test)]
mod tests;

use super::offer::{self, OfferedMedia};
use super::sdp::{Direction, Remote, RemoteCodec, RemoteMedia};
use crate::media::codec::{Codec, Kind};
use crate::media::track::TrackInfo;
pub use fit::pick;
use fit::{by_source, publisher_rank, spoken};
pub use layer::{accepted as accepted_layers, layer};
pub use mismatch::Mismatch;
use std::fmt;

/// What the peer of an offer is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Viewer,
    Publisher,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Viewer => "viewer",
            Side::Publisher => "publisher",
        })
    }
}

/// An m-line that our answer does not reject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Index into [`Remote::medias`].
    pub media: usize,
    pub kind: Kind,
    /// In our order of preference.
    pub codecs: Vec<RemoteCodec>,
    /// Ours.
    pub direction: Direction,
    /// The layer that we take, where it is told by its name.
    pub layer: Option<String>,
}

/// Decides by the offer alone whether its writer wants to watch or to publish.
///
/// The order is the one of go2rtc, whose clients send both kinds of offer to one address: video that we may send,
/// video that we may receive, anything that we may send. What carries no media at all counts as a publisher.
pub fn side(remote: &Remote) -> Side {
    let any = |kind: Option<Kind>, wanted: fn(Direction) -> bool| {
        remote
            .medias
            .iter()
            .any(|m| m.usable().is_some_and(|k| kind.is_none_or(|kind| kind == k)) && wanted(m.direction))
    };
    if any(Some(Kind::Video), Direction::receives) {
        Side::Viewer
    } else if any(Some(Kind::Video), Direction::sends) {
        Side::Publisher
    } else if any(None, Direction::receives) {
        Side::Viewer
    } else {
        Side::Publisher
    }
}

/// What we accept of a viewer's offer; `source: None` where nobody knows yet what will be sent. `backchannel` is what the
/// source's loudspeaker takes, best first: `None` where nobody knows yet, empty where it has none. A microphone is held to
/// one codec, the first of its m-line.
///
/// Only the first video and the first audio m-line that fit carry media. Without BUNDLE, m-lines with a transport
/// of their own are left out, which rejects them: one session has one transport.
///
/// # Errors
/// If no m-line can carry anything of the source.
pub fn viewer(
    remote: &Remote,
    source: Option<&[TrackInfo]>,
    backchannel: Option<&[Codec]>,
) -> Result<Vec<Accepted>, Mismatch> {
    let films = |wanted: fn(Direction) -> bool| {
        remote.medias.iter().any(|m| m.usable() == Some(Kind::Video) && wanted(m.direction))
    };
    // Who sends a picture and takes none came to publish, whatever else it could hear.
    if films(Direction::sends) && !films(Direction::receives) {
        return Err(Mismatch::NothingToSend);
    }
    let mut accepted: Vec<Accepted> = Vec::new();
    for (media, kind, section) in candidates_for_media(remote).filter(|(.., section)| section.rtcp_mux) {
        let taken = |wanted: fn(Direction) -> bool| accepted.iter().any(|a| a.kind == kind && wanted(a.direction));
        let (mut codecs, matched) = match source {
            Some(tracks) => by_source(tracks, &section.codecs),
            None => (section.codecs.clone(), true),
        };
        let sends = section.direction.receives() && matched && !taken(Direction::sends);
        let speaks = kind == Kind::Audio && section.direction.sends() && !taken(Direction::receives);
        let microphone = speaks.then(|| spoken(&section.codecs, backchannel)).flatten();
        if let Some(codec) = microphone {
            // Who sends takes the first codec of the list; what we send says its own payload type.
            codecs.retain(|other| sends && other.payload_type != codec.payload_type);
            codecs.insert(0, codec.clone());
        }
        let direction = match (sends, microphone.is_some()) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        };
        accepted.push(Accepted { media, kind, codecs, direction, layer: None });
    }
    if accepted.iter().any(|a| a.direction.sends()) {
        return Ok(accepted);
    }
    let receiving = || remote.medias.iter().filter(|m| m.usable().is_some() && m.direction.receives());
    if receiving().next().is_none() {
        let speaks = accepted.iter().any(|a| a.direction.receives());
        return if speaks { Ok(accepted) } else { Err(Mismatch::NothingToSend) };
    }
    let source = source.map_or(Codec::ALL.to_vec(), |tracks| tracks.iter().map(|t| t.codec).collect());
    Err(Mismatch::Codecs { source, viewer: receiving().flat_map(|m| &m.codecs).map(|c| c.codec).collect() })
}

/// What we accept of a publisher's offer: at most one video and one audio codec. A publisher that can play sound as well
/// is sent what its viewers say, in one codec, by the first m-line that it plays. `asked` names the layer to take of a
/// picture that comes in several.
///
/// # Errors
/// If no m-line sends a codec that the relay passes on, or the layer is not there.
pub fn publisher(remote: &Remote, asked: Option<&str>) -> Result<Vec<Accepted>, Mismatch> {
    let mut accepted: Vec<Accepted> = Vec::new();
    for (media, kind, section) in candidates_for_media(remote).filter(|(.., section)| section.rtcp_mux) {
        let taken = accepted.iter().any(|a| a.kind == kind && a.direction.receives());
        let best = section.codecs.iter().min_by_key(|codec| publisher_rank(codec));
        let sends = section.direction.sends() && !taken;
        let hears = accepted.iter().any(|a| a.direction.sends());
        let plays = kind == Kind::Audio && section.direction.receives() && !hears;
        let direction = match (plays, sends) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        };
        let codecs = match best {
            Some(best) if plays || sends => vec![best.clone()],
            _ => section.codecs.clone(),
        };
        let layer = match best {
            Some(best) if sends => layer(section, best, asked.filter(|_| kind == Kind::Video))?,
            _ => None,
        };
        accepted.push(Accepted { media, kind, codecs, direction, layer });
    }
    if accepted.iter().any(|a| a.direction.receives()) {
        return Ok(accepted);
    }
    let sends = remote.medias.iter().any(|m| m.usable().is_some() && m.direction.sends());
    let mismatch = Mismatch::Codecs { source: Vec::new(), viewer: Codec::ALL.to_vec() };
    Err(if sends { mismatch } else { Mismatch::NothingToReceive })
}

/// An m-line of our offer that the peer's answer carries media in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Index into [`Remote::medias`].
    pub media: usize,
    pub kind: Kind,
    /// What the peer may send or wants to be sent: RTP decides among them.
    pub codecs: Vec<RemoteCodec>,
    /// Ours: `RecvOnly` or `SendOnly`.
    pub direction: Direction,
}

/// What a camera's answer makes of our offer. Cameras number payload types as they like, leave out m-lines that they do
/// not know and put them in an order of their own, so an answer is read for what it says and not held against the offer
/// line by line: an `a=mid` of ours says which m-line is meant, without one its place does.
///
/// # Errors
/// If nothing that the camera sends can be passed on.
pub fn answered(remote: &Remote, offered: &[OfferedMedia]) -> Result<Vec<Agreed>, Mismatch> {
    let named = |media: &RemoteMedia| media.mid.as_deref().and_then(|mid| offer::place(mid, offered.len()));
    let names = |place: usize| remote.medias.iter().any(|media| named(media) == Some(place));
    let agreed: Vec<Agreed> = candidates_for_media(remote)
        .filter_map(|(media, kind, section)| {
            let meant = named(section).or_else(|| Some(media).filter(|place| !names(*place)))?;
            let ours = offered.get(meant).filter(|ours| ours.kind == kind)?;
            let direction = match ours.direction {
                Direction::RecvOnly if section.direction.sends() => Direction::RecvOnly,
                Direction::SendOnly if section.direction.receives() => Direction::SendOnly,
                _ => return None,
            };
            Some(Agreed { media, kind, codecs: section.codecs.clone(), direction })
        })
        .collect();
    if agreed.iter().any(|agreed| agreed.direction == Direction::RecvOnly) {
        return Ok(agreed);
    }
    let ours: Vec<Codec> = offered.iter().flat_map(|media| &media.codecs).map(|codec| codec.codec).collect();
    let theirs = remote.medias.iter().filter(|media| media.direction.sends() && !media.rejected);
    Err(Mismatch::Camera { ours, named: theirs.map(|media| media.name.clone()).collect() })
}

/// M-lines that an answer may accept: on our transport, RTP, with a codec that we know.
fn candidates_for_media(remote: &Remote) -> impl Iterator<Item = (usize, Kind, &RemoteMedia)> {
    let known = remote.medias.iter().enumerate().filter(|(_, section)| !section.codecs.is_empty());
    known.filter_map(|(i, section)| Some((i, section.usable()?, section)))
}
