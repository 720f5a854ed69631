//! Every configuration that go2rtc's page on WebRTC shows passes a check here, on whatever machine: who copies one gets a
//! relay that starts, and words about what has no effect.
use super::{Checked, load};
use crate::config::Edge;
use std::path::Path;

/// One line a source: Creality, go2rtc, Kinesis, OpenIPC, SwitchBot, WHEP, Wyze.
const SOURCES: [&str; 7] = [
    "webrtc:http://192.168.1.123:8000/call/webrtc_local#format=creality",
    "webrtc:ws://192.168.1.123:1984/api/ws?src=camera1",
    "webrtc:wss://v-1.kinesisvideo.eu-north-1.amazonaws.com/?X-Amz-ChannelARN=arn#format=kinesis#client_id=me\
     #ice_servers=[{\"urls\":\"stun:stun.kinesisvideo.eu-north-1.amazonaws.com:443\"}]",
    "webrtc:ws://192.168.1.123/webrtc_ws#format=openipc#ice_servers=[{\"urls\":\"stun:stun.example:443\"}]",
    "webrtc:wss://v-1.kinesisvideo.us-east-1.amazonaws.com/?X-Amz-ChannelARN=arn#format=switchbot#resolution=hd\
     #play_type=0#client_id=me#ice_servers=[{\"urls\":\"stun:stun.example:443\"}]",
    "webrtc:http://192.168.1.123:1984/api/webrtc?src=camera1",
    "webrtc:http://192.168.1.123:5000/signaling/camera1?kvs#format=wyze",
];

/// The parts of `webrtc`: a fixed port, addresses known and unknown, TURN, filters of a host and of a container.
const SECTIONS: [&str; 7] = [
    "{listen: ':8555'}",
    "{candidates: ['216.58.210.174:8555']}",
    "{candidates: ['stun:8555']}",
    "{ice_servers: [{urls: ['stun:stun.l.google.com:19302']}, \
      {urls: ['turn:123.123.123.123:3478'], username: your_user, credential: your_pass}]}",
    "{listen: ':8555/tcp', filters: {ips: [192.168.1.2], networks: [udp4, tcp4]}}",
    "{listen: ':8555', candidates: ['192.168.1.2:8555']}",
    "{listen: ''}",
];

/// All keys at once, a range of ports beside a fixed one among them.
const FULL: &str = "\
webrtc:
  listen: \":8555\"
  candidates:
    - 216.58.210.174:8555
    - stun:8555
    - home.duckdns.org:8555
  ice_servers:
    - urls: [ stun:stun1.l.google.com:19302 ]
    - urls: [ turn:123.123.123.123:3478 ]
      username: your_user
      credential: your_pass
  filters:
    candidates: [ 192.168.1.123 ]
    loopback: true
    networks: [ udp4, udp6, tcp4, tcp6 ]
    interfaces: [ eno1 ]
    ips: [ 192.168.1.123 ]
    udp_ports: [ 50000, 50100 ]
";

fn checked(yaml: &str) -> Checked {
    let read = |_: &Path| Ok(yaml.to_owned());
    let interfaces = Some(vec!["lo".to_owned(), "wlan0".to_owned()]);
    let loaded = load(&["p.yaml".into()], &Edge { read: &read, variable: &|_| None, memory: None, interfaces });
    let loaded = loaded.unwrap_or_else(|error| panic!("{yaml}: {error}"));
    assert!(loaded.errors.is_empty(), "{yaml}: {:?}", loaded.errors);
    loaded
}

#[test]
#[cfg(all(feature = "tls", feature = "turn"))]
fn each_documented_source_and_section_passes_without_a_word() {
    for source in SOURCES {
        let yaml = format!("streams:\n  camera:   {source}\n  empty:\n");
        assert_eq!(checked(&yaml).warnings, Vec::<String>::new(), "{source}");
    }
    for section in SECTIONS {
        assert_eq!(checked(&format!("webrtc: {section}")).warnings, Vec::<String>::new(), "{section}");
    }
    assert_eq!(checked("webrtc:\n  ice_servers: []\n").warnings, Vec::<String>::new());
}

#[test]
fn the_full_documented_configuration_passes_with_words_about_what_has_no_effect() {
    let warnings = checked(FULL).warnings;
    for expected in ["p.yaml:18:5: webrtc.filters.udp_ports: has no effect", "p.yaml:16:5: webrtc.filters.interfaces: "]
    {
        assert!(warnings.iter().any(|warning| warning.starts_with(expected)), "{warnings:?}");
    }
    #[cfg(feature = "turn")]
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}
