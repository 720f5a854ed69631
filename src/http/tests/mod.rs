//! The front over real sockets with a pretended engine behind it.
mod api;
mod gate;
mod sharing;
mod websocket;
mod whep;

use super::server::limits::Limits;
use super::{Front, Services};
use crate::config::Api;
use crate::config::secrets::public_url;
use crate::driver::handle::EngineHandle;
use crate::engine::api::{Answer, Command, Error, ErrorKind, Trickled};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

/// The id that the pretended engine gives to each session.
pub const ID: &str = "0123456789abcdef0123456789abcdef";

/// A running front and what its engine was asked.
pub struct World {
    pub address: SocketAddr,
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection from another address of loopback, of which each is a client where loopback is counted. It takes
    /// little at a time, so that the system keeps little for it.
    pub async fn connect_from(&self, last: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, last], 0).into()).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket2::SockRef::from(&socket).set_tcp_mss(536).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    /// Sends bytes and reads until the front closes.
    pub async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        read_all(&mut stream).await
    }

    /// One request with usual fields and `Connection: close`.
    pub async fn ask(&self, line: &str, fields: &str, body: &str) -> String {
        let length = body.len();
        self.raw(format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n{body}",
            self.address
        ))
        .await
    }
}

pub async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
    read.await.expect("the front did not close").unwrap();
    String::from_utf8(answer).unwrap()
}

pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("no status: {answer:?}")).parse().unwrap()
}

pub fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
}

pub fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

pub async fn world() -> World {
    world_with(Limits::default(), Api::default(), Services::default()).await
}

pub async fn world_with(limits: Limits, api: Api, services: Services) -> World {
    let (relay, commands) = EngineHandle::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(engine(commands, asked.clone()));
    let api = Api { listen: "127.0.0.1:0".into(), ..api };
    let front = Front::with_limits(&api, relay, services, limits).unwrap();
    let address = front.local_addr().unwrap();
    tokio::spawn(front.run(std::future::pending()));
    World { address, asked }
}

/// Knows the streams `cam`, `slow` (answers late), `stuck` (never does) and `hevc` (matches nobody), and one session.
async fn engine(mut commands: mpsc::Receiver<Command>, asked: Arc<Mutex<Vec<String>>>) {
    let names = ["cam", "front door", "slow", "stuck", "hevc"];
    let mut streams: BTreeMap<String, Vec<String>> =
        names.iter().map(|name| (name.to_string(), vec![format!("rtsp://{name}")])).collect();
    let unknown = |what: &str| Error::new(ErrorKind::NotFound, format!("{what} not found"));
    let show = |sources: &Vec<String>| {
        let producers: Vec<_> = sources.iter().map(|source| json!({"url": public_url(source)})).collect();
        json!({"producers": producers, "consumers": null})
    };
    let note = |line: String| asked.lock().unwrap().push(line);
    while let Some(command) = commands.recv().await {
        match command {
            Command::Offer { offer, reply } => {
                note(format!("offer {} {:?} {} {}", offer.stream, offer.intent, offer.format, offer.sdp.text));
                let answer = Ok(Answer {
                    id: ID.into(),
                    sdp: format!("v=0\r\ns={} {}\r\n", offer.format, offer.user_agent),
                    candidates: vec!["candidate:1 1 udp 1 10.0.0.1 8555 typ host".into()],
                    more: false,
                    etag: "\"one\"".into(),
                    talks: offer.sdp.text.contains("sendrecv"),
                });
                let answer = match offer.stream.as_str() {
                    "hevc" => Err(Error::new(
                        ErrorKind::CodecMismatch,
                        "streams: codecs not matched: video:H265 => video:VP8",
                    )),
                    name if !streams.contains_key(name) => Err(unknown("stream")),
                    _ if !offer.sdp.text.starts_with("v=0") => Err(Error::new(ErrorKind::BadRequest, "sdp: line 1")),
                    _ => answer,
                };
                tokio::spawn(async move {
                    match offer.stream.as_str() {
                        "slow" => tokio::time::sleep(Duration::from_millis(300)).await,
                        "stuck" => std::future::pending().await,
                        _ => {}
                    }
                    reply.send(answer).ok();
                });
            }
            Command::Reoffer { id, sdp, reply } => {
                let again = id == ID && sdp.text.contains("again");
                let answer = again.then(|| {
                    note(format!("reoffer {}", sdp.text));
                    let (candidates, etag) = (Vec::new(), "\"one\"".into());
                    Answer {
                        id: ID.into(),
                        sdp: "v=0\r\ns=again\r\n".into(),
                        candidates,
                        more: false,
                        etag,
                        talks: false,
                    }
                });
                reply.send(Ok(answer)).ok();
            }
            Command::Talk { mut events, reply, .. } => {
                reply.send(Ok(())).ok();
                assert!(events.tell(false) && events.tell(true));
            }
            Command::Trickle { id, trickle, reply } => {
                note(format!("trickle {}", trickle.candidates.len()));
                let restart = trickle.credentials.is_some_and(|(ufrag, _)| ufrag == "newer");
                let result = match trickle.if_match.as_deref() {
                    _ if id != ID => Err(unknown("session")),
                    Some("\"stale\"") => Err(Error::new(ErrorKind::PreconditionFailed, "another version")),
                    _ if restart => {
                        Ok(Trickled::Restarted { fragment: "a=ice-ufrag:x\r\n".into(), etag: "\"two\"".into() })
                    }
                    _ => Ok(Trickled::Taken),
                };
                reply.send(result).ok();
            }
            Command::LateCandidates { reply, .. } => drop(reply.send(Ok(Vec::new()))),
            Command::Close { id, reply } => {
                note(format!("close {id}"));
                reply.send(if id == ID { Ok(()) } else { Err(unknown("session")) }).ok();
            }
            Command::Etag { id, reply } => {
                reply.send(if id == ID { Ok("\"one\"".into()) } else { Err(unknown("session")) }).ok();
            }
            Command::Streams { reply } => {
                let all: serde_json::Map<_, _> =
                    streams.iter().map(|(name, sources)| (name.clone(), show(sources))).collect();
                reply.send(Ok(all.into())).ok();
            }
            Command::Stream { name, reply } => {
                reply.send(streams.get(&name).map(show).ok_or_else(|| unknown("stream"))).ok();
            }
            Command::Probe { name, video, audio, microphone, reply } => {
                note(format!("probe {name} {video:?} {audio:?} {microphone:?}"));
                reply.send(streams.get(&name).map(show).ok_or_else(|| unknown("stream"))).ok();
            }
            Command::MayPut { name, reply, .. } => {
                let full = || Error::new(ErrorKind::Full, "there are enough");
                reply.send(if name == "one-too-many" { Err(full()) } else { Ok(()) }).ok();
            }
            Command::PutStream { name, sources, reply, .. } => {
                note(format!("put {name} {sources:?}"));
                streams.insert(name, sources);
                reply.send(Ok(())).ok();
            }
            Command::DeleteStream { name, reply } => {
                note(format!("delete {name}"));
                reply.send(streams.remove(&name).map(drop).ok_or_else(|| unknown("stream"))).ok();
            }
            Command::Session { id, reply } => {
                let known = json!({"state": "connected"});
                reply.send(if id == ID { Ok(known) } else { Err(unknown("session")) }).ok();
            }
            Command::Doctor { asker_clock_s, reply, .. } => {
                drop(reply.send(Ok(json!({"findings": 1, "clock": asker_clock_s}))));
            }
            Command::Pulse { reply } => drop(reply.send(Ok(None))),
            Command::Status { reply } => {
                reply.send(Ok(json!({"sessions": 0}))).ok();
            }
        }
    }
}
