//! What happens to sessions: datagrams, what they bring, reports of their peers, and their end.
use super::Engine;
use super::api::Error;
use super::keys::PeerKey;
use super::sessions::{From, short};
use crate::rtc::ice::{self, Outcome};
use crate::rtc::route::{Route, Socket};
use crate::rtc::rtcp;
use crate::rtc::session::{Event, Reason};
use crate::stream::inbound::Header;
use crate::stream::intake::Arrived;
use bytes::BytesMut;
use std::time::Instant;

impl Engine {
    pub(super) fn take_datagram(&mut self, now: Instant, route: Route, bytes: &[u8]) {
        if self.reach.takes_stun(now, &route, bytes) {
            return;
        }
        for key in self.sessions.candidates_for(&route, bytes) {
            if self.deliver(key, now, route, bytes) == Outcome::Accepted {
                break;
            }
        }
    }

    /// Gives a datagram to a session that it may be of.
    fn deliver(&mut self, key: PeerKey, now: Instant, route: Route, bytes: &[u8]) -> Outcome {
        let mut outcome = Outcome::Rejected;
        self.guarded(key, |engine| {
            let Some(peer) = engine.sessions.get_mut(key) else { return };
            outcome = peer.session.handle(now, route, bytes, &mut engine.work.out, &mut engine.work.events);
            if outcome == Outcome::Accepted && ice::is_stun(bytes) {
                engine.claim(key, (route.socket, route.remote), now);
            }
            engine.handle_events(key, now);
        });
        outcome
    }

    fn claim(&mut self, key: PeerKey, from: From, now: Instant) {
        let connection = self.sessions.claim(key, from, now);
        self.work.keep.extend(connection);
    }

    /// A socket is gone: a TCP connection, or a session's allocation.
    pub(super) fn on_lost_socket(&mut self, socket: Socket, now: Instant) {
        let keys = self.sessions.over(socket);
        self.sessions.forget_socket(socket);
        for key in keys {
            self.lose_socket(key, socket, now);
        }
    }

    /// One of our own sockets is gone: no session may keep its number, another socket will have it.
    pub(super) fn on_unbound(&mut self, socket: Socket, now: Instant) {
        self.sessions.forget_socket(socket);
        for key in self.sessions.keys() {
            self.lose_socket(key, socket, now);
        }
    }

    fn lose_socket(&mut self, key: PeerKey, socket: Socket, now: Instant) {
        self.guarded(key, |engine| {
            let Some(peer) = engine.sessions.get_mut(key) else { return };
            peer.routes.retain(|(known, _)| *known != socket);
            peer.session.lost_socket(now, socket, &mut engine.work.out, &mut engine.work.events);
            engine.handle_events(key, now);
        });
    }

    /// A session does what is due.
    pub(super) fn tick_session(&mut self, key: PeerKey, now: Instant) {
        let (media, work, ntp) = (&self.media, &mut self.work, self.began);
        let mut woken = false;
        self.sessions.tick(key, now, |peer| {
            woken = peer.wake.take_if(|at| *at <= now).is_some();
            peer.session.tick(now, &mut work.out, &mut work.events);
            peer.report(now, ntp, media, &mut work.out);
            peer.feedback(now, &mut work.out);
        });
        self.handle_events(key, now);
        if woken {
            self.pump_soon(key);
        }
    }

    fn handle_events(&mut self, key: PeerKey, now: Instant) {
        if self.work.events.is_empty() {
            return;
        }
        let mut events = std::mem::take(&mut self.work.events);
        for event in events.drain(..) {
            match event {
                Event::Connected => self.on_connected(key, now),
                Event::Rtp(packet) => self.on_rtp(key, packet, now),
                Event::Rtcp(compound) => self.on_rtcp(key, &compound, now),
                Event::Closed(reason) => self.remove_session(key, reason, now),
            }
        }
        self.work.events = events;
    }

    fn on_connected(&mut self, key: PeerKey, now: Instant) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        peer.connected = Some(now);
        peer.report_due = now;
        peer.intake.receivers.iter_mut().for_each(|receiver| receiver.wants_keyframe = false);
        let route = peer.session.ice().selected().map(|route| route.to_string()).unwrap_or_default();
        let took = now.saturating_duration_since(peer.created).as_millis();
        let cipher = peer.session.cipher().unwrap_or_default();
        if let Some(left_out) = self.journal.admit(peer.origin.remote.ip(), now) {
            log::info!(
                target: "webrtc",
                "{} connected stream={:?} session={} route={route:?} cipher={cipher} after={took}ms{left_out}",
                peer.role, peer.stream, short(&peer.id)
            );
        }
        if peer.publishes() {
            for (key, reason) in self.on_publisher(key, now) {
                self.remove_session(key, reason, now);
            }
        } else {
            self.pump_soon(key);
        }
    }

    fn on_rtp(&mut self, key: PeerKey, packet: BytesMut, now: Instant) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let Some(header) = Header::read(&packet) else { return };
        let Some(Arrived { track, packet, first }) = peer.intake.rtp(now, &header, packet) else { return };
        if !peer.publishes() {
            return self.on_sound(key, track, packet, now);
        }
        let begins = packet.as_ref().is_some_and(|packet| packet.keyframe);
        if let Some(packet) = packet {
            self.media.push(track, packet, now);
        }
        // The first picture of a publisher is a keyframe; if it was lost, ask at once.
        if first && !begins {
            self.ask_keyframe(track, now);
        }
    }

    fn on_rtcp(&mut self, key: PeerKey, compound: &[u8], now: Instant) {
        let Some(peer) = self.sessions.get_mut(key) else { return };
        let mut to_send = false;
        let media = &mut self.media;
        rtcp::read(compound, |message| match message {
            rtcp::Message::Nack { ssrc, lost } => {
                if let Some(sender) = peer.senders.iter_mut().find(|sender| sender.ssrc == ssrc) {
                    sender.miss(&lost);
                    to_send = true;
                }
            }
            rtcp::Message::KeyframeRequest { ssrc } => {
                if let Some(sender) = peer.senders.iter_mut().find(|sender| sender.ssrc == ssrc) {
                    sender.keyframe_requests += 1;
                    sender.wants_keyframe = true;
                    to_send = true;
                }
            }
            rtcp::Message::Report(block) => {
                if let Some(sender) = peer.senders.iter_mut().find(|sender| sender.ssrc == block.ssrc) {
                    sender.loss.note(block.fraction_lost);
                    sender.report = Some(block);
                }
            }
            rtcp::Message::SenderReport { ssrc, ntp, rtp } => {
                for (track, moment, timestamp) in peer.intake.sender_report(ssrc, ntp, rtp, now) {
                    if let Some(track) = media.get_mut(track) {
                        track.set_clock(moment, timestamp);
                    }
                }
            }
            rtcp::Message::Bitrate { .. } | rtcp::Message::TransportFeedback { .. } | rtcp::Message::Bye { .. } => {}
        });
        if to_send {
            self.pump_soon(key);
        }
    }

    pub(super) fn on_close(&mut self, id: &str, now: Instant) -> Result<(), Error> {
        let key = self.sessions.key_of(id)?;
        self.remove_session(key, Reason::ClosedByUs, now);
        Ok(())
    }

    /// Ends a session in which a fault happened.
    pub(super) fn end_faulty(&mut self, key: PeerKey, now: Instant) {
        self.remove_session(key, Reason::Fault, now);
    }

    /// Ends a session: nothing of it is left when this returns.
    pub(super) fn remove_session(&mut self, key: PeerKey, reason: Reason, now: Instant) {
        // What failed once may fail again.
        self.shielded(|engine| engine.remember_session(key, reason, now));
        let Some((mut peer, connections)) = self.sessions.remove(key) else { return };
        // What failed once is not asked again.
        if reason != Reason::Fault {
            peer.session.shut(now, &mut self.work.out);
        }
        self.work.close.extend(connections);
        if let Some(number) = peer.allocation {
            // After what the session has to say through it.
            self.work.give_back.push(number);
        }
        for sender in &peer.senders {
            if let Some(track) = sender.track {
                self.media.unwatch(track, key);
            }
        }
        let age = now.saturating_duration_since(peer.created).as_millis();
        let level = if reason.is_orderly() { log::Level::Info } else { log::Level::Warn };
        if let Some(left_out) = self.journal.admit(peer.origin.remote.ip(), now) {
            log::log!(
                target: "webrtc", level,
                "{} gone stream={:?} session={} after={age}ms reason={:?}{left_out}",
                peer.role, peer.stream, short(&peer.id), reason.sentence()
            );
        }
        self.leave(&peer, key, now);
    }
}
