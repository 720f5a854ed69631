//! go2rtc's API as its clients use it.
use super::*;
use serde_json::Value;

fn object(answer: &str) -> Value {
    assert_eq!(field(answer, "Content-Type"), Some("application/json"), "{answer}");
    serde_json::from_str(body(answer)).unwrap()
}

#[tokio::test]
async fn home_assistant_finds_a_version_that_it_accepts() {
    let world = world().await;
    for method in ["GET", "POST", "DELETE"] {
        let api = object(&world.ask(&format!("{method} /api"), "", "").await);
        assert_eq!((&api["version"], &api["name"]), (&"1.9.14".into(), &"porthole".into()));
        assert_eq!(api["host"], world.address.to_string());
    }
}

#[tokio::test]
async fn an_offer_is_answered_in_the_form_it_came() {
    let world = world().await;
    let agent = "User-Agent: test\r\n";
    let json = format!("Content-Type: application/json; charset=utf-8\r\n{agent}");
    let answer = world.ask("POST /api/webrtc?src=cam", &json, r#"{"type":"offer","sdp":"v=0"}"#).await;
    assert_eq!(status(&answer), 200);
    assert_eq!(object(&answer), json!({"type": "answer", "sdp": "v=0\r\ns=webrtc/json test\r\n"}));
    assert!(answer.ends_with("}\n"));

    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let answer = world.ask("POST /api/webrtc?src=cam", form, "data=dj0w").await;
    assert_eq!((status(&answer), field(&answer, "Content-Type")), (200, Some("application/x-www-form-urlencoded")));
    assert_eq!(data_encoding::BASE64.decode(body(&answer).as_bytes()).unwrap(), b"v=0\r\ns=webrtc/post \r\n");

    let answer = world.ask("POST /api/webrtc?src=cam", "Content-Type: Text/Plain\r\n", "v=0").await;
    assert_eq!((status(&answer), field(&answer, "Content-Type")), (200, Some("text/plain")));
    let answer = world.ask("POST /api/webrtc?src=cam", "", "v=0").await;
    assert_eq!((status(&answer), field(&answer, "Content-Type")), (200, None));
    assert_eq!(body(&answer), "v=0\r\ns=webrtc/post \r\n");

    let sdp = "Content-Type: application/SDP\r\n";
    let answer = world.ask("POST /api/webrtc?dst=ignored&src=front+door", sdp, "v=0").await;
    assert_eq!((status(&answer), field(&answer, "Content-Type")), (201, Some("application/sdp")));
    assert_eq!(field(&answer, "Location"), Some(format!("/api/webrtc/{ID}").as_str()));
    assert_eq!(world.asked().last().unwrap(), "offer front door FromOffer webrtc/whep v=0");

    let answer = world.ask("POST /api/webrtc?dst=cam", "", "v=0").await;
    assert_eq!((status(&answer), field(&answer, "ETag")), (201, Some("\"one\"")));
    assert_eq!(world.asked().last().unwrap(), "offer cam Publish webrtc/whip v=0");
}

#[tokio::test]
async fn wrong_offers_get_the_status_that_clients_know() {
    let world = world().await;
    let json = "Content-Type: application/json\r\n";
    let sdp = "Content-Type: application/sdp\r\n";
    for (line, fields, offer, expected) in [
        ("POST /api/webrtc", "", "v=0", 400),
        ("POST /api/webrtc?src=", "", "v=0", 400),
        ("POST /api/webrtc?src=none", "", "v=0", 404),
        ("POST /api/webrtc?dst=none", "", "v=0", 404),
        ("POST /api/webrtc?src=hevc", "", "v=0", 500),
        ("POST /api/webrtc?src=hevc", json, r#"{"sdp":"v=0"}"#, 500),
        ("POST /api/webrtc?src=hevc", sdp, "v=0", 406),
        ("POST /api/webrtc?src=cam", sdp, "nonsense", 400),
        ("POST /api/webrtc?src=cam", json, "nonsense", 400),
        ("POST /api/webrtc?src=cam", "Content-Type: application/x-www-form-urlencoded\r\n", "data=?", 400),
        ("GET /api/webrtc?src=cam", "", "", 405),
        ("PATCH /api/webrtc?src=cam", "", "", 405),
        ("OPTIONS /api/webrtc", "", "", 204),
        ("DELETE /api/webrtc", "", "", 400),
        ("DELETE /api/webrtc?id=none", "", "", 404),
    ] {
        let answer = world.ask(line, fields, offer).await;
        assert_eq!(status(&answer), expected, "{line} {fields}");
        if expected >= 400 {
            assert_eq!(field(&answer, "Content-Type"), Some("text/plain; charset=utf-8"));
            assert_eq!(field(&answer, "X-Content-Type-Options"), Some("nosniff"));
            assert!(body(&answer).trim().len() > 5 && body(&answer).ends_with('\n'));
        }
    }
    assert_eq!(status(&world.ask(&format!("DELETE /api/webrtc?id={ID}"), "", "").await), 200);
    assert_eq!(world.asked().last().unwrap(), &format!("close {ID}"));
}

#[tokio::test]
async fn streams_are_listed_and_looked_at() {
    let world = world().await;
    let list = object(&world.ask("GET /api/streams", "", "").await);
    assert_eq!(list["cam"]["producers"][0]["url"], "rtsp://cam");
    let one = object(&world.ask("GET /api/streams?src=cam", "", "").await);
    assert_eq!(one["consumers"], Value::Null);
    assert_eq!(status(&world.ask("GET /api/streams?src=none", "", "").await), 404);
    world.ask("GET /api/streams?src=cam&video=h264&microphone", "", "").await;
    assert_eq!(world.asked(), [r#"probe cam Some("h264") None Some("")"#]);
}

#[tokio::test]
async fn home_assistant_puts_its_three_sources() {
    let saved = Arc::new(Mutex::new(Vec::new()));
    let log = saved.clone();
    let saver: crate::http::Saver = Arc::new(move |name, sources| {
        log.lock().unwrap().push(format!("{name} {sources:?}"));
        Ok(())
    });
    let services = Services { saver: Some(saver), ..Services::default() };
    let world = world_with(Limits::default(), Api::default(), services).await;
    let line =
        "PUT /api/streams?name=camera.x&src=rtsp%3A%2F%2Fa&src=ffmpeg%3Acamera.x%23audio%3Dopus&src=ffmpeg:camera.x";
    assert_eq!(status(&world.ask(line, "", "").await), 200);
    let sources = r#"["rtsp://a", "ffmpeg:camera.x#audio=opus", "ffmpeg:camera.x"]"#;
    assert_eq!(world.asked(), [format!("put camera.x {sources}")]);
    assert_eq!(status(&world.ask("DELETE /api/streams?src=camera.x", "", "").await), 200);
    assert_eq!(status(&world.ask("DELETE /api/streams?src=never-was", "", "").await), 200);
    let saved = saved.lock().unwrap();
    assert_eq!(saved[0], format!("camera.x Some({sources})"));
    assert_eq!(saved[1], "camera.x None");
}

#[tokio::test]
async fn a_refused_change_changes_neither_the_streams_nor_the_file() {
    let saved = Arc::new(Mutex::new(Vec::new()));
    let log = saved.clone();
    let saver: crate::http::Saver = Arc::new(move |name, sources| match name {
        "cam" => Err("porthole.yaml: read-only file system".into()),
        "panics" => panic!("as a test"),
        _ => {
            log.lock().unwrap().push(format!("{name} {sources:?}"));
            Ok(())
        }
    });
    let services = Services { saver: Some(saver), ..Services::default() };
    let world = world_with(Limits::default(), Api::default(), services).await;
    for (line, expected) in [
        ("PUT /api/streams?name=cam&src=test:", 400),
        ("DELETE /api/streams?src=cam", 400),
        ("PUT /api/streams?name=panics&src=test:", 500),
        ("PUT /api/streams?name=one-too-many&src=test:", 503),
        ("PUT /api/streams?name=a&src=test:&src=exec:ls", 400),
        ("PATCH /api/streams?name=cam&src=exec:ls", 400),
        ("PATCH /api/streams?src=test:", 400),
        ("POST /api/streams?dst=cam&src=test:", 501),
    ] {
        assert_eq!(status(&world.ask(line, "", "").await), expected, "{line}");
    }
    let answer = world.ask("PUT /api/streams?name=cam&src=test:", "", "").await;
    assert_eq!(body(&answer), "porthole.yaml: read-only file system\n");
    assert!(world.asked().is_empty(), "{:?}", world.asked());
    assert!(saved.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_a_file_a_stream_is_made_until_the_next_start() {
    let world = world().await;
    assert_eq!(status(&world.ask("PUT /api/streams?src=test:", "", "").await), 200);
    assert_eq!(world.asked(), [r#"put test: ["test:"]"#]);
    assert_eq!(status(&world.ask("PATCH /api/streams?name=a&src=rtsp://b", "", "").await), 200);
    assert_eq!(status(&world.ask("PATCH /api/streams?src=rtsp://b", "", "").await), 400);
    assert_eq!(status(&world.ask("PATCH /api/streams?name=a&src=cam", "", "").await), 400);
    assert_eq!(status(&world.ask("POST /api/streams?dst=cam&src=x", "", "").await), 501);
    assert_eq!(status(&world.ask("POST /api/streams", "", "").await), 400);
}

#[tokio::test]
async fn sources_that_run_programs_are_not_taken_from_the_network() {
    let world = world().await;
    for source in ["exec:ls", "echo:x", "expr:1", "rtsp://a%20b", "nothing", "file:///etc/passwd"] {
        let answer = world.ask(&format!("PUT /api/streams?name=a&src=test:&src={source}"), "", "").await;
        assert_eq!(status(&answer), 400, "{source}");
    }
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn pages_of_other_ports_may_look_but_not_change() {
    let world = world().await;
    let host = world.address.ip();
    let origin = format!("Origin: http://{host}\r\n");
    let answer = world.ask("GET /api/streams", &origin, "").await;
    assert_eq!(status(&answer), 200);
    assert_eq!(field(&answer, "Access-Control-Allow-Origin"), Some(format!("http://{host}").as_str()));
    for line in ["PUT /api/streams?src=test:", "DELETE /%61pi/streams?src=cam", "PATCH /api/streams?name=a&src=test:"] {
        assert_eq!(status(&world.ask(line, &origin, "").await), 403, "{line}");
    }
    assert_eq!(status(&world.ask("DELETE /api/streams?src=cam", "Sec-Fetch-Site: cross-site\r\n", "").await), 403);
    assert!(world.asked().is_empty());
    let own = format!("Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n", world.address);
    world.ask("DELETE /api/streams?src=cam", &own, "").await;
    assert_eq!(world.asked(), ["delete cam"]);
}

#[tokio::test]
async fn no_address_lets_pages_of_other_ports_change_anything() {
    let world = world().await;
    let foreign = [format!("Origin: http://{}\r\n", world.address.ip()), "Sec-Fetch-Site: same-site\r\n".into()];
    let changes = [
        ("/api/streams?name=a&src=test:", "PUT PATCH POST DELETE"),
        ("/api/log", "DELETE POST PUT PATCH"),
        ("/api/webtorrent?src=cam", "GET HEAD POST DELETE PUT PATCH"),
        ("/api/config", "POST PUT PATCH DELETE"),
        ("/api/restart", "POST"),
        ("/api/exit", "POST"),
        ("/api/preload?src=cam", "PUT DELETE"),
        ("/api/nothing", "POST PUT PATCH DELETE"),
        ("/", "POST PUT PATCH DELETE"),
    ];
    for (target, methods) in changes {
        for method in methods.split(' ') {
            for fields in &foreign {
                assert_eq!(
                    status(&world.ask(&format!("{method} {target}"), fields, "").await),
                    403,
                    "{method} {target}"
                );
            }
        }
    }
    for target in ["/api/streams?src=cam&video", "/api/streams?src=cam&microphone="] {
        for site in ["cross-site", "same-site"] {
            let answer = world.ask(&format!("GET {target}"), &format!("Sec-Fetch-Site: {site}\r\n"), "").await;
            assert_eq!(status(&answer), 403, "{target} {site}");
        }
    }
    assert!(world.asked().is_empty());
    for fields in ["", "Sec-Fetch-Site: none\r\n", &format!("{}Sec-Fetch-Site: same-site\r\n", foreign[0])] {
        assert_eq!(status(&world.ask("GET /api/streams?src=cam&video", fields, "").await), 200, "{fields}");
    }
}

struct Lines(Mutex<String>);

impl crate::http::Log for Lines {
    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn follow(&self) -> crate::http::Pieces {
        let lines = self.text().lines().map(|line| format!("{line}\n").into()).collect::<Vec<_>>();
        Box::pin(futures_util::stream::iter(lines))
    }

    fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn the_relays_own_addresses_answer() {
    let services = Services {
        log: Some(Arc::new(Lines(Mutex::new("{\"message\":\"a\"}\n".into())))),
        config_path: Some("/etc/porthole.yaml".into()),
        ..Services::default()
    };
    let world = world_with(Limits::default(), Api::default(), services).await;
    assert_eq!(object(&world.ask("GET /api/status", "", "").await)["sessions"], 0);
    assert_eq!(object(&world.ask(&format!("GET /api/session?id={ID}"), "", "").await)["state"], "connected");
    assert_eq!(status(&world.ask("GET /api/session", "", "").await), 400);
    assert_eq!(object(&world.ask("GET /api", "", "").await)["config_path"], "/etc/porthole.yaml");
    let log = world.ask("GET /api/log", "", "").await;
    assert_eq!((field(&log, "Content-Type"), body(&log)), (Some("application/jsonlines"), "{\"message\":\"a\"}\n"));
    let follow = world.ask("GET /api/log/follow", "", "").await;
    assert_eq!(field(&follow, "Content-Type"), Some("application/jsonlines"));
    assert_eq!(body(&follow), "10\r\n{\"message\":\"a\"}\n\r\n0\r\n\r\n");
    assert_eq!(status(&world.ask("GET /api/log/follow", "Origin: http://elsewhere.lan\r\n", "").await), 403);
    assert_eq!(status(&world.ask("DELETE /api/log", "Origin: http://elsewhere.lan\r\n", "").await), 403);
    assert_eq!(status(&world.ask("DELETE /api/log", "", "").await), 200);
    assert_eq!(body(&world.ask("GET /api/log", "", "").await), "");
    for (line, expected) in [
        ("GET /api/frame.jpeg?src=cam", 501),
        ("GET /api/hls/playlist.m3u8", 501),
        ("GET /api/nothing", 404),
        ("GET /nothing", 404),
        ("GET /%zz", 400),
        ("POST /index.html", 405),
        ("POST /api/log", 405),
        ("POST /api/log/follow", 405),
        ("OPTIONS /api/log/follow", 204),
        ("GET /api/ws?src=cam", 426),
        ("OPTIONS /api/streams", 204),
        ("OPTIONS *", 204),
        ("GET *", 400),
    ] {
        assert_eq!(status(&world.ask(line, "", "").await), expected, "{line}");
    }
}

#[tokio::test]
async fn who_asks_a_websocket_in_plain_http_is_told_the_protocol() {
    let answer = world().await.ask("GET /api/ws?src=cam", "", "").await;
    assert_eq!((status(&answer), field(&answer, "Upgrade")), (426, Some("websocket")));
    assert!(answer.contains("\r\nConnection: upgrade\r\n"), "{answer}");
}

#[tokio::test]
async fn pages_come_with_their_guards_and_are_not_sent_twice() {
    let world = world().await;
    let page = world.ask("GET /", "", "").await;
    assert_eq!((status(&page), field(&page, "Content-Type")), (200, Some("text/html; charset=utf-8")));
    let policy = field(&page, "Content-Security-Policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("http://127.0.0.1:*"), "{policy}");
    assert_eq!(field(&page, "X-Frame-Options"), None);
    let known = format!("If-None-Match: {}\r\n", field(&page, "ETag").unwrap());
    let again = world.ask("GET /index.html", &known, "").await;
    assert_eq!((status(&again), body(&again), field(&again, "Content-Length")), (304, "", None));
}
