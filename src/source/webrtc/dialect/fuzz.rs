//! A hostile camera's signalling: every dialect is told spoilt replies, messages and addresses.
use super::super::url::Target;
use super::*;
use crate::fuzz::{Random, rounds};
use crate::source::webrtc::MAX_STEPS;
use serde_json::{Value, json};

/// Exchanges with each dialect in an ordinary run: some hundred milliseconds for all of them.
const ROUNDS: u64 = 40;
/// Inputs of one exchange.
const INPUTS: usize = 12;
/// What an exchange may want sent beside what it was told: our own offer, answers and candidates with their frames.
const OWN: usize = 16 << 10;

const URLS: [&str; 8] = [
    "ws://cam/api/ws?src=a",
    "http://u:p@cam/cam/whep#bearer=t0k#talk",
    "http://cam/call/webrtc_local#format=creality",
    "ws://cam/webrtc_ws#format=openipc",
    "wss://cam/?X-Amz=1#format=kinesis#client_id=a",
    "wss://cam/?X-Amz=1#format=switchbot",
    "http://cam/signaling/a?kvs#format=wyze",
    "https://cam/api#format=milestone#username=a#password=b#cameraId=c",
];
const SDP: &str = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n";
const LOCATIONS: [&str; 12] = [
    "/s/1",
    "s 1",
    "",
    "..",
    "//cam/x",
    "//other/x",
    "http://cam/x",
    "https://cam:1/x",
    "rtsp://x",
    "?q#f",
    "http://[::1",
    "./../.././a/../b",
];
const LINKS: [&str; 4] = [
    r#"<turn:a?transport=udp>; rel="ice-server"; username="u"; credential="p\"", <stun:b>; rel=ice-server"#,
    "<<>>;;==\"\\",
    r#"<stun:a>; rel="ice-server"#,
    ",,,<>",
];

/// Whoever speaks for the camera.
struct Hostile(Random);

impl Hostile {
    fn one_of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.0.below(texts.len())]
    }

    /// The text with up to three changes, or as it is.
    fn spoilt(&mut self, text: &str) -> String {
        let mut chars: Vec<char> = text.chars().collect();
        for _ in 0..self.0.below(4) {
            let at = self.0.below(chars.len() + 1);
            match self.0.below(5) {
                0 => chars.truncate(at),
                1 => drop(chars.drain(at..chars.len().min(at + 1 + self.0.below(8)))),
                2 => chars.insert(
                    at,
                    ['\0', '"', '{', '}', ' ', '\r', '\n', '%', '\\', 'é', '\u{202e}', '0'][self.0.below(12)],
                ),
                3 => {
                    let again: Vec<char> = chars[at..chars.len().min(at + 40)].to_vec();
                    (0..self.0.below(20)).for_each(|_| drop(chars.splice(at..at, again.iter().copied())));
                }
                _ => drop(chars.splice(at..at, "A".repeat(self.0.below(3000)).chars())),
            }
        }
        chars.into_iter().collect()
    }

    /// A value of any kind where a text is expected.
    fn value(&mut self, text: &str) -> Value {
        match self.0.below(8) {
            0 => Value::Null,
            1 => json!(self.0.below(1000)),
            2 => json!([text, {"sdp": text}]),
            3 => json!({"sdp": text, "type": self.one_of(&["offer", "answer", "x"]), "candidate": text}),
            4 => json!({"candidate": text}),
            5 => json!(
                data_encoding::BASE64
                    .encode(json!({"type": "answer", "sdp": text, "candidate": text}).to_string().as_bytes())
            ),
            _ => json!(self.spoilt(text)),
        }
    }

    /// What some camera says, in the words of some dialect.
    fn message(&mut self) -> String {
        let text = ["candidate:1 1 udp 1 10.0.0.9 9 typ host", SDP][self.0.below(2)];
        let value = self.value(text);
        let message = match self.0.below(7) {
            0 => json!({"type": self.one_of(&["webrtc/answer", "webrtc/candidate", "error", "x"]), "value": value}),
            1 => json!({"reply": self.one_of(&["webrtc_answer", "webrtc_candidate", ""]), "data": value}),
            2 => {
                json!({"messageType": self.one_of(&["SDP_ANSWER", "ICE_CANDIDATE", "GO_AWAY", ""]), "messagePayload": value,
                        "statusResponse": {"statusCode": self.0.below(600), "errorType": self.spoilt("x"), "description": text}})
            }
            3 => json!({"result": "ok", "ClientId": "c", "servers": [{"urls": value, "url": "stun:a"}, value],
                        "signalingUrl": self.spoilt("wss://cam/?X-Amz-Signature=1")}),
            4 => {
                json!({"access_token": self.spoilt("t"), "sessionId": value, "offerSDP": json!({"type": "offer", "sdp": text}).to_string()})
            }
            5 => return text.to_owned(),
            _ => value,
        };
        let message = message.to_string();
        if self.0.one_in(3) { self.spoilt(&message) } else { message }
    }
}

fn size(step: &Step) -> usize {
    match step {
        Step::Send(text) | Step::TakeAnswer(text) | Step::TakeOffer(text) | Step::TakeCandidate(text) => text.len(),
        Step::Request(request) => {
            request.body.len()
                + request.place.path.len()
                + request.fields.iter().map(|(_, value)| value.len()).sum::<usize>()
        }
        Step::Connect(place) => place.path.len() + place.host.len(),
        Step::Servers(_) | Step::Offer(_) => 0,
    }
}

/// One exchange; answers how many sessions it said goodbye to.
fn exchange(url: &str, seed: u64) -> usize {
    let mut random = Hostile(Random::new(seed));
    let target = Target::parse(url).unwrap();
    let mut dialect = of(&target);
    let (mut told, mut wanted, mut goodbyes) = (0, 0, 0);
    for number in 0..INPUTS {
        let message = random.message();
        let (location, link) = (random.one_of(&LOCATIONS), random.one_of(&LINKS));
        let fields =
            [("Location", random.spoilt(location)), ("Link", random.spoilt(link)), ("ETag", random.spoilt("\"e\""))];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        let place = if random.0.one_in(4) { Place::parse("http://moved/x").unwrap() } else { target.place.clone() };
        let status = [200, 201, 204, 307, 404, 500][random.0.below(6)];
        let reply = Reply::of(status, &place, &fields, &message);
        let input = match random.0.below(8) {
            _ if number == 0 => Input::Begin,
            _ if number == INPUTS - 1 => Input::End,
            0 => Input::Offer(SDP),
            1 => Input::Answer(SDP),
            2 => Input::Candidate("candidate:1 1 udp 1 10.0.0.2 9 typ host"),
            3..=5 => Input::Text(&message),
            _ => Input::Reply(&reply),
        };
        told += message.len() + fields.iter().map(|(_, value)| value.len()).sum::<usize>();
        let steps = match dialect.next(input) {
            Ok(steps) => steps,
            Err(error) => {
                let shown = brief(&error.message);
                assert!(shown.len() <= MAX_REASON + 4 && !shown.contains(char::is_control), "{shown:?}");
                continue;
            }
        };
        assert!(steps.len() <= MAX_STEPS, "{url} {seed}: {} steps", steps.len());
        wanted += steps.iter().map(size).sum::<usize>();
        for step in &steps {
            let Step::Request(request) = step else { continue };
            assert!(!request.place.path.contains(|c: char| c.is_control() || c == ' '), "{url} {seed}: {request:?}");
            let secret = request.fields.iter().any(|(_, value)| value.contains("t0k"))
                || request.place.login.as_deref() == Some("u:p");
            assert!(
                !secret || request.place.is_same_origin(&target.place),
                "{url} {seed}: a secret goes to {:?}",
                request.place
            );
        }
        goodbyes += usize::from(number == INPUTS - 1 && !steps.is_empty());
    }
    // Each request may repeat what was told, and JSON makes that longer by six at most: every character an escape.
    assert!(wanted <= INPUTS * (6 * told + OWN), "{url} {seed}: {wanted} bytes for {told}");
    goodbyes
}

#[test]
fn no_signalling_of_a_hostile_camera_costs_more_than_its_call() {
    let goodbyes: usize = URLS.iter().flat_map(|url| rounds(ROUNDS).map(move |seed| exchange(url, seed))).sum();
    assert!(goodbyes > 0, "no exchange came to a session: the inputs are too spoilt");
}

#[test]
fn what_a_camera_says_is_told_in_one_line_of_bounded_length() {
    assert_eq!(brief("the camera says: a\r\n\tb"), "the camera says: a   b");
    assert_eq!(brief(&"é".repeat(MAX_REASON)).len(), MAX_REASON + "…".len());
    let mut dialect = of(&Target::parse(URLS[0]).unwrap());
    let long = json!({"type": "error", "value": "x".repeat(100_000)}).to_string();
    assert!(brief(&dialect.next(Input::Text(&long)).unwrap_err().message).starts_with("the other relay says: xxx"));
}
