//! One client leaves room for the others: connections, WebSockets, memory and time.
use super::*;
use crate::base::places::Places;
use crate::http::server::limits::RESPONSE_BYTES;
use std::time::Instant;

const ANSWERED: &str = "GET /api/schemes HTTP/1.1\r\nHost: x\r\n\r\n";
const LOG: &str = "GET /api/log HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// A log of so many bytes, which nobody may empty.
struct Long(usize);

impl crate::http::Log for Long {
    fn text(&self) -> String {
        "x".repeat(self.0)
    }

    fn follow(&self) -> crate::http::Pieces {
        Box::pin(futures_util::stream::pending())
    }

    fn clear(&self) {
        panic!("as a fault in a route does");
    }
}

async fn world_with_log(bytes: usize, limits: Limits) -> World {
    let services = Services { log: Some(Arc::new(Long(bytes))), ..Services::default() };
    world_with(Limits { count_loopback: true, ..limits }, Api::default(), services).await
}

/// The status of the first answer to a request from 127.0.0.`last`, and the connection.
async fn ask_from(world: &World, last: u8, request: &str) -> (u16, TcpStream) {
    let mut stream = world.connect_from(last).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut line = [0; 12];
    stream.read_exact(&mut line).await.unwrap();
    (status(std::str::from_utf8(&line).unwrap()), stream)
}

/// As many answered requests at one time from an address as are let in.
async fn all_from(world: &World, last: u8, request: &str, good: u16) -> Vec<TcpStream> {
    let mut held = Vec::new();
    loop {
        match ask_from(world, last, request).await {
            (status, stream) if status == good => held.push(stream),
            (status, mut stream) => {
                assert_eq!(status, 503);
                let answer = read_all(&mut stream).await;
                assert!(answer.contains("\r\nRetry-After: 5\r\n") && answer.contains("; close some pages"), "{answer}");
                return held;
            }
        }
    }
}

#[tokio::test]
async fn readers_that_never_read_are_dropped_and_hold_up_nobody() {
    let limits = Limits { write_time: Duration::from_millis(500), unread: 64 << 20, ..Limits::default() };
    let world = world_with_log(RESPONSE_BYTES, limits).await;
    let mut lazy = Vec::new();
    for _ in 0..12 {
        lazy.push(ask_from(&world, 2, LOG).await.1);
    }
    let start = Instant::now();
    assert_eq!(ask_from(&world, 3, ANSWERED).await.0, 200);
    assert_eq!(ask_from(&world, 3, &LOG.replace("GET", "HEAD")).await.0, 200);
    assert!(start.elapsed() < Duration::from_millis(400), "{:?}", start.elapsed());
    tokio::time::sleep(Duration::from_millis(700)).await;
    let mut answer = Vec::new();
    let read = lazy[0].read_to_end(&mut answer).await;
    assert!(read.is_err() || answer.len() < RESPONSE_BYTES, "{}", answer.len());
}

#[tokio::test]
async fn a_slow_reader_makes_way_when_memory_is_short() {
    let limits = Limits { unread: RESPONSE_BYTES * 3 / 2, ..Limits::default() };
    let world = world_with_log(RESPONSE_BYTES, limits).await;
    let (_, mut slow) = ask_from(&world, 2, LOG).await;
    let (_, mut quick) = ask_from(&world, 3, LOG).await;
    assert!(read_all(&mut quick).await.len() > RESPONSE_BYTES);
    let mut answer = Vec::new();
    let read = slow.read_to_end(&mut answer).await;
    assert!(read.is_err() || answer.len() < RESPONSE_BYTES, "{}", answer.len());
}

#[tokio::test]
async fn an_answer_beyond_its_bound_is_refused_with_a_reason() {
    let world = world_with_log(RESPONSE_BYTES + 1, Limits::default()).await;
    let answer = world.ask("GET /api/log", "", "").await;
    assert_eq!(status(&answer), 500);
    assert!(body(&answer).contains("ask for less"), "{answer}");
}

#[tokio::test]
async fn a_fault_in_a_route_answers_500_and_the_connection_goes_on() {
    let world = world_with_log(1, Limits::default()).await;
    let answer = world
        .raw(
            "DELETE /api/log HTTP/1.1\r\nHost: x\r\n\r\n\
             GET /api/schemes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        .await;
    assert_eq!(status(&answer), 500);
    assert!(answer.contains("HTTP/1.1 200 OK") && answer.contains("\"rtsp\""), "{answer}");
}

#[tokio::test]
async fn four_greedy_clients_leave_connections_for_others() {
    let connections = Places { all: 20, each: 5, kept: 2 };
    let world = world_with_log(1, Limits { connections, ..Limits::default() }).await;
    let mut held = Vec::new();
    for client in 2..6 {
        let all = all_from(&world, client, ANSWERED, 200).await;
        assert!((2..=5).contains(&all.len()), "{}", all.len());
        held.push(all);
    }
    let (status, other) = ask_from(&world, 6, ANSWERED).await;
    assert_eq!(status, 200);
    drop((held, other));
    // Ends are noticed one by one.
    while ask_from(&world, 2, ANSWERED).await.0 != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn websockets_leave_places_for_requests_and_for_other_clients() {
    let lasting = Places { all: 8, each: 3, kept: 0 };
    let world = world_with_log(1, Limits { lasting, ..Limits::default() }).await;
    let socket = "GET /api/ws?src=cam HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut held = Vec::new();
    for client in 2..5 {
        held.push(all_from(&world, client, socket, 101).await);
    }
    assert_eq!(held.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    assert_eq!(ask_from(&world, 2, ANSWERED).await.0, 200);
    assert_eq!(ask_from(&world, 5, socket).await.0, 101);
}
