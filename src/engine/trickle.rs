//! Trickled candidates and ICE restarts (RFC 8838, RFC 9725 section 4.3).
use super::peer::Peer;
use super::relayed::add_relayed;
use super::sessions::short;
use super::{Engine, wire::Wire};
use crate::rtc::ice::Credentials;
use crate::stream::relay::{Error, ErrorKind, Trickle, Trickled};
use std::net::SocketAddr;
use std::time::Instant;

/// Candidates of one peer that are looked at, over all of its messages.
const MAX_REMOTE_CANDIDATES: usize = 32;

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
        let fresh = self.new_credentials()?;
        let peer = self.peers.get(&key).ok_or_else(session_not_found)?;
        let restarts =
            trickle.credentials.as_ref().is_some_and(|(ufrag, _)| *ufrag != peer.session.ice().remote().ufrag);
        let (mut relay, host) = (peer.relay, peer.origin.host);
        if restarts && relay.is_none() {
            relay = self.wire.relays.take(key, now);
        }
        let candidates = self.candidate_lines(relay, host);
        let peer = self.peers.get_mut(&key).ok_or_else(session_not_found)?;
        peer.relay = relay;
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
        self.by_ufrag.remove(&peer.session.ice().local().ufrag);
        self.by_ufrag.insert(fresh.ufrag.clone(), key);
        let mut fragment = format!("a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", fresh.ufrag, fresh.pwd);
        for candidate in candidates {
            fragment.push_str(&format!("a={candidate}\r\n"));
        }
        fragment.push_str("a=end-of-candidates\r\n");
        peer.session.ice_mut().restart(fresh, Credentials { ufrag, pwd });
        peer.generation += 1;
        peer.offered_candidates = 0;
        peer.remotes.clear();
        peer.due = Some(now);
        add_candidates(&mut self.wire, peer, &trickle.candidates, now);
        log::info!(target: "webrtc", "ICE restarted stream={:?} session={}", peer.stream, short(&peer.id));
        Ok(Trickled::Restarted { fragment, etag: peer.etag() })
    }
}

/// Lets a session check the peer's candidates. mDNS names and the TCP candidates of peers that connect to
/// us need no check of ours.
pub(super) fn add_candidates(wire: &mut Wire, peer: &mut Peer, lines: &[String], now: Instant) {
    for line in lines {
        if peer.offered_candidates >= MAX_REMOTE_CANDIDATES {
            return;
        }
        peer.offered_candidates += 1;
        peer.remote.note(line);
        let Some((address, priority)) = parse_candidate(line) else { continue };
        if let Some(socket) = wire.socket_for(address) {
            peer.session.ice_mut().add_remote(now, socket, address, priority);
        }
        peer.remotes.push((address, priority));
        add_relayed(wire, peer, address, priority, now);
    }
}

pub(super) fn session_not_found() -> Error {
    Error::new(ErrorKind::NotFound, "session not found; it may have ended")
}

/// Address and priority of a UDP candidate with a literal address (RFC 8839 section 5.1).
fn parse_candidate(line: &str) -> Option<(SocketAddr, u32)> {
    let line = line.strip_prefix("a=").unwrap_or(line);
    let mut fields = line.strip_prefix("candidate:")?.split_ascii_whitespace();
    let (_foundation, component, protocol) = (fields.next()?, fields.next()?, fields.next()?);
    if component != "1" || !protocol.eq_ignore_ascii_case("udp") {
        return None;
    }
    let priority = fields.next()?.parse().ok()?;
    let ip: std::net::IpAddr = fields.next()?.parse().ok()?;
    let port: u16 = fields.next()?.parse().ok()?;
    (port != 0 && !ip.is_unspecified() && !ip.is_multicast())
        .then_some((SocketAddr::new(ip.to_canonical(), port), priority))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_udp_candidates_with_literal_addresses_are_checked() {
        let parse = |line| parse_candidate(line).map(|(address, _)| address.to_string());
        assert_eq!(parse("candidate:1 1 udp 2122 192.168.1.5 5000 typ host").as_deref(), Some("192.168.1.5:5000"));
        assert_eq!(parse("a=candidate:1 1 UDP 2122 fd00::5 5000 typ host").as_deref(), Some("[fd00::5]:5000"));
        for line in [
            "candidate:1 1 udp 2122 0d8a.local 5000 typ host",
            "candidate:1 2 udp 2122 192.168.1.5 5000 typ host",
            "candidate:1 1 tcp 2122 192.168.1.5 9 typ host tcptype active",
            "candidate:1 1 udp 2122 0.0.0.0 5000 typ host",
            "candidate:1 1 udp 2122 192.168.1.5 0 typ host",
            "candidate:1 1 udp",
            "",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
