//! The sessions that there are, by all the names under which something comes for them: key, id, user name fragment, route.
mod claims;
mod clients;
pub mod peer;

use super::api::{Error, ErrorKind};
use super::keys::PeerKey;
use super::timers::Timers;
use crate::base::pace::Pace;
use crate::rtc::ice::{self, Credentials};
use crate::rtc::route::{Route, Socket};
use claims::Claims;
pub use claims::From;
pub use clients::Client;
use peer::Peer;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Routes by which one session is known at most.
const MAX_ROUTES: usize = 64;
/// A session keeps its claim to a route for this long after its last sign of life: as long as its consent may last.
const CLAIM_LASTS: Duration = Duration::from_secs(15);
/// Checks that the relay sends to addresses which never answered, over all sessions: one in this time on average, some
/// 15 kB a second, so that nobody makes a hammer of it by many offers …
const STRANGER_CHECK_EACH: Duration = Duration::from_millis(10);
/// … and this many at once: a page with many pictures begins that many sessions.
const STRANGER_CHECKS_AT_ONCE: u32 = 64;

pub struct Sessions {
    peers: HashMap<PeerKey, Box<Peer>>,
    by_id: HashMap<String, PeerKey>,
    by_ufrag: HashMap<String, PeerKey>,
    claims: Claims,
    /// [`Peer::deadline`] of each session as it was after the last step that concerned it.
    timers: Timers<PeerKey>,
    /// Sessions at one time.
    max: usize,
    /// Checks of all sessions to addresses that never answered.
    checks: Pace,
}

impl Sessions {
    pub fn new(max: usize) -> Self {
        Self {
            peers: HashMap::new(),
            by_id: HashMap::new(),
            by_ufrag: HashMap::new(),
            claims: Claims::default(),
            timers: Timers::default(),
            max,
            checks: Pace::new(STRANGER_CHECK_EACH, STRANGER_CHECKS_AT_ONCE),
        }
    }

    pub fn len(&self) -> usize {
        self.peers.len()
    }

    pub fn max(&self) -> usize {
        self.max
    }

    pub fn get(&self, key: PeerKey) -> Option<&Peer> {
        self.peers.get(&key).map(|peer| &**peer)
    }

    /// A step that may move the session's deadline ends with [`Self::settle`].
    pub fn get_mut(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.peers.get_mut(&key).map(|peer| &mut **peer)
    }

    pub fn iter(&self) -> impl Iterator<Item = (PeerKey, &Peer)> {
        self.peers.iter().map(|(key, peer)| (*key, &**peer))
    }

    pub fn keys(&self) -> Vec<PeerKey> {
        self.peers.keys().copied().collect()
    }

    /// # Errors
    /// If there is no session of this id.
    pub fn key_of(&self, id: &str) -> Result<PeerKey, Error> {
        self.by_id.get(id).copied().ok_or_else(session_not_found)
    }

    /// # Errors
    /// If there is no session of this id.
    pub fn by_id(&self, id: &str) -> Result<&Peer, Error> {
        self.get(self.key_of(id)?).ok_or_else(session_not_found)
    }

    /// # Errors
    /// If the session is gone.
    pub fn by_key(&self, key: PeerKey) -> Result<&Peer, Error> {
        self.get(key).ok_or_else(session_not_found)
    }

    /// # Errors
    /// If the session is gone.
    pub fn expect(&mut self, key: PeerKey) -> Result<&mut Peer, Error> {
        self.get_mut(key).ok_or_else(session_not_found)
    }

    pub fn knows_ufrag(&self, ufrag: &str) -> bool {
        self.by_ufrag.contains_key(ufrag)
    }

    pub fn insert(&mut self, key: PeerKey, peer: Box<Peer>, now: Instant) {
        self.by_ufrag.insert(peer.session.ice().local().ufrag.clone(), key);
        self.by_id.insert(peer.id.clone(), key);
        self.peers.insert(key, peer);
        self.timers.set(key, Some(now));
    }

    /// Takes a session out, with everything that leads to it. Answers it, and the TCP connections that no other session
    /// claims.
    pub fn remove(&mut self, key: PeerKey) -> Option<(Box<Peer>, Vec<u32>)> {
        let peer = self.peers.remove(&key)?;
        self.timers.set(key, None);
        self.by_id.remove(&peer.id);
        self.by_ufrag.retain(|_, owner| *owner != key);
        let mut connections = Vec::new();
        for from in &peer.routes {
            if self.claims.release(from, key)
                && let Socket::Tcp(number) = from.0
            {
                connections.push(number);
            }
        }
        Some((peer, connections))
    }

    /// Writes down when the session needs attention again.
    pub fn settle(&mut self, key: PeerKey) {
        let due = self.get(key).and_then(Peer::deadline);
        self.timers.set(key, due);
    }

    /// The session needs attention then, if not earlier.
    pub fn wake(&mut self, key: PeerKey, at: Instant) {
        if self.peers.contains_key(&key) {
            self.timers.set_earlier(key, at);
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    pub fn pop_due(&mut self, now: Instant) -> Option<PeerKey> {
        self.timers.pop(now)
    }

    /// A session whose attention is overdue.
    pub fn overdue(&self, before: Instant) -> Option<&Peer> {
        let (key, _) = self.timers.iter().find(|(_, at)| *at < before)?;
        self.get(key)
    }

    /// Sessions that a datagram may be of, the likeliest first.
    pub fn candidates_for(&self, route: &Route, bytes: &[u8]) -> impl Iterator<Item = PeerKey> + use<> {
        if ice::is_stun(bytes) {
            // A check names its session, and the transaction id of an answer does.
            let key = match ice::requested_ufrag(bytes) {
                Some(ufrag) => self.by_ufrag.get(ufrag).copied(),
                None => ice::answered_tag(bytes).and_then(PeerKey::from_number),
            };
            return claims::Keys::of_one(key);
        }
        let mut keys = self.claims.of(&(route.socket, route.remote));
        if keys.len() > 1 {
            let knows = |key: PeerKey| self.get(key).is_some_and(|peer| peer.session.knows(bytes));
            keys.prefer(knows);
        }
        keys
    }

    /// An authentic check came over this route: what follows it may be of the same session. Answers the TCP connection
    /// that is the session's from now on.
    pub fn claim(&mut self, key: PeerKey, from: From, now: Instant) -> Option<u32> {
        let peers = &self.peers;
        let holds = |key: PeerKey| peers.get(&key).is_some_and(|peer| holds(peer, from, now));
        if !self.claims.claim(from, key, holds) {
            return None;
        }
        let peer = self.peers.get_mut(&key).filter(|peer| !peer.routes.contains(&from))?;
        // A peer that moves a lot is known by its latest addresses.
        if peer.routes.len() >= MAX_ROUTES {
            self.claims.release(&peer.routes.remove(0), key);
        }
        peer.routes.push(from);
        match from.0 {
            Socket::Tcp(number) => Some(number),
            Socket::Udp(_) | Socket::Relay(_) => None,
        }
    }

    /// Sessions that claim a route over this socket.
    pub fn over(&self, socket: Socket) -> Vec<PeerKey> {
        let mut keys: Vec<PeerKey> = self.claims.over(socket).map(|(_, key)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// A socket is gone, with all claims to routes over it.
    pub fn forget_socket(&mut self, socket: Socket) {
        self.claims.forget(socket);
    }

    /// A session has other credentials from now on.
    pub fn rename(&mut self, key: PeerKey, fresh: &Credentials) {
        self.by_ufrag.retain(|_, owner| *owner != key);
        self.by_ufrag.insert(fresh.ufrag.clone(), key);
    }

    /// Lets a session do what is due, with its share of the checks to strangers.
    pub fn tick(&mut self, key: PeerKey, now: Instant, tick: impl FnOnce(&mut Peer)) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let before = peer.session.ice().stranger_checks();
        if !self.checks.is_ready(now) {
            peer.session.ice_mut().put_strangers_off(now);
        }
        tick(peer);
        if peer.session.ice().stranger_checks() != before {
            self.checks.take(now);
        }
    }

    /// Is nothing left of any session?
    #[cfg(test)]
    pub fn is_clean(&self) -> bool {
        self.peers.is_empty()
            && self.by_id.is_empty()
            && self.by_ufrag.is_empty()
            && self.claims.is_empty()
            && self.timers.is_empty()
    }

    #[cfg(test)]
    pub fn set_max(&mut self, max: usize) {
        self.max = max;
    }
}

/// Can a session show that its peer is at this address? To ask with a forged one is easy, to answer needs what was sent
/// there.
fn holds(peer: &Peer, (socket, remote): From, now: Instant) -> bool {
    let standing = peer.session.standing(socket, remote);
    standing.answered && standing.heard.is_some_and(|at| now.saturating_duration_since(at) < CLAIM_LASTS)
}

pub fn session_not_found() -> Error {
    Error::new(ErrorKind::NotFound, "session not found; it may have ended")
}

/// Ids are secrets that end a session; the log shows their beginning.
pub fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
