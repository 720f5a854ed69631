//! A full ICE agent for one component (RFC 8445), without sockets or a clock. The relay's sockets are
//! shared and its addresses come and go, so a pair is a route that the peer was seen on, or a remote
//! candidate seen from one of our sockets; nothing is gathered here. STUN's encoding and its message
//! integrity are the library's.
mod pair;
mod stun;
#[cfg(test)]
mod tests;

use crate::net::route::{Datagram, Route, Socket};
use pair::{Check, Pair, State};
pub use pair::{PairView, Seen, Tally};
use rtc::crypto::{RTCCryptoProvider, constant_time_eq};
use rtc::stun::attributes::{
    ATTR_ERROR_CODE, ATTR_ICE_CONTROLLED, ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME,
};
use rtc::stun::fingerprint::FINGERPRINT;
use rtc::stun::integrity::MessageIntegrity;
use rtc::stun::message::{BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, Message, Setter, TransactionId};
use rtc::stun::xoraddr::XorMappedAddress;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stun::ErrorCode;
pub use stun::{answered_tag, is_stun, requested_ufrag};

/// Pairs that one session checks; further ones are answered but not remembered.
pub const MAX_PAIRS: usize = 64;
/// First and longest wait for an answer to a check.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_millis(800);
/// Checks to one pair before it counts as failed.
const MAX_CHECKS: u32 = 24;
/// Consent is asked for this often (RFC 7675 section 5.1 asks for about 5 s), …
const CONSENT_INTERVAL: Duration = Duration::from_secs(4);
/// … this often again while an answer is missing, …
const CONSENT_RETRY: Duration = Duration::from_millis(500);
/// … and is lost after this long without one (RFC 7675 allows at most 30 s).
pub const CONSENT_LOST: Duration = Duration::from_secs(15);
/// A selected pair that is silent this long gives way to a nominated one that is not.
const SILENT: Duration = Duration::from_secs(3);

/// A nominated pair without a sign of life for this long, more than a consent takes, gives way to one with.
const STALE: Duration = Duration::from_secs(5);
/// Unanswered checks of one pair whose answers still count: on a slow path they come after the next check went out.
const MAX_OUTSTANDING: usize = 8;
/// Addresses of ours whose requests are counted apart; a machine with more is told of these.
const MAX_SEEN: usize = 16;

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

    /// The route that media takes.
    pub fn selected(&self) -> Option<Route> {
        self.selected.map(|index| self.pairs[index].route)
    }

    /// The selected route, once after each change.
    pub fn take_change(&mut self) -> Option<Route> {
        std::mem::take(&mut self.changed).then(|| self.selected())?
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

    /// Authentic requests by the address of ours that they came to, at most [`MAX_SEEN`].
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Our own requests and the answers to them, over all pairs that ever were.
    pub fn checks(&self) -> (u32, u32) {
        (self.checks_sent, self.answers)
    }

    pub fn pairs(&self) -> impl Iterator<Item = PairView> {
        self.pairs.iter().enumerate().map(|(index, pair)| PairView {
            route: pair.route,
            tally: pair.tally,
            rtt: pair.rtt,
            selected: self.selected == Some(index),
        })
    }

    fn note_request(&mut self, now: Instant, route: &Route) {
        self.requests_seen = self.requests_seen.saturating_add(1);
        let protocol = route.socket.protocol();
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.local == route.local && seen.protocol == protocol) {
            (seen.requests, seen.last) = (seen.requests.saturating_add(1), now);
        } else if self.seen.len() < MAX_SEEN {
            self.seen.push(Seen { local: route.local, protocol, requests: 1, last: now });
        }
    }

    /// When consent runs out; `None` before a route was selected.
    pub fn consent_deadline(&self) -> Option<Instant> {
        self.consent
    }

    /// Media came that only this peer can have protected, and none of ours goes to it: somebody who sends wants the
    /// connection. FFmpeg, as a WHIP publisher, answers no check once it streams. RFC 7675 counts answers alone, for it
    /// guards those who are sent to; such a peer gets nothing but reports and requests for keyframes.
    pub fn media_came(&mut self, now: Instant) {
        if self.consent.is_some() {
            self.consent = Some(now + CONSENT_LOST);
        }
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

    fn request(&mut self, now: Instant, route: Route, mut message: Message, out: &mut Vec<Datagram>) -> Outcome {
        let expected = format!("{}:{}", self.local.ufrag, self.remote.ufrag);
        let username = message.get(ATTR_USERNAME).unwrap_or_default();
        if !constant_time_eq(&username, expected.as_bytes()) || !self.authentic(&mut message, &self.local.pwd) {
            return Outcome::Rejected;
        }
        self.note_request(now, &route);
        if self.role_conflict(&message) {
            self.reply(&message, BINDING_ERROR, &[&ErrorCode(487, "role conflict")], route, out);
            return Outcome::Accepted;
        }
        self.reply(
            &message,
            BINDING_SUCCESS,
            &[&XorMappedAddress { ip: route.remote.ip(), port: route.remote.port() }],
            route,
            out,
        );
        let priority = message.get(ATTR_PRIORITY).ok().and_then(|v| Some(u32::from_be_bytes(v.try_into().ok()?)));
        let Some(index) = self.pair_of(now, route, priority.unwrap_or(PEER_REFLEXIVE_PRIORITY)) else {
            return Outcome::Accepted;
        };
        let nominate = !self.controlling && message.contains(ATTR_USE_CANDIDATE);
        let pair = &mut self.pairs[index];
        pair.asked = Some(now);
        pair.tally.requests = pair.tally.requests.saturating_add(1);
        pair.nominated |= nominate;
        match pair.state {
            // A triggered check (RFC 8445 section 7.3.1.4) goes out at once.
            State::Waiting | State::Failed => {
                (pair.checks, pair.due) = (0, now);
                self.check(index, now, out);
            }
            State::InProgress => {}
            State::Succeeded if nominate => self.select_best(now),
            State::Succeeded => {}
        }
        Outcome::Accepted
    }

    fn pair_of(&mut self, now: Instant, route: Route, priority: u32) -> Option<usize> {
        let known = self.pairs.iter().position(|pair| pair.route == route).or_else(|| {
            self.pairs.iter().position(|pair| {
                pair.route.socket == route.socket && pair.route.remote == route.remote && pair.route.local.is_none()
            })
        });
        match known {
            Some(index) => {
                let pair = &mut self.pairs[index];
                if pair.route.local.is_none() && route.local.is_some() {
                    pair.route.local = route.local;
                    self.changed |= self.selected == Some(index);
                }
                Some(index)
            }
            None => self.add_pair(now, route, priority),
        }
    }

    /// RFC 8445 section 7.3.1.1. True when the peer shall switch; when we shall, we did.
    fn role_conflict(&mut self, message: &Message) -> bool {
        let attribute = if self.controlling { ATTR_ICE_CONTROLLING } else { ATTR_ICE_CONTROLLED };
        let Some(theirs) = message.get(attribute).ok().and_then(|v| Some(u64::from_be_bytes(v.try_into().ok()?)))
        else {
            return false;
        };
        if (self.tie_breaker >= theirs) == self.controlling {
            return true;
        }
        self.controlling = !self.controlling;
        false
    }

    fn reply(
        &self,
        request: &Message,
        kind: rtc::stun::message::MessageType,
        attributes: &[&dyn Setter],
        route: Route,
        out: &mut Vec<Datagram>,
    ) {
        let mut reply = Message::new();
        reply.transaction_id = TransactionId(request.transaction_id.0);
        reply.set_type(kind);
        reply.write_header();
        let done = attributes.iter().all(|attribute| attribute.add_to(&mut reply).is_ok());
        if done && self.seal(&mut reply, &self.local.pwd) {
            out.push(Datagram { route, bytes: reply.raw });
        }
    }

    fn seal(&self, message: &mut Message, pwd: &str) -> bool {
        MessageIntegrity::new_short_term_integrity_with_provider(pwd.to_owned(), self.provider.crypto())
            .add_to(message)
            .and_then(|()| FINGERPRINT.add_to(message))
            .is_ok()
    }

    fn success(&mut self, now: Instant, route: Route, mut message: Message) -> Outcome {
        let id = message.transaction_id.0;
        let Some((index, check)) = self.asked(&id) else { return Outcome::Rejected };
        let pwd = self.remote.pwd.clone();
        // The answer has to come back over the way that the request took (RFC 8445 section 7.2.5.2.1).
        let symmetric =
            self.pairs[index].route.socket == route.socket && self.pairs[index].route.remote == route.remote;
        if !symmetric || !self.authentic(&mut message, &pwd) {
            return Outcome::Rejected;
        }
        self.answers = self.answers.saturating_add(1);
        let selected = self.selected == Some(index);
        let pair = &mut self.pairs[index];
        pair.tally.answers = pair.tally.answers.saturating_add(1);
        if pair.route.local.is_none() {
            pair.route.local = route.local;
            self.changed |= selected;
        }
        let sample = now.saturating_duration_since(pair.outstanding[check].at);
        pair.rtt = Some(pair.rtt.map_or(sample, |old| (old * 7 + sample) / 8));
        pair.outstanding.clear();
        pair.answered = Some(now);
        pair.checks = 0;
        pair.state = State::Succeeded;
        pair.due = now + CONSENT_INTERVAL;
        if selected {
            self.consent = Some(now + CONSENT_LOST);
        }
        if pair.nominated {
            self.select_best(now);
        } else if self.controlling && !self.pairs.iter().any(|pair| pair.nominated) {
            // Regular nomination (RFC 8445 section 8.1.1): the next check of the first good pair carries USE-CANDIDATE.
            self.pairs[index].nominated = true;
            self.pairs[index].state = State::Waiting;
            self.pairs[index].due = now;
        }
        Outcome::Accepted
    }

    fn error(&mut self, now: Instant, mut message: Message) -> Outcome {
        let id = message.transaction_id.0;
        let Some((index, check)) = self.asked(&id) else { return Outcome::Rejected };
        let pwd = self.remote.pwd.clone();
        if !self.authentic(&mut message, &pwd) {
            return Outcome::Rejected;
        }
        let code = message.get(ATTR_ERROR_CODE).unwrap_or_default();
        let pair = &mut self.pairs[index];
        let controlling = pair.outstanding[check].controlling;
        pair.outstanding.clear();
        if code.get(2..4) == Some(&[4, 87]) {
            // Several checks may meet the same conflict: the role is left once.
            if controlling == self.controlling {
                self.controlling = !controlling;
            }
            pair.due = now;
            pair.state = State::Waiting;
        } else if self.selected != Some(index) {
            pair.state = State::Failed;
        }
        Outcome::Accepted
    }

    /// The pair and its check that an answer belongs to.
    fn asked(&self, id: &[u8; 12]) -> Option<(usize, usize)> {
        self.pairs.iter().enumerate().find_map(|(index, pair)| {
            pair.outstanding.iter().position(|check| check.transaction == *id).map(|check| (index, check))
        })
    }

    /// Takes the best nominated pair that works: the one with the highest priority (an aggressive peer
    /// nominates all it checks), unless it fell silent while another did not.
    fn select_best(&mut self, now: Instant) {
        let best = self
            .pairs
            .iter()
            .enumerate()
            .filter(|(_, pair)| pair.nominated && pair.state == State::Succeeded)
            .max_by_key(|(_, pair)| (!pair.is_silent(now, STALE), pair.priority))
            .map(|(index, _)| index);
        if let Some(best) = best {
            self.select(best, now);
        }
    }

    fn select(&mut self, index: usize, now: Instant) {
        if self.selected == Some(index) {
            return;
        }
        self.selected = Some(index);
        self.changed = true;
        let pair = &mut self.pairs[index];
        // A pair that was not in use has an old proof, or one that ran out: it is renewed at once, and
        // there is time for that.
        if pair.answered.is_none_or(|at| now.saturating_duration_since(at) >= CONSENT_INTERVAL) {
            pair.due = now;
        }
        self.consent = pair.answered.map(|at| at + CONSENT_LOST).max(Some(now + SILENT));
    }

    /// When [`Self::tick`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.pairs
            .iter()
            .enumerate()
            .filter(|(index, pair)| match pair.state {
                State::Failed => false,
                State::Succeeded => self.selected == Some(*index),
                State::Waiting | State::InProgress => true,
            })
            .map(|(_, pair)| pair.due)
            .min()
    }

    /// Sends the checks and consent requests that are due.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Datagram>) {
        for index in 0..self.pairs.len() {
            let selected = self.selected == Some(index);
            let pair = &mut self.pairs[index];
            if pair.due > now || pair.state == State::Failed || (pair.state == State::Succeeded && !selected) {
                continue;
            }
            if !selected && pair.checks >= MAX_CHECKS {
                pair.state = State::Failed;
                continue;
            }
            self.check(index, now, out);
        }
        self.leave_silence(now);
    }

    fn leave_silence(&mut self, now: Instant) {
        let Some(selected) = self.selected else { return };
        if !self.pairs[selected].is_silent(now, SILENT) || self.pairs[selected].checks < 3 {
            return;
        }
        let other = (0..self.pairs.len())
            .filter(|&index| index != selected)
            .filter(|&index| self.pairs[index].state == State::Succeeded && !self.pairs[index].is_silent(now, SILENT))
            .max_by_key(|&index| self.pairs[index].priority);
        if let Some(other) = other {
            self.select(other, now);
        }
    }

    fn check(&mut self, index: usize, now: Instant, out: &mut Vec<Datagram>) {
        let selected = self.selected == Some(index);
        let mut transaction = [0; 12];
        if self.provider.random().fill(&mut transaction).is_err() {
            return;
        }
        transaction[..4].copy_from_slice(&self.tag.to_be_bytes());
        let mut message = Message::new();
        message.transaction_id = TransactionId(transaction);
        message.set_type(BINDING_REQUEST);
        message.write_header();
        message.add(ATTR_USERNAME, format!("{}:{}", self.remote.ufrag, self.local.ufrag).as_bytes());
        message.add(ATTR_PRIORITY, &PEER_REFLEXIVE_PRIORITY.to_be_bytes());
        let role = if self.controlling { ATTR_ICE_CONTROLLING } else { ATTR_ICE_CONTROLLED };
        message.add(role, &self.tie_breaker.to_be_bytes());
        if self.controlling && self.pairs[index].nominated {
            message.add(ATTR_USE_CANDIDATE, &[]);
        }
        let pair = &mut self.pairs[index];
        if pair.outstanding.len() >= MAX_OUTSTANDING {
            pair.outstanding.remove(0);
        }
        pair.outstanding.push(Check { transaction, at: now, controlling: self.controlling });
        pair.checks += 1;
        pair.tally.checks = pair.tally.checks.saturating_add(1);
        self.checks_sent = self.checks_sent.saturating_add(1);
        pair.due = now
            + match pair.state {
                State::Succeeded if selected => CONSENT_RETRY,
                _ => (FIRST_RETRY * (1 << (pair.checks / 2).min(8))).min(LONGEST_RETRY),
            };
        if pair.state != State::Succeeded {
            pair.state = State::InProgress;
        }
        let route = pair.route;
        let pwd = self.remote.pwd.clone();
        if self.seal(&mut message, &pwd) {
            out.push(Datagram { route, bytes: message.raw });
        }
    }
}
