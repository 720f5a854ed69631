//! A WebSocket to the place of a URL, as cameras, clouds and trackers want it.
use super::reach::{self, Connection, Place};
use super::tls::Trust;
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::WebSocketConfig;

/// Time for the connection and both handshakes.
const OPENING: Duration = Duration::from_secs(10);

/// Opens a WebSocket, with the URL's login if it has one.
///
/// # Errors
/// If nobody answers there in time, or with something else than a WebSocket: a sentence with the host in it.
pub async fn open(place: &Place, trust: Trust, config: WebSocketConfig) -> Result<WebSocketStream<Connection>, String> {
    let at = place.authority();
    let scheme = if place.secure { "wss" } else { "ws" };
    let mut request = format!("{scheme}://{at}{}", place.path)
        .into_client_request()
        .map_err(|error| format!("{at}: the URL cannot be asked for ({error})"))?;
    if let Some(login) = place.basic().and_then(|login| login.parse().ok()) {
        request.headers_mut().insert("authorization", login);
    }
    let opening = async {
        let connection = reach::open(place, trust).await?;
        let opened = tokio_tungstenite::client_async_with_config(request, connection, Some(config)).await;
        opened.map(|(socket, _)| socket).map_err(|error| format!("{at}: no WebSocket there: {error}"))
    };
    match timeout(OPENING, opening).await {
        Ok(opened) => opened,
        Err(_) => Err(format!("{at}: the WebSocket did not open within {} s", OPENING.as_secs())),
    }
}
