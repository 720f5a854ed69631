//! How well codecs fit: a track an entry of a viewer's list, a microphone a loudspeaker, a publisher's codecs most viewers.
use super::super::h264_profile::Profile;
use super::super::sdp::{RemoteCodec, parameter};
use crate::media::codec::Codec;
use crate::media::track::TrackInfo;

/// The entry of a viewer's list that a track is best sent as.
pub fn pick<'a>(track: &TrackInfo, accepted: &'a [RemoteCodec]) -> Option<&'a RemoteCodec> {
    accepted
        .iter()
        .filter_map(|codec| Some((fit(track, codec)?, codec)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, codec)| codec)
}

/// The offered codecs, those that fit a track first, and whether any does.
pub(super) fn by_source(tracks: &[TrackInfo], offered: &[RemoteCodec]) -> (Vec<RemoteCodec>, bool) {
    let rank = |codec: &RemoteCodec| {
        let fits = tracks.iter().enumerate().filter_map(|(i, track)| Some((i, fit(track, codec)?)));
        fits.min().unwrap_or((usize::MAX, u8::MAX))
    };
    let mut ranked: Vec<_> = offered.iter().map(|codec| (rank(codec), codec)).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let matched = ranked.first().is_some_and(|((track, _), _)| *track < tracks.len());
    (ranked.into_iter().map(|(_, codec)| codec.clone()).collect(), matched)
}

/// The codec of a microphone's m-line that a loudspeaker takes best.
pub(super) fn spoken<'a>(offered: &'a [RemoteCodec], backchannel: Option<&[Codec]>) -> Option<&'a RemoteCodec> {
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
pub(super) fn publisher_rank(codec: &RemoteCodec) -> u8 {
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
