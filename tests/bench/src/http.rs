//! As much HTTP as signalling needs: one request over one connection, without redirects or chunks.
use crate::error::{Context, Error};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A relay that takes longer than this to answer is broken.
const ANSWER_TIME: Duration = Duration::from_secs(15);

pub struct Response {
    pub status: u16,
    pub location: Option<String>,
    pub body: String,
}

/// Sends one request. `body` is an SDP offer or empty.
pub async fn request(server: SocketAddr, method: &str, path: &str, body: &str) -> Result<Response, Error> {
    let what = format!("{method} http://{server}{path}");
    timeout(ANSWER_TIME, exchange(server, method, path, body)).await.context(&what)?.context(&what)
}

async fn exchange(server: SocketAddr, method: &str, path: &str, body: &str) -> Result<Response, Error> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let content = match body.len() {
        0 => String::new(),
        len => format!("Content-Type: application/sdp\r\nContent-Length: {len}\r\n"),
    };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n{content}\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut received = Vec::with_capacity(8 << 10);
    loop {
        if let Some(response) = parse(&received, false)? {
            return Ok(response);
        }
        if stream.read_buf(&mut received).await? == 0 {
            return parse(&received, true)?.ok_or_else(|| Error::new("the answer is cut off"));
        }
    }
}

/// The response once it is complete; one without a length ends with its connection.
fn parse(received: &[u8], closed: bool) -> Result<Option<Response>, Error> {
    let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&received[..end])?;
    let body = &received[end + 4..];
    let field = |name: &str| {
        let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    };
    let status = head.split(' ').nth(1).unwrap_or_default().parse()?;
    let complete = match field("content-length") {
        Some(len) => body.len() >= len.parse::<usize>()?,
        None => closed || status == 204,
    };
    Ok(complete.then(|| Response {
        status,
        location: field("location").map(str::to_owned),
        body: String::from_utf8_lossy(body).into_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_complete_when_its_length_is_reached() {
        let text = b"HTTP/1.1 201 Created\r\nlocation: /a/b\r\nContent-Length: 3\r\n\r\nv=0";
        assert!(parse(&text[..text.len() - 1], false).unwrap().is_none());
        let response = parse(text, false).unwrap().unwrap();
        assert_eq!((response.status, response.location.as_deref(), &*response.body), (201, Some("/a/b"), "v=0"));
    }
}
