//! `/api/ws` as Home Assistant, Fluidd and Mainsail speak it.
use super::*;
use crate::http::server::tests::fuzz::{Chance, SEED};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::{Message, Role};

type Socket = WebSocketStream<TcpStream>;

const KEY: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

impl World {
    async fn socket(&self, target: &str) -> Socket {
        self.socket_with(target, "").await
    }

    async fn socket_with(&self, target: &str, fields: &str) -> Socket {
        let mut stream = self.connect().await;
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{KEY}{fields}\r\n", self.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert_eq!(status(&head), 101, "{head}");
        assert_eq!(field(&head, "Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        WebSocketStream::from_raw_socket(stream, Role::Client, None).await
    }
}

async fn say(socket: &mut Socket, message: Value) {
    socket.send(Message::Text(message.to_string().into())).await.unwrap();
}

async fn hear(socket: &mut Socket) -> Value {
    let message = tokio::time::timeout(Duration::from_secs(5), socket.next()).await.unwrap().unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

const CANDIDATE: &str = "candidate:2 1 udp 1 10.0.0.2 9 typ host";

#[tokio::test]
async fn both_dialects_get_an_answer_and_then_candidates() {
    let world = world().await;
    for path in ["/api/ws", "/api/api/ws"] {
        let mut socket = world.socket(&format!("{path}?src=cam")).await;
        say(&mut socket, json!({"type": "webrtc/candidate", "value": CANDIDATE})).await;
        say(&mut socket, json!({"type": "webrtc/offer", "value": "v=0"})).await;
        let answer = hear(&mut socket).await;
        assert_eq!(answer, json!({"type": "webrtc/answer", "value": "v=0\r\ns=webrtc \r\n", "session": super::ID}));
        let own = json!({"type": "webrtc/candidate", "value": "candidate:1 1 udp 1 10.0.0.1 8555 typ host"});
        assert_eq!(hear(&mut socket).await, own);

        let offer = json!({"type": "offer", "sdp": "v=0", "ice_servers": [{"urls": ["stun:x"]}]});
        say(&mut socket, json!({"type": "webrtc", "value": offer})).await;
        let answer = hear(&mut socket).await;
        assert_eq!(answer, json!({"type": "webrtc", "value": {"type": "answer", "sdp": "v=0\r\ns=webrtc \r\n"}}));
        assert_eq!(hear(&mut socket).await, own);
        say(&mut socket, json!({"type": "webrtc/candidate", "value": CANDIDATE})).await;
        say(&mut socket, json!({"type": "webrtc/candidate", "value": ""})).await;
        say(&mut socket, json!({"type": "mse", "value": ""})).await;
        assert_eq!(hear(&mut socket).await, json!({"type": "error", "value": "mse: not supported, use webrtc"}));
    }
    let offer = "offer cam FromOffer webrtc v=0";
    let once = [offer, "trickle 1", offer, "trickle 1"];
    assert_eq!(world.asked(), [once, once].concat());
}

#[tokio::test]
async fn a_further_offer_is_of_the_same_session_on_its_socket_and_by_its_id_on_another() {
    let world = world().await;
    let mut socket = world.socket("/api/ws?src=cam").await;
    let again = json!({"type": "webrtc/answer", "value": "v=0\r\ns=again\r\n", "session": super::ID});
    say(&mut socket, json!({"type": "webrtc/offer", "value": "v=0"})).await;
    assert_ne!(hear(&mut socket).await, again);
    assert_eq!(hear(&mut socket).await["type"], "webrtc/candidate");
    say(&mut socket, json!({"type": "webrtc/offer", "value": "v=0 again"})).await;
    assert_eq!(hear(&mut socket).await, again);
    let mut socket = world.socket("/api/ws?src=cam").await;
    say(&mut socket, json!({"type": "webrtc/offer", "value": "v=0 again", "session": super::ID})).await;
    assert_eq!(hear(&mut socket).await, again);
    say(&mut socket, json!({"type": "webrtc/offer", "value": "v=0 other", "session": super::ID})).await;
    assert_ne!(hear(&mut socket).await, again);
    let asked = [
        "offer cam FromOffer webrtc v=0",
        "reoffer v=0 again",
        "reoffer v=0 again",
        "offer cam FromOffer webrtc v=0 other",
    ];
    assert_eq!(world.asked(), asked);
}

#[tokio::test]
async fn a_viewer_with_a_microphone_is_told_how_it_fares() {
    let world = world().await;
    let mut socket = world.socket("/api/ws?src=cam").await;
    say(&mut socket, json!({"type": "webrtc/offer", "value": "v=0 sendrecv"})).await;
    assert_eq!(hear(&mut socket).await["type"], "webrtc/answer");
    assert_eq!(hear(&mut socket).await["type"], "webrtc/candidate");
    assert_eq!(hear(&mut socket).await, json!({"type": "webrtc/talk", "value": "busy"}));
    assert_eq!(hear(&mut socket).await, json!({"type": "webrtc/talk", "value": "free"}));
}

#[tokio::test]
async fn failures_carry_the_type_of_the_request() {
    let world = world().await;
    let mut socket = world.socket("/api/ws?src=none").await;
    say(&mut socket, json!({"type": "webrtc/offer", "value": "v=0"})).await;
    assert_eq!(hear(&mut socket).await, json!({"type": "error", "value": "webrtc/offer: stream not found"}));
    say(&mut socket, json!({"type": "something", "value": 1})).await;
    say(&mut socket, json!({"type": "webrtc", "value": {"sdp": "v=0"}})).await;
    assert_eq!(hear(&mut socket).await, json!({"type": "error", "value": "webrtc: stream not found"}));
    let mut socket = world.socket("/api/ws?src=hevc").await;
    say(&mut socket, json!({"type": "webrtc/offer", "value": "v=0"})).await;
    let error = hear(&mut socket).await;
    assert!(error["value"].as_str().unwrap().starts_with("webrtc/offer: streams: codecs not matched"), "{error}");
}

#[tokio::test]
async fn a_slow_source_does_not_stop_the_conversation() {
    let world = world().await;
    let mut socket = world.socket("/api/ws?src=slow").await;
    say(&mut socket, json!({"type": "webrtc/offer", "value": "v=0"})).await;
    for _ in 0..40 {
        say(&mut socket, json!({"type": "webrtc/candidate", "value": CANDIDATE})).await;
    }
    say(&mut socket, json!({"type": "mjpeg"})).await;
    assert_eq!(hear(&mut socket).await["value"], "mjpeg: not supported, use webrtc");
    assert_eq!(hear(&mut socket).await["type"], "webrtc/answer");
    assert_eq!(hear(&mut socket).await["type"], "webrtc/candidate");
    assert_eq!(world.asked(), ["offer slow FromOffer webrtc v=0", "trickle 32"]);
}

#[tokio::test]
async fn sockets_open_below_a_folder_too() {
    let api = Api { base_path: "webcam".into(), ..Api::default() };
    let world = world_with(Limits::default(), api, Services::default()).await;
    assert_eq!(answer_of(&world, "/webcam/api/ws?src=cam", "").await["type"], "webrtc/answer");
}

#[tokio::test]
async fn a_publisher_comes_by_dst() {
    let world = world().await;
    let mut socket = world.socket("/api/ws?dst=cam").await;
    say(&mut socket, json!({"type": "webrtc/offer", "value": "v=0"})).await;
    assert_eq!(hear(&mut socket).await["type"], "webrtc/answer");
    assert_eq!(world.asked(), ["offer cam Publish webrtc v=0"]);
}

#[tokio::test]
async fn a_url_becomes_a_stream_once() {
    let world = world().await;
    for _ in 0..2 {
        let mut socket = world.socket("/api/ws?src=rtsp%3A%2F%2F10.0.0.9%2Fa&name=camera.x").await;
        say(&mut socket, json!({"type": "webrtc/offer", "value": "v=0"})).await;
        assert_eq!(hear(&mut socket).await["type"], "webrtc/answer");
    }
    let offer = "offer camera.x FromOffer webrtc v=0";
    assert_eq!(world.asked(), [r#"put camera.x ["rtsp://10.0.0.9/a"]"#, offer, offer]);
    let mut socket = world.socket("/api/ws?src=exec:ls").await;
    say(&mut socket, json!({"type": "webrtc/offer", "value": "v=0"})).await;
    assert_eq!(hear(&mut socket).await["value"], "webrtc/offer: stream not found");
    assert_eq!(world.asked().last().unwrap(), "offer exec:ls FromOffer webrtc v=0");
}

/// What the offer of a fresh socket to `target` is answered.
async fn answer_of(world: &World, target: &str, fields: &str) -> Value {
    let mut socket = world.socket_with(target, fields).await;
    say(&mut socket, json!({"type": "webrtc/offer", "value": "v=0"})).await;
    hear(&mut socket).await
}

#[tokio::test]
async fn pages_that_may_not_change_streams_make_none_by_a_url_either() {
    let world = world().await;
    let other_port = format!("Origin: http://{}\r\n", world.address.ip());
    for fields in [other_port.as_str(), "Sec-Fetch-Site: same-site\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        let answer = answer_of(&world, "/api/ws?src=rtsp://10.0.0.9/a&name=new", fields).await;
        assert!(answer["value"].as_str().unwrap().contains("own pages"), "{answer}");
    }
    assert!(world.asked().is_empty());
    assert_eq!(answer_of(&world, "/api/ws?src=rtsp://cam&name=cam", &other_port).await["type"], "webrtc/answer");
}

#[tokio::test]
async fn a_url_points_streams_elsewhere_that_were_made_by_one_and_no_others() {
    let world = world().await;
    let answer = answer_of(&world, "/api/ws?src=rtsp://10.0.0.9/a&name=cam", "").await;
    assert!(answer["value"].as_str().unwrap().contains("\"cam\" has another source"), "{answer}");
    assert!(world.asked().is_empty());
    for source in ["rtsp://u:one@10.0.0.9/a", "rtsp://u:two@10.0.0.9/a"] {
        let answer = answer_of(&world, &format!("/api/ws?src={source}&name=card"), "").await;
        assert_eq!(answer["type"], "webrtc/answer");
    }
    let puts = |world: &World| world.asked().iter().filter(|line| line.starts_with("put")).count();
    assert_eq!(puts(&world), 2);
    world.ask("PUT /api/streams?name=card&src=rtsp://10.0.0.9/b", "", "").await;
    let answer = answer_of(&world, "/api/ws?src=rtsp://u:one@10.0.0.9/a&name=card", "").await;
    assert!(answer["value"].as_str().unwrap().contains("has another source"), "{answer}");
    assert_eq!(puts(&world), 3);
}

#[tokio::test]
async fn what_is_not_json_or_too_large_ends_the_socket() {
    let world = world().await;
    let mut socket = world.socket("/api/ws?src=cam").await;
    socket.send(Message::Text("hello".into())).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
    let mut socket = world.socket("/api/ws?src=cam").await;
    socket.send(Message::Text("x".repeat(65 * 1024).into())).await.unwrap();
    assert!(matches!(socket.next().await, None | Some(Err(_) | Ok(Message::Close(_)))));
}

#[tokio::test]
async fn handshakes_are_checked_before_the_upgrade() {
    let world = world().await;
    let host = world.address;
    let ask = |target: &str, host: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
    let ws = "/api/ws?src=cam";
    for (request, expected) in [
        (ask(ws, &host.to_string(), &format!("{KEY}Origin: http://evil.example\r\n")), 403),
        (ask(ws, "evil.example", KEY), 421),
        (ask("/api/streams", &host.to_string(), KEY), 404),
        (ask(ws, &host.to_string(), &KEY.replace("13", "8")), 426),
        (ask(ws, &host.to_string(), &KEY.replace("dGhlIHNhbXBsZSBub25jZQ==", "short")), 400),
        (ask(ws, &host.to_string(), &format!("{KEY}Content-Length: 3\r\n")), 400),
    ] {
        assert_eq!(status(&world.raw(&request).await), expected, "{request}");
    }
    let same = ask(ws, &host.to_string(), &format!("{KEY}Origin: http://{}\r\n", host.ip()));
    let mut stream = world.connect().await;
    stream.write_all(same.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
}

#[tokio::test]
async fn damaged_frames_end_their_socket_and_nothing_else() {
    let world = world().await;
    let ask = format!(
        "GET /api/ws?src=cam HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        world.address
    );
    let mut chance = Chance(SEED);
    for _ in 0..200 {
        let mut frames = Vec::new();
        for _ in 0..=chance.below(4) {
            let text = br#"{"type":"webrtc/candidate","value":"x"}"#;
            let opcode = [0x81, 0x82, 0x01, 0x80, 0x88, 0x89, 0x8a, 0xf1, 0x83][chance.below(9)];
            // A mask of zeros leaves the text as it is.
            frames.extend_from_slice(&[opcode, 0x80 | text.len() as u8, 0, 0, 0, 0]);
            frames.extend_from_slice(text);
        }
        chance.damage(
            &mut frames,
            &[b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff", b"\xfe\xff\xff", b"\x88\x80\0\0\0\0", b"{"],
        );
        let mut stream = world.connect().await;
        stream.write_all(&[ask.as_bytes(), &frames].concat()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A reset is an end as well.
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.expect("it ends");
    }
    assert_eq!(status(&world.ask("GET /api/streams", "", "").await), 200);
}
