//! Candidates that hide their address behind a browser's `.local` name: where the settings allow it, the local network is
//! asked for it, and the session checks what is found. Nothing waits for that.
use super::Engine;
use super::peer::Peer;
use super::trickle::check;
use super::wire::Wire;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// A candidate whose address is not known yet.
pub struct Hidden {
    name: String,
    port: u16,
    priority: u32,
}

/// Asks for a candidate's address. What is found comes to [`Engine::on_name`].
pub(super) fn look_for(wire: &Wire, peer: &mut Peer, name: String, port: u16, priority: u32) {
    if wire.look_for(&name) {
        peer.hidden.push(Hidden { name, port, priority });
    }
}

impl Engine {
    /// A name that some session asked for is known.
    pub(super) fn on_name(&mut self, name: &str, addresses: &[IpAddr], now: Instant) {
        for peer in self.peers.values_mut().filter(|peer| peer.hidden.iter().any(|hidden| hidden.name == name)) {
            let (found, rest) = std::mem::take(&mut peer.hidden).into_iter().partition(|hidden| hidden.name == name);
            peer.hidden = rest;
            let found: Vec<Hidden> = found;
            for Hidden { port, priority, .. } in found {
                for ip in addresses {
                    let address = SocketAddr::new(*ip, port);
                    peer.remote.note_found(address);
                    check(&mut self.wire, peer, address, priority, now);
                }
            }
            peer.due = Some(now);
        }
    }
}
