//! The gate between the network and everything else: accepts connections, counts them, and turns strangers away.
use super::connection;
use super::inner::Inner;
use super::limits::{LINGER_TIME, Limits, REFUSALS};
use super::peers::{self, Network};
use super::policy::Policy;
use super::response::{Response, has_no_body, reason};
use super::routes::App;
use super::slots::{Full, Slots};
use crate::doctor::refusals::Kind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// After a failing `accept` (no file descriptors left, mostly) the gate waits before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every connection needs to know.
pub struct Gate {
    pub limits: Limits,
    pub policy: Policy,
    pub allow: Vec<Network>,
    pub inner: Inner,
    pub app: Arc<App>,
}

/// Accepts until the future is dropped; all its connections end with it.
pub async fn accept(listener: TcpListener, gate: Arc<Gate>) {
    let slots = Arc::new(Slots::default());
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                log::warn!(target: "api", "accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if let Err(error) = stream.set_nodelay(true) {
            log::debug!(target: "api", "{peer}: {error}");
        }
        let per_address = match peer.ip().is_loopback() && !gate.limits.count_loopback {
            true => usize::MAX,
            false => gate.limits.per_address,
        };
        let refusal = if !peers::is_allowed(peer.ip(), &gate.allow) {
            gate.app.refusals.note(Kind::Peer, &peer.ip().to_string(), std::time::Instant::now());
            stranger(peer)
        } else {
            match slots.take(peer.ip(), gate.limits.connections, per_address) {
                Ok(slot) => {
                    let gate = gate.clone();
                    connections.spawn(async move {
                        connection::serve(stream, peer, &gate).await;
                        drop(slot);
                    });
                    continue;
                }
                Err(full) => crowd(full, &gate.limits),
            }
        };
        log::debug!(target: "api", "{peer}: refused with {}", refusal.status);
        if let Ok(permit) = refusals.clone().try_acquire_owned() {
            connections.spawn(async move {
                refuse(stream, &refusal, "", LINGER_TIME).await;
                drop(permit);
            });
        }
    }
}

fn stranger(peer: SocketAddr) -> Response {
    let peer = peer.ip();
    let text = format!(
        "{peer} is outside the local network and may not connect; to let it in, add to porthole.yaml: api: {{allow: [\"{peer}\"]}}"
    );
    Response::text(403, text)
}

fn crowd(full: Full, limits: &Limits) -> Response {
    let text = match full {
        Full::All => format!("all {} connections are in use; close some pages or try again later", limits.connections),
        Full::Address => {
            format!("your address already has {} connections; close some pages first", limits.per_address)
        }
    };
    Response::text(503, text).retry_later()
}

/// Writes a last response and closes so that the client can read it. `more` are complete further field lines.
pub async fn refuse(mut stream: TcpStream, response: &Response, more: &str, write_time: Duration) {
    let bytes = serialise(response, more, true, false);
    if timeout(write_time, stream.write_all(&bytes)).await.is_ok_and(|result| result.is_ok()) {
        close_gently(stream).await;
    }
}

/// Ends our direction, then reads what still comes: a reset would take the response away from the client.
pub async fn close_gently(mut stream: TcpStream) {
    let drain = async {
        stream.shutdown().await?;
        let mut buffer = [0; 512];
        while stream.read(&mut buffer).await? > 0 {}
        std::io::Result::Ok(())
    };
    // Either way the connection is over.
    let _ = timeout(LINGER_TIME, drain).await;
}

/// A response of the gate's own as bytes.
pub fn serialise(response: &Response, more: &str, close: bool, head_only: bool) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
    for (name, value) in &response.fields {
        head += &format!("{name}: {value}\r\n");
    }
    head += more;
    if !has_no_body(response.status) {
        head += &format!("Content-Length: {}\r\n", response.body.len());
    }
    head += if close { "Connection: close\r\n\r\n" } else { "\r\n" };
    let mut bytes = head.into_bytes();
    if !head_only {
        bytes.extend_from_slice(&response.body);
    }
    bytes
}
