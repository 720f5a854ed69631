//! The DTLS part of a session: when the handshake begins and with which SRTP profiles, its repeats, and the keys that it ends with.
use super::{Reason, Session, State, keys::Keys};
use crate::rtc::dtls::hello::offered_profiles;
use crate::rtc::route::Datagram;
use crate::rtc::session::Event;
use bytes::BytesMut;
use rtc_dtls::endpoint::EndpointEvent;
use rtc_shared::error::Error as RtcError;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// First wait before a DTLS flight is sent again; doubles each time (RFC 6347 section 4.2.4.1 suggests
/// 1 s for the open Internet, a lost packet on a LAN should not cost that).
pub(super) const DTLS_FIRST_RETRY: Duration = Duration::from_millis(50);

/// How the DTLS handshake went, for those who ask why there is no picture.
#[derive(Clone, Copy, Debug, Default)]
pub struct Handshake {
    /// When a route was found, and when the keys were agreed on.
    pub began: Option<Instant>,
    pub done: Option<Instant>,
    /// Datagrams of the handshake, repeated ones included.
    pub sent: u32,
    pub received: u32,
}

/// The DTLS endpoint sees one peer, whatever route its datagrams take.
pub(super) fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 1))
}

impl Session {
    /// Once there is a route: as the client at once, as the server when the client has said what it offers.
    pub(super) fn begin_handshake(&mut self, now: Instant, out: &mut Vec<Datagram>, events: &mut Vec<Event>) {
        let offered = self.filter.client_hello().map(offered_profiles);
        if let Some(terms) = self.terms.take_if(|terms| terms.active || offered.is_some()) {
            let (active, processor) = (terms.active, terms.cost);
            let profiles = offered.map_or_else(|| processor.proposal().to_vec(), |offered| processor.choice(&offered));
            let begun = terms.config(profiles).map(Arc::new).and_then(|config| {
                if active {
                    return self.dtls.connect(now, peer(), config, None).map_err(|error| error.to_string());
                }
                self.dtls.set_server_config(Some(config));
                Ok(())
            });
            if let Err(error) = begun {
                log::warn!(target: "webrtc", "the handshake can't begin error={error}");
                return self.close(Reason::HandshakeFailed, events);
            }
            self.flush_dtls(now, out);
        }
        self.read_dtls(now, out, events);
    }

    pub(super) fn dtls_datagram(
        &mut self,
        now: Instant,
        bytes: &[u8],
        out: &mut Vec<Datagram>,
        events: &mut Vec<Event>,
    ) {
        self.handshake.received = self.handshake.received.saturating_add(1);
        let misses_request = self.filter.take(bytes);
        match self.state {
            State::Handshaking => {
                if misses_request && let Some((route, bytes)) = self.ice.selected().zip(self.cookie_request.clone()) {
                    out.push(Datagram { route, bytes });
                }
                self.begin_handshake(now, out, events);
            }
            State::Connected => self.read_dtls(now, out, events),
            State::Checking | State::Closed => {}
        }
    }

    /// Hands over what the filter has ready.
    fn read_dtls(&mut self, now: Instant, out: &mut Vec<Datagram>, events: &mut Vec<Event>) {
        if self.terms.is_some() {
            return;
        }
        while self.state != State::Closed {
            let state = self.dtls.get_connection_state(peer());
            let has_keys = state.and_then(|state| state.cipher_suite()).is_some_and(|suite| suite.is_initialized());
            let next = self.filter.flight().or_else(|| if has_keys { self.filter.secured() } else { None });
            let Some(records) = next else { return };
            self.give_dtls(now, &records, out, events);
        }
    }

    fn give_dtls(&mut self, now: Instant, records: &[u8], out: &mut Vec<Datagram>, events: &mut Vec<Event>) {
        let result = self.dtls.read(now, peer(), None, BytesMut::from(records));
        let before = out.len();
        self.flush_dtls(now, out);
        let answer = out[before..].last();
        if answer.is_some() {
            // with each flight of ours the library counts its repeats anew, too
            self.dtls_retries = 0;
        }
        self.cookie_request = answer.filter(|_| self.filter.awaits_cookie()).map(|answer| answer.bytes.clone());
        if let Some(request) = &self.cookie_request {
            self.filter.asked_for_cookie(request);
        }
        match result {
            Ok(dtls_events) => {
                for event in dtls_events {
                    match event {
                        EndpointEvent::HandshakeComplete => match self.derive_keys() {
                            Ok(keys) => {
                                self.keys = Some(keys);
                                self.filter.finish();
                                self.state = State::Connected;
                                self.handshake.done = Some(now);
                                events.push(Event::Connected);
                            }
                            Err(error) => {
                                log::warn!(target: "webrtc", "no media keys from the handshake error={error}");
                                self.close(Reason::HandshakeFailed, events);
                            }
                        },
                        EndpointEvent::PeerClosed => self.close(Reason::ClosedByPeer, events),
                        _ => {}
                    }
                }
            }
            Err(error) if self.state == State::Handshaking => {
                log::debug!(target: "webrtc", "dtls error={error}");
                if matches!(error, RtcError::ErrNoMatchingCertificateFingerprint) {
                    self.close(Reason::HandshakeFailed, events);
                }
            }
            Err(error) => log::debug!(target: "webrtc", "dtls error={error}"),
        }
    }

    pub(super) fn flush_dtls(&mut self, now: Instant, out: &mut Vec<Datagram>) {
        let route = self.ice.selected();
        while let Some(transmit) = self.dtls.poll_transmit() {
            self.dtls_sent = Some(now);
            self.handshake.sent = self.handshake.sent.saturating_add(1);
            if let Some(route) = route {
                out.push(Datagram { route, bytes: transmit.message.to_vec() });
            }
        }
    }

    fn derive_keys(&self) -> Result<Keys, String> {
        let state = self.dtls.get_connection_state(peer()).ok_or("no DTLS state")?;
        Keys::derive(state, self.provider.crypto())
    }

    pub(super) fn dtls_retry(&self) -> Option<Instant> {
        if self.state != State::Handshaking {
            return None;
        }
        self.dtls.poll_timeout(&peer())?;
        Some(self.dtls_sent? + DTLS_FIRST_RETRY * (1 << self.dtls_retries.min(7)))
    }
}
