//! How a connection ends.
use super::limits::LINGER_TIME;
use super::render::{self, Ending};
use super::response::Response;
use super::transport::Transport;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Writes a last response and closes so that the client can read it. `more` are complete further field lines.
pub async fn refuse(mut stream: Transport, response: Response, more: &str, write_time: Duration) {
    let mut bytes = render::head(&response, more, Ending::ToldLast);
    bytes.extend_from_slice(response.body.bytes());
    if timeout(write_time, stream.send(&bytes)).await.is_ok_and(|result| result.is_ok()) {
        close_gently(stream).await;
    }
}

/// Ends our direction, then reads what still comes: a reset would take the response away from the client.
pub async fn close_gently(mut stream: Transport) {
    let drain = async {
        stream.shutdown().await?;
        let mut buffer = [0; 512];
        while stream.read(&mut buffer).await? > 0 {}
        std::io::Result::Ok(())
    };
    // Either way the connection is over.
    let _ = timeout(LINGER_TIME, drain).await;
}
