//! A full ICE agent for one component (RFC 8445), without sockets or a clock. The relay's sockets are
//! shared and its addresses come and go, so a pair is a route that the peer was seen on, or a remote
//! candidate seen from one of our sockets; nothing is gathered here. STUN's encoding and its message
//! integrity are the library's.
mod checks;
mod pair;
mod requests;
mod selection;
mod strangers;
mod stun;
#[cfg(test)]
mod tests;

use crate::rtc::route::{Datagram, Route, Socket};
use pair::{Pair, State};
pub use pair::{PairView, Seen, Tally};
use rtc_crypto::RTCCryptoProvider;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, Message, Setter};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use strangers::Strangers;
pub use stun::{answered_tag, is_stun, requested_ufrag};

/// Pairs that one session checks; further ones are answered but not remembered.
pub const MAX_PAIRS: usize = 64;
/// A nominated pair without a sign of life for this long, more than a consent takes, gives way to one with.
const STALE: Duration = Duration::from_secs(5);

/// Priority of our host candidates as the peer sees them, by transport (RFC 8445 section 5.1.2, RFC 6544 section 4.2).
pub const UDP_PRIORITY: u32 = 2_130_706_431;
pub const TCP_PRIORITY: u32 = 1_671_430_143;
/// Type preference 0: the last resort.
pub const RELAY_PRIORITY: u32 = 16_777_215;
/// What we claim for a peer-reflexive candidate of ours (type preference 110).
const PEER_REFLEXIVE_PRIORITY: u32 = 1_862_270_975;

/// User name fragment and password of one side.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub ufrag: String,
    pub pwd: String,
}

/// Passwords do not reach the log.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.ufrag)
    }
}

/// What a STUN message did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not for us, or not authentic: dropped without an answer.
    Rejected,
    /// Authentic; the route belongs to this session.
    Accepted,
}

pub struct Ice {
    provider: Arc<dyn RTCCryptoProvider>,
    local: Credentials,
    remote: Credentials,
    controlling: bool,
    tie_breaker: u64,
    /// First four bytes of our transaction ids, by which the relay finds the session of an answer.
    tag: u32,
    pairs: Vec<Pair>,
    selected: Option<usize>,
    /// The selected route changed since it was last asked for.
    changed: bool,
    /// When it runs out.
    consent: Option<Instant>,
    requests_seen: u32,
    /// The same by our address, and the sums over all pairs that ever were.
    seen: Vec<Seen>,
    checks_sent: u32,
    answers: u32,
    strangers: Strangers,
}

impl Ice {
    /// `tag` finds the session again: transaction ids begin with it.
    pub fn new(
        provider: Arc<dyn RTCCryptoProvider>,
        controlling: bool,
        tag: u32,
        local: Credentials,
        remote: Credentials,
    ) -> Self {
        let mut tie_breaker = [0; 8];
        let _ = provider.random().fill(&mut tie_breaker);
        Self {
            provider,
            local,
            remote,
            controlling,
            tie_breaker: u64::from_be_bytes(tie_breaker),
            tag,
            pairs: Vec::new(),
            selected: None,
            changed: false,
            consent: None,
            requests_seen: 0,
            seen: Vec::new(),
            checks_sent: 0,
            answers: 0,
            strangers: Strangers::default(),
        }
    }

    pub fn local(&self) -> &Credentials {
        &self.local
    }

    pub fn remote(&self) -> &Credentials {
        &self.remote
    }

    /// Begins again with new credentials (RFC 8445 section 9). Media keeps its old route until a new one is nominated.
    pub fn restart(&mut self, local: Credentials, remote: Credentials) {
        self.local = local;
        self.remote = remote;
        let kept = self.selected.map(|index| self.pairs.swap_remove(index));
        self.pairs.clear();
        self.selected = None;
        if let Some(mut pair) = kept {
            pair.nominated = false;
            pair.state = State::Waiting;
            pair.checks = 0;
            pair.outstanding.clear();
            self.pairs.push(pair);
            self.selected = Some(0);
        }
    }

    /// Round trip of the selected route.
    pub fn rtt(&self) -> Option<Duration> {
        self.pairs.get(self.selected?)?.rtt
    }

    /// Some pair works, whether the peer chose it or not.
    pub fn is_reachable(&self) -> bool {
        self.pairs.iter().any(|pair| pair.answered.is_some())
    }

    /// Authentic requests that came in: with none of them, no packet of the peer reaches us.
    pub fn requests_seen(&self) -> u32 {
        self.requests_seen
    }

    /// Authentic requests by the address of ours that they came to, at most [`requests::MAX_SEEN`].
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Our own requests and the answers to them, over all pairs that ever were.
    pub fn checks(&self) -> (u32, u32) {
        (self.checks_sent, self.answers)
    }

    /// Did the peer answer over this way, and when did it last ask or answer there?
    pub fn heard_over(&self, socket: Socket, remote: SocketAddr) -> (bool, Option<Instant>) {
        let over = self.pairs.iter().filter(|pair| pair.route.socket == socket && pair.route.remote == remote);
        over.fold((false, None), |(answered, heard), pair| {
            (answered || pair.answered.is_some(), pair.heard().max(heard))
        })
    }

    pub fn pairs(&self) -> impl Iterator<Item = PairView> {
        self.pairs.iter().enumerate().map(|(index, pair)| PairView {
            route: pair.route,
            tally: pair.tally,
            rtt: pair.rtt,
            selected: self.selected == Some(index),
        })
    }

    /// Checks a candidate of the peer from one of our sockets.
    pub fn add_remote(&mut self, now: Instant, socket: Socket, remote: SocketAddr, priority: u32) {
        if self.pairs.iter().any(|pair| pair.route.socket == socket && pair.route.remote == remote) {
            return;
        }
        self.add_pair(now, Route { socket, local: None, remote }, priority);
    }

    /// A TCP connection ended, or the address of a socket vanished: its routes are gone.
    pub fn remove_socket(&mut self, now: Instant, socket: Socket) {
        let selected = self.selected();
        self.pairs.retain(|pair| pair.route.socket != socket);
        self.selected = selected.and_then(|route| self.pairs.iter().position(|pair| pair.route == route));
        if self.selected.is_none() && selected.is_some() {
            self.select_best(now);
        }
    }

    fn add_pair(&mut self, now: Instant, route: Route, remote_priority: u32) -> Option<usize> {
        if self.pairs.len() >= MAX_PAIRS {
            // A peer whose address changes for days leaves many that worked once.
            let spare = (0..self.pairs.len())
                .filter(|&index| self.selected != Some(index))
                .filter(|&index| self.pairs[index].state == State::Failed || self.pairs[index].is_silent(now, STALE))
                .min_by_key(|&index| self.pairs[index].heard())?;
            self.pairs.remove(spare);
            self.selected = self.selected.map(|index| index - usize::from(index > spare));
        }
        let local = u64::from(match route.socket {
            Socket::Udp(_) => UDP_PRIORITY,
            Socket::Tcp(_) => TCP_PRIORITY,
            Socket::Relay(_) => RELAY_PRIORITY,
        });
        let remote = u64::from(remote_priority);
        let (controlling, controlled) = if self.controlling { (local, remote) } else { (remote, local) };
        // RFC 8445 section 6.1.2.3
        let priority =
            (controlling.min(controlled) << 32) + 2 * controlling.max(controlled) + u64::from(controlling > controlled);
        self.pairs.push(Pair {
            route,
            priority,
            state: State::Waiting,
            nominated: false,
            outstanding: Vec::new(),
            checks: 0,
            due: now,
            answered: None,
            asked: None,
            rtt: None,
            tally: Tally::default(),
        });
        Some(self.pairs.len() - 1)
    }

    /// A check of the first pair, due or not.
    #[cfg(test)]
    pub fn check_again(&mut self, now: Instant, out: &mut Vec<Datagram>) {
        self.check(0, now, out);
    }

    /// Takes a STUN message that came over `route`.
    pub fn handle(&mut self, now: Instant, route: Route, bytes: &[u8], out: &mut Vec<Datagram>) -> Outcome {
        let mut message = Message { raw: bytes.to_vec(), ..Default::default() };
        if message.decode().is_err() {
            return Outcome::Rejected;
        }
        match message.typ {
            BINDING_REQUEST => self.request(now, route, message, out),
            BINDING_SUCCESS => self.success(now, route, message),
            BINDING_ERROR => self.error(now, message),
            _ => Outcome::Rejected,
        }
    }

    fn authentic(&self, message: &mut Message, pwd: &str) -> bool {
        MessageIntegrity::check(message, pwd.as_bytes(), self.provider.crypto()).is_ok()
    }

    fn seal(&self, message: &mut Message, pwd: &str) -> bool {
        MessageIntegrity::new_short_term_integrity_with_provider(pwd.to_owned(), self.provider.crypto())
            .add_to(message)
            .and_then(|()| stun::Fingerprint.add_to(message))
            .is_ok()
    }
}
