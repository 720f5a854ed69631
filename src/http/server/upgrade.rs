//! From a request to a WebSocket (RFC 6455 section 4.2). What may be said on it is no concern of the server.
use super::head::{Framing, WebSocketAsk};
use super::refusal::{Kind, Refusal};
use super::response::Response;
use super::transport::Transport;
use tokio_tungstenite::WebSocketStream;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};

/// Bytes that a socket reads at one time.
const READ_BUFFER: usize = 4 * 1024;
/// The longest message: descriptions, the longest ones that are sent, have 5 to 20 KiB.
const MAX_MESSAGE: usize = 128 * 1024;
/// The longest frame of one.
const MAX_FRAME: usize = 64 * 1024;
/// Messages that wait for a client that does not read.
const MAX_WRITE_BUFFER: usize = 256 * 1024;

/// An open WebSocket.
pub type WebSocket = WebSocketStream<Transport>;

/// Checks a handshake; the answer opens the socket.
///
/// # Errors
/// If it is none that RFC 6455 allows.
pub fn handshake(ask: &WebSocketAsk, framing: Framing) -> Result<Response, Refusal> {
    if ask.version != "13" {
        return Err(Refusal::new(Kind::WebSocketVersion, "the WebSocket version must be 13"));
    }
    if data_encoding::BASE64.decode(ask.key.as_bytes()).map(|key| key.len()) != Ok(16) {
        return Err(Refusal::new(Kind::Malformed, "Sec-WebSocket-Key must be 16 bytes in base64"));
    }
    if framing != Framing::Length(0) {
        return Err(Refusal::new(Kind::Malformed, "a WebSocket handshake has no body"));
    }
    Ok(Response::new(101).with("Sec-WebSocket-Accept", derive_accept_key(ask.key.as_bytes())))
}

/// The socket, once the answer is written. `early`: what the client sent behind its handshake.
pub async fn open(stream: Transport, early: Vec<u8>) -> WebSocket {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_FRAME));
    WebSocketStream::from_partially_read(stream, early, Role::Server, Some(config)).await
}
