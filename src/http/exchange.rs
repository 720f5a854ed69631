//! One request to tiny_http and its response back to the client, in bounded pieces.
use super::gate::{Gate, serialise};
use super::head::{Head, Method};
use super::inner::{PEER_FIELD, TOKEN_FIELD};
use super::limits::{COPY_BYTES, RESPONSE_TIME};
use super::response::{Response, has_no_body, reason};
use super::transport::Transport;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Fields and bytes of a response head; ours are far below.
const HEAD_FIELDS: usize = 32;
const HEAD_BYTES: usize = 8 * 1024;

/// The start of a response: its head rewritten for the client, and how much body there is.
struct Start {
    status: u16,
    head: String,
    body: usize,
}

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
    let mut buffer = Vec::new();
    let asked = timeout(gate.limits.answer_time, ask(gate, peer, head, body, &mut buffer)).await;
    let failure = match asked {
        Ok(Ok((inner, start))) => {
            let path = head.target.split('?').next().unwrap_or_default();
            log::debug!(target: "api", "{peer} {} {path} {}", head.method.as_str(), start.status);
            let copy = copy(client, inner, start, gate, head, more, buffer);
            return timeout(RESPONSE_TIME, copy).await.map_err(|_| io::ErrorKind::TimedOut)?;
        }
        Ok(Err(error)) => {
            log::warn!(target: "api", "inner HTTP server: {error}");
            Response::text(503, "the relay cannot answer right now, try again later").retry_later()
        }
        Err(_) => Response::text(504, "the relay took too long to answer; its log says what it waited for"),
    };
    let bytes = serialise(&failure, more, !head.keep_alive, head.method == Method::Head);
    timeout(gate.limits.write_time, client.send(&bytes)).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// Sends the canonical request and reads until the response's head is there; `buffer` keeps what follows it.
async fn ask(
    gate: &Gate,
    peer: SocketAddr,
    head: &Head,
    body: Vec<u8>,
    buffer: &mut Vec<u8>,
) -> io::Result<(UnixStream, Start)> {
    let mut inner = gate.inner.connect().await?;
    let mut request = format!(
        "{} {} HTTP/1.1\r\n{TOKEN_FIELD}: {}\r\n{PEER_FIELD}: {peer}\r\nconnection: close\r\ncontent-length: {}\r\n",
        head.method.as_str(),
        head.target,
        gate.inner.token(),
        body.len(),
    );
    for (name, value) in &head.fields {
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    inner.write_all(request.as_bytes()).await?;
    inner.write_all(&body).await?;
    drop(body);
    loop {
        buffer.reserve(COPY_BYTES);
        if inner.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((start, length)) = parse_start(buffer)? {
            buffer.drain(..length);
            return Ok((inner, start));
        }
    }
}

fn parse_start(bytes: &[u8]) -> io::Result<Option<(Start, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; HEAD_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes).map_err(io::Error::other)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if bytes.len() < HEAD_BYTES => return Ok(None),
        httparse::Status::Partial => return Err(io::Error::other("response head too large")),
    };
    let status = response.code.unwrap_or(500);
    let mut start = Start { status, head: format!("HTTP/1.1 {status} {}\r\n", reason(status)), body: 0 };
    for field in response.headers.iter() {
        let value = std::str::from_utf8(field.value).map_err(io::Error::other)?;
        if field.name.eq_ignore_ascii_case("content-length") {
            start.body = value.parse().map_err(io::Error::other)?;
        } else if !field.name.eq_ignore_ascii_case("connection") {
            start.head += &format!("{}: {value}\r\n", field.name);
        }
    }
    if !has_no_body(status) {
        start.head += &format!("Content-Length: {}\r\n", start.body);
    }
    Ok(Some((start, length)))
}

/// Copies piece by piece; a client that does not take a piece in time loses the connection.
async fn copy(
    client: &mut Transport,
    mut inner: UnixStream,
    start: Start,
    gate: &Gate,
    head: &Head,
    more: &str,
    mut buffer: Vec<u8>,
) -> io::Result<()> {
    let end = if head.keep_alive { "\r\n" } else { "Connection: close\r\n\r\n" };
    let mut piece = format!("{}{more}{end}", start.head).into_bytes();
    let mut left = if head.method == Method::Head || has_no_body(start.status) { 0 } else { start.body };
    buffer.truncate(left);
    left -= buffer.len();
    piece.append(&mut buffer);
    loop {
        timeout(gate.limits.write_time, client.send(&piece)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        if left == 0 {
            return Ok(());
        }
        piece.clear();
        piece.reserve(COPY_BYTES);
        let read = (&mut inner).take(left.min(COPY_BYTES) as u64).read_buf(&mut piece).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= read;
    }
}
