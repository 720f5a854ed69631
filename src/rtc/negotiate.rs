//! What we accept of an offer: which m-lines carry media, which way, and with which codecs.
//!
//! Viewers get every codec that both sides know, those of the source first, so that a source may change its
//! codec under a running session. Publishers get exactly one codec for each kind, so that nobody waits for a
//! codec that was only promised.
use std::fmt;

use super::h264_profile::Profile;
use super::offer::OfferedMedia;
use super::sdp::{Direction, Remote, RemoteCodec, RemoteMedia, parameter};
use crate::media::codec::{Codec, Kind};
use crate::source::TrackInfo;

/// What the peer of an offer is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Viewer,
    Publisher,
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
    for (media, kind, section) in candidates_for_media(remote) {
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
        accepted.push(Accepted { media, kind, codecs, direction });
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
/// is sent what its viewers say, in one codec, by the first m-line that it plays.
///
/// # Errors
/// If no m-line sends a codec that the relay passes on.
pub fn publisher(remote: &Remote) -> Result<Vec<Accepted>, Mismatch> {
    let mut accepted: Vec<Accepted> = Vec::new();
    for (media, kind, section) in candidates_for_media(remote) {
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
        accepted.push(Accepted { media, kind, codecs, direction });
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
    /// Index into the offer's m-lines, and into [`Remote::medias`].
    pub media: usize,
    pub kind: Kind,
    /// What the peer may send or wants to be sent: RTP decides among them.
    pub codecs: Vec<RemoteCodec>,
    /// Ours: `RecvOnly` or `SendOnly`.
    pub direction: Direction,
}

/// What a camera's answer makes of our offer. Cameras number payload types as they like and leave out m-lines that
/// they do not know, so an answer is read for what it says and not held against the offer line by line.
///
/// # Errors
/// If nothing that the camera sends can be passed on.
pub fn answered(remote: &Remote, offered: &[OfferedMedia]) -> Result<Vec<Agreed>, Mismatch> {
    let agreed: Vec<Agreed> = candidates_for_media(remote)
        .filter_map(|(media, kind, section)| {
            let ours = offered.get(media).filter(|ours| ours.kind == kind)?;
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

/// The entry of a viewer's list that a track is best sent as.
pub fn pick<'a>(track: &TrackInfo, accepted: &'a [RemoteCodec]) -> Option<&'a RemoteCodec> {
    accepted
        .iter()
        .filter_map(|codec| Some((fit(track, codec)?, codec)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, codec)| codec)
}

/// M-lines that an answer may accept: on our transport, RTP, with a codec that we know.
fn candidates_for_media(remote: &Remote) -> impl Iterator<Item = (usize, Kind, &RemoteMedia)> {
    let known = remote.medias.iter().enumerate().filter(|(_, section)| !section.codecs.is_empty());
    known.filter_map(|(i, section)| Some((i, section.usable()?, section)))
}

/// The offered codecs, those that fit a track first, and whether any does.
fn by_source(tracks: &[TrackInfo], offered: &[RemoteCodec]) -> (Vec<RemoteCodec>, bool) {
    let rank = |codec: &RemoteCodec| {
        let fits = tracks.iter().enumerate().filter_map(|(i, track)| Some((i, fit(track, codec)?)));
        fits.min().unwrap_or((usize::MAX, u8::MAX))
    };
    let mut codecs = offered.to_vec();
    codecs.sort_by_key(rank);
    let matched = codecs.iter().any(|codec| tracks.iter().any(|track| fit(track, codec).is_some()));
    (codecs, matched)
}

/// The codec of a microphone's m-line that a loudspeaker takes best.
fn spoken<'a>(offered: &'a [RemoteCodec], backchannel: Option<&[Codec]>) -> Option<&'a RemoteCodec> {
    match backchannel {
        Some(takes) => takes.iter().find_map(|codec| offered.iter().find(|offered| offered.codec == *codec)),
        None => offered.first(),
    }
}

/// How well a track can be sent as an offered codec, 0 being best; `None` if it can't.
fn fit(track: &TrackInfo, offered: &RemoteCodec) -> Option<u8> {
    if track.codec != offered.codec {
        return None;
    }
    let same = |key, default| {
        let of = |fmtp| parameter(fmtp, key).unwrap_or(default).to_owned();
        track.fmtp.is_empty() || of(&track.fmtp) == of(&offered.fmtp)
    };
    match track.codec {
        Codec::H264 => Some(h264_fit(profile(&track.fmtp), offered)),
        // RFC 7798 section 7.1: one RTP stream is what WebRTC sends; level and tier are left to the decoder.
        Codec::H265 => parameter(&offered.fmtp, "tx-mode")
            .is_none_or(|mode| mode.eq_ignore_ascii_case("SRST"))
            .then(|| u8::from(!same("profile-id", "1"))),
        // RFC 9628 section 6.
        Codec::Vp9 => Some(u8::from(!same("profile-id", "0"))),
        _ => Some(0),
    }
}

/// Packetization mode 1 comes first, since that is how the relay packetises (RFC 6184 section 6.3); then the profile.
/// The level is ignored: browsers decode what they get, and `level-asymmetry-allowed` is all but universal.
fn h264_fit(track: Option<Profile>, offered: &RemoteCodec) -> u8 {
    let profile_fit = match (track, profile(&offered.fmtp)) {
        (None, _) | (_, None) => 0,
        (Some(track), Some(offered)) if track == offered => 0,
        (Some(track), Some(offered)) if track.plays_on(offered) => 1,
        _ => 2,
    };
    if is_mode_1(offered) { profile_fit } else { profile_fit + 3 }
}

/// Constrained baseline before main before high, since most viewers decode it; then what browsers decode at all.
fn publisher_rank(codec: &RemoteCodec) -> u8 {
    match codec.codec {
        Codec::H264 if is_mode_1(codec) => match profile(&codec.fmtp) {
            Some(Profile::ConstrainedBaseline) => 0,
            Some(Profile::Baseline) | None => 1,
            Some(Profile::Main) => 2,
            Some(Profile::ConstrainedHigh | Profile::High) => 3,
            Some(_) => 4,
        },
        Codec::H264 | Codec::Opus => 5,
        Codec::Vp8 | Codec::Pcma => 6,
        Codec::Vp9 | Codec::Pcmu => 7,
        Codec::H265 => 8,
        Codec::Av1 => 9,
    }
}

fn profile(fmtp: &str) -> Option<Profile> {
    parameter(fmtp, "profile-level-id").and_then(Profile::parse)
}

fn is_mode_1(codec: &RemoteCodec) -> bool {
    parameter(&codec.fmtp, "packetization-mode") == Some("1")
}

/// Why nothing of an offer can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// No codec in common; `source` is empty for a publisher of nothing that we know.
    Codecs { source: Vec<Codec>, viewer: Vec<Codec> },
    /// A camera whose answer sends nothing that we offered to take; `named` are the m-lines in which it sends something.
    Camera { ours: Vec<Codec>, named: Vec<String> },
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
        let kind = if codec.kind() == Kind::Video { "video" } else { "audio" };
        let name = format!("{kind}:{}", codec.sdp_name().to_ascii_uppercase());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::sdp::captures::{self, track};
    use crate::rtc::sdp::parse;

    /// The payload types that one m-line was accepted with, and our direction.
    fn types(accepted: &[Accepted], media: usize) -> (Vec<u8>, Direction) {
        let accepted = accepted.iter().find(|a| a.media == media).unwrap();
        (accepted.codecs.iter().map(|c| c.payload_type).collect(), accepted.direction)
    }

    fn picked(capture: &str, track: &TrackInfo) -> Option<u8> {
        let remote = parse(capture).unwrap();
        let accepted = viewer(&remote, None, Some(&[])).unwrap();
        accepted.iter().find_map(|a| pick(track, &a.codecs)).map(|codec| codec.payload_type)
    }

    /// A description whose m-sections are these, all on one session-level transport.
    fn offer(sections: &str) -> Remote {
        let fingerprint = captures::FINGERPRINT;
        let head = "v=0\na=ice-ufrag:abcd\na=ice-pwd:0123456789abcdefghijkl\na=group:BUNDLE 0 1 2 3\n";
        parse(&format!("{head}a=fingerprint:{fingerprint}\n{sections}")).unwrap()
    }

    #[test]
    fn a_printers_answer_with_payload_types_of_its_own_is_taken_for_what_it_says() {
        let ours = [OfferedMedia::new(Kind::Video, Direction::RecvOnly, &[Codec::H264])];
        let agreed = answered(&parse(captures::CREALITY_ANSWER).unwrap(), &ours).unwrap();
        let types: Vec<u8> = agreed[0].codecs.iter().map(|codec| codec.payload_type).collect();
        assert_eq!((types, agreed[0].direction), (vec![96, 98], Direction::RecvOnly));
        assert_eq!(parameter(&agreed[0].codecs[1].fmtp, "packetization-mode"), Some("1"));
    }

    #[test]
    fn an_answer_that_sends_nothing_we_know_names_both_sides() {
        let ours = [
            OfferedMedia::new(Kind::Video, Direction::RecvOnly, &[Codec::H264]),
            OfferedMedia::new(Kind::Audio, Direction::SendOnly, &[Codec::Pcma]),
        ];
        let foreign = offer("m=video 9 UDP/TLS/RTP/SAVPF 99\na=mid:0\na=rtpmap:99 H263/90000\na=sendonly\n");
        let error = answered(&foreign, &ours).unwrap_err().to_string();
        assert!(error.contains("the camera's video has none of video:H264"), "{error}");
        let inactive = offer("m=video 9 UDP/TLS/RTP/SAVPF 96\na=mid:0\na=rtpmap:96 H264/90000\na=inactive\n");
        assert!(answered(&inactive, &ours).unwrap_err().to_string().contains("sends nothing"));
        let talk = offer(
            "m=video 9 UDP/TLS/RTP/SAVPF 96\na=mid:0\na=rtpmap:96 H264/90000\na=sendonly\n\
             m=audio 9 UDP/TLS/RTP/SAVPF 8\na=mid:1\na=recvonly\n",
        );
        let directions: Vec<_> = answered(&talk, &ours).unwrap().iter().map(|agreed| agreed.direction).collect();
        assert_eq!(directions, [Direction::RecvOnly, Direction::SendOnly]);
    }

    #[test]
    fn viewers_and_publishers_are_told_apart_by_their_offers() {
        for (name, text) in captures::ALL {
            let expected = if name.contains("_viewer") { Side::Viewer } else { Side::Publisher };
            // A page that publishes with sendrecv can't be told from a two-way viewer; it asks for WHIP by its address.
            let expected = if *name == "chromium_publisher.sdp" { Side::Viewer } else { expected };
            assert_eq!(side(&parse(text).unwrap()), expected, "{name}");
        }
        let video = "m=video 9 RTP/SAVPF 96\na=rtpmap:96 VP8/90000\na=mid:0\n";
        let listener = "m=audio 9 RTP/SAVPF 0\na=mid:1\na=recvonly\n";
        assert_eq!(side(&offer(listener)), Side::Viewer);
        assert_eq!(side(&offer(&format!("{video}a=sendonly\n{listener}"))), Side::Publisher);
        assert_eq!(side(&offer(&format!("{video}a=inactive\n{listener}"))), Side::Viewer);
        assert_eq!(side(&offer("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:0\n")), Side::Publisher);
    }

    #[test]
    fn a_viewer_gets_the_codec_of_the_source_first_and_then_all_others() {
        let remote = parse(captures::CHROMIUM_VIEWER).unwrap();
        let source = [track(Codec::H265, "profile-id=1"), track(Codec::Pcma, "")];
        let accepted = viewer(&remote, Some(&source), Some(&[])).unwrap();
        let (video, direction) = types(&accepted, 0);
        assert_eq!((&video[..3], video.len(), direction), ([119, 49, 96].as_slice(), 12, Direction::SendOnly));
        assert_eq!(types(&accepted, 1), (vec![8, 111, 0], Direction::SendOnly));
    }

    #[test]
    fn of_a_source_with_two_cameras_streams_the_first_that_the_viewer_knows_leads() {
        let source = [track(Codec::H265, ""), track(Codec::H264, "profile-level-id=640029")];
        let firefox = viewer(&parse(captures::FIREFOX_VIEWER).unwrap(), Some(&source), Some(&[])).unwrap();
        let safari = viewer(&parse(captures::SAFARI_VIEWER).unwrap(), Some(&source), Some(&[])).unwrap();
        assert_eq!((types(&firefox, 0).0[0], types(&safari, 0).0[0]), (126, 100));
    }

    #[test]
    fn audio_that_the_source_lacks_is_inactive_and_no_error() {
        let accepted =
            viewer(&parse(captures::SAFARI_VIEWER).unwrap(), Some(&[track(Codec::Vp8, "")]), Some(&[])).unwrap();
        assert_eq!(types(&accepted, 0).1, Direction::SendOnly);
        assert_eq!(types(&accepted, 1), (vec![111, 0, 8], Direction::Inactive));
    }

    #[test]
    fn a_viewer_may_come_before_its_publisher() {
        let accepted = viewer(&parse(captures::LIBDATACHANNEL_VIEWER).unwrap(), None, Some(&[])).unwrap();
        assert_eq!((accepted.len(), types(&accepted, 0)), (1, (vec![96], Direction::SendOnly)));
    }

    #[test]
    fn only_the_first_m_line_of_a_kind_that_can_receive_carries_media() {
        let audio = |mid, direction| format!("m=audio 9 RTP/SAVPF 8\na=mid:{mid}\na={direction}\n");
        let sections = [audio(0, "sendonly"), audio(1, "recvonly"), audio(2, "sendrecv"), audio(3, "inactive")];
        let accepted = viewer(&offer(&sections.concat()), Some(&[track(Codec::Pcma, "")]), Some(&[])).unwrap();
        let directions: Vec<_> = accepted.iter().map(|a| a.direction).collect();
        use Direction::{Inactive, SendOnly};
        assert_eq!(directions, [Inactive, SendOnly, Inactive, Inactive]);
    }

    #[test]
    fn a_microphone_is_held_to_one_codec_that_the_loudspeaker_takes() {
        use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
        let audio = |mid, direction| {
            format!("m=audio 9 RTP/SAVPF 111 0 8\na=rtpmap:111 opus/48000/2\na=mid:{mid}\na={direction}\n")
        };
        let both = offer(&audio(0, "sendrecv"));
        let opus = [track(Codec::Opus, "")];
        let accept = |remote: &Remote, backchannel: Option<&[Codec]>| {
            let accepted = viewer(remote, Some(&opus), backchannel).unwrap();
            accepted.iter().map(|a| types(&accepted, a.media)).collect::<Vec<_>>()
        };
        assert_eq!(accept(&both, Some(&[])), [(vec![111, 0, 8], SendOnly)]);
        assert_eq!(accept(&both, None), [(vec![111, 0, 8], SendRecv)]);
        assert_eq!(accept(&both, Some(&[Codec::Pcma, Codec::Opus])), [(vec![8, 111, 0], SendRecv)]);
        // go2rtc's page has an m-line of its own for each way
        let apart = offer(&(audio(0, "recvonly") + &audio(1, "sendonly") + &audio(2, "sendonly")));
        let all = vec![111, 0, 8];
        assert_eq!(
            accept(&apart, Some(&[Codec::Pcmu])),
            [(all.clone(), SendOnly), (vec![0], RecvOnly), (all.clone(), Inactive)]
        );
        let only = offer(&audio(0, "sendonly"));
        assert_eq!(accept(&only, Some(&[Codec::Pcmu])), [(vec![0], RecvOnly)]);
        assert_eq!(viewer(&only, Some(&opus), Some(&[])), Err(Mismatch::NothingToSend));
    }

    #[test]
    fn without_bundle_an_m_line_with_its_own_transport_is_left_out() {
        let text = captures::AIORTC_VIEWER.replace("a=group:BUNDLE 0 1\r\n", "");
        let both = viewer(&parse(&text).unwrap(), None, Some(&[])).unwrap();
        assert_eq!(both.len(), 2);
        let (audio, video) = text.split_once("m=video").unwrap();
        let apart = format!("{audio}m=video{}", video.replace("ufrag:q4Zt", "ufrag:else"));
        let first = viewer(&parse(&apart).unwrap(), None, Some(&[])).unwrap();
        assert_eq!(first.iter().map(|a| a.media).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn a_mismatch_reads_as_players_expect_it_and_names_a_remedy() {
        let remote = parse(captures::FIREFOX_VIEWER).unwrap();
        let message = viewer(&remote, Some(&[track(Codec::H265, "")]), Some(&[])).unwrap_err().to_string();
        let expected = "streams: codecs not matched: video:H265 => video:VP8, video:VP9, video:H264, video:AV1, \
                        audio:OPUS, audio:PCMU, audio:PCMA; this player can't show H.265";
        assert!(message.starts_with(expected), "{message}");
        let listener = offer("m=audio 9 RTP/SAVPF 8\na=mid:0\na=recvonly\n");
        let message = viewer(&listener, Some(&[track(Codec::H264, "")]), Some(&[])).unwrap_err().to_string();
        assert!(message.ends_with("=> audio:PCMA; let the player ask for video too, with a codec that the source has"));
    }

    #[test]
    fn offers_that_carry_nothing_our_way_are_refused() {
        let sendonly = parse(captures::OBS_WHIP_PUBLISHER).unwrap();
        assert_eq!(viewer(&sendonly, None, Some(&[])), Err(Mismatch::NothingToSend));
        let recvonly = parse(captures::CHROMIUM_VIEWER).unwrap();
        assert_eq!(publisher(&recvonly), Err(Mismatch::NothingToReceive));
        let hears = offer(
            "m=video 9 RTP/SAVPF 96\na=rtpmap:96 VP8/90000\na=mid:0\na=sendonly\n\
             m=audio 9 RTP/SAVPF 8\na=mid:1\na=sendrecv\n",
        );
        assert_eq!(viewer(&hears, None, None), Err(Mismatch::NothingToSend));
        let foreign = offer("m=video 9 RTP/SAVPF 96\na=rtpmap:96 H266/90000\na=mid:0\na=sendonly\n");
        let message = publisher(&foreign).unwrap_err().to_string();
        assert!(message.starts_with("streams: codecs not matched: none => video:H264, "), "{message}");
        assert!(message.ends_with("; publish H.264 or VP8 video, Opus or G.711 audio"), "{message}");
    }

    #[test]
    fn a_publisher_is_held_to_one_codec_for_each_kind() {
        use Direction::RecvOnly;
        let accepted = publisher(&parse(captures::CHROMIUM_PUBLISHER).unwrap()).unwrap();
        // A page that also plays sound hears its viewers.
        assert_eq!(
            (types(&accepted, 0), types(&accepted, 1)),
            ((vec![111], Direction::SendRecv), (vec![106], RecvOnly))
        );
        assert_eq!((accepted.len(), accepted[1].codecs[0].rtx), (2, Some(107)));
        for (capture, video, audio) in [
            (captures::OBS_WHIP_PUBLISHER, (1, 96), (0, 111)),
            (captures::FFMPEG_WHIP_PUBLISHER, (1, 106), (0, 111)),
            (captures::GSTREAMER_PUBLISHER, (0, 96), (1, 98)),
        ] {
            let accepted = publisher(&parse(capture).unwrap()).unwrap();
            assert_eq!(types(&accepted, video.0), (vec![video.1], RecvOnly));
            assert_eq!(types(&accepted, audio.0), (vec![audio.1], RecvOnly));
        }
    }

    #[test]
    fn a_publisher_without_a_microphone_hears_its_viewers_too_by_one_m_line() {
        use Direction::{Inactive, RecvOnly, SendOnly};
        let video = "m=video 9 RTP/SAVPF 96\na=rtpmap:96 VP8/90000\na=mid:0\na=sendonly\n";
        let audio = |mid| format!("m=audio 9 RTP/SAVPF 0 8\na=mid:{mid}\na=recvonly\n");
        let accepted = publisher(&offer(&(video.to_owned() + &audio(1) + &audio(2)))).unwrap();
        let types: Vec<_> = accepted.iter().map(|a| types(&accepted, a.media)).collect();
        assert_eq!(types, [(vec![96], RecvOnly), (vec![8], SendOnly), (vec![0, 8], Inactive)]);
    }

    #[test]
    fn the_codec_asked_of_a_publisher_is_the_one_most_viewers_decode() {
        let all = "m=video 9 RTP/SAVPF 1 2 3 4 5 6 7 8\na=mid:0\na=rtpmap:1 AV1/90000\na=rtpmap:2 H265/90000\n\
                   a=rtpmap:3 VP9/90000\na=rtpmap:4 VP8/90000\na=rtpmap:5 H264/90000\na=rtpmap:6 H264/90000\n\
                   a=rtpmap:7 H264/90000\na=rtpmap:8 H264/90000\na=fmtp:5 profile-level-id=42e01f\n\
                   a=fmtp:6 packetization-mode=1;profile-level-id=640c1f\n\
                   a=fmtp:7 packetization-mode=1;profile-level-id=4d001f\n\
                   a=fmtp:8 packetization-mode=1;profile-level-id=42e01f\n";
        let mut text = all.to_owned();
        for best in [8, 7, 6, 5, 4, 3, 2, 1] {
            assert_eq!(types(&publisher(&offer(&text)).unwrap(), 0).0, [best]);
            text = text.replace(&format!("a=rtpmap:{best} "), "a=x:");
        }
    }

    #[test]
    fn h264_is_sent_as_the_entry_whose_profile_fits_best() {
        for (profile, payload_type) in
            [("42e01f", 109), ("42c029", 109), ("420029", 103), ("4d4028", 117), ("64002a", 39), ("640c1f", 39)]
        {
            let track = track(Codec::H264, &format!("packetization-mode=1;profile-level-id={profile}"));
            assert_eq!(picked(captures::CHROMIUM_VIEWER, &track), Some(payload_type), "{profile}");
        }
        // Safari has no main: what remains is tried, mode 1 before mode 0.
        assert_eq!(picked(captures::SAFARI_VIEWER, &track(Codec::H264, "profile-level-id=4d0029")), Some(96));
        assert_eq!(picked(captures::SAFARI_VIEWER, &track(Codec::H264, "profile-level-id=42c01f")), Some(98));
        assert_eq!(picked(captures::FIREFOX_VIEWER, &track(Codec::H264, "profile-level-id=640029")), Some(126));
        assert_eq!(picked(captures::CHROMIUM_VIEWER, &track(Codec::H264, "")), Some(103));
        assert_eq!(
            picked(captures::CREALITY_ANSWER.replace("sendonly", "recvonly").as_str(), &track(Codec::H264, "")),
            Some(98)
        );
    }

    #[test]
    fn constrained_baseline_fits_baseline_main_and_high_entries() {
        let entries = "a=fmtp:1 packetization-mode=1;profile-level-id=f4001f\n\
                       a=fmtp:2 packetization-mode=1;profile-level-id=";
        for profile in ["42001f", "4d001f", "64001f", "640c1f"] {
            let video = "m=video 9 RTP/SAVPF 1 2\na=mid:0\na=rtpmap:1 H264/90000\na=rtpmap:2 H264/90000\n";
            let remote = offer(&format!("{video}{entries}{profile}\n"));
            let track = track(Codec::H264, "profile-level-id=42e01f");
            assert_eq!(pick(&track, &remote.medias[0].codecs).unwrap().payload_type, 2, "{profile}");
        }
    }

    #[test]
    fn other_codecs_match_by_profile_where_they_have_one() {
        let chromium = captures::CHROMIUM_VIEWER;
        assert_eq!(picked(chromium, &track(Codec::Vp9, "profile-id=2")), Some(100));
        assert_eq!(picked(chromium, &track(Codec::Vp9, "")), Some(98));
        assert_eq!(picked(chromium, &track(Codec::H265, "profile-id=2;level-id=93")), Some(49));
        assert_eq!(picked(chromium, &track(Codec::H265, "level-id=186;tier-flag=1")), Some(119));
        assert_eq!(picked(chromium, &track(Codec::Av1, "profile=1")), Some(45));
        assert_eq!(picked(chromium, &track(Codec::Opus, "stereo=1")), Some(111));
        assert_eq!(picked(&chromium.replace("SRST", "MRST"), &track(Codec::H265, "")), None);
        assert_eq!(picked(captures::FIREFOX_VIEWER, &track(Codec::H265, "")), None);
    }
}
