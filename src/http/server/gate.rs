//! The gate between the network and everything else: accepts connections, counts them, and turns strangers away.
use super::connection;
use super::limits::{LINGER_TIME, Limits};
use super::outbox::Outbox;
use super::peers::{self, Network};
use super::policy::Policy;
use super::render;
use super::response::Response;
use super::slots::Slots;
use super::tls;
use super::transport::Transport;
use crate::doctor::refusals::Kind;
use crate::http::api::routes::App;
use crate::base::places::Full;
use crate::base::sparing::Sparing;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

/// After a failing `accept` (no file descriptors left, mostly) the gate waits before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every connection needs to know.
pub struct Gate {
    pub limits: Limits,
    pub policy: Policy,
    pub allow: Vec<Network>,
    pub app: Arc<App>,
    pub connections: Arc<Slots>,
    pub websockets: Arc<Slots>,
    pub outbox: Arc<Outbox>,
    /// Refusals that may be written at one time.
    pub refusals: Arc<Semaphore>,
}

/// What a listening socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP, and HTTPS where there is a certificate.
    Both,
    Https,
}

/// Accepts until the future is dropped; all its connections end with it.
pub async fn accept(listener: TcpListener, speaks: Speaks, gate: Arc<Gate>) {
    let mut connections = tokio::task::JoinSet::new();
    let mut sparing = Sparing::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if let Some(left_out) = sparing.admit(Ipv4Addr::UNSPECIFIED.into(), std::time::Instant::now()) {
                    log::warn!(target: "api", "accept: {error}{left_out}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if let Err(error) = stream.set_nodelay(true) {
            log::debug!(target: "api", "{peer}: {error}");
        }
        let refusal = if !peers::is_allowed(peer.ip(), &gate.allow) {
            gate.app.refusals.note(Kind::Peer, &peer.ip().to_string(), std::time::Instant::now());
            stranger(peer)
        } else {
            match gate.connections.take(peer.ip(), gate.limits.connections, !gate.limits.count_loopback) {
                Ok(slot) => {
                    let gate = gate.clone();
                    connections.spawn(async move {
                        greet(stream, peer, speaks, &gate).await;
                        drop(slot);
                    });
                    continue;
                }
                Err(full) => crowd(full, "connections"),
            }
        };
        log::debug!(target: "api", "{peer}: refused with {}", refusal.status);
        if let Ok(permit) = gate.refusals.clone().try_acquire_owned() {
            connections.spawn(async move {
                refuse(Transport::Plain(stream), &refusal, "", LINGER_TIME).await;
                drop(permit);
            });
        }
    }
}

/// HTTP or TLS: the first byte tells. Serves what it is, to the connection's end.
async fn greet(stream: TcpStream, peer: SocketAddr, speaks: Speaks, gate: &Gate) {
    let start = Instant::now();
    let Some(tls) = &gate.app.tls else {
        return connection::serve(Transport::Plain(stream), peer, gate, start + gate.limits.head_time).await;
    };
    let deadline = start + gate.limits.handshake_time;
    let mut first = [0];
    match timeout_at(deadline, stream.peek(&mut first)).await {
        Ok(Ok(1)) => {}
        _ => return,
    }
    if first[0] == tls::HANDSHAKE {
        // Its state is large, and most connections are plain.
        match timeout_at(deadline, Box::pin(tls.accept(stream))).await {
            Ok(Ok(stream)) => {
                let head_by = Instant::now() + gate.limits.head_time;
                connection::serve(Transport::Tls(Box::new(stream)), peer, gate, head_by).await;
            }
            Ok(Err(error)) => log::debug!(target: "api", "{peer}: TLS: {error}"),
            Err(_) => log::debug!(target: "api", "{peer}: the TLS handshake took too long"),
        }
    } else if speaks == Speaks::Both {
        connection::serve(Transport::Plain(stream), peer, gate, start + gate.limits.head_time).await;
    } else {
        let text = "this port speaks HTTPS: open the address with https:// in front";
        refuse(Transport::Plain(stream), &Response::text(400, text), "", LINGER_TIME).await;
    }
}

fn stranger(peer: SocketAddr) -> Response {
    let peer = peer.ip();
    let text = format!(
        "{peer} is outside the local network and may not connect; to let it in, add to porthole.yaml: api: {{allow: [\"{peer}\"]}}"
    );
    Response::text(403, text)
}

/// `what` there are too many of.
pub fn crowd(full: Full, what: &str) -> Response {
    let text = match full {
        Full::All => format!("all {what} are in use; close some pages or try again later"),
        Full::Client => format!("your address has its share of the {what} already; close some pages first"),
    };
    Response::text(503, text).retry_later()
}

/// Writes a last response and closes so that the client can read it. `more` are complete further field lines.
pub async fn refuse(mut stream: Transport, response: &Response, more: &str, write_time: Duration) {
    let mut bytes = render::head(response, more, true);
    bytes.extend_from_slice(&response.body);
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
