//! Whole exchanges of every dialect, as cameras and services are known to write them, without a network.
use super::super::url::Target;
use super::*;
use crate::engine::source::SourceErrorKind;
use crate::net::http_client::Method;
use serde_json::{Value, json};

const OFFER: &str = "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n";
const ANSWER: &str = include_str!("../../../../tests/captures/creality_answer.sdp");

fn encoded(value: &Value) -> String {
    data_encoding::BASE64.encode(value.to_string().as_bytes())
}

fn decoded(text: &str) -> Value {
    serde_json::from_slice(&data_encoding::BASE64.decode(text.as_bytes()).unwrap()).unwrap()
}

/// One exchange: what the dialect wanted so far.
struct Exchange(Box<dyn Dialect>, Place);

impl Exchange {
    fn begin(url: &str) -> (Self, Vec<Step>) {
        let target = Target::parse(url).unwrap();
        let mut dialect = of(&target);
        let steps = dialect.next(Input::Begin).unwrap();
        (Self(dialect, target.place), steps)
    }

    fn next(&mut self, input: Input<'_>) -> Vec<Step> {
        self.0.next(input).unwrap()
    }

    fn reply(&mut self, status: u16, fields: &[(&str, &str)], body: &str) -> Steps {
        self.0.next(Input::Reply(&Reply::of(status, &self.1, fields, body)))
    }

    fn text(&mut self, value: &Value) -> Steps {
        self.0.next(Input::Text(&value.to_string()))
    }
}

/// The one request among the steps.
fn request(steps: &[Step]) -> &Request {
    let [Step::Request(request)] = steps else { panic!("not one request: {steps:?}") };
    request
}

/// The one text among the steps, as JSON.
fn sent(steps: &[Step]) -> Value {
    let [Step::Send(text)] = steps else { panic!("not one text: {steps:?}") };
    serde_json::from_str(text).unwrap()
}

fn field<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

fn kinds(steps: &[Step]) -> Vec<(Kind, Direction)> {
    let medias = steps.iter().find_map(|step| if let Step::Offer(medias) = step { Some(medias) } else { None });
    medias.unwrap().iter().map(|media| (media.kind, media.direction)).collect()
}

#[test]
fn creality() {
    let (mut call, steps) = Exchange::begin("http://printer:8000/call/webrtc_local#format=creality");
    assert_eq!(kinds(&steps), [(Kind::Video, Direction::RecvOnly)]);
    let steps = call.next(Input::Offer(OFFER));
    let post = request(&steps);
    assert_eq!(
        (post.method, post.place.path.as_str(), field(post, "content-type")),
        (Method::Post, "/call/webrtc_local", Some("plain/text"))
    );
    assert_eq!(decoded(&post.body), json!({"type": "offer", "sdp": OFFER}));
    let answer = encoded(&json!({"type": "answer", "sdp": ANSWER}));
    assert_eq!(call.reply(200, &[], &answer).unwrap(), [Step::TakeAnswer(ANSWER.into())]);
    for (status, body, words) in [
        (200, "{}", "did not take our offer"),
        (200, &answer[..answer.len() - 3], "not whole Base64"),
        (200, "aGVsbG8=", "not the JSON"),
        (200, "", "not the JSON"),
        (404, "", "404"),
        (200, encoded(&json!({"type": "offer", "sdp": "v=0"})).as_str(), "another type"),
        (200, encoded(&json!({"type": "answer"})).as_str(), "is empty"),
    ] {
        let error = call.reply(status, &[], body).unwrap_err();
        assert!(error.message.contains(words), "{body}: {error}");
    }
}

#[test]
fn what_a_server_says_reaches_no_sentence() {
    // a URL may name a server that answers the relay and nobody else
    let secret = "s3cret";
    let bodies = [
        secret.to_owned(),
        json!({"k": secret}).to_string(),
        json!(secret).to_string(),
        json!({"result": secret}).to_string(),
        json!({"type": secret, "sdp": secret}).to_string(),
        encoded(&json!({"type": secret, "sdp": "v=0"})),
        encoded(&json!(secret)),
        json!({"access_token": {"a": secret}}).to_string(),
        json!({"result": "ok", "signalingUrl": secret}).to_string(),
    ];
    for format in ["creality", "wyze", "milestone", "whep"] {
        for (status, body) in
            [200, 201, 400, 401, 404, 500].into_iter().flat_map(|s| bodies.iter().map(move |b| (s, b)))
        {
            let (mut call, _) = Exchange::begin(&format!("http://host/#format={format}"));
            if let Err(error) = call.reply(status, &[], body) {
                assert!(!error.message.contains(secret), "{format} {status} {body}: {error}");
            }
        }
    }
    let (mut call, _) = Exchange::begin("ws://host/#format=openipc");
    let error = call.text(&json!({"reply": "webrtc_answer", "data": secret})).unwrap_err();
    assert!(!error.message.contains(secret), "{error}");
}

#[test]
fn go2rtc() {
    let (mut call, steps) = Exchange::begin("ws://u:p@host:1984/api/ws?src=camera1");
    assert!(
        matches!(&steps[0], Step::Connect(place) if place.path == "/api/ws?src=camera1" && place.basic().is_some())
    );
    let audio = |direction| (Kind::Audio, direction);
    assert_eq!(
        kinds(&steps),
        [(Kind::Video, Direction::RecvOnly), audio(Direction::RecvOnly), audio(Direction::SendOnly)]
    );
    assert_eq!(sent(&call.next(Input::Offer(OFFER))), json!({"type": "webrtc/offer", "value": OFFER}));
    let line = "candidate:1 1 udp 2130706431 10.0.0.1 5 typ host";
    assert_eq!(sent(&call.next(Input::Candidate(line))), json!({"type": "webrtc/candidate", "value": line}));
    let candidate = |value: Value| json!({"type": "webrtc/candidate", "value": value});
    assert_eq!(call.text(&candidate(json!(line))).unwrap(), [Step::TakeCandidate(line.into())], "before the answer");
    assert_eq!(
        call.text(&json!({"type": "webrtc/answer", "value": ANSWER})).unwrap(),
        [Step::TakeAnswer(ANSWER.into())]
    );
    assert_eq!(call.text(&json!({"type": "webrtc/answer", "value": ANSWER})).unwrap(), [], "once");
    for nothing in [candidate(json!("")), candidate(Value::Null), json!({"type": "mse", "value": 1})] {
        assert_eq!(call.text(&nothing).unwrap(), [], "{nothing}");
    }
    let error = call.text(&json!({"type": "error", "value": "webrtc/offer: stream not found"})).unwrap_err();
    assert!(error.message.contains("stream not found"), "{error}");
    assert!(call.0.next(Input::Text("hello")).is_err());
}

#[test]
fn kinesis_and_switchbot() {
    for (url, sections) in [
        (
            "wss://x.amazonaws.com/?X-Amz-Signature=a#format=kinesis#client_id=me#ice_servers=[{\"urls\":\"stun:s:443\"}]",
            2,
        ),
        (
            "wss://x.amazonaws.com/?X-Amz-Signature=a#format=switchbot#resolution=sd#play_type=3#client_id=me#ice_servers=[{\"urls\":\"stun:s:443\"}]",
            1,
        ),
    ] {
        let (mut call, steps) = Exchange::begin(url);
        assert!(matches!(&steps[0], Step::Connect(place) if place.secure && place.path == "/?X-Amz-Signature=a"));
        assert_eq!(kinds(&steps).len(), sections);
        let offer = sent(&call.next(Input::Offer(OFFER)));
        assert_eq!((&offer["action"], &offer["recipientClientId"]), (&json!("SDP_OFFER"), &json!("me")));
        let payload = decoded(offer["messagePayload"].as_str().unwrap());
        let more = if sections == 1 { (json!(1), json!(3)) } else { (Value::Null, Value::Null) };
        assert_eq!((&payload["type"], &payload["sdp"]), (&json!("offer"), &json!(OFFER)));
        assert_eq!((payload["resolution"].clone(), payload["play_type"].clone()), more);
        let line = "candidate:1 1 udp 1 10.0.0.1 5 typ host";
        let told = sent(&call.next(Input::Candidate(line)));
        let told = (told["action"].clone(), decoded(told["messagePayload"].as_str().unwrap())["candidate"].clone());
        assert_eq!(told, (json!("ICE_CANDIDATE"), json!(line)));
        let frame = |kind: &str, payload: &Value| json!({"messageType": kind, "messagePayload": encoded(payload), "senderClientId": "c"});
        for nothing in ["", "{\"messageTy", "{}", "[]"] {
            assert_eq!(call.next(Input::Text(nothing)), [], "{nothing}");
        }
        assert!(call.text(&json!({"messageType": "GO_AWAY"})).is_err());
        let candidate = frame("ICE_CANDIDATE", &json!({"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0}));
        assert_eq!(call.text(&candidate).unwrap(), [Step::TakeCandidate(line.into())]);
        let answer = frame("SDP_ANSWER", &json!({"type": "answer", "sdp": ANSWER}));
        assert_eq!(call.text(&answer).unwrap(), [Step::TakeAnswer(ANSWER.into())]);
        assert_eq!(call.text(&answer).unwrap(), [], "once");
        let refused = json!({"messageType": "STATUS_RESPONSE", "statusResponse": {"statusCode": "400", "errorType": "InvalidArgument", "description": "no such channel"}});
        assert!(call.text(&refused).unwrap_err().message.contains("400 InvalidArgument no such channel"));
    }
}

#[test]
fn wyze() {
    let (mut call, steps) = Exchange::begin("http://bridge:5000/signaling/camera1?kvs#format=wyze");
    assert_eq!((request(&steps).method, request(&steps).place.path.as_str()), (Method::Get, "/signaling/camera1?kvs"));
    for (body, words) in [
        ("{\"result\":\"cam not found\"}", "no channel"),
        ("{\"result\":\"ok\"}", "signalingUrl"),
        ("{\"result\":\"ok\",\"signalingUrl\":\"gopher://x\"}", "unsupported url"),
        ("<html>", "not the JSON"),
    ] {
        let error = call.reply(200, &[], body).unwrap_err();
        assert!(error.message.contains(words), "{error}");
    }
    let channel = json!({"ClientId": "id", "cam": "camera1", "result": "ok", "signalingUrl": "wss://kvs/?X=%2Fa",
        "servers": [{"urls": "stun:s:443"}, {"urls": ["turn:t:443?transport=udp"], "username": "u", "credential": "c"}]});
    let steps = call.reply(200, &[], &channel.to_string()).unwrap();
    assert!(matches!(&steps[0], Step::Servers(servers) if servers.len() == 2));
    assert!(matches!(&steps[1], Step::Connect(place) if place.path == "/?X=%2Fa"), "a signed address stays as it is");
    assert_eq!(sent(&call.next(Input::Offer(OFFER)))["recipientClientId"], "id");
}

#[test]
fn openipc() {
    let (mut call, steps) = Exchange::begin("ws://camera/webrtc_ws#format=openipc");
    assert!(matches!(&steps[..], [Step::Connect(place)] if place.path == "/webrtc_ws"), "the camera begins");
    let line = "candidate:1 1 udp 1 10.0.0.1 5 typ host";
    let early = json!({"reply": "webrtc_candidate", "data": {"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0}});
    assert_eq!(call.text(&early).unwrap(), [Step::TakeCandidate(line.into())]);
    for nothing in ["", "hello", "{\"reply\":\"pong\"}"] {
        assert_eq!(call.next(Input::Text(nothing)), [], "{nothing}");
    }
    let offer = |data: Value| json!({"reply": "webrtc_answer", "data": data});
    assert!(call.text(&offer(json!("text"))).is_err());
    let (mut call, _) = Exchange::begin("ws://camera/webrtc_ws#format=openipc");
    assert_eq!(call.text(&offer(json!({"type": "answer", "sdp": OFFER}))).unwrap(), [Step::TakeOffer(OFFER.into())]);
    assert_eq!(sent(&call.next(Input::Answer(ANSWER))), json!({"req": "answer", "data": ANSWER}));
    assert_eq!(sent(&call.next(Input::Candidate(line))), json!({"req": "candidate", "data": line}));
    assert_eq!(call.text(&offer(json!({"type": "offer", "sdp": OFFER}))).unwrap(), [], "once");
}

#[test]
fn milestone() {
    let url = "https://host/api#format=milestone#username=a b#password=s&p#cameraId=guid#speed=2.0#skipGaps";
    let (mut call, steps) = Exchange::begin(url);
    let token = request(&steps);
    assert_eq!(token.place.path, "/api/IDP/connect/token");
    assert_eq!(token.body, "client_id=GrantValidatorClient&grant_type=password&username=a%20b&password=s%26p");
    let error = call.reply(400, &[], "{\"error\":\"invalid_grant\"}").unwrap_err();
    assert_eq!((error.kind, error.message.contains("#username or #password")), (SourceErrorKind::Denied, true));
    let steps = call.reply(200, &[], "{\"access_token\":\"t0k\"}").unwrap();
    let session = request(&steps);
    assert_eq!(
        (session.place.path.as_str(), field(session, "authorization")),
        ("/api/REST/v1/WebRTC/Session", Some("Bearer t0k"))
    );
    let wish: Value = serde_json::from_str(&session.body).unwrap();
    assert_eq!(wish, json!({"cameraId": "guid", "playbackTimeNode": {"skipGaps": true, "speed": 2.0}}));
    assert!(call.reply(200, &[], "{\"sessionId\":\"7\",\"offerSDP\":null}").unwrap_err().message.contains("no offer"));
    let offer = json!({"sessionId": "7/x", "offerSDP": json!({"type": "offer", "sdp": OFFER}).to_string()});
    assert_eq!(call.reply(200, &[], &offer.to_string()).unwrap(), [Step::TakeOffer(OFFER.into())]);
    let steps = call.next(Input::Answer(ANSWER));
    let patch = request(&steps);
    assert_eq!((patch.method, patch.place.path.as_str()), (Method::Patch, "/api/REST/v1/WebRTC/Session/7%2Fx"));
    let answer: Value = serde_json::from_str(&patch.body).unwrap();
    let answer: Value = serde_json::from_str(answer["answerSDP"].as_str().unwrap()).unwrap();
    assert_eq!(answer, json!({"type": "answer", "sdp": ANSWER}));
    assert!(call.reply(500, &[], "").unwrap_err().message.contains("500"));
    assert_eq!(call.reply(200, &[], "").unwrap(), []);
}

#[test]
fn an_unusable_session_address_costs_the_goodbye_and_not_the_picture() {
    for (location, path) in [
        ("/s/1", Some("/s/1")),
        ("s 1", Some("/cam/s%201")),
        ("../s", Some("/s")),
        ("//host/s", Some("/s")),
        ("http://HOST:80/s", Some("/s")),
        ("", None),
        (" ", None),
        ("//other/s", None),
        ("https://host/s", None),
        ("http://host:81/s", None),
        ("rtsp://host/s", None),
        ("http://", None),
        ("/a\tb", None),
    ] {
        let (mut call, _) = Exchange::begin("http://u:p@host/cam/whep");
        call.next(Input::Offer(OFFER));
        let steps = call.reply(201, &[("Location", location)], ANSWER).unwrap();
        assert_eq!(steps, [Step::TakeAnswer(ANSWER.into())], "{location:?}");
        assert_eq!(call.next(Input::Candidate("candidate:1")).len(), usize::from(path.is_some()), "{location:?}");
        let end = call.next(Input::End);
        assert_eq!(path.map(|_| request(&end).place.path.as_str()), path, "{location:?}");
        assert_eq!(end.len(), usize::from(path.is_some()));
        assert!(end.is_empty() || request(&end).place.login.as_deref() == Some("u:p"));
    }
}

#[test]
fn whep() {
    let (mut call, steps) = Exchange::begin("http://host/cam/whep#bearer=t0k");
    assert_eq!(kinds(&steps), [(Kind::Video, Direction::RecvOnly), (Kind::Audio, Direction::RecvOnly)]);
    let steps = call.next(Input::Offer(OFFER));
    let post = request(&steps);
    assert_eq!((post.body.as_str(), field(post, "authorization")), (OFFER, Some("Bearer t0k")));
    assert_eq!(field(post, "content-type"), Some("application/sdp"));
    assert!(call.reply(401, &[], "").unwrap_err().message.contains("401"));
    assert!(call.reply(200, &[], "<html>").unwrap_err().message.contains("not with a session description"));
    let link = "<stun:s:1>; rel=\"ice-server\", <turn:t:2>; rel=\"ice-server\"; username=\"u\"; credential=\"c\", <x>; rel=\"next\"";
    let fields = [("Location", "/cam/whep/17"), ("ETag", "\"e\""), ("Link", link)];
    let steps = call.reply(201, &fields, ANSWER).unwrap();
    assert!(
        matches!(&steps[..], [Step::Servers(servers), Step::TakeAnswer(_)] if servers.len() == 2 && servers[1].login.username == "u")
    );
    let steps = call.next(Input::Candidate("candidate:1 1 udp 1 10.0.0.1 5 typ srflx"));
    let patch = request(&steps);
    assert_eq!(
        (patch.method, field(patch, "if-match"), patch.place.path.as_str()),
        (Method::Patch, Some("\"e\""), "/cam/whep/17")
    );
    assert!(patch.body.starts_with("a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdefghijkl\r\n"), "{}", patch.body);
    assert_eq!(call.reply(405, &[], "").unwrap(), [], "trickle is optional");
    assert_eq!(call.next(Input::Candidate("candidate:2 1 udp 1 10.0.0.1 5 typ srflx")), [], "and not tried again");
    let steps = call.next(Input::End);
    assert_eq!((request(&steps).method, request(&steps).place.path.as_str()), (Method::Delete, "/cam/whep/17"));
    assert_eq!(call.next(Input::End), [], "once");
}
