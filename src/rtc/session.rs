//! The transport of one peer: ICE finds the way, DTLS agrees on keys (RFC 5764), SRTP carries media.
//! Datagrams and time come in, datagrams and events go out.
mod handshake;
mod identity;
mod incoming;
mod keys;
mod profiles;
mod reason;
#[cfg(test)]
mod tests;

use crate::rtc::dtls::Filter;
use crate::rtc::ice::{self, Credentials, Ice, Outcome};
use crate::rtc::route::{Datagram, Route, Socket};
use crate::rtc::srtp::Protect;
use bytes::BytesMut;
use rtc_crypto::RTCCryptoProvider;
use rtc_dtls::endpoint::Endpoint;
use rtc_shared::{TransportContext, TransportProtocol};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use handshake::Handshake;
use handshake::peer;
use identity::Terms;
pub use identity::{Identity, PeerTransport};
use keys::Keys;
pub use profiles::CryptoCost;
pub use reason::Reason;

/// A peer that no route was found to within this time is given up.
pub const ICE_DEADLINE: Duration = Duration::from_secs(15);
/// Some peers nominate a route only when every check that a firewall swallows has timed out: with a
/// route that works they get this long.
pub const NOMINATION_DEADLINE: Duration = Duration::from_secs(30);
/// A handshake that did not end within this time after ICE is given up.
pub const DTLS_DEADLINE: Duration = Duration::from_secs(10);
/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Looking for a route.
    Checking,
    /// A route is found, keys are being agreed on.
    Handshaking,
    Connected,
    Closed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Checking => "checking",
            State::Handshaking => "handshaking",
            State::Connected => "connected",
            State::Closed => "closed",
        }
    }
}

/// What a datagram or the time brought.
#[derive(Debug)]
pub enum Event {
    Connected,
    /// Decrypted RTP packet.
    Rtp(BytesMut),
    /// Decrypted compound RTCP packet.
    Rtcp(BytesMut),
    Closed(Reason),
}

/// What a session can show for a way to its peer: whoever can forge a source address can ask, but not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The peer answered a check over it.
    pub answered: bool,
    /// Last authentic message over it, or packet of the peer's media over any.
    pub heard: Option<Instant>,
}

pub struct Session {
    ice: Ice,
    dtls: Endpoint,
    /// What the handshake's settings are made of, until it begins.
    terms: Option<Terms>,
    /// What the peer's DTLS datagrams go through, from before a route is chosen.
    filter: Filter,
    /// Our answer to a client's first message, which a client that missed it is sent again.
    cookie_request: Option<Vec<u8>>,
    provider: Arc<dyn RTCCryptoProvider>,
    keys: Option<Keys>,
    /// When the last authentic packet of media came.
    media_came: Option<Instant>,
    state: State,
    since: Instant,
    dtls_retries: u32,
    dtls_sent: Option<Instant>,
    handshake: Handshake,
}

impl Session {
    /// A session that answers (`controlling` false) or offers. `active`: we are the DTLS client. `tag` finds the session of
    /// a STUN answer again.
    pub fn new(
        identity: &Identity,
        now: Instant,
        controlling: bool,
        active: bool,
        tag: u32,
        local: Credentials,
        remote: PeerTransport,
    ) -> Self {
        let local_addr = TransportContext::default().local_addr;
        Self {
            ice: Ice::new(identity.provider.clone(), controlling, tag, local, remote.credentials),
            dtls: Endpoint::new(local_addr, TransportProtocol::UDP, None),
            terms: Some(Terms::new(identity, active, remote.fingerprints)),
            filter: Filter::new(active),
            cookie_request: None,
            provider: identity.provider.clone(),
            keys: None,
            media_came: None,
            state: State::Checking,
            since: now,
            dtls_retries: 0,
            dtls_sent: None,
            handshake: Handshake::default(),
        }
    }

    pub fn handshake(&self) -> Handshake {
        self.handshake
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn ice(&self) -> &Ice {
        &self.ice
    }

    pub fn ice_mut(&mut self) -> &mut Ice {
        &mut self.ice
    }

    /// Name of the SRTP profile in use.
    pub fn cipher(&self) -> Option<&'static str> {
        self.keys.as_ref().map(|keys| if keys.gcm { "AES-GCM" } else { "AES-CM" })
    }

    /// The route that media takes and the means to protect it, once connected.
    pub fn sender(&mut self) -> Option<(Route, &mut Protect)> {
        if self.state != State::Connected {
            return None;
        }
        Some((self.ice.selected()?, &mut self.keys.as_mut()?.protect))
    }

    /// Protects and queues a compound RTCP packet.
    pub fn send_rtcp(&mut self, compound: &[u8], out: &mut Vec<Datagram>) {
        let (Some(route), Some(keys)) = (self.ice.selected(), &mut self.keys) else { return };
        if let Ok(bytes) = keys.outgoing.encrypt_rtcp(compound) {
            out.push(Datagram { route, bytes: bytes.to_vec() });
        }
    }

    /// Is a packet of media of an SSRC that this session had an authentic packet of?
    pub fn knows(&self, bytes: &[u8]) -> bool {
        let Some((keys, (rtcp, ssrc))) = self.keys.as_ref().zip(ssrc_of(bytes)) else { return false };
        keys.incoming.knows(rtcp, ssrc)
    }

    /// What this session can show for a way to its peer.
    pub fn standing(&self, socket: Socket, remote: SocketAddr) -> Standing {
        let (answered, heard) = self.ice.heard_over(socket, remote);
        Standing { answered, heard: heard.max(self.media_came) }
    }

    /// Takes a datagram that may be of this session. `Rejected` means that it proves nothing about its sender.
    pub fn handle(
        &mut self,
        now: Instant,
        route: Route,
        bytes: &[u8],
        out: &mut Vec<Datagram>,
        events: &mut Vec<Event>,
    ) -> Outcome {
        if self.state == State::Closed {
            return Outcome::Rejected;
        }
        match bytes.first() {
            Some(0..=3) if ice::is_stun(bytes) => {
                let outcome = self.ice.handle(now, route, bytes, out);
                self.after_ice(now, out, events);
                return outcome;
            }
            Some(20..=63) => self.dtls_datagram(now, bytes, out, events),
            Some(128..=191) => return self.media_datagram(now, bytes, events),
            _ => {}
        }
        Outcome::Rejected
    }

    fn media_datagram(&mut self, now: Instant, bytes: &[u8], events: &mut Vec<Event>) -> Outcome {
        let Some((keys, (rtcp, ssrc))) = self.keys.as_mut().zip(ssrc_of(bytes)) else { return Outcome::Rejected };
        let Some(plain) = keys.incoming.open(rtcp, ssrc, bytes, self.provider.crypto()) else {
            return Outcome::Rejected;
        };
        self.media_came = Some(now);
        if rtcp {
            events.push(Event::Rtcp(plain));
        } else {
            // Whoever is sent media has to answer checks.
            if !keys.protect.is_used() {
                self.ice.media_came(now);
            }
            events.push(Event::Rtp(plain));
        }
        Outcome::Accepted
    }

    fn after_ice(&mut self, now: Instant, out: &mut Vec<Datagram>, events: &mut Vec<Event>) {
        if self.ice.take_change().is_none() || self.state != State::Checking {
            return;
        }
        self.state = State::Handshaking;
        self.since = now;
        self.handshake.began = Some(now);
        self.begin_handshake(now, out, events);
    }

    /// When [`Self::tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let phase = match self.state {
            State::Closed => return None,
            State::Checking => Some(self.since + self.ice_deadline()),
            State::Handshaking => Some(self.since + DTLS_DEADLINE),
            State::Connected => self.ice.consent_deadline(),
        };
        [phase, self.ice.deadline(), self.dtls_retry()].into_iter().flatten().min()
    }

    fn ice_deadline(&self) -> Duration {
        if self.ice.is_reachable() { NOMINATION_DEADLINE } else { ICE_DEADLINE }
    }

    /// Does what is due by `now`.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Datagram>, events: &mut Vec<Event>) {
        let overdue = |since: Instant, limit| now.saturating_duration_since(since) >= limit;
        match self.state {
            State::Closed => return,
            State::Checking if overdue(self.since, self.ice_deadline()) => {
                let reason = match (self.ice.is_reachable(), self.ice.requests_seen()) {
                    (true, _) => Reason::NotNominated,
                    (false, 0) => Reason::NothingReceived,
                    (false, _) => Reason::NoRoute,
                };
                return self.close(reason, events);
            }
            State::Handshaking if overdue(self.since, DTLS_DEADLINE) => {
                return self.close(Reason::HandshakeTimeout, events);
            }
            State::Connected if self.ice.consent_deadline().is_some_and(|at| at <= now) => {
                return self.close(Reason::ConsentLost, events);
            }
            _ => {}
        }
        self.ice.tick(now, out);
        self.after_ice(now, out, events);
        if self.dtls_retry().is_some_and(|at| at <= now) {
            self.dtls_retries += 1;
            if self.dtls.handle_timeout(peer(), now).is_err() {
                return self.close(Reason::HandshakeTimeout, events);
            }
            self.dtls_sent = Some(now);
            self.flush_dtls(now, out);
        }
    }

    /// A TCP connection of this session ended.
    pub fn lost_socket(&mut self, now: Instant, socket: Socket, out: &mut Vec<Datagram>, events: &mut Vec<Event>) {
        self.ice.remove_socket(now, socket);
        self.after_ice(now, out, events);
    }

    /// Ends the session and tells the peer (close_notify).
    pub fn shut(&mut self, now: Instant, out: &mut Vec<Datagram>) {
        if self.state != State::Closed {
            let _ = self.dtls.close(now);
            self.flush_dtls(now, out);
            self.state = State::Closed;
        }
    }

    fn close(&mut self, reason: Reason, events: &mut Vec<Event>) {
        if self.state != State::Closed {
            self.state = State::Closed;
            events.push(Event::Closed(reason));
        }
    }
}

/// Is a packet of media RTCP (RFC 5761 section 4: 192 to 223 in the second byte), and whose is it?
fn ssrc_of(bytes: &[u8]) -> Option<(bool, u32)> {
    let rtcp = (192..=223).contains(bytes.get(1)?);
    let at = if rtcp { 4 } else { 8 };
    Some((rtcp, u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)))
}
