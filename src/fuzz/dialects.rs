//! What cameras and services say while they are called, in each dialect.
use super::Target;
use crate::net::connect::Place;
use crate::net::http_client::Reply;
use crate::source::webrtc::dialect::{self, Input, Step};
use crate::source::webrtc::url::Target as Camera;

macro_rules! targets {
    ($($name:literal => $url:literal),* $(,)?) => {
        &[$(Target { name: $name, max: 16 << 10, run: |bytes| exchange($url, bytes), seeds }),*]
    };
}

#[cfg(feature = "clouds")]
pub const TARGETS: &[Target] = targets! {
    "go2rtc" => "ws://cam/api/ws?src=a",
    "whep" => "http://u:p@cam/cam/whep#bearer=t0k#talk",
    "creality" => "http://cam/call/webrtc_local#format=creality",
    "openipc" => "ws://cam/webrtc_ws#format=openipc",
    "kinesis" => "wss://cam/?X-Amz=1#format=kinesis#client_id=a",
    "switchbot" => "wss://cam/?X-Amz=1#format=switchbot",
    "wyze" => "http://cam/signaling/a?kvs#format=wyze",
    "milestone" => "https://cam/api#format=milestone#username=a#password=b#cameraId=c",
};
#[cfg(not(feature = "clouds"))]
pub const TARGETS: &[Target] = targets! {
    "go2rtc" => "ws://cam/api/ws?src=a",
    "whep" => "http://u:p@cam/cam/whep#bearer=t0k#talk",
    "creality" => "http://cam/call/webrtc_local#format=creality",
    "openipc" => "ws://cam/webrtc_ws#format=openipc",
};

const SDP: &str = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n";
/// What an exchange may want sent beside what it was told: our own offer, answers and candidates with their frames.
const OWN: usize = 16 << 10;
/// Inputs of one exchange.
const MAX_INPUTS: usize = 24;
/// Ends an input.
const END: u8 = 0;

/// Inputs end with a zero. The first letter says what kind it is: a text, or a reply with its status, fields, an empty line
/// and the body.
fn seeds() -> Vec<Vec<u8>> {
    let whole = |inputs: &[&str]| inputs.join("\0").into_bytes();
    let wyze = r#"{"result":"ok","ClientId":"c","servers":[{"urls":"turn:a","username":"u","credential":"p"}],"signalingUrl":"wss%3A%2F%2Fcam%2F%3FX"}"#;
    vec![
        whole(&[
            "O",
            r#"T{"type":"webrtc/answer","value":"v=0"}"#,
            r#"T{"type":"webrtc/candidate","value":"candidate:1 1 udp 1 10.0.0.9 9 typ host"}"#,
            r#"T{"type":"error","value":"no"}"#,
        ]),
        whole(&[
            "O",
            "R201\nLocation: /s/1\nLink: <stun:a>; rel=\"ice-server\"\nETag: \"e\"\n\nv=0\r\n",
            "C",
            "R204\n\n",
        ]),
        whole(&["O", "R200\n\neyJ0eXBlIjoiYW5zd2VyIiwic2RwIjoidj0wIn0=", "C"]),
        whole(&[
            "O",
            r#"T{"reply":"webrtc_answer","data":{"sdp":"v=0"}}"#,
            r#"T{"reply":"webrtc_candidate","data":{"candidate":"candidate:1"}}"#,
        ]),
        whole(&[
            "O",
            r#"T{"messageType":"SDP_ANSWER","messagePayload":"eyJ0eXBlIjoiYW5zd2VyIiwic2RwIjoidj0wIn0="}"#,
            r#"T{"messageType":"ICE_CANDIDATE","messagePayload":"eyJjYW5kaWRhdGUiOiJhIn0="}"#,
            r#"T{"statusResponse":{"statusCode":"404","errorType":"x","description":"y"}}"#,
        ]),
        whole(&[&format!("R200\n\n{wyze}"), "O", "C"]),
        whole(&[
            "R200\n\n{\"access_token\":\"t\"}",
            r#"R200

{"sessionId":"1","offerSDP":"{\"type\":\"offer\",\"sdp\":\"v=0\"}"}"#,
            "A",
            "R200\n\n",
            "C",
            r#"R200

{"iceCandidates":["{\"candidate\":\"a\"}"]}"#,
        ]),
    ]
}

fn size(step: &Step) -> usize {
    match step {
        Step::Send(text) | Step::TakeAnswer(text) | Step::TakeOffer(text) | Step::TakeCandidate(text) => text.len(),
        Step::Request(request) => {
            let fields = request.fields.iter().map(|(_, value)| value.len()).sum::<usize>();
            request.body.len() + request.place.path.len() + fields
        }
        Step::Connect(place) => place.path.len() + place.host.len(),
        Step::Servers(_) | Step::Offer(_) => 0,
    }
}

fn reply(text: &str, place: &Place) -> Reply {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.parse().ok()).unwrap_or(200);
    // Fields with other characters don't come through the reader of replies.
    let visible = |(_, value): &(&str, &str)| value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).filter(visible).collect();
    Reply::of(status, place, &fields, body)
}

/// A hostile camera costs no more than its call, and learns no secret that is another's.
fn exchange(url: &str, bytes: &[u8]) {
    let Ok(target) = Camera::parse(url) else { panic!("{url} is sound") };
    let mut dialect = dialect::of(&target);
    let (mut told, mut wanted, mut inputs) = (0, 0, 0);
    let mut next = |input: Input<'_>| {
        let steps = match dialect.next(input) {
            Ok(steps) => steps,
            Err(error) => {
                let shown = dialect::brief(&error.message);
                assert!(shown.len() <= 404 && !shown.contains(char::is_control), "{shown:?}");
                return;
            }
        };
        assert!(steps.len() <= crate::source::webrtc::MAX_STEPS, "{} steps", steps.len());
        wanted += steps.iter().map(size).sum::<usize>();
        for step in &steps {
            let Step::Request(request) = step else { continue };
            assert!(!request.place.path.contains(|c: char| c.is_control() || c == ' '), "{request:?}");
            let fields = request.fields.iter().any(|(_, value)| value.contains("t0k") || value.contains("Bearer"));
            let secret = fields || request.place.login.as_deref() == Some("u:p");
            assert!(!secret || request.place.is_same_origin(&target.place), "a secret goes to {:?}", request.place);
            assert!(request.fields.iter().all(|(_, value)| !value.contains(['\r', '\n'])), "{request:?}");
        }
    };
    next(Input::Begin);
    for input in bytes.split(|byte| *byte == END).take(MAX_INPUTS) {
        let Some((kind, text)) = input.split_first() else { continue };
        let text = String::from_utf8_lossy(text);
        (told, inputs) = (told + text.len(), inputs + 1);
        match kind {
            b'O' => next(Input::Offer(SDP)),
            b'A' => next(Input::Answer(SDP)),
            b'C' => next(Input::Candidate("candidate:1 1 udp 1 10.0.0.2 9 typ host")),
            b'R' => next(Input::Reply(&reply(&text, &target.place))),
            _ => next(Input::Text(&text)),
        }
    }
    next(Input::End);
    // Each request may repeat what was told, and JSON makes that longer by six at most: every character an escape.
    assert!(wanted <= (2 + inputs) * (6 * told + OWN), "{wanted} bytes for {told}");
}
