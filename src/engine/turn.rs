//! Sessions and their allocations on TURN servers: media comes through them, answers wait for them, and a session that
//! found a direct way gives its allocation back.
use super::Engine;
use super::keys::PeerKey;
use super::reach::{Came, DIRECT_FOR, Due};
use super::remote_candidates::check_relayed;
use crate::gather::turn::FromServer;
use crate::rtc::route::{Route, Socket};
use std::time::Instant;

impl Engine {
    /// A TURN server said something.
    pub(super) fn on_turn(&mut self, number: u32, message: &FromServer, now: Instant) {
        match self.reach.turn.handle(number, message, now) {
            Came::Nothing => {}
            Came::Data { local, remote, bytes } => {
                self.take_datagram(now, Route { socket: Socket::Relay(number), local, remote }, bytes);
            }
            Came::Ready => self.on_allocation_ready(number, now),
            Came::Changed => self.look_at_allocation(number, now),
        }
    }

    fn on_allocation_ready(&mut self, number: u32, now: Instant) {
        let owner = self.reach.turn.note_ready(number);
        let Some((key, peer)) = owner.and_then(|key| Some((key, self.sessions.get_mut(key)?))) else {
            // No session has it: whoever waited longest gets it, the others get another one.
            let oldest = self.deferred.take_oldest();
            self.answer_deferred(oldest, now);
            if !self.deferred.is_empty() {
                self.reach.turn.is_allocation_pending(now);
            }
            return;
        };
        for (address, priority) in peer.candidates.addresses.clone() {
            check_relayed(&mut self.reach, peer, address, priority, now);
        }
        if let Some(late) = peer.late.take() {
            let _ = late.send(Ok(self.reach.turn.candidate(number).into_iter().collect()));
        }
        self.sessions.wake(key, now);
    }

    /// Forgets an allocation that ended; its session goes on without it, or with another server's.
    fn look_at_allocation(&mut self, number: u32, now: Instant) {
        let Some(ended) = self.reach.turn.take_ended(number, now) else { return };
        if let Some((key, peer)) = ended.owner.and_then(|key| Some((key, self.sessions.get_mut(key)?))) {
            // A session with a direct way needs none any more.
            let way = peer.session.ice().selected().filter(|_| peer.connected.is_some());
            let direct = way.is_some_and(|route| route.socket != Socket::Relay(number));
            peer.allocation = if direct { None } else { self.reach.turn.take(key, now) };
            match peer.allocation {
                // Whoever asks is answered when that one is known.
                Some(other) => self.on_allocation_replaced(key, other, now),
                None => drop(peer.late.take().map(|late| late.send(Ok(Vec::new())))),
            }
        }
        self.on_lost_socket(Socket::Relay(number), now);
        // Whoever waits for an address goes on waiting only where another server may give one.
        if ended.owner.is_none() && !self.deferred.is_empty() && !self.reach.turn.is_allocation_pending(now) {
            let all = self.deferred.take_all();
            self.answer_deferred(all, now);
        }
    }

    /// A session has another allocation than before, which may be ready already.
    fn on_allocation_replaced(&mut self, key: PeerKey, number: u32, now: Instant) {
        let Some(peer) = self.sessions.get(key) else { return };
        self.reach.turn.permit(number, peer.origin.remote.ip(), now);
        if self.reach.turn.relayed(number).is_some() {
            self.on_allocation_ready(number, now);
        }
    }

    pub(super) fn tick_turn(&mut self, now: Instant) {
        for due in self.reach.turn.tick(now) {
            match due {
                Due::Review(key, number) => self.drop_unused(key, number, now),
                Due::Look(number) => self.look_at_allocation(number, now),
            }
        }
    }

    /// Gives an allocation back whose session is connected another way, or is gone.
    fn drop_unused(&mut self, key: PeerKey, number: u32, now: Instant) {
        let Some(peer) = self.sessions.get_mut(key) else { return self.reach.turn.release(number, now) };
        let settled = peer.connected.is_some_and(|at| now.saturating_duration_since(at) >= DIRECT_FOR);
        let used = peer.session.ice().selected().is_some_and(|route| route.socket == Socket::Relay(number));
        if settled && !used {
            peer.allocation = None;
            self.reach.turn.release(number, now);
            self.on_lost_socket(Socket::Relay(number), now);
        }
    }
}
