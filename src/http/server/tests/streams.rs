//! Bodies that are made while they are read: who reads, who does not, and who leaves.
use crate::base::places::Places;
use crate::http::server::connection::serve;
use crate::http::server::handler::{Answering, Handler, ServeSocket};
use crate::http::server::limits::{HEAD_BYTES, Limits};
use crate::http::server::transport::Transport;
use crate::http::server::{Base, Counts, Pieces, Policy, Request, Response, Server};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// What the pipe takes, as the buffers of a system do.
const PIPE: usize = 1024;
const PIECE: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(5);

/// Streams with a producer that is told apart: `alive` has a receiver as long as one is there.
struct Streams {
    made: Arc<AtomicUsize>,
    queue: Mutex<Option<mpsc::Receiver<Bytes>>>,
    alive: watch::Sender<()>,
}

impl Streams {
    fn pieces(&self, path: &str) -> Option<Pieces> {
        let pieces: Pieces = match path {
            "/three" => Box::pin(stream::iter(["one", "", "two", "three"]).map(Bytes::from)),
            "/endless" => {
                let made = self.made.clone();
                Box::pin(stream::repeat_with(move || {
                    made.fetch_add(PIECE, Ordering::Relaxed);
                    Bytes::from_static(&[b'x'; PIECE])
                }))
            }
            "/quiet" => Box::pin(stream::iter(["one"]).map(Bytes::from).chain(stream::pending())),
            "/queue" => {
                let mut queue = self.queue.lock().unwrap().take()?;
                Box::pin(stream::poll_fn(move |cx| queue.poll_recv(cx)))
            }
            "/fault" => Box::pin(stream::iter([true, false]).map(|good| match good {
                true => Bytes::from("one"),
                false => panic!("as a fault in a producer does"),
            })),
            _ => return None,
        };
        let alive = self.alive.subscribe();
        Some(Box::pin(pieces.inspect(move |_| drop(alive.has_changed()))))
    }
}

impl Handler for Streams {
    fn answer(&self, request: Request) -> Answering<'_, Response> {
        let response = match self.pieces(&request.path) {
            Some(pieces) => Response::new(200).stream("text/plain", pieces),
            None => Response::text(200, "plain"),
        };
        Box::pin(async { response })
    }

    fn socket(&self, _: Request) -> Result<ServeSocket, Response> {
        Err(Response::new(404))
    }
}

struct World {
    server: Arc<Server>,
    streams: Arc<Streams>,
    queue: mpsc::Sender<Bytes>,
}

fn world(limits: Limits) -> World {
    let (queue, receiver) = mpsc::channel(1);
    let streams = Streams { made: Arc::default(), queue: Mutex::new(Some(receiver)), alive: watch::Sender::new(()) };
    let streams = Arc::new(streams);
    let server = Server {
        limits,
        policy: Policy::default(),
        allow: Vec::new(),
        base: Base::default(),
        tls: None,
        handler: streams.clone(),
        refused: Arc::default(),
        counts: Counts::new(1),
    };
    World { server: Arc::new(server), streams, queue }
}

fn quick() -> Limits {
    Limits { write_time: Duration::from_millis(200), count_loopback: true, ..Limits::default() }
}

impl World {
    /// A connection on which this request was sent, and the task that serves it.
    async fn send(&self, request: &str) -> (DuplexStream, JoinHandle<()>) {
        let (mut client, end) = duplex(PIPE);
        let server = self.server.clone();
        let task = tokio::spawn(async move {
            let head_by = Instant::now() + PATIENCE;
            serve(Transport::Pipe(end), ([127, 0, 0, 1], 1).into(), &server, head_by).await;
        });
        client.write_all(request.as_bytes()).await.unwrap();
        (client, task)
    }

    /// What comes until the connection ends.
    async fn ask(&self, request: &str) -> String {
        let (mut client, _) = self.send(request).await;
        let mut answer = Vec::new();
        timeout(PATIENCE, client.read_to_end(&mut answer)).await.expect("the connection does not end").unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Waits until no producer is left.
    async fn producers_end(&self) {
        timeout(PATIENCE, self.streams.alive.closed()).await.expect("the producer goes on");
    }
}

/// Reads until `text` was there.
async fn read_up_to(client: &mut DuplexStream, text: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(text.as_bytes()) {
        answer.push(timeout(PATIENCE, client.read_u8()).await.expect("nothing comes").unwrap());
    }
    String::from_utf8(answer).unwrap()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

fn last(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

const CHUNKS: &str = "\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n";

#[tokio::test]
async fn a_stream_comes_in_chunks_and_the_connection_goes_on() {
    let world = world(quick());
    let answer = world.ask(&(get("/three") + &last("/plain"))).await;
    assert!(answer.contains("\r\nTransfer-Encoding: chunked\r\n") && answer.contains(CHUNKS), "{answer}");
    assert!(answer.ends_with("\r\n\r\nplain\n"), "{answer}");
    let (head, _) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!head.contains("Content-Length") && !head.contains("Connection"), "{head}");
    assert!(head.contains("\r\nCache-Control: no-store"), "{head}");
    let answer = world.ask(&last("/three")).await;
    assert!(answer.contains("\r\nConnection: close\r\n") && answer.ends_with(CHUNKS), "{answer}");
    world.producers_end().await;
}

#[tokio::test]
async fn the_next_request_may_come_while_the_stream_goes() {
    let world = world(quick());
    let (mut client, _task) = world.send(&get("/queue")).await;
    world.queue.send("first".into()).await.unwrap();
    read_up_to(&mut client, "5\r\nfirst\r\n").await;
    client.write_all(last("/plain").as_bytes()).await.unwrap();
    world.queue.send("second".into()).await.unwrap();
    read_up_to(&mut client, "6\r\nsecond\r\n").await;
    drop(world.queue);
    assert!(read_up_to(&mut client, "plain\n").await.starts_with("0\r\n\r\nHTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn http_1_0_clients_get_the_bytes_and_a_close() {
    let world = world(quick());
    let answer = world.ask("GET /three HTTP/1.0\r\n\r\n").await;
    assert!(answer.contains("\r\nConnection: close\r\n") && answer.ends_with("\r\n\r\nonetwothree"), "{answer}");
    assert!(!answer.contains("Transfer-Encoding") && !answer.contains("Content-Length"), "{answer}");
}

#[tokio::test]
async fn a_request_for_the_head_ends_the_stream_and_takes_no_place() {
    let lasting = Places { all: 0, each: 0, kept: 0 };
    let world = world(Limits { lasting, ..quick() });
    let head = "HEAD /endless HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = world.ask(&(head.to_owned() + &last("/plain"))).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("xxx"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{answer}");
    world.producers_end().await;
    assert_eq!(world.streams.made.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_reader_that_does_not_read_costs_one_piece_and_is_ended_in_time() {
    let world = world(quick());
    let begun = Instant::now();
    let (_client, task) = world.send(&get("/endless")).await;
    timeout(PATIENCE, task).await.expect("it is never ended").unwrap();
    assert!(begun.elapsed() >= quick().write_time, "{:?}", begun.elapsed());
    assert_eq!(world.streams.made.load(Ordering::Relaxed), PIECE);
    world.producers_end().await;
}

#[tokio::test]
async fn a_reader_that_reads_slowly_is_served_for_as_long_as_it_does() {
    let world = world(quick());
    let (mut client, task) = world.send(&get("/endless")).await;
    let begun = Instant::now();
    let mut read = 0;
    while begun.elapsed() < 3 * quick().write_time {
        let mut some = [0; PIPE];
        read += client.read(&mut some).await.unwrap();
        sleep(quick().write_time / 40).await;
    }
    assert!(!task.is_finished());
    assert!(world.streams.made.load(Ordering::Relaxed) <= read + PIPE + PIECE);
}

#[tokio::test]
async fn a_producer_with_a_queue_waits_for_the_reader() {
    let world = world(Limits { write_time: PATIENCE, ..quick() });
    let (mut client, _task) = world.send(&get("/queue")).await;
    let mut sent = 0;
    while timeout(Duration::from_millis(50), world.queue.send(Bytes::from_static(&[b'x'; PIECE]))).await.is_ok() {
        sent += 1;
    }
    // One is on its way, one waits in the queue.
    assert_eq!(sent, 2);
    let piece = format!("{PIECE:x}\r\n{}\r\n", "x".repeat(PIECE));
    read_up_to(&mut client, &piece).await;
    timeout(PATIENCE, world.queue.send("more".into())).await.expect("there is room again").unwrap();
}

#[tokio::test]
async fn a_reader_that_leaves_ends_the_producer_at_once() {
    let world = world(Limits { write_time: 10 * PATIENCE, ..quick() });
    for (path, begin) in [("/quiet", "3\r\none\r\n"), ("/endless", "1000\r\n")] {
        let (mut client, task) = world.send(&get(path)).await;
        read_up_to(&mut client, begin).await;
        assert!(world.streams.alive.receiver_count() > 0);
        drop(client);
        world.producers_end().await;
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_reader_that_talks_instead_of_listening_is_ended() {
    let world = world(quick());
    let (mut client, task) = world.send(&get("/quiet")).await;
    // The pipe breaks while it talks.
    let _ = client.write_all(&vec![b'x'; HEAD_BYTES * 2]).await;
    timeout(PATIENCE, task).await.expect("it is never ended").unwrap();
    world.producers_end().await;
}

#[tokio::test]
async fn a_fault_in_a_producer_does_not_look_like_the_end() {
    let world = world(quick());
    let answer = world.ask(&get("/fault")).await;
    assert!(answer.ends_with("\r\n\r\n3\r\none\r\n"), "{answer}");
}

#[tokio::test]
async fn streams_leave_places_for_requests() {
    let lasting = Places { all: 2, each: 1, kept: 0 };
    let world = world(Limits { lasting, ..quick() });
    let (mut client, _task) = world.send(&get("/quiet")).await;
    read_up_to(&mut client, "one\r\n").await;
    let answer = world.ask(&(get("/quiet") + &last("/plain"))).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: 5\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nplain\n"), "{answer}");
    drop(client);
    world.producers_end().await;
    while !world.ask(&last("/three")).await.starts_with("HTTP/1.1 200 ") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn streams_end_with_the_server() {
    let world = world(quick());
    let (mut client, task) = world.send(&get("/quiet")).await;
    read_up_to(&mut client, "one\r\n").await;
    task.abort();
    world.producers_end().await;
    assert_eq!(
        timeout(PATIENCE, client.read_u8()).await.unwrap().unwrap_err().kind(),
        std::io::ErrorKind::UnexpectedEof
    );
}

#[tokio::test]
async fn slow_readers_of_streams_make_way_when_memory_is_short() {
    let world = world(Limits { unread: PIECE, write_time: PATIENCE, ..quick() });
    let (_slow, task) = world.send(&get("/endless")).await;
    while world.streams.made.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let (mut quick, _task) = world.send(&get("/endless")).await;
    read_up_to(&mut quick, "1000\r\n").await;
    timeout(PATIENCE, task).await.expect("the slow one goes on").unwrap();
}
