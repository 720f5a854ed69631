//! Offers of known peers against sources, and what comes of them.
use super::*;
use crate::rtc::sdp::captures::{self, track};
use crate::rtc::sdp::{parameter, parse};

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
    let head = "v=0\na=ice-ufrag:abcd\na=ice-pwd:0123456789abcdefghijkl\na=rtcp-mux\na=group:BUNDLE 0 1 2 3\n";
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
fn an_answer_in_another_order_is_matched_by_its_mids() {
    let ours = [
        OfferedMedia::new(Kind::Video, Direction::RecvOnly, &[Codec::H264]),
        OfferedMedia::new(Kind::Audio, Direction::RecvOnly, &[Codec::Opus]),
        OfferedMedia::new(Kind::Audio, Direction::SendOnly, &[Codec::Pcma]),
    ];
    let video = "m=video 9 UDP/TLS/RTP/SAVPF 96\na=mid:0\na=rtpmap:96 H264/90000\na=sendonly\n";
    let sound = "m=audio 9 UDP/TLS/RTP/SAVPF 101\na=mid:1\na=rtpmap:101 opus/48000/2\na=sendonly\n";
    let voice = "m=audio 9 UDP/TLS/RTP/SAVPF 8\na=mid:2\na=recvonly\n";
    let rejected = sound.replace("audio 9", "audio 0");
    let agreed = |sections: &str| {
        let agreed = answered(&offer(sections), &ours).unwrap();
        agreed.iter().map(|agreed| (agreed.media, agreed.kind, agreed.direction)).collect::<Vec<_>>()
    };
    let (film, hears, speaks) = (Kind::Video, Direction::RecvOnly, Direction::SendOnly);
    assert_eq!(
        agreed(&[voice, sound, video].concat()),
        [(0, Kind::Audio, speaks), (1, Kind::Audio, hears), (2, film, hears)]
    );
    assert_eq!(agreed(&[sound, video].concat()), [(0, Kind::Audio, hears), (1, film, hears)]);
    assert_eq!(agreed(&[voice, &rejected, video].concat()), [(0, Kind::Audio, speaks), (2, film, hears)]);
    let nameless = |text: &str| text.replace("a=mid:0\n", "").replace("a=mid:1\n", "a=mid:sound\n");
    assert_eq!(agreed(&nameless(&[video, sound].concat())), [(0, film, hears), (1, Kind::Audio, hears)]);
    let other = sound.replace("a=mid:1", "a=mid:other");
    assert_eq!(agreed(&[sound, &other, video].concat()), [(0, Kind::Audio, hears), (2, film, hears)], "taken already");
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
    let accepted = viewer(&parse(captures::SAFARI_VIEWER).unwrap(), Some(&[track(Codec::Vp8, "")]), Some(&[])).unwrap();
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
    assert_eq!(publisher(&recvonly, None), Err(Mismatch::NothingToReceive));
    let hears = offer(
        "m=video 9 RTP/SAVPF 96\na=rtpmap:96 VP8/90000\na=mid:0\na=sendonly\n\
         m=audio 9 RTP/SAVPF 8\na=mid:1\na=sendrecv\n",
    );
    assert_eq!(viewer(&hears, None, None), Err(Mismatch::NothingToSend));
    let foreign = offer("m=video 9 RTP/SAVPF 96\na=rtpmap:96 H266/90000\na=mid:0\na=sendonly\n");
    let message = publisher(&foreign, None).unwrap_err().to_string();
    assert!(message.starts_with("streams: codecs not matched: none => video:H264, "), "{message}");
    assert!(message.ends_with("; publish H.264 or VP8 video, Opus or G.711 audio"), "{message}");
}

#[test]
fn a_publisher_is_held_to_one_codec_for_each_kind() {
    use Direction::RecvOnly;
    let accepted = publisher(&parse(captures::CHROMIUM_PUBLISHER).unwrap(), None).unwrap();
    // A page that also plays sound hears its viewers.
    assert_eq!((types(&accepted, 0), types(&accepted, 1)), ((vec![111], Direction::SendRecv), (vec![106], RecvOnly)));
    assert_eq!((accepted.len(), accepted[1].codecs[0].rtx), (2, Some(107)));
    for (capture, video, audio) in [
        (captures::OBS_WHIP_PUBLISHER, (1, 96), (0, 111)),
        (captures::FFMPEG_WHIP_PUBLISHER, (1, 106), (0, 111)),
        (captures::GSTREAMER_PUBLISHER, (0, 96), (1, 98)),
    ] {
        let accepted = publisher(&parse(capture).unwrap(), None).unwrap();
        assert_eq!(types(&accepted, video.0), (vec![video.1], RecvOnly));
        assert_eq!(types(&accepted, audio.0), (vec![audio.1], RecvOnly));
    }
}

#[test]
fn a_publisher_without_a_microphone_hears_its_viewers_too_by_one_m_line() {
    use Direction::{Inactive, RecvOnly, SendOnly};
    let video = "m=video 9 RTP/SAVPF 96\na=rtpmap:96 VP8/90000\na=mid:0\na=sendonly\n";
    let audio = |mid| format!("m=audio 9 RTP/SAVPF 0 8\na=mid:{mid}\na=recvonly\n");
    let accepted = publisher(&offer(&(video.to_owned() + &audio(1) + &audio(2))), None).unwrap();
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
        assert_eq!(types(&publisher(&offer(&text), None).unwrap(), 0).0, [best]);
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
