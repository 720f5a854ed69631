//! What happens to sessions: datagrams, events, reports of their peers, and their end.
use super::Engine;
use super::claims::From;
use super::fanout::{self, Output};
use crate::rtc::ice::{self, Outcome};
use crate::rtc::route::{Route, Socket};
use crate::rtc::rtcp;
use crate::rtc::session::{Event, Reason, Session};
use crate::stream::inbound::Header;
use crate::stream::intake::Arrived;
use crate::stream::relay::Error;
use bytes::BytesMut;
use std::time::{Duration, Instant};

/// Routes by which one session is known at most.
const MAX_ROUTES: usize = 64;
/// A session keeps its claim to a route for this long after its last sign of life: as long as its consent may last.
const CLAIM_LASTS: Duration = Duration::from_secs(15);

impl Engine {
    pub(super) fn on_datagram(&mut self, now: Instant, route: Route, bytes: &[u8]) {
        if self.takes_stun(now, &route, bytes) {
            return;
        }
        if ice::is_stun(bytes) {
            // A check names its session, and the transaction id of an answer does.
            let key = match ice::requested_ufrag(bytes) {
                Some(ufrag) => self.by_ufrag.get(ufrag).copied(),
                None => ice::answered_tag(bytes),
            };
            if let Some(key) = key {
                self.deliver(key, now, route, bytes);
            }
            return;
        }
        let claimants = self.claims.of(&(route.socket, route.remote));
        let knows = |key: &u32| self.peers.get(key).is_some_and(|peer| peer.session.knows(bytes));
        let known = claimants.clone().nth(1).and_then(|_| claimants.clone().find(knows));
        for key in known.into_iter().chain(claimants.filter(|key| known != Some(*key))) {
            if self.deliver(key, now, route, bytes) == Outcome::Accepted {
                break;
            }
        }
    }

    /// Gives a datagram to a session that it may be of.
    fn deliver(&mut self, key: u32, now: Instant, route: Route, bytes: &[u8]) -> Outcome {
        let mut outcome = Outcome::Rejected;
        self.guarded(key, |engine| {
            let Some(peer) = engine.peers.get_mut(&key) else { return };
            outcome = peer.session.handle(now, route, bytes, &mut engine.out, &mut engine.events);
            if outcome == Outcome::Accepted && ice::is_stun(bytes) {
                engine.claim(key, (route.socket, route.remote), now);
            }
            engine.wire.send(&mut engine.out);
            engine.handle_events(key, now);
        });
        outcome
    }

    /// An authentic check came over this route: what follows it may be of the same session.
    fn claim(&mut self, key: u32, from: From, now: Instant) {
        let holds = |key: u32| self.peers.get(&key).is_some_and(|peer| holds(&peer.session, from, now));
        if !self.claims.claim(from, key, holds) {
            return;
        }
        let Some(peer) = self.peers.get_mut(&key).filter(|peer| !peer.routes.contains(&from)) else { return };
        // A peer that moves a lot is known by its latest addresses.
        if peer.routes.len() >= MAX_ROUTES {
            self.claims.release(&peer.routes.remove(0), key);
        }
        peer.routes.push(from);
        if let Socket::Tcp(number) = from.0 {
            self.wire.mark_known(number);
        }
    }

    pub(super) fn on_lost_socket(&mut self, socket: Socket, now: Instant) {
        let lost: Vec<_> = self.claims.over(socket).collect();
        self.claims.forget(socket);
        for (from, key) in lost {
            self.guarded(key, |engine| {
                let Some(peer) = engine.peers.get_mut(&key) else { return };
                peer.routes.retain(|known| *known != from);
                peer.session.lost_socket(now, socket, &mut engine.out, &mut engine.events);
                engine.wire.send(&mut engine.out);
                engine.handle_events(key, now);
            });
        }
    }

    /// One of our own sockets is gone: no session may keep its number, another socket will have it.
    pub(super) fn on_unbound(&mut self, socket: Socket, now: Instant) {
        self.claims.forget(socket);
        let keys: Vec<u32> = self.peers.keys().copied().collect();
        for key in keys {
            self.guarded(key, |engine| {
                let Some(peer) = engine.peers.get_mut(&key) else { return };
                peer.routes.retain(|(known, _)| *known != socket);
                peer.session.lost_socket(now, socket, &mut engine.out, &mut engine.events);
                engine.wire.send(&mut engine.out);
                engine.handle_events(key, now);
            });
        }
    }

    pub(super) fn handle_events(&mut self, key: u32, now: Instant) {
        if self.events.is_empty() {
            return;
        }
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            match event {
                Event::Connected => self.on_connected(key, now),
                Event::Rtp(packet) => self.on_rtp(key, packet, now),
                Event::Rtcp(compound) => self.on_rtcp(key, &compound, now),
                Event::Closed(reason) => self.remove_peer(key, reason),
            }
        }
        self.events = events;
    }

    fn on_connected(&mut self, key: u32, now: Instant) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        peer.connected = Some(now);
        peer.report_due = now;
        peer.intake.receivers.iter_mut().for_each(|receiver| receiver.wants_keyframe = false);
        let route = peer.session.ice().selected().map(|route| route.to_string()).unwrap_or_default();
        let took = now.saturating_duration_since(peer.created).as_millis();
        let role = if peer.publishes { "publisher" } else { "viewer" };
        let cipher = peer.session.cipher().unwrap_or_default();
        if let Some(left_out) = self.sparing.admit(peer.origin.remote.ip(), now) {
            log::info!(
                target: "webrtc",
                "{role} connected stream={:?} session={} route={route:?} cipher={cipher} after={took}ms{left_out}",
                peer.stream, short(&peer.id)
            );
        }
        if peer.publishes {
            self.on_publisher(key, now);
        } else {
            self.pump(key, now);
        }
    }

    fn on_rtp(&mut self, key: u32, packet: BytesMut, now: Instant) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let Some(header) = Header::read(&packet) else { return };
        let Some(Arrived { track, packet, first }) = peer.intake.rtp(now, &header, packet) else { return };
        if !peer.publishes {
            return self.on_sound(key, track, packet, now);
        }
        let begins = packet.as_ref().is_some_and(|packet| packet.keyframe);
        if let Some((packet, track)) = packet.zip(self.tracks.get_mut(&track)) {
            track.push(packet, now);
        }
        // The first picture of a publisher is a keyframe; if it was lost, ask at once.
        if first && !begins {
            self.ask_keyframe(track, now);
        }
    }

    fn on_rtcp(&mut self, key: u32, compound: &[u8], now: Instant) {
        let mut messages = Vec::new();
        rtcp::read(compound, |message| messages.push(message));
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let mut keyframe = false;
        for message in messages {
            match message {
                rtcp::Message::Nack { ssrc, lost } => {
                    let mut output =
                        Output { tracks: &self.tracks, wire: &mut self.wire, buffer: &mut self.buffer, now };
                    fanout::retransmit(peer, ssrc, &lost, &mut output);
                }
                rtcp::Message::KeyframeRequest { ssrc } => {
                    if let Some(sender) = peer.senders.iter_mut().find(|sender| sender.ssrc == ssrc) {
                        sender.keyframe_requests += 1;
                        sender.wants_keyframe = true;
                        keyframe = true;
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
                        if let Some(track) = self.tracks.get_mut(&track) {
                            track.set_clock(moment, timestamp);
                        }
                    }
                }
                rtcp::Message::Bitrate { .. } | rtcp::Message::TransportFeedback { .. } | rtcp::Message::Bye { .. } => {
                }
            }
        }
        if keyframe {
            self.pump(key, now);
        }
    }

    pub(super) fn on_close(&mut self, id: &str) -> Result<(), Error> {
        let key = self.key_of(id)?;
        self.remove_peer(key, Reason::ClosedByUs);
        Ok(())
    }

    /// Ends a session: nothing of it is left when this returns.
    pub(super) fn remove_peer(&mut self, key: u32, reason: Reason) {
        let Some(mut peer) = self.peers.remove(&key) else { return };
        let now = Instant::now();
        // This runs outside of the guard, and what failed once may fail again.
        self.shielded(|engine| engine.remember(&peer, reason, now));
        let mut out = Vec::new();
        // What failed once is not asked again: this runs outside of the guard.
        if reason != Reason::Fault {
            peer.session.shut(now, &mut out);
        }
        self.wire.send(&mut out);
        if let Some(number) = peer.relay {
            self.wire.relays.release(number, now);
        }
        self.by_id.remove(&peer.id);
        self.by_ufrag.retain(|_, owner| *owner != key);
        for from in &peer.routes {
            if self.claims.release(from, key)
                && let Socket::Tcp(number) = from.0
            {
                self.wire.close(number);
            }
        }
        for sender in &peer.senders {
            if let Some(track) = sender.track.and_then(|track| self.tracks.get_mut(&track)) {
                track.viewers.retain(|viewer| *viewer != key);
            }
        }
        let role = if peer.publishes { "publisher" } else { "viewer" };
        let age = now.saturating_duration_since(peer.created).as_millis();
        let level = if reason.is_orderly() { log::Level::Info } else { log::Level::Warn };
        if let Some(left_out) = self.sparing.admit(peer.origin.remote.ip(), now) {
            log::log!(
                target: "webrtc", level,
                "{role} gone stream={:?} session={} after={age}ms reason={:?}{left_out}",
                peer.stream, short(&peer.id), reason.sentence()
            );
        }
        self.leave(&peer, key, now);
    }
}

/// Can a session show that its peer is at this address? To ask with a forged one is easy, to answer needs what was sent
/// there.
fn holds(session: &Session, (socket, remote): From, now: Instant) -> bool {
    let standing = session.standing(socket, remote);
    standing.answered && standing.heard.is_some_and(|at| now.saturating_duration_since(at) < CLAIM_LASTS)
}

/// Ids are secrets that end a session; the log shows their beginning.
pub(super) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
