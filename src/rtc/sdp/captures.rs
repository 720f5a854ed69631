//! Descriptions as known peers write them, and what must hold for each of them however it is damaged.
//!
//! aiortc's and Chromium 156's are as recorded; the others follow their vendor's format closely with made-up
//! addresses, credentials and fingerprints.
use std::collections::HashSet;
use std::panic::catch_unwind;

use super::{Extension, Remote, Setup, parse};
use crate::media::codec::Codec;
use crate::media::track::TrackInfo;
use crate::rtc::answer::{self, Local, Ssrcs};
use crate::rtc::negotiate::{self, Side};

macro_rules! captures {
    ($($name:ident = $file:literal),* $(,)?) => {
        $(pub const $name: &str = include_str!(concat!("../../../tests/captures/", $file));)*
        pub const ALL: &[(&str, &str)] = &[$(($file, $name)),*];
    };
}

captures! {
    AIORTC_VIEWER = "aiortc_viewer.sdp",
    CHROMIUM_156_VIEWER = "chromium_156_viewer.sdp",
    CHROMIUM_PUBLISHER = "chromium_publisher.sdp",
    CHROMIUM_VIEWER = "chromium_viewer.sdp",
    CREALITY_ANSWER = "creality_answer.sdp",
    FFMPEG_WHIP_PUBLISHER = "ffmpeg_whip_publisher.sdp",
    FIREFOX_VIEWER = "firefox_viewer.sdp",
    GSTREAMER_PUBLISHER = "gstreamer_publisher.sdp",
    LIBDATACHANNEL_VIEWER = "libdatachannel_viewer.sdp",
    OBS_WHIP_PUBLISHER = "obs_whip_publisher.sdp",
    PION_VIEWER = "pion_viewer.sdp",
    SAFARI_VIEWER = "safari_viewer.sdp",
}

pub const FINGERPRINT: &str =
    "sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";

pub const SSRCS: [Ssrcs; 2] = [Ssrcs { ssrc: 1001, rtx_ssrc: Some(1002) }, Ssrcs { ssrc: 2001, rtx_ssrc: Some(2002) }];

pub fn candidates() -> Vec<String> {
    vec![
        "candidate:1 1 udp 2130706431 192.168.1.20 8555 typ host".to_owned(),
        "candidate:2 1 tcp 1671430143 192.168.1.20 8555 typ host tcptype passive".to_owned(),
    ]
}

pub fn local(candidates: &[String]) -> Local<'_> {
    Local {
        session_id: 7,
        version: 1,
        ufrag: "ours",
        pwd: "0123456789abcdefghijklmn",
        fingerprint: FINGERPRINT,
        setup: Setup::Active,
        candidates,
        ssrcs: &SSRCS,
        cname: "porthole",
        stream_id: "porthole",
        extensions: &[Extension::TransportCc],
        transport_cc: false,
    }
}

pub fn track(codec: Codec, fmtp: &str) -> TrackInfo {
    TrackInfo { codec, fmtp: fmtp.to_owned() }
}

/// Answers as the engine would, the source being an ordinary camera.
pub fn answer(remote: &Remote) -> Option<String> {
    let camera = [track(Codec::H264, "packetization-mode=1;profile-level-id=64001f"), track(Codec::Pcma, "")];
    let accepted = match negotiate::side(remote) {
        Side::Viewer => negotiate::viewer(remote, Some(&camera), Some(&[])),
        Side::Publisher => negotiate::publisher(remote, None),
    };
    Some(answer::write(remote, &accepted.ok()?, &local(&candidates())))
}

/// Reads `text`, and if that can be answered, holds the answer against what every answer must be.
pub fn survive(text: &str) -> bool {
    let Ok(remote) = parse(text) else { return false };
    let Some(answer) = answer(&remote) else { return false };
    for line in answer.split_terminator("\r\n") {
        assert!(line.bytes().all(|b| (0x20..0x7f).contains(&b)), "{line:?}");
        assert_eq!(line.as_bytes().get(1), Some(&b'='), "{line:?}");
    }
    let again = parse(&answer).unwrap_or_else(|error| panic!("{error}\n{answer}"));
    assert_eq!(again.medias.len(), remote.medias.len());
    assert_eq!(again.ufrag, "ours");
    assert!(again.medias.iter().zip(&remote.medias).all(|(ours, theirs)| ours.mid == theirs.mid));
    true
}

#[test]
fn every_capture_is_understood_and_answered() {
    for (name, text) in ALL {
        assert!(survive(text), "{name}: {:?}", parse(text).map(|remote| answer(&remote)));
    }
}

#[test]
fn line_ends_and_a_missing_last_one_make_no_difference() {
    for (name, text) in ALL {
        let unix = text.replace("\r\n", "\n");
        assert_eq!(parse(&unix), parse(text), "{name}");
        assert_eq!(parse(&unix.replace('\n', "\r\n")), parse(text), "{name}");
        assert_eq!(parse(unix.trim_end()), parse(text), "{name}");
    }
}

#[test]
fn no_prefix_of_a_capture_causes_a_panic_or_a_bad_answer() {
    for (_, text) in ALL {
        for end in 0..text.len() {
            survive(&text[..end]);
        }
    }
}

#[test]
fn no_missing_or_doubled_line_causes_a_panic_or_a_bad_answer() {
    for (_, text) in ALL {
        let lines: Vec<&str> = text.lines().collect();
        for i in 0..lines.len() {
            let mut fewer = lines.clone();
            let line = fewer.remove(i);
            survive(&fewer.join("\r\n"));
            let mut more = lines.clone();
            more.push(line);
            survive(&more.join("\r\n"));
        }
    }
}

#[test]
fn no_flipped_byte_causes_a_panic_or_a_bad_answer() {
    // Lines that differ only in their numbers are damaged once: the codec lists say much the same many times.
    let mut seen = HashSet::new();
    for (name, text) in ALL {
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let bytes = start..start + line.len();
            start = bytes.end;
            if !seen.insert(line.replace(|c: char| c.is_ascii_digit(), "")) {
                continue;
            }
            for i in bytes {
                let mut damaged = text.as_bytes().to_vec();
                damaged[i] = match i % 4 {
                    0 => damaged[i] ^ 0x01,
                    1 => damaged[i] ^ 0x20,
                    2 => damaged[i] ^ 0x80,
                    _ => b'\r',
                };
                let damaged = String::from_utf8_lossy(&damaged);
                assert!(catch_unwind(|| survive(&damaged)).is_ok(), "{name}: byte {i} of {damaged}");
            }
        }
    }
}

#[test]
fn another_parser_reads_our_answers_the_same_way() {
    use rtc_sdp::SessionDescription;
    for (name, text) in ALL {
        let remote = parse(text).unwrap();
        let answer = answer(&remote).unwrap();
        let foreign = SessionDescription::unmarshal(&mut std::io::Cursor::new(answer.as_bytes())).expect(name);
        assert_eq!(foreign.media_descriptions.len(), remote.medias.len(), "{name}");
        for (theirs, media) in foreign.media_descriptions.iter().zip(&remote.medias) {
            assert_eq!(theirs.attribute("mid").flatten(), media.mid.as_deref(), "{name}");
            assert_eq!(theirs.media_name.protos.join("/"), media.protocol, "{name}");
        }
        // The foreign writer's text means the same to us, and it reads the same codecs as we do.
        let ours = parse(&answer).unwrap();
        assert_eq!(parse(&foreign.marshal()), Ok(ours.clone()), "{name}");
        for codec in ours.medias.iter().flat_map(|media| &media.codecs) {
            let theirs = foreign.get_codec_for_payload_type(codec.payload_type).expect(name);
            assert_eq!(Codec::from_sdp_name(&theirs.name), Some(codec.codec), "{name}");
            assert_eq!(theirs.clock_rate, codec.codec.clock_rate(), "{name}");
            assert_eq!(theirs.fmtp, codec.fmtp, "{name}");
        }
    }
}
