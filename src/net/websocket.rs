//! A WebSocket to the place of a URL, as cameras, clouds and trackers want it.
use super::tls::Trust;
use crate::gather::scope::Scope;
use crate::net::connect::{self, Connection, Place};
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::WebSocketConfig;

/// Time for the connection and both handshakes.
const OPENING: Duration = Duration::from_secs(10);
/// Bytes that wait for a peer that does not read: a session description with its JSON, twice. A further message ends the
/// connection; answers to pings wait for room, the newest one only.
const MAX_WAITING: usize = 256 << 10;

/// The bounds of a WebSocket whose messages have `max_message` bytes at most, whole or in fragments. Nothing is held back
/// to be sent with more.
pub fn bounds(max_message: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WAITING)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message))
}

/// Why a WebSocket did not open: a sentence with the host in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotOpened {
    /// What an HTTP server answered instead of opening it.
    pub status: Option<u16>,
    sentence: String,
}

impl From<String> for NotOpened {
    fn from(sentence: String) -> Self {
        Self { status: None, sentence }
    }
}

impl fmt::Display for NotOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for NotOpened {}

/// Opens a WebSocket for messages of `max_message` bytes at most, with the URL's login if it has one.
///
/// # Errors
/// If nobody answers there in time, `scope` forbids it, or it is something else than a WebSocket.
pub async fn open(
    place: &Place,
    trust: Trust,
    scope: Scope,
    max_message: usize,
) -> Result<WebSocketStream<Connection>, NotOpened> {
    let at = place.authority();
    let scheme = if place.secure { "wss" } else { "ws" };
    let mut request = format!("{scheme}://{at}{}", place.path)
        .into_client_request()
        .map_err(|error| format!("{at}: the URL cannot be asked for ({error})"))?;
    if let Some(login) = place.basic().and_then(|login| login.parse().ok()) {
        request.headers_mut().insert("authorization", login);
    }
    let opening = async {
        let connection = connect::open(place, trust, scope).await?;
        let opened = tokio_tungstenite::client_async_with_config(request, connection, Some(bounds(max_message))).await;
        opened.map(|(socket, _)| socket).map_err(|error| {
            let status = match &error {
                tungstenite::Error::Http(answer) => Some(answer.status().as_u16()),
                _ => None,
            };
            NotOpened { status, sentence: format!("{at}: no WebSocket there: {error}") }
        })
    };
    match timeout(OPENING, opening).await {
        Ok(opened) => opened,
        Err(_) => Err(format!("{at}: the WebSocket did not open within {} s", OPENING.as_secs()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{SinkExt, StreamExt};
    use tokio::io::AsyncWriteExt;
    use tungstenite::protocol::Role;
    use tungstenite::{Error, Message};

    #[tokio::test]
    async fn a_server_that_pings_and_never_reads_fills_no_memory_and_loses_the_connection() {
        let (ours, theirs) = tokio::io::duplex(64);
        let mut socket = WebSocketStream::from_raw_socket(ours, Role::Client, Some(bounds(1024))).await;
        // kept, so that what is written to it waits instead of failing
        let (_unread, mut pinging) = tokio::io::split(theirs);
        let ping = [&[0x89, 125][..], &[0; 125]].concat();
        // four times as much as may wait
        let pings = 4 * MAX_WAITING / ping.len();
        let flood = tokio::spawn(async move {
            for _ in 0..pings {
                pinging.write_all(&ping).await.unwrap();
            }
            pinging
        });
        for _ in 0..pings {
            assert!(matches!(socket.next().await, Some(Ok(Message::Ping(_)))));
        }
        let sent = timeout(Duration::from_secs(5), socket.send(Message::text("x".repeat(1000)))).await;
        assert!(matches!(sent, Ok(Err(Error::WriteBufferFull(_)))), "{sent:?}");
        drop(flood.await);
    }
}
