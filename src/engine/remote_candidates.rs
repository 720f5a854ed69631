//! A peer's candidates on their way into its session. Those that hide their address behind a browser's `.local` name are
//! looked for on the local network, where the settings allow it; nothing waits for that.
use super::Engine;
use super::reach::Reach;
use super::sessions::peer::{HiddenCandidate, Peer};
use crate::gather::candidate::{self, Place};
use crate::rtc::route::Socket;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Candidates of one peer that are looked at, over all of its messages.
const MAX_REMOTE_CANDIDATES: usize = 32;

/// Lets a session check the peer's candidates. The TCP candidates of peers that connect to us need no check of ours, and
/// neither do names, unless the settings say that they are looked up.
pub(super) fn add(reach: &mut Reach, peer: &mut Peer, lines: &[String], now: Instant) {
    for line in lines {
        if peer.candidates.lines >= MAX_REMOTE_CANDIDATES {
            return;
        }
        peer.candidates.lines += 1;
        peer.candidates.facts.note(line);
        match candidate::read_place(line) {
            Some((Place::Address(address), priority)) => check(reach, peer, address, priority, now),
            Some((Place::Name(name, port), priority)) if reach.find_name(&name) => {
                peer.candidates.names.push(HiddenCandidate { name, port, priority });
            }
            Some((Place::Name(..), _)) | None => {}
        }
    }
}

impl Engine {
    /// The addresses behind a name that some session asked for are known.
    pub(super) fn on_name(&mut self, name: &str, addresses: &[IpAddr], now: Instant) {
        for key in self.sessions.keys() {
            let Some(peer) = self.sessions.get_mut(key) else { continue };
            let named = |hidden: &mut HiddenCandidate| hidden.name == name;
            let found: Vec<HiddenCandidate> = peer.candidates.names.extract_if(.., named).collect();
            for HiddenCandidate { port, priority, .. } in &found {
                for ip in addresses {
                    let address = SocketAddr::new(*ip, *port);
                    peer.candidates.facts.note_found(address);
                    check(&mut self.reach, peer, address, *priority, now);
                }
            }
            if !found.is_empty() {
                self.sessions.wake(key, now);
            }
        }
    }
}

/// Lets a session check one address of its peer, from our own sockets and from its allocation.
fn check(reach: &mut Reach, peer: &mut Peer, address: SocketAddr, priority: u32, now: Instant) {
    if let Some(socket) = reach.socket_for(address) {
        peer.session.ice_mut().add_remote(now, socket, address, priority);
    }
    peer.candidates.addresses.push((address, priority));
    check_relayed(reach, peer, address, priority, now);
}

/// Lets a session check one address of its peer through its allocation.
pub(super) fn check_relayed(reach: &mut Reach, peer: &mut Peer, address: SocketAddr, priority: u32, now: Instant) {
    let Some(number) = peer.allocation else { return };
    reach.turn.permit(number, address.ip(), now);
    if reach.turn.relayed(number).is_some_and(|relayed| relayed.is_ipv4() == address.is_ipv4()) {
        peer.session.ice_mut().add_remote(now, Socket::Relay(number), address, priority);
    }
}
