//! What is read of descriptions, and what is wrong with those that are refused.
use super::*;

const HEAD: &str = "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\n";
const TRANSPORT: &str = "a=ice-ufrag:abcd\na=ice-pwd:0123456789abcdefghijkl\n";

fn fingerprint(name: &str, len: usize) -> String {
    format!("a=fingerprint:{name} {}\n", vec!["0a"; len].join(":"))
}

/// A whole description with session-level transport and these m-sections.
fn with(sections: &str) -> String {
    format!("{HEAD}{TRANSPORT}{}{sections}", fingerprint("sha-256", 32))
}

fn error(sdp: &str) -> String {
    parse(sdp).unwrap_err().to_string()
}

#[test]
fn chromium_says_what_it_can_receive() {
    let remote = parse(captures::CHROMIUM_VIEWER).unwrap();
    assert_eq!(remote.bundle, ["0", "1"]);
    assert_eq!((remote.ufrag.as_str(), remote.setup, remote.trickle), ("8hhY", Some(Setup::ActPass), true));
    assert_eq!(remote.candidates.len(), 1);
    let video = &remote.medias[0];
    assert_eq!((video.kind, video.direction, video.codecs.len()), (MediaKind::Video, Direction::RecvOnly, 12));
    let h264 = &video.codecs[3];
    assert_eq!((h264.payload_type, h264.codec, h264.rtx), (109, Codec::H264, Some(114)));
    assert!(h264.nack && h264.pli && h264.fir && h264.remb && h264.transport_cc);
    assert_eq!(parameter(&h264.fmtp, "Profile-Level-Id"), Some("42e01f"));
    let audio: Vec<_> = remote.medias[1].codecs.iter().map(|c| (c.payload_type, c.codec)).collect();
    assert_eq!(audio, [(111, Codec::Opus), (0, Codec::Pcmu), (8, Codec::Pcma)]);
}

#[test]
fn an_m_line_with_port_0_and_bundle_only_is_not_rejected() {
    let remote = parse(captures::CHROMIUM_PUBLISHER).unwrap();
    let video = &remote.medias[1];
    assert_eq!((video.port, video.rejected, video.usable()), (0, false, Some(Kind::Video)));
    assert_eq!((video.sent.ssrc, video.sent.rtx_ssrc), (Some(2231627014), Some(632943048)));
    assert_eq!(video.sent.cname.as_deref(), Some("eC0zIcS2Sk/s4rRl"));
    assert_eq!(remote.medias[2].usable(), None);
}

#[test]
fn the_strongest_fingerprints_count_wherever_they_stand_and_in_either_case() {
    let remote = parse(captures::AIORTC_VIEWER).unwrap();
    let strongest = captures::AIORTC_VIEWER.lines().find(|line| line.starts_with("a=fingerprint:sha-512")).unwrap();
    assert_eq!(format!("a=fingerprint:{}", remote.fingerprints[0]), strongest);
    let media = "m=audio 9 RTP/SAVPF 0\n";
    let read = |session: &[String], section: &[String]| {
        let text = format!("{HEAD}{TRANSPORT}{}{media}{}", session.concat(), section.concat());
        parse(&text).unwrap().fingerprints.iter().map(Fingerprint::to_string).collect::<Vec<_>>()
    };
    let (weak, middle) = (fingerprint("sha-1", 20), fingerprint("SHA-384", 48));
    let strong = fingerprint("sha-512", 64).to_uppercase().replacen('A', "a", 1).replace("FINGERPRINT", "fingerprint");
    let (as_384, as_512) = (middle[14..].trim(), strong[14..].trim());
    let same = |read: Vec<String>, line: &str| read.len() == 1 && read[0].eq_ignore_ascii_case(line);
    for order in [[&weak, &strong, &middle], [&middle, &strong, &weak], [&strong, &middle, &weak]] {
        assert!(same(read(&order.map(String::clone), &[]), as_512), "{order:?}");
    }
    assert!(same(read(&[], &[middle.clone(), middle.clone()]), as_384));
    assert!(
        same(read(std::slice::from_ref(&strong), std::slice::from_ref(&middle)), as_384),
        "the m-section's own counts"
    );
    assert!(same(read(std::slice::from_ref(&middle), &[weak]), as_384));
    let other = strong.replacen("0A", "0B", 1);
    assert_eq!(read(&[strong.clone(), other], &[]).len(), 2, "of two certificates, either");
}

#[test]
fn second_fmtp_lines_add_only_what_the_first_left_out() {
    let remote = parse(captures::CREALITY_ANSWER).unwrap();
    let codecs = &remote.medias[0].codecs;
    assert_eq!(codecs[1].fmtp, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f");
    assert_eq!(remote.setup, Some(Setup::Passive));
    let sdp = with("m=video 9 RTP/SAVPF 96\na=rtpmap:96 h264/90000\na=fmtp:96 A=1; b=2\na=fmtp:96 a=3;c=4;\n");
    assert_eq!(parse(&sdp).unwrap().medias[0].codecs[0].fmtp, "A=1;b=2;c=4");
}

#[test]
fn candidates_of_transports_that_bundling_gives_up_are_left_out() {
    let remote = parse(captures::AIORTC_VIEWER).unwrap();
    assert_eq!(remote.candidates, remote.medias[0].ice.candidates);
    assert_ne!(remote.candidates, remote.medias[1].ice.candidates);
    let candidate = "a=candidate:1 1 udp 1 10.0.0.1 9 typ host\n";
    let late = parse(&with(&format!("m=audio 9 RTP/SAVPF 0\nm=audio 9 RTP/SAVPF 0\n{candidate}"))).unwrap();
    assert_eq!(late.candidates.len(), 1);
}

#[test]
fn candidates_are_kept_once_and_only_for_component_1() {
    assert_eq!(parse(captures::PION_VIEWER).unwrap().candidates.len(), 2);
    let many: String = (0..100).map(|i| format!("a=candidate:{i} 1 udp 1 10.0.0.1 {i} typ host\n")).collect();
    let remote = parse(&with(&format!("m=audio 9 RTP/SAVPF 0\n{many}"))).unwrap();
    assert_eq!(remote.candidates.len(), MAX_CANDIDATES);
}

#[test]
fn odd_case_and_spaces_are_forgiven() {
    let sdp = with(
        "m=VIDEO 9 udp/tls/rtp/savpf 96\na=MID: video\na=SENDONLY\na=Setup:ActPass\n\
         a=rtpmap:96 h264/90000\na=rtcp-fb:* NACK  pli\na=what:ever\na=\n",
    );
    let remote = parse(&sdp).unwrap();
    let media = &remote.medias[0];
    assert_eq!((media.mid.as_deref(), media.direction), (Some("video"), Direction::SendOnly));
    assert_eq!(media.usable(), Some(Kind::Video));
    assert!(media.codecs[0].pli && !media.codecs[0].nack);
}

#[test]
fn static_payload_types_need_no_rtpmap() {
    let remote = parse(&with("m=audio 9 RTP/SAVPF 8 0 3\n")).unwrap();
    let codecs: Vec<_> = remote.medias[0].codecs.iter().map(|c| c.codec).collect();
    assert_eq!(codecs, [Codec::Pcma, Codec::Pcmu]);
}

#[test]
fn payload_types_that_look_like_rtcp_are_passed_over() {
    let remote = parse(&with("m=video 9 RTP/SAVPF 72 96\na=rtpmap:72 VP8/90000\na=rtpmap:96 VP8/90000\n"));
    assert_eq!(remote.unwrap().medias[0].codecs.len(), 1);
}

#[test]
fn media_level_transport_wins_over_session_level() {
    let own = "a=ice-ufrag:wxyz\na=ice-pwd:lkjihgfedcba9876543210\na=setup:active\n";
    let remote = parse(&with(&format!("a=setup:passive\nm=audio 9 RTP/SAVPF 0\n{own}"))).unwrap();
    assert_eq!((remote.ufrag.as_str(), remote.setup), ("wxyz", Some(Setup::Active)));
}

#[test]
fn without_bundle_only_m_lines_of_one_ufrag_share_a_transport() {
    let own = "a=ice-ufrag:wxyz\na=ice-pwd:lkjihgfedcba9876543210\n";
    let sections = "m=audio 9 RTP/SAVPF 0\nm=video 9 RTP/SAVPF 96\n";
    let shared = parse(&with(sections)).unwrap();
    assert!(shared.medias.iter().all(|m| m.shares_transport));
    let apart = parse(&with(&format!("{sections}{own}"))).unwrap();
    assert_eq!(apart.medias.iter().map(|m| m.shares_transport).collect::<Vec<_>>(), [true, false]);
    assert_eq!(apart.ufrag, "abcd");
    let outside = parse(&with("a=group:BUNDLE a\nm=audio 9 RTP/SAVPF 0\na=mid:a\nm=audio 9 RTP/SAVPF 0\na=mid:b\n"));
    assert_eq!(outside.unwrap().medias[1].usable(), None);
}

#[test]
fn the_transport_of_a_rejected_first_m_line_is_not_used() {
    let sdp =
        with("a=group:BUNDLE a b\nm=audio 0 RTP/SAVPF 0\na=mid:a\na=ice-ufrag:gone\nm=audio 9 RTP/SAVPF 0\na=mid:b\n");
    let remote = parse(&sdp).unwrap();
    assert_eq!((remote.transport, remote.ufrag.as_str()), (1, "abcd"));
}

#[test]
fn errors_name_the_line_and_what_is_wrong() {
    let fingerprint = fingerprint("sha-256", 32);
    let media = "m=audio 9 RTP/SAVPF 0\n";
    for (sdp, expected) in [
        (String::new(), "it is empty"),
        ("{\"type\":\"offer\"}".to_owned(), "line 1 of the session description: a description begins with v=0"),
        (HEAD.to_owned(), "it has no m-line"),
        (format!("{HEAD}nonsense"), "line 5 of the session description: not of the form"),
        (format!("{HEAD}{media}{fingerprint}"), "line 5 of the session description: no a=ice-ufrag"),
        (format!("{HEAD}{media}a=ice-ufrag:abcd\n{fingerprint}"), "no a=ice-pwd"),
        (format!("{HEAD}{TRANSPORT}{media}"), "media without DTLS is not accepted"),
        (format!("{HEAD}{TRANSPORT}a=fingerprint:sha-1 00\n{media}"), "sha-256, sha-384 or sha-512"),
        (format!("{HEAD}a=fingerprint:sha-256 00:11\n{media}"), "line 5 of the session description: a=fingerprint"),
        (with("m=audio 0 RTP/SAVPF 0"), "every m-line has port 0"),
        (with("m=audio 70000 RTP/SAVPF 0"), "the port of the m-line"),
        (with("m=audio"), "an m-line needs"),
        (with("m=audio 9 RTP/SAVPF 0\na=mid:a b"), "a=mid is not a token"),
        (with("m=audio 9 RTP/SAVPF 0\na=mid:a\nm=audio 9 RTP/SAVPF 0\na=mid:a"), "the same a=mid"),
        (with("a=group:BUNDLE a \"b\"\nm=audio 9 RTP/SAVPF 0"), "a=group:BUNDLE"),
        (with("m=audio 9 RTP/SAVPF 0\na=setup:later"), "a=setup"),
        (with("m=audio 9 RTP/SAVPF 0\na=ice-ufrag:a b c d"), "a=ice-ufrag is not 4 to 256"),
    ] {
        assert!(error(&sdp).contains(expected), "{expected}: {}", error(&sdp));
    }
}

#[test]
fn who_begins_follows_from_what_the_peer_says_or_leaves_out() {
    let part = |line: &str| {
        let setup = parse(&with(&format!("m=audio 9 RTP/SAVPF 0\n{line}"))).unwrap().setup;
        (Setup::answer_to(setup, Setup::Active), Setup::answer_to(setup, Setup::Passive), Setup::after(setup))
    };
    let (active, passive) = (Setup::Active, Setup::Passive);
    assert_eq!(part("a=setup:actpass"), (active, passive, passive));
    assert_eq!(part("a=setup:active"), (passive, passive, passive));
    assert_eq!(part("a=setup:passive"), (active, active, active));
    assert_eq!(part(""), (passive, passive, active));
    assert!(error(&with("m=audio 9 RTP/SAVPF 0\na=setup:holdconn")).contains("a=setup:holdconn wants no connection"));
    assert!(parse(&with("m=audio 9 RTP/SAVPF 0\nm=audio 0 RTP/SAVPF 0\na=setup:holdconn")).is_ok());
}

#[test]
fn an_offer_that_wants_a_port_for_rtcp_is_refused_with_what_to_change() {
    let media = |mid: &str, mux: &str| format!("m=audio 9 RTP/SAVPF 0\na=mid:{mid}\n{mux}");
    let says = |text: &str| parse(&with(text)).unwrap().multiplexes().map_err(|error| error.to_string());
    let error = says(&media("0", "")).unwrap_err();
    assert!(error.starts_with("line 8 ") && error.contains("offer a=rtcp-mux in each m-line"), "{error}");
    assert_eq!(says(&media("0", "a=rtcp-mux\n")), Ok(()));
    assert_eq!(says(&media("0", "a=rtcp-mux-only\n")), Ok(()));
    assert_eq!(says(&format!("a=rtcp-mux\n{}", media("0", ""))), Ok(()), "small stacks say it once");
    assert_eq!(says("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\n"), Ok(()));
    // One transport, one way to use it (RFC 9143 section 9.3); without BUNDLE each m-line says it.
    let muxes = |text: &str| parse(&with(text)).unwrap().medias.iter().map(|m| m.rtcp_mux).collect::<Vec<_>>();
    let both = media("0", "") + &media("1", "a=rtcp-mux\n");
    assert_eq!(muxes(&format!("a=group:BUNDLE 0 1\n{both}")), [true, true]);
    assert_eq!(muxes(&both), [false, true]);
}

#[test]
fn credentials_of_other_base64_alphabets_are_taken() {
    let text = with("m=audio 9 RTP/SAVPF 0\na=ice-ufrag:wKjZsR9AH0A=_6\na=ice-pwd:a#-_=bcdefghijklmnopqrs\n");
    let remote = parse(&text).unwrap();
    assert_eq!((remote.ufrag.as_str(), remote.pwd.as_str()), ("wKjZsR9AH0A=_6", "a#-_=bcdefghijklmnopqrs"));
    assert!(error(&text.replace("AH0A=", "AH0A:")).contains("a=ice-ufrag"), "it ends the name in a USERNAME");
}

#[test]
fn errors_never_repeat_a_password() {
    assert!(!error(&with("m=audio 9 RTP/SAVPF 0\na=ice-pwd:s3cret s3cret s3cret s3cret")).contains("s3cret"));
}

#[test]
fn bounds_are_kept() {
    let many = |n: usize| "m=audio 9 RTP/SAVPF 0\n".repeat(n);
    assert!(parse(&with(&many(MAX_MEDIAS))).is_ok());
    assert!(error(&with(&many(MAX_MEDIAS + 1))).contains("more than 32 m-lines"));
    assert!(error(&with(&format!("m=audio 9 RTP/SAVPF{}", " 0".repeat(65)))).contains("more than 64 formats"));
    assert!(error(&with(&format!("a=x:{}", "y".repeat(MAX_LINE)))).contains("bytes are more than the 2048"));
    assert!(error(&with(&"a=\n".repeat(5_000))).contains("more than 4096 lines"));
    let pairs = format!("m=video 9 RTP/SAVPF 96\n{}", format!("a=fmtp:96 {}\n", ";".repeat(1000)).repeat(5));
    assert!(error(&with(&pairs)).contains("more than 4096 parameters"));
    assert!(
        error(&with(&format!("a=group:BUNDLE{}\nm=audio 9 RTP/SAVPF 0", " 0".repeat(33))))
            .contains("a=group:BUNDLE names")
    );
    assert!(error(&"v=0\n".repeat(20_000)).contains("more than the 65536"));
}
