//! The gate between the network and everything else: accepts connections, counts them, and turns strangers away.
use super::closing::refuse;
use super::connection;
use super::limits::LINGER_TIME;
use super::peers;
use super::refusal::{Kind as RefusalKind, Refusal};
use super::state::Server;
use super::tls;
use super::transport::Transport;
use crate::base::sparing::Sparing;
use crate::doctor::refusals::Kind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout_at};

/// After a failing `accept` (no file descriptors left, mostly) the gate waits before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listening socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP, and HTTPS where there is a certificate.
    Both,
    Https,
}

/// Accepts until the future is dropped; all its connections end with it.
pub async fn accept(listener: TcpListener, speaks: Speaks, server: Arc<Server>) {
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
        let refusal = if !peers::is_allowed(peer.ip(), &server.allow) {
            server.refused.note(Kind::Peer, &peer.ip().to_string(), std::time::Instant::now());
            stranger(peer)
        } else {
            match server.connection(peer.ip()) {
                Ok(slot) => {
                    let server = server.clone();
                    connections.spawn(async move {
                        greet(stream, peer, speaks, &server).await;
                        drop(slot);
                    });
                    continue;
                }
                Err(crowded) => crowded,
            }
        };
        log::debug!(target: "api", "{peer}: refused with {}", refusal.status());
        if let Ok(permit) = server.counts.refusals.clone().try_acquire_owned() {
            connections.spawn(async move {
                refuse(Transport::Plain(stream), refusal.into(), "", LINGER_TIME).await;
                drop(permit);
            });
        }
    }
}

/// HTTP or TLS: the first byte tells. Serves what it is, to the connection's end.
async fn greet(stream: TcpStream, peer: SocketAddr, speaks: Speaks, server: &Server) {
    let start = Instant::now();
    let Some(tls) = &server.tls else {
        return connection::serve(Transport::Plain(stream), peer, server, start + server.limits.head_time).await;
    };
    let deadline = start + server.limits.handshake_time;
    let mut first = [0];
    match timeout_at(deadline, stream.peek(&mut first)).await {
        Ok(Ok(1)) => {}
        _ => return,
    }
    if first[0] == tls::HANDSHAKE {
        // Its state is large, and most connections are plain.
        match timeout_at(deadline, Box::pin(tls.accept(stream))).await {
            Ok(Ok(stream)) => {
                let head_by = Instant::now() + server.limits.head_time;
                connection::serve(Transport::Tls(Box::new(stream)), peer, server, head_by).await;
            }
            Ok(Err(error)) => log::debug!(target: "api", "{peer}: TLS: {error}"),
            Err(_) => log::debug!(target: "api", "{peer}: the TLS handshake took too long"),
        }
    } else if speaks == Speaks::Both {
        connection::serve(Transport::Plain(stream), peer, server, start + server.limits.head_time).await;
    } else {
        let text = "this port speaks HTTPS: open the address with https:// in front";
        refuse(Transport::Plain(stream), Refusal::new(RefusalKind::Malformed, text).into(), "", LINGER_TIME).await;
    }
}

fn stranger(peer: SocketAddr) -> Refusal {
    let peer = peer.ip();
    let text = format!(
        "{peer} is outside the local network and may not connect; to let it in, add to porthole.yaml: api: {{allow: [\"{peer}\"]}}"
    );
    Refusal::new(RefusalKind::Forbidden, text)
}
