//! One request: the route answers it, and the answer goes to the client as fast as that reads.
use super::gate::Gate;
use super::head::{Head, Method};
use super::limits::{COPY_BYTES, RESPONSE_BYTES, RESPONSE_TIME};
use super::percent::decode_path;
use super::render;
use super::request::Request;
use super::response::Response;
use super::transport::Transport;
use crate::http::api::routes::{self, App};
use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use tokio::time::timeout;

/// `more`: complete field lines that the client's response gets in addition. An error means that the connection to the
/// client cannot go on.
pub async fn run(
    client: &mut Transport,
    peer: SocketAddr,
    gate: &Gate,
    head: &Head,
    more: &str,
    body: Vec<u8>,
) -> io::Result<()> {
    let response = match timeout(gate.limits.answer_time, answer(&gate.app, head, peer, body)).await {
        Ok(response) => bounded(response),
        Err(_) => Response::text(504, "the relay took too long to answer; its log says what it waited for"),
    };
    let path = decode_path(head.target.split('?').next().unwrap_or_default()).unwrap_or_default();
    log::debug!(target: "api", "{peer} {} {path} {}", head.method.as_str(), response.status);
    let first = render::head(&response, more, !head.keep_alive);
    let body = if head.method == Method::Head { Cow::Borrowed(&b""[..]) } else { response.body };
    // What is part of the binary is in memory once, however many wait for it.
    let bytes = if matches!(body, Cow::Owned(_)) { body.len() } else { 0 };
    let parcel = gate.outbox.keep(peer.ip(), bytes, gate.limits.unread);
    tokio::select! {
        sent = timeout(RESPONSE_TIME, send(client, first, &body, gate)) => sent.map_err(|_| io::ErrorKind::TimedOut)?,
        () = parcel.given_up() => Err(io::Error::new(io::ErrorKind::TimedOut, "others need the memory")),
    }
}

/// Calls the route. A fault in it answers 500 and ends nothing else.
async fn answer(app: &App, head: &Head, peer: SocketAddr, body: Vec<u8>) -> Response {
    // On the heap while it lasts only: most connections are quiet most of the time.
    let mut answer = Box::pin(async {
        let fields = head.fields.iter().map(|(name, value)| (*name, value.as_str()));
        routes::answer(app, Request::new(head.method, &head.target, fields, peer, body)).await
    });
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
        Ok(poll) => poll,
        Err(_) => Poll::Ready(Response::text(500, "an internal fault, the log says more")),
    })
    .await
}

fn bounded(response: Response) -> Response {
    if response.body.len() <= RESPONSE_BYTES {
        return response;
    }
    let bytes = response.body.len();
    Response::text(
        500,
        format!("the answer has {bytes} bytes, {RESPONSE_BYTES} are possible; ask for less at one time"),
    )
}

/// Sends piece by piece; a client that does not take a piece in time loses the connection.
async fn send(client: &mut Transport, mut first: Vec<u8>, body: &[u8], gate: &Gate) -> io::Result<()> {
    let (start, rest) = body.split_at(body.len().min(COPY_BYTES));
    first.extend_from_slice(start);
    for piece in std::iter::once(first.as_slice()).chain(rest.chunks(COPY_BYTES)) {
        timeout(gate.limits.write_time, client.send(piece)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    }
    Ok(())
}
