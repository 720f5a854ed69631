//! Trickled candidates and ICE restarts (RFC 8838, RFC 9725 section 4.3).
use super::Engine;
use super::api::{Error, ErrorKind, Reply, Trickle, Trickled};
use super::keys::PeerKey;
use super::remote_candidates;
use super::sessions::short;
use crate::rtc::ice::Credentials;
use std::time::{Duration, Instant};

/// ICE is restarted this often at most: each restart brings new addresses to check.
const RESTART_INTERVAL: Duration = Duration::from_secs(1);

impl Engine {
    /// Candidates, or new credentials: an ICE restart.
    pub(super) fn on_trickle(&mut self, id: &str, trickle: Trickle, now: Instant) -> Result<Trickled, Error> {
        let key = self.sessions.key_of(id)?;
        let peer = self.sessions.expect(key)?;
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
        let answer = match restart {
            Some((ufrag, pwd)) => self.restart(key, Credentials { ufrag, pwd }, now)?,
            None => Trickled::Taken,
        };
        if let Some(peer) = self.sessions.get_mut(key) {
            remote_candidates::add(&mut self.reach, peer, &trickle.candidates, now);
        }
        self.sessions.wake(key, now);
        Ok(answer)
    }

    fn restart(&mut self, key: PeerKey, remote: Credentials, now: Instant) -> Result<Trickled, Error> {
        let peer = self.sessions.expect(key)?;
        let early = |at: Instant| now.saturating_duration_since(at) < RESTART_INTERVAL;
        if peer.restarted.is_some_and(early) {
            let message = "this session restarted ICE within the last second; try again in a second";
            return Err(Error::new(ErrorKind::Full, message));
        }
        let (mut allocation, host) = (peer.allocation, peer.origin.host);
        if allocation.is_none() {
            allocation = self.reach.turn.take(key, now);
        }
        let (fresh, candidates) = (self.new_credentials()?, self.reach.candidate_lines(allocation, host));
        self.sessions.rename(key, &fresh);
        let mut fragment = format!("a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", fresh.ufrag, fresh.pwd);
        for candidate in candidates {
            fragment.push_str(&format!("a={candidate}\r\n"));
        }
        fragment.push_str("a=end-of-candidates\r\n");
        let peer = self.sessions.expect(key)?;
        peer.allocation = allocation;
        peer.session.ice_mut().restart(fresh, remote);
        peer.generation += 1;
        peer.restarted = Some(now);
        peer.candidates.begin_again();
        if let Some(left_out) = self.journal.admit(peer.origin.remote.ip(), now) {
            let id = short(&peer.id);
            log::info!(target: "webrtc", "ICE restarted stream={:?} session={id}{left_out}", peer.stream);
        }
        Ok(Trickled::Restarted { fragment, etag: peer.etag() })
    }

    /// Candidates of a session that come after its answer.
    pub(super) fn on_late_candidates(&mut self, id: &str, reply: Reply<Vec<String>>) {
        let peer = match self.sessions.key_of(id).and_then(|key| self.sessions.expect(key)) {
            Ok(peer) => peer,
            Err(error) => return drop(reply.send(Err(error))),
        };
        match peer.allocation {
            Some(number) if self.reach.turn.is_allocating(number) => peer.late = Some(reply),
            Some(number) => drop(reply.send(Ok(self.reach.turn.candidate(number).into_iter().collect()))),
            None => drop(reply.send(Ok(Vec::new()))),
        }
    }
}
