//! One request: the handler answers it, and the answer goes to the client as fast as that reads.
use super::body::Body;
use super::handler::Handler;
use super::head::Head;
use super::limits::{RESPONSE_BYTES, RESPONSE_TIME};
use super::percent::decode_path;
use super::render::{self, Ending};
use super::request::Request;
use super::response::Response;
use super::send;
use super::state::Server;
use super::transport::Transport;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use tiny_http::Method;
use tokio::time::timeout;

/// The bytes of the client's next request go into `early`. `more`: complete field lines that the response gets in
/// addition. An error means that the connection to the client cannot go on.
pub async fn run(
    client: &mut Transport,
    early: &mut Vec<u8>,
    server: &Server,
    (head, peer, body): (Head, SocketAddr, Vec<u8>),
    more: &str,
    ending: Ending,
) -> io::Result<()> {
    let is_head = head.method == Method::Head;
    let path = || decode_path(head.target.split('?').next().unwrap_or_default()).unwrap_or_default();
    let line = log::log_enabled!(target: "api", log::Level::Debug).then(|| format!("{} {}", head.method, path()));
    let response = match timeout(server.limits.answer_time, answer(&*server.handler, head, peer, body)).await {
        Ok(response) => bounded(response),
        Err(_) => Response::text(504, "the relay took too long to answer; its log says what it waited for"),
    };
    let is_stream = matches!(response.body, Body::Stream(_));
    let (response, _place) = match (is_stream && !is_head).then(|| server.lasting(peer.ip())) {
        Some(Err(crowded)) => (crowded.into(), None),
        place => (response, place),
    };
    if let Some(line) = line {
        log::debug!(target: "api", "{peer} {line} {}", response.status);
    }
    let limits = &server.limits;
    let keep = |bytes| server.counts.outbox.keep(peer.ip(), bytes, limits.unread);
    let head = render::head(&response, more, ending);
    match response.body {
        body if is_head => {
            drop(body);
            send::bytes(client, head, b"", limits).await
        }
        Body::Stream(pieces) => {
            let parcel = keep(0);
            send::stream(client, early, head, pieces, ending != Ending::Close, limits, &parcel).await
        }
        body => {
            let parcel = keep(body.owned_bytes());
            let sent = send::bytes(client, head, body.bytes(), limits);
            tokio::select! {
                sent = timeout(RESPONSE_TIME, sent) => sent.map_err(|_| io::ErrorKind::TimedOut)?,
                () = parcel.given_up() => Err(io::Error::new(io::ErrorKind::TimedOut, "others need the memory")),
            }
        }
    }
}

/// What is answered after a fault.
pub fn fault() -> Response {
    Response::text(500, "an internal fault, the log says more")
}

/// Reads the request and calls the handler. A fault in either answers 500 and ends nothing else.
async fn answer(handler: &dyn Handler, head: Head, peer: SocketAddr, body: Vec<u8>) -> Response {
    let asked = catch_unwind(AssertUnwindSafe(|| handler.answer(Request::new(head, peer, body))));
    let Ok(mut answer) = asked else { return fault() };
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
        Ok(poll) => poll,
        Err(_) => Poll::Ready(fault()),
    })
    .await
}

fn bounded(response: Response) -> Response {
    let bytes = response.body.bytes().len();
    if bytes <= RESPONSE_BYTES {
        return response;
    }
    Response::text(
        500,
        format!("the answer has {bytes} bytes, {RESPONSE_BYTES} are possible; ask for less at one time"),
    )
}
