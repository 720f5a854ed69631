//! Limits, framing and strangers.
use super::*;
use crate::http::server::limits::{BODY_BYTES, HEAD_BYTES};
use std::time::Instant;

fn quick() -> Limits {
    Limits { head_time: Duration::from_millis(200), body_time: Duration::from_millis(200), ..Limits::default() }
}

#[tokio::test]
async fn a_plain_request_is_answered_and_the_connection_kept() {
    let world = world().await;
    let mut stream = world.connect().await;
    for _ in 0..3 {
        stream.write_all(b"GET /api/schemes HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).await.unwrap();
        let answer = std::str::from_utf8(&answer[..length]).unwrap();
        assert_eq!(status(answer), 200, "{answer}");
        assert_eq!(field(answer, "Connection"), None);
        assert_eq!(field(answer, "Server"), Some("porthole"));
        assert!(body(answer).contains("\"rtsp\""));
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let world = world().await;
    let answer = world
        .raw(
            "POST /api/webrtc?src=slow HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nv=0\
             GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n\
             GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        .await;
    let order: Vec<usize> = ["webrtc/post", "sessions", "404"].iter().map(|text| answer.find(text).unwrap()).collect();
    assert!(order.is_sorted(), "{answer}");
}

#[tokio::test]
async fn http_1_0_clients_get_a_length_and_a_close() {
    let world = world().await;
    let answer = world.raw("GET /porthole.js HTTP/1.0\r\nHost: mjpgstreamer1\r\n\r\n").await;
    assert_eq!(status(&answer), 200);
    assert_eq!(field(&answer, "Connection"), Some("close"));
    assert_eq!(field(&answer, "Transfer-Encoding"), None);
    assert_eq!(field(&answer, "Content-Length").unwrap().parse::<usize>().unwrap(), body(&answer).len());
    let answer = world.raw("POST /api/webrtc?src=cam HTTP/1.0\r\nContent-Length: 3\r\n\r\nv=0").await;
    assert_eq!(status(&answer), 200, "{answer}");
}

#[tokio::test]
async fn a_request_for_the_head_has_no_body() {
    let world = world().await;
    let answer = world.ask("HEAD /index.html", "", "").await;
    assert_eq!((status(&answer), body(&answer)), (200, ""));
    assert!(field(&answer, "Content-Length").unwrap().parse::<usize>().unwrap() > 0);
}

#[tokio::test]
async fn chunked_bodies_arrive_whole() {
    let world = world().await;
    let mut stream = world.connect().await;
    let head =
        "POST /api/webrtc?src=cam HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    for part in [head, "3\r\nv=", "0\r\n", "5;x\r\n hell\r\n1\r\no\r\n0\r\n", "\r\n"] {
        stream.write_all(part.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(status(&read_all(&mut stream).await), 200);
    assert_eq!(world.asked(), ["offer cam FromOffer webrtc/post v=0 hello"]);
}

#[tokio::test]
async fn a_client_that_waits_for_100_is_told_to_go_on() {
    let world = world().await;
    let mut stream = world.connect().await;
    let head = "POST /api/webrtc?src=cam HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\
        Expect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"v=0").await.unwrap();
    assert_eq!(status(&read_all(&mut stream).await), 200);
}

#[tokio::test]
async fn large_bodies_up_to_the_bound_are_taken() {
    let world = world().await;
    let offer = format!("v=0{}", "x".repeat(BODY_BYTES - 3));
    let answer = world.ask("POST /api/webrtc?src=cam", "", &offer).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(world.asked()[0].ends_with(&offer));
    let head = format!("POST /api/webrtc?src=cam HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", BODY_BYTES + 1);
    let answer = world.raw(head).await;
    assert_eq!(status(&answer), 413);
    assert!(body(&answer).contains("262144 bytes"), "{answer}");
}

#[tokio::test]
async fn what_could_be_understood_in_two_ways_is_refused_and_closed() {
    let world = world().await;
    let inner = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for (fields, expected) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Content-Length: 0\r\nContent-Length: 38\r\n", 400),
        ("Transfer-Encoding: xchunked\r\n", 501),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 400),
        ("Transfer-Encoding : chunked\r\n", 400),
        ("Content-Length: 1\n", 400),
    ] {
        let answer = world.raw(format!("POST /api/webrtc?src=cam HTTP/1.1\r\nHost: x\r\n{fields}\r\n{inner}")).await;
        assert_eq!(status(&answer), expected, "{fields:?}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        assert_eq!(field(&answer, "Connection"), Some("close"));
    }
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn clients_cannot_speak_with_the_gates_voice() {
    let world = world().await;
    let fields = "X-Porthole-Peer: 1.2.3.4:5\r\nX-Porthole-Token: 0\r\nTE: chunked\r\nConnection: upgrade\r\n";
    let answer = world.ask("GET /api/schemes", fields, "").await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(field(&answer, "Transfer-Encoding"), None);
}

#[tokio::test]
async fn an_endless_head_is_refused_at_its_bound() {
    let world = world().await;
    let answer = world.raw(format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}", "b".repeat(HEAD_BYTES))).await;
    assert_eq!(status(&answer), 431);
    let answer = world.raw(format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(64))).await;
    assert_eq!(status(&answer), 431);
}

#[tokio::test]
async fn slow_clients_lose_their_connection() {
    let world = world_with(quick(), Api::default(), Services::default()).await;
    let start = Instant::now();
    assert_eq!(status(&world.raw("GET / HTTP/1.1\r\nHost:").await), 408);
    let head = "POST /api/webrtc?src=cam HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nv=0";
    assert_eq!(status(&world.raw(head).await), 408);
    assert_eq!(world.raw("").await, "");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let limits = Limits { idle_time: Duration::from_millis(200), ..Limits::default() };
    let world = world_with(limits, Api::default(), Services::default()).await;
    let answer = world.raw("GET /api/schemes HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1);
}

#[tokio::test]
async fn a_stuck_request_holds_up_nobody_and_ends_in_time() {
    let limits = Limits { answer_time: Duration::from_millis(500), ..Limits::default() };
    let world = Arc::new(world_with(limits, Api::default(), Services::default()).await);
    let stuck: Vec<_> = (0..20)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move { world.ask("POST /api/webrtc?src=stuck", "", "v=0").await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    assert_eq!(status(&world.ask("GET /api/streams", "", "").await), 200);
    assert!(start.elapsed() < Duration::from_millis(300));
    for stuck in stuck {
        assert_eq!(status(&stuck.await.unwrap()), 504);
    }
}

#[tokio::test]
async fn other_protocols_are_told_off() {
    let world = world().await;
    assert_eq!(status(&world.raw("\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03").await), 400);
    assert_eq!(status(&world.raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await), 505);
    assert_eq!(status(&world.ask("BREW /", "", "").await), 405);
}

#[tokio::test]
async fn a_foreign_host_name_is_refused_before_the_routes() {
    let world = world().await;
    let answer = world.raw("GET /api/streams HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    assert_eq!(status(&answer), 421);
    assert!(body(&answer).contains("evil.example"));
}
