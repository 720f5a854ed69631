//! Session descriptions, fragments of them, and candidates.
use super::{Target, texts};
use crate::base::protocol::Protocol;
use crate::gather::candidate::{self, Candidate};
use crate::http::api::trickle;
use crate::media::codec::{Codec, Kind};
use crate::media::track::TrackInfo;
use crate::rtc::answer::{self, Local, Ssrcs};
use crate::rtc::negotiate::{self, Accepted};
use crate::rtc::offer::{self, OfferedMedia};
use crate::rtc::sdp::{self, Direction, Extension, Remote, Setup};

macro_rules! captures {
    ($($file:literal),* $(,)?) => {
        &[$(include_str!(concat!("../../tests/captures/", $file))),*]
    };
}

const CAPTURES: &[&str] = captures![
    "aiortc_viewer.sdp",
    "chromium_156_viewer.sdp",
    "chromium_publisher.sdp",
    "chromium_viewer.sdp",
    "creality_answer.sdp",
    "ffmpeg_whip_publisher.sdp",
    "firefox_viewer.sdp",
    "gstreamer_publisher.sdp",
    "libdatachannel_viewer.sdp",
    "obs_whip_publisher.sdp",
    "pion_viewer.sdp",
    "safari_viewer.sdp",
];
const FINGERPRINT: &str =
    "sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";
/// What our own lines of an answer come to, candidates and credentials included, for each m-line.
const OWN: usize = 4 << 10;

pub const TARGETS: &[Target] = &[
    Target { name: "sdp", max: 16 << 10, run: description, seeds: || texts(CAPTURES) },
    Target { name: "trickle", max: 8 << 10, run: fragment, seeds: || texts(FRAGMENTS) },
    Target { name: "candidate", max: 1 << 10, run: line, seeds: || texts(CANDIDATES) },
];

const FRAGMENTS: &[&str] = &[
    "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
     a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
     a=candidate:3471623853 1 udp 2122194687 198.51.100.2 61765 typ host\r\na=end-of-candidates\r\n",
    "a=candidate:1 1 tcp 1671 192.168.1.5 9 typ host tcptype active\n",
];
const CANDIDATES: &[&str] = &[
    "candidate:1 1 udp 2122 192.168.1.5 5000 typ host",
    "a=candidate:1 1 UDP 2122 fd00::5 5000 typ host",
    "candidate:1 1 udp 2122 0A1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d.local 5000 typ host",
    "candidate:1 1 tcp 1671 ::ffff:192.168.1.5 8555 typ host tcptype passive",
    "candidate:842163049 1 udp 1677729535 203.0.113.7 8555 typ srflx raddr 0.0.0.0 rport 0",
];

/// However damaged, a description is refused or answered with one that means what it should.
fn description(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(remote) = sdp::parse(&text) else { return };
    assert!(remote.medias.len() <= sdp::MAX_MEDIAS && remote.candidates.len() <= sdp::MAX_CANDIDATES);
    assert!(remote.medias.iter().all(|media| media.codecs.len() <= sdp::MAX_CODECS));
    if !text.contains('\r') {
        assert_eq!(sdp::parse(&text.replace('\n', "\r\n")).as_ref(), Ok(&remote), "line ends make no difference");
    }
    let track = |codec, fmtp: &str| TrackInfo { codec, fmtp: fmtp.to_owned() };
    let camera = [track(Codec::H264, "packetization-mode=1;profile-level-id=64001f"), track(Codec::Pcma, "")];
    let accepted = [
        negotiate::viewer(&remote, Some(&camera), Some(&[])),
        negotiate::viewer(&remote, None, None),
        negotiate::viewer(&remote, Some(&camera[..1]), Some(&[Codec::Opus, Codec::Pcmu])),
        negotiate::publisher(&remote, None),
        negotiate::publisher(&remote, Some("h")),
    ];
    let _ = negotiate::side(&remote);
    accepted.iter().flatten().for_each(|accepted| check_answer(&text, &remote, accepted));
    answered(&remote);
}

fn ours<'a>(candidates: &'a [String], ssrcs: &'a [Ssrcs]) -> Local<'a> {
    Local {
        session_id: 7,
        version: 1,
        ufrag: "ours",
        pwd: "0123456789abcdefghijklmn",
        fingerprint: FINGERPRINT,
        setup: Setup::Active,
        candidates,
        ssrcs,
        cname: "porthole",
        stream_id: "porthole",
        extensions: Extension::ALL,
        transport_cc: true,
    }
}

fn check_answer(offer: &str, remote: &Remote, accepted: &[Accepted]) {
    let ssrcs: Vec<Ssrcs> = (1..=accepted.len() as u32).map(|n| Ssrcs { ssrc: n, rtx_ssrc: Some(n + 1000) }).collect();
    let candidates = [Candidate { protocol: Protocol::Udp, address: ([192, 168, 1, 20], 8555).into(), priority: 9 }];
    let candidates = candidates.map(|candidate| candidate.to_string());
    let answer = answer::write(remote, accepted, &ours(&candidates, &ssrcs));
    for line in answer.split_terminator("\r\n") {
        assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{line:?}");
        assert_eq!(line.as_bytes().get(1), Some(&b'='), "{line:?}");
    }
    let most = (1 + remote.medias.len()) * OWN + 4 * offer.len();
    assert!(answer.len() <= most, "{} bytes for {}", answer.len(), offer.len());
    let again = sdp::parse(&answer).unwrap_or_else(|error| panic!("{error}\n{answer}"));
    assert_eq!(again.ufrag, "ours");
    assert_eq!(again.medias.len(), remote.medias.len());
    assert!(again.medias.iter().zip(&remote.medias).all(|(ours, theirs)| ours.mid == theirs.mid), "{answer}");
    for accepted in accepted {
        let (ours, theirs) = (&again.medias[accepted.media], &remote.medias[accepted.media]);
        assert!(!ours.rejected && ours.direction == accepted.direction, "{answer}");
        assert!(ours.codecs.iter().all(|codec| theirs.codecs.iter().any(|their| their.codec == codec.codec)));
    }
    another_reader(&answer, &again);
}

/// What the other implementation knows of kinds; SDP allows more.
const KINDS: [&str; 6] = ["audio", "video", "text", "application", "message", "image"];

/// Another implementation reads what we wrote as we do.
fn another_reader(answer: &str, ours: &Remote) {
    use rtc_sdp::SessionDescription;
    if !ours.medias.iter().all(|media| KINDS.contains(&media.name.as_str())) {
        return;
    }
    let foreign = SessionDescription::unmarshal(&mut std::io::Cursor::new(answer.as_bytes()));
    let foreign = foreign.unwrap_or_else(|error| panic!("{error}\n{answer}"));
    assert_eq!(foreign.media_descriptions.len(), ours.medias.len(), "{answer}");
    for (theirs, media) in foreign.media_descriptions.iter().zip(&ours.medias) {
        assert_eq!(theirs.attribute("mid").flatten(), media.mid.as_deref(), "{answer}");
    }
}

/// As a camera's answer to our offer.
fn answered(remote: &Remote) {
    let all = Codec::ALL.to_vec();
    let offered = [
        OfferedMedia::new(Kind::Video, Direction::RecvOnly, &all),
        OfferedMedia::new(Kind::Audio, Direction::RecvOnly, &all),
        OfferedMedia::new(Kind::Audio, Direction::SendOnly, &all),
    ];
    for agreed in negotiate::answered(remote, &offered).iter().flatten() {
        assert!(remote.medias[agreed.media].usable() == Some(agreed.kind) && !agreed.codecs.is_empty());
    }
    let written = offer::write(&offered, None, &ours(&[], &[Ssrcs { ssrc: 1, rtx_ssrc: None }; 3]));
    debug_assert!(sdp::parse(&written).is_ok());
}

/// A fragment is bounded, and what was read of it says the same when it is written again.
fn fragment(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(trickle) = trickle::parse_fragment(&text, None) else { return };
    assert!(trickle.candidates.len() <= trickle::MAX_CANDIDATES);
    let mut again = String::new();
    if let Some((ufrag, pwd)) = &trickle.credentials {
        again.push_str(&format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n"));
    }
    for candidate in &trickle.candidates {
        assert!(candidate.len() <= trickle::MAX_LINE);
        again.push_str(&format!("a={candidate}\r\n"));
        line(candidate.as_bytes());
    }
    let read = trickle::parse_fragment(&again, None).expect("what was read reads again");
    assert_eq!((read.candidates, read.credentials), (trickle.candidates, trickle.credentials));
}

/// A candidate that is read is written so that it reads the same.
fn line(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = candidate::read_place(&text);
    for (protocol, read) in [(Protocol::Udp, candidate::read(&text)), (Protocol::Tcp, candidate::read_passive(&text))] {
        let Some((address, priority)) = read else { continue };
        assert!(address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast());
        let written = Candidate { protocol, address, priority }.to_string();
        let again =
            if protocol == Protocol::Udp { candidate::read(&written) } else { candidate::read_passive(&written) };
        assert_eq!(again, Some((address, priority)), "{written}");
    }
}
