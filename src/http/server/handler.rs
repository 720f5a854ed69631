//! What the server serves: it knows nothing of it but this.
use super::request::Request;
use super::response::Response;
use super::upgrade::WebSocket;
use std::future::Future;
use std::pin::Pin;

/// A future on the heap: most connections are quiet most of the time, and should keep no room for what answers them.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Serves one WebSocket to its end.
pub type ServeSocket = Box<dyn FnOnce(WebSocket) -> Answering<'static, ()> + Send>;

/// Answers requests that passed the server's checks.
pub trait Handler: Send + Sync {
    /// Answers one request. A panic becomes a 500; an answer that takes too long is given up.
    fn answer(&self, request: Request) -> Answering<'_, Response>;

    /// What serves a WebSocket at this address. The request has no body.
    ///
    /// # Errors
    /// The response for an address that takes none.
    fn socket(&self, request: Request) -> Result<ServeSocket, Response>;
}
