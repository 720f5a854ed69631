//! One connection of a client: reads requests within the limits, checks who asks, and passes each one on in turn.
use super::base::Below;
use super::chunked::Chunked;
use super::closing::{close_gently, refuse};
use super::cors;
use super::exchange;
use super::head::{self, Framing, Head, WebSocketAsk};
use super::limits::{COPY_BYTES, HEAD_BYTES, Limits};
use super::refusal::{Kind as RefusalKind, Refusal};
use super::render::{self, Ending};
use super::request::Request;
use super::response::Response;
use super::state::Server;
use super::transport::Transport;
use super::upgrade;
use crate::doctor::refusals::Kind;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout, timeout_at};

/// Room made for each read of a head.
const HEAD_READ: usize = 1024;

/// Why reading stopped.
enum Stop {
    /// The client is gone, or never said anything: nothing to answer.
    Gone,
    Refused(Refusal),
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// `head_by`: when the head of the first request must be complete.
pub async fn serve(mut stream: Transport, peer: SocketAddr, server: &Server, head_by: Instant) {
    let (mut buffer, limits) = (Vec::new(), &server.limits);
    let mut first = Some(head_by);
    loop {
        let mut head = match read_head(&mut stream, &mut buffer, limits, first).await {
            Ok(head) => head,
            Err(Stop::Gone) => return,
            Err(Stop::Refused(refusal)) => return refuse(stream, refusal.into(), "", limits.write_time).await,
        };
        first = None;
        if let Err(refusal) = check(&head, server) {
            log::debug!(target: "api", "{peer}: refused with {}", refusal.status());
            return refuse(stream, refusal.into(), "Vary: Origin\r\n", limits.write_time).await;
        }
        let more = field_lines(&head);
        match server.base.below(&head.target) {
            Below::Target(target) if target.len() == head.target.len() => {}
            Below::Target(target) => head.target = target.to_owned(),
            Below::Redirect(location) => {
                let redirect = Response::new(307).with("Location", location);
                return refuse(stream, redirect, &more, limits.write_time).await;
            }
        }
        if let Some(ask) = head.websocket.take() {
            return socket(stream, buffer, head, &ask, &more, peer, server).await;
        }
        let body = match read_body(&mut stream, &mut buffer, &head, limits).await {
            Ok(body) => body,
            Err(Stop::Gone) => return,
            Err(Stop::Refused(refusal)) => return refuse(stream, refusal.into(), &more, limits.write_time).await,
        };
        let (keep_alive, old) = (head.keep_alive, head.old);
        let ending = match keep_alive {
            true => Ending::Told,
            false if old => Ending::Close,
            false => Ending::ToldLast,
        };
        let asked = (head, peer, body);
        if exchange::run(&mut stream, &mut buffer, server, asked, &more, ending).await.is_err() {
            return;
        }
        if !keep_alive {
            return close_gently(stream).await;
        }
        if buffer.is_empty() {
            buffer = Vec::new();
        }
    }
}

/// Opens a WebSocket and serves it to its end, or says why not.
async fn socket(
    mut stream: Transport,
    early: Vec<u8>,
    head: Head,
    ask: &WebSocketAsk,
    more: &str,
    peer: SocketAddr,
    server: &Server,
) {
    let (framing, write_time) = (head.framing, server.limits.write_time);
    let asked = catch_unwind(AssertUnwindSafe(|| server.handler.socket(Request::new(head, peer, Vec::new()))));
    let asked = asked.unwrap_or_else(|_| Err(exchange::fault()));
    let open = |serve| Ok((serve, upgrade::handshake(ask, framing)?, server.lasting(peer.ip())?));
    match asked.and_then(open) {
        Ok((serve, answer, _place)) => {
            let answer = render::switch(&answer, "websocket");
            if timeout(write_time, stream.send(&answer)).await.is_ok_and(|result| result.is_ok()) {
                serve(upgrade::open(stream, early).await).await;
            }
        }
        Err(refusal) => refuse(stream, refusal, more, write_time).await,
    }
}

/// The rules that hold for every address.
fn check(head: &Head, server: &Server) -> Result<(), Refusal> {
    let now = std::time::Instant::now();
    let host = match &head.host {
        Some(host) => Some(server.policy.check_host(host).inspect_err(|_| server.refused.note(Kind::Host, host, now))?),
        None => None,
    };
    match &head.origin {
        Some(origin) => server
            .policy
            .check_origin(origin, host.as_ref())
            .inspect_err(|_| server.refused.note(Kind::Origin, origin, now)),
        None => Ok(()),
    }
}

fn field_lines(head: &Head) -> String {
    cors::fields(head).iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

/// Reads up to the end of a head; what follows it stays in `buffer`.
async fn read_head(
    stream: &mut Transport,
    buffer: &mut Vec<u8>,
    limits: &Limits,
    first: Option<Instant>,
) -> Result<Head, Stop> {
    if buffer.is_empty() && first.is_none() {
        match timeout(limits.idle_time, read_some(stream, buffer)).await {
            Ok(read) => read?,
            Err(_) => return Err(Stop::Gone),
        }
    }
    let deadline = first.unwrap_or_else(|| Instant::now() + limits.head_time);
    // Parsing anew pays only when a line was completed; the first look catches what is not HTTP at all.
    let mut look = !buffer.is_empty();
    let mut seen = 0;
    loop {
        if look && let Some((head, length)) = head::parse(buffer)? {
            buffer.drain(..length);
            return Ok(head);
        }
        let before = buffer.len();
        match timeout_at(deadline, read_some(stream, buffer)).await {
            Ok(read) => read?,
            Err(_) if buffer.is_empty() => return Err(Stop::Gone),
            Err(_) => {
                let seconds = limits.head_time.as_secs();
                return Err(
                    Refusal::new(RefusalKind::TooSlow, format!("the request head took more than {seconds} s")).into()
                );
            }
        }
        look = before == 0 || buffer[seen..].contains(&b'\n') || buffer.len() >= HEAD_BYTES;
        seen = buffer.len();
    }
}

/// Appends at least one byte.
async fn read_some(stream: &mut Transport, buffer: &mut Vec<u8>) -> Result<(), Stop> {
    buffer.reserve(HEAD_READ);
    match stream.read_buf(buffer).await? {
        0 => Err(Stop::Gone),
        _ => Ok(()),
    }
}

async fn read_body(
    stream: &mut Transport,
    buffer: &mut Vec<u8>,
    head: &Head,
    limits: &Limits,
) -> Result<Vec<u8>, Stop> {
    if head.framing == Framing::Length(0) {
        return Ok(Vec::new());
    }
    let read = async {
        if head.expects_continue && buffer.is_empty() {
            stream.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        match head.framing {
            Framing::Length(length) => read_length(stream, buffer, length).await,
            Framing::Chunked => read_chunks(stream, buffer).await,
        }
    };
    match timeout(limits.body_time, read).await {
        Ok(body) => body,
        Err(_) => {
            let seconds = limits.body_time.as_secs();
            Err(Refusal::new(RefusalKind::TooSlow, format!("the request body took more than {seconds} s")).into())
        }
    }
}

/// The memory grows with what has arrived, not with what was announced.
async fn read_length(stream: &mut Transport, buffer: &mut Vec<u8>, length: usize) -> Result<Vec<u8>, Stop> {
    let mut body: Vec<u8> = buffer.drain(..length.min(buffer.len())).collect();
    while body.len() < length {
        let left = length - body.len();
        body.reserve(left.min(COPY_BYTES));
        if stream.take(left as u64).read_buf(&mut body).await? == 0 {
            return Err(Stop::Gone);
        }
    }
    Ok(body)
}

async fn read_chunks(stream: &mut Transport, buffer: &mut Vec<u8>) -> Result<Vec<u8>, Stop> {
    let (mut decoder, mut body) = (Chunked::default(), Vec::new());
    loop {
        let used = decoder.feed(buffer, &mut body)?;
        buffer.drain(..used);
        if decoder.is_done() {
            return Ok(body);
        }
        read_some(stream, buffer).await?;
    }
}
