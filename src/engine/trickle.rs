//! Trickled candidates and ICE restarts (RFC 8838, RFC 9725 section 4.3).
use super::hidden;
use super::peer::Peer;
use super::relayed::add_relayed;
use super::sessions::short;
use super::{Engine, wire::Wire};
use crate::gather::candidate::{self, Place};
use crate::rtc::ice::Credentials;
use crate::stream::relay::{Error, ErrorKind, Trickle, Trickled};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Candidates of one peer that are looked at, over all of its messages.
const MAX_REMOTE_CANDIDATES: usize = 32;
/// ICE is restarted this often at most: each restart brings new addresses to check.
const RESTART_INTERVAL: Duration = Duration::from_secs(1);

impl Engine {
    pub(super) fn peer_by_id(&self, id: &str) -> Result<&Peer, Error> {
        self.peers.get(&self.key_of(id)?).map(|peer| &**peer).ok_or_else(session_not_found)
    }

    pub(super) fn key_of(&self, id: &str) -> Result<u32, Error> {
        self.by_id.get(id).copied().ok_or_else(session_not_found)
    }

    /// Candidates, or new credentials: an ICE restart.
    pub(super) fn on_trickle(&mut self, id: &str, trickle: Trickle, now: Instant) -> Result<Trickled, Error> {
        let key = self.key_of(id)?;
        let peer = self.peers.get_mut(&key).ok_or_else(session_not_found)?;
        // Players that could not read the entity tag send the text "null".
        let named = trickle.if_match.as_deref().map(str::trim).filter(|tag| !matches!(*tag, "*" | "null" | "\"null\""));
        if named.is_some_and(|tag| tag != peer.etag()) {
            let message = "If-Match names an older ICE session than the present one";
            return Err(Error::new(ErrorKind::PreconditionFailed, message));
        }
        let known = peer.session.ice().remote();
        let restart = trickle.credentials.filter(|(ufrag, pwd)| *ufrag != known.ufrag || *pwd != known.pwd);
        if restart.as_ref().is_some_and(|(ufrag, _)| *ufrag == known.ufrag) {
            let message = "the ice-ufrag is this session's but the ice-pwd is not; an ICE restart changes both";
            return Err(Error::new(ErrorKind::Unprocessable, message));
        }
        let Some((ufrag, pwd)) = restart else {
            add_candidates(&mut self.wire, peer, &trickle.candidates, now);
            peer.due = Some(now);
            return Ok(Trickled::Taken);
        };
        let early = |at: Instant| now.saturating_duration_since(at) < RESTART_INTERVAL;
        if peer.restarted.is_some_and(early) {
            let message = "this session restarted ICE within the last second; try again in a second";
            return Err(Error::new(ErrorKind::Full, message));
        }
        let (mut relay, host) = (peer.relay, peer.origin.host);
        if relay.is_none() {
            relay = self.wire.relays.take(key, now);
        }
        let (fresh, candidates) = (self.new_credentials()?, self.candidate_lines(relay, host));
        let peer = self.peers.get_mut(&key).ok_or_else(session_not_found)?;
        peer.relay = relay;
        self.by_ufrag.remove(&peer.session.ice().local().ufrag);
        self.by_ufrag.insert(fresh.ufrag.clone(), key);
        let mut fragment = format!("a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", fresh.ufrag, fresh.pwd);
        for candidate in candidates {
            fragment.push_str(&format!("a={candidate}\r\n"));
        }
        fragment.push_str("a=end-of-candidates\r\n");
        peer.session.ice_mut().restart(fresh, Credentials { ufrag, pwd });
        peer.generation += 1;
        peer.restarted = Some(now);
        peer.offered_candidates = 0;
        peer.remotes.clear();
        peer.hidden.clear();
        peer.due = Some(now);
        add_candidates(&mut self.wire, peer, &trickle.candidates, now);
        if let Some(left_out) = self.sparing.admit(peer.origin.remote.ip(), now) {
            let id = short(&peer.id);
            log::info!(target: "webrtc", "ICE restarted stream={:?} session={id}{left_out}", peer.stream);
        }
        Ok(Trickled::Restarted { fragment, etag: peer.etag() })
    }
}

/// Lets a session check the peer's candidates. The TCP candidates of peers that connect to us need no check of ours, and
/// neither do names, unless the settings say that they are looked up.
pub(super) fn add_candidates(wire: &mut Wire, peer: &mut Peer, lines: &[String], now: Instant) {
    for line in lines {
        if peer.offered_candidates >= MAX_REMOTE_CANDIDATES {
            return;
        }
        peer.offered_candidates += 1;
        peer.remote.note(line);
        match candidate::read_place(line) {
            Some((Place::Address(address), priority)) => check(wire, peer, address, priority, now),
            Some((Place::Name(name, port), priority)) => hidden::look_for(wire, peer, name, port, priority),
            None => {}
        }
    }
}

/// Lets a session check one address of its peer, from our own sockets and from its allocation.
pub(super) fn check(wire: &mut Wire, peer: &mut Peer, address: SocketAddr, priority: u32, now: Instant) {
    if let Some(socket) = wire.socket_for(address) {
        peer.session.ice_mut().add_remote(now, socket, address, priority);
    }
    peer.remotes.push((address, priority));
    add_relayed(wire, peer, address, priority, now);
}

pub(super) fn session_not_found() -> Error {
    Error::new(ErrorKind::NotFound, "session not found; it may have ended")
}
