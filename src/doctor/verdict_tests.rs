//! Each verdict once, with the facts that provoke it, and which of two wins.
use super::*;
use crate::doctor::facts::{Address, Advertised, Dtls, Ice, Pair, RemoteCandidates, Scope, Track};
use crate::gather::candidate::Protocol;
use crate::gather::port_problem::WhyNot;
use crate::media::codec::Codec;
use crate::rtc::negotiate::Mismatch;
use std::sync::Arc;

fn address(ip: &str, scope: Scope, removed_by: Option<&str>) -> Address {
    Address {
        interface: "eth0".into(),
        ip: ip.into(),
        scope,
        advertised: removed_by.is_none(),
        removed_by: removed_by.map(str::to_owned),
        setting: removed_by.map(str::to_owned),
    }
}

fn advertised() -> Advertised {
    Advertised {
        candidates: vec!["udp 192.168.1.2:8555".into(), "tcp 192.168.1.2:8555".into()],
        addresses: vec![address("192.168.1.2", Scope::Lan, None)],
        foreign: false,
    }
}

/// A session that found no way.
fn lost() -> Session {
    Session { failed: true, age_ms: 15_000, advertised: Arc::new(advertised()), ..Session::default() }
}

/// A viewer that plays.
fn playing() -> Session {
    let track = Track { packets: 900, last_packet_ms: Some(10), last_keyframe_ms: Some(900), ..Track::default() };
    Session {
        age_ms: 60_000,
        phase: Phase::Connected,
        connected_ms: Some(59_000),
        advertised: Arc::new(advertised()),
        ice: Ice {
            requests: 9,
            checks: 9,
            answers: 9,
            selected: Some("udp"),
            remote: RemoteCandidates { names: 1, udp: true, ..Default::default() },
            ..Ice::default()
        },
        media: vec![Media {
            kind: "video",
            codec: Some("H264".into()),
            offered: vec!["H264".into()],
            packets: 900,
            reports: 50,
            begun: true,
            track,
            ..Media::default()
        }],
        stream: Stream {
            name: "yard".into(),
            state: "live",
            has_source: true,
            video: Some("H264".into()),
            ..Stream::default()
        },
        ..Session::default()
    }
}

#[track_caller]
fn said(facts: &Session, code: Code, words: &[&str]) {
    told(&session(facts).expect("a verdict"), code, words);
}

#[track_caller]
fn told(verdict: &Verdict, code: Code, words: &[&str]) {
    assert_eq!(verdict.code, code, "{verdict:?}");
    for word in words {
        assert!(verdict.sentence.contains(word) || verdict.remedy.contains(word), "{word:?} in {verdict:?}");
    }
    for text in [&verdict.sentence, &verdict.remedy] {
        assert!(text.ends_with('.') && !text.ends_with(".."), "{text:?}");
    }
}

#[test]
fn a_session_that_plays_or_is_young_gets_none() {
    assert_eq!(session(&playing()), None);
    assert_eq!(session(&Session { failed: false, age_ms: 500, ..lost() }), None);
    let mut closed = playing();
    closed.connected_ms = Some(500);
    closed.media.clear();
    assert_eq!(session(&closed), None, "it was closed before anything could be seen");
}

#[test]
fn d01_nothing_arrived() {
    said(&lost(), Code::D01, &["192.168.1.2:8555", "port 8555", "firewall"]);
    let waiting = Session { failed: false, age_ms: PATIENCE_MS, ..lost() };
    said(&waiting, Code::D01, &[]);
}

#[test]
fn d02_only_hidden_names_and_nothing_arrived() {
    let mut facts = lost();
    facts.ice.remote.names = 2;
    said(&facts, Code::D02, &[".local", "isolates"]);
    facts.ice.remote.addresses = 1;
    said(&facts, Code::D01, &[]);
}

#[test]
fn d03_our_answers_do_not_arrive() {
    let mut facts = lost();
    (facts.ice.requests, facts.ice.checks) = (12, 20);
    facts.ice.pairs.push(Pair {
        local: "udp 192.168.1.2".into(),
        remote: "192.168.1.9:5".into(),
        requests: 12,
        checks: 20,
        answers: 0,
        rtt_ms: None,
        selected: false,
    });
    facts.ice.remote.names = 1;
    said(&facts, Code::D03, &["udp 192.168.1.2 to 192.168.1.9:5", "way back"]);
    facts.ice.answers = 1;
    assert_eq!(session(&facts), None, "both ways work, the peer chose none");
}

#[test]
fn d04_no_address_is_left() {
    let mut facts = lost();
    let key = "webrtc.filters.ips (porthole.yaml, line 7)";
    facts.advertised = Arc::new(Advertised {
        addresses: vec![address("192.168.1.2", Scope::Lan, Some(key)), address("10.0.0.1", Scope::Lan, Some(key))],
        ..Advertised::default()
    });
    facts.ice.remote.names = 1;
    said(&facts, Code::D04, &[key]);
    let refused = Session { refusal: Some(Refusal::NoPort), reason: Some("no media port".into()), ..facts.clone() };
    said(&refused, Code::D04, &[key]);
    facts.advertised = Arc::default();
    said(&facts, Code::D04, &["no address"]);
}

#[test]
fn d05_only_container_addresses_are_left() {
    let mut facts = lost();
    let only = Advertised {
        candidates: vec!["udp 172.17.0.1:8555".into()],
        addresses: vec![address("172.17.0.1", Scope::Container, None)],
        foreign: false,
    };
    facts.advertised = Arc::new(only.clone());
    said(&facts, Code::D05, &["172.17.0.1", "webrtc.candidates"]);
    facts.advertised = Arc::new(Advertised { foreign: true, ..only });
    said(&facts, Code::D01, &[]);
    // Some homes use Docker's range: a guess counts only where nothing arrives.
    let home = Advertised {
        candidates: vec!["udp 172.20.0.2:8555".into()],
        addresses: vec![address("172.20.0.2", Scope::ContainerRange, None)],
        foreign: false,
    };
    facts.advertised = Arc::new(home);
    said(&facts, Code::D05, &[]);
    let here = Machine { clock_s: CLOCK_FLOOR_S, advertised: facts.advertised.clone(), ..Machine::default() };
    assert_eq!(machine(&here), []);
}

#[test]
fn d06_the_handshake_does_not_end() {
    let mut facts = playing();
    (facts.phase, facts.connected_ms, facts.failed) = (Phase::Handshaking, None, true);
    facts.dtls = Dtls { began_ms: Some(10_000), took_ms: None, sent: 9, received: 0 };
    said(&facts, Code::D06, &["nothing of the handshake", "MTU"]);
    facts.dtls.began_ms = Some(100);
    assert_eq!(session(&facts), None, "the wrong certificate");
}

#[test]
fn d07_no_common_codec() {
    let mut facts = Session { refusal: Some(Refusal::Codecs), phase: Phase::Refused, ..Session::default() };
    facts.mismatch = Some(Mismatch::Codecs { source: vec![Codec::H265], viewer: vec![Codec::Vp8] });
    said(
        &facts,
        Code::D07,
        &["The two share no codec: ", "source has video:H265", "takes video:VP8", "set the camera to H.264"],
    );
    facts.mismatch = Some(Mismatch::Layer { asked: "high".into(), there: vec!["low".into()] });
    said(&facts, Code::D07, &["No layer \"high\" comes", "Ask for a layer that comes"]);
    let mut facts = playing();
    facts.media[0].codec = None;
    facts.stream.video = Some("H265".into());
    said(&facts, Code::D07, &["sends H265", "takes H264", "sub-stream"]);
}

#[test]
fn d08_nothing_comes_from_the_source() {
    let mut facts = playing();
    facts.stream.state = "failing";
    facts.stream.last_error = Some("connection refused".into());
    (facts.stream.down_ms, facts.stream.failures) = (Some(180_000), 7);
    said(&facts, Code::D08, &["connection refused", "3 min", "7 times"]);
    assert_eq!(stream(&facts.stream).map(|verdict| verdict.code), Some(Code::D08));
    let mut facts = playing();
    facts.media[0].track.last_packet_ms = Some(9_000);
    said(&facts, Code::D08, &["9 s"]);
    facts.publishes = true;
    said(&facts, Code::D08, &["publisher", "9 s"]);
    let mut facts = playing();
    facts.stream = Stream { name: "door".into(), state: "waiting", ..Stream::default() };
    said(&facts, Code::D08, &["nobody publishes", "/door/whip"]);
    let refused = Session { refusal: Some(Refusal::Source), reason: Some("no route".into()), ..playing() };
    said(&refused, Code::D08, &["no route"]);
}

#[test]
fn d09_no_keyframe_comes() {
    let mut facts = playing();
    facts.media[0].begun = false;
    facts.media[0].track.last_keyframe_ms = None;
    facts.media[0].track.keyframes_asked = 12;
    said(&facts, Code::D09, &["ever", "asked 12 times", "2 seconds"]);
    facts.media[0].track.last_keyframe_ms = Some(40_000);
    facts.media[0].track.keyframes_apart_ms = Some(60_000);
    facts.publishes = true;
    said(&facts, Code::D09, &["40 s", "60 s apart"]);
    facts.media[0].begun = true;
    assert_eq!(session(&facts), None, "who plays needs no other keyframe");
}

#[test]
fn d08_says_what_to_do_by_the_kind_of_the_failure() {
    use crate::base::source_error::SourceErrorKind;
    let advice = |kind| {
        let facts = Stream {
            state: "failing",
            last_error: Some("it failed".into()),
            error_kind: Some(kind),
            ..Stream::default()
        };
        stream(&facts).expect("a verdict").remedy
    };
    assert!(advice(SourceErrorKind::Denied).contains("user name and password"));
    assert!(advice(SourceErrorKind::Unsupported).contains("a kind that this version opens"));
    assert!(advice(SourceErrorKind::Failed).contains("is it on"));
}

#[test]
fn d10_packets_are_lost() {
    let mut facts = playing();
    facts.media[0].loss_percent = 12.4;
    said(&facts, Code::D10, &["12 %", "to the viewer", "mode=tcp"]);
    facts.media[0].reports = 1;
    assert_eq!(session(&facts), None, "one report is none");
    facts.publishes = true;
    said(&facts, Code::D10, &["from the publisher"]);
}

#[test]
fn d12_a_port_is_taken() {
    let problem = |protocol, address: &str, why| PortProblem { protocol, address: address.parse().unwrap(), why };
    let taken = problem(Protocol::Udp, "0.0.0.0:8555", WhyNot::InUse { holder: Some("go2rtc (pid 7)".into()) });
    let other = problem(Protocol::Tcp, "1.2.3.4:1", WhyNot::Other("Cannot assign".into()));
    let facts = Machine {
        problems: vec![taken.clone(), other],
        clock_s: CLOCK_FLOOR_S,
        advertised: Arc::new(advertised()),
        ..Machine::default()
    };
    let list = machine(&facts);
    assert_eq!(list.len(), 1);
    told(&list[0], Code::D12, &["udp 0.0.0.0:8555", "go2rtc (pid 7)", "Stop it, or change webrtc.listen."]);
    let alone = Machine { advertised: Arc::default(), ..facts };
    assert_eq!(machine(&alone).len(), 1, "no address is left because no port is");
    let refused = Session { refusal: Some(Refusal::NoPort), port: Some(taken), ..Session::default() };
    said(&refused, Code::D12, &["go2rtc"]);
}

#[test]
fn d13_a_clock_is_wrong() {
    let good = Machine { clock_s: 1_900_000_000, advertised: Arc::new(advertised()), ..Machine::default() };
    assert_eq!(machine(&good), []);
    told(&machine(&Machine { clock_s: 5, ..good.clone() })[0], Code::D13, &["never set"]);
    let apart = Machine { asker_clock_s: Some(good.clock_s - 3_600), ..good.clone() };
    told(&machine(&apart)[0], Code::D13, &["60 min apart"]);
    let near =
        Machine { asker_clock_s: Some(good.clock_s + 5), turn_expires_s: Some(good.clock_s + 5), ..good.clone() };
    assert_eq!(machine(&near), []);
    told(&machine(&Machine { turn_expires_s: Some(5), ..good })[0], Code::D13, &["TURN"]);
}

#[test]
fn d14_tcp_where_udp_should_work() {
    let mut facts = playing();
    facts.ice.selected = Some("tcp");
    said(&facts, Code::D14, &["UDP"]);
    facts.ice.remote.udp = false;
    assert_eq!(session(&facts), None, "the player wanted TCP");
    facts.ice.remote.udp = true;
    let tcp_only = Advertised { candidates: vec!["tcp 192.168.1.2:8555".into()], ..advertised() };
    facts.advertised = Arc::new(tcp_only);
    assert_eq!(session(&facts), None, "the relay is set to TCP");
}

#[test]
fn the_first_cause_wins() {
    // The source is down, packets were lost before, and it all went over TCP.
    let mut facts = playing();
    facts.ice.selected = Some("tcp");
    facts.media[0].loss_percent = 30.0;
    said(&facts, Code::D10, &[]);
    facts.media[0].begun = false;
    facts.media[0].track.last_keyframe_ms = None;
    said(&facts, Code::D09, &[]);
    facts.media[0].codec = None;
    said(&facts, Code::D07, &[]);
    facts.stream.state = "failing";
    said(&facts, Code::D08, &[]);
    (facts.phase, facts.dtls.began_ms) = (Phase::Handshaking, Some(10_000));
    said(&facts, Code::D06, &[]);
    facts.phase = Phase::Checking;
    facts.ice.answers = 0;
    said(&facts, Code::D03, &[]);
    facts.ice.requests = 0;
    said(&facts, Code::D02, &[]);
    facts.ice.remote.addresses = 1;
    said(&facts, Code::D01, &[]);
    facts.advertised = Arc::default();
    said(&facts, Code::D04, &[]);
    facts.refusal = Some(Refusal::Codecs);
    said(&facts, Code::D07, &[]);
}

#[test]
fn b_frames_are_named_with_the_setting_to_change() {
    let mut facts = playing();
    facts.media[0].track.reordered = true;
    said(&facts, Code::D15, &["B-frames", "Baseline"]);
    facts.publishes = true;
    said(&facts, Code::D15, &["OBS"]);
}

#[test]
fn pictures_without_parameter_sets_are_named() {
    let mut facts = playing();
    facts.media[0].track.undecodable = true;
    said(&facts, Code::D16, &["SPS", "sprop-parameter-sets"]);
    facts.publishes = true;
    said(&facts, Code::D16, &["config-interval"]);
}

#[test]
fn packets_that_the_system_refuses_are_counted_and_the_mtu_named() {
    let mut facts = playing();
    facts.media[0].too_long = 12;
    said(&facts, Code::D17, &["12", "MTU", "1280"]);
}
