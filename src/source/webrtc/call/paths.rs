//! The ways that a call checks: the camera's addresses, each from every socket of ours that could lead there.
use super::Call;
use crate::gather::candidate;
use crate::rtc::route::Socket;
use std::net::SocketAddr;
use std::time::Instant;

/// Candidates of the camera that are looked at.
const MAX_CANDIDATES: usize = 32;

impl Call {
    /// A candidate of the camera; what is none is passed over.
    pub fn add_candidate(&mut self, line: &str, now: Instant) {
        if self.candidates >= MAX_CANDIDATES {
            return;
        }
        self.candidates += 1;
        if let Some((address, priority)) = candidate::read(line) {
            self.remotes.push((address, priority));
            self.check(address, priority, now);
        } else if let Some(passive) = candidate::read_passive(line) {
            self.passive.push(passive);
        }
    }

    pub(super) fn check(&mut self, address: SocketAddr, priority: u32, now: Instant) {
        let Some(session) = &mut self.session else { return };
        let family = usize::from(address.is_ipv6());
        for socket in self.sockets[family].into_iter().chain(self.relays[family]) {
            session.ice_mut().add_remote(now, socket, address, priority);
        }
    }

    /// The camera's addresses for UDP.
    pub fn remotes(&self) -> impl Iterator<Item = SocketAddr> {
        self.remotes.iter().map(|(address, _)| *address)
    }

    /// No address of the camera is one of IPv4.
    pub fn has_only_v6(&self) -> bool {
        !self.remotes.is_empty() && self.remotes().all(|remote| remote.is_ipv6())
    }

    /// Where the camera takes TCP connections, with its priority of each.
    pub fn passive(&self) -> impl Iterator<Item = (SocketAddr, u32)> {
        self.passive.iter().copied()
    }

    /// Checks the camera's addresses from ours on a TURN server too.
    pub fn add_relay(&mut self, socket: Socket, v6: bool, now: Instant) {
        self.relays[usize::from(v6)] = Some(socket);
        for (address, priority) in self.remotes.clone() {
            self.check(address, priority, now);
        }
    }

    /// Checks a connection that leads to one of the camera's addresses.
    pub fn add_connection(&mut self, socket: Socket, remote: SocketAddr, priority: u32, now: Instant) {
        if let Some(session) = &mut self.session {
            session.ice_mut().add_remote(now, socket, remote, priority);
        }
    }

    /// A way is needed no more.
    pub fn drop_socket(&mut self, socket: Socket, now: Instant) {
        for relay in &mut self.relays {
            relay.take_if(|relay| *relay == socket);
        }
        if let Some(session) = &mut self.session {
            session.lost_socket(now, socket, &mut self.out, &mut self.scratch);
        }
        self.follow(now);
    }

    /// A way broke: without another one the call is over.
    pub fn lose(&mut self, socket: Socket, why: &str, now: Instant) {
        let used = self.route().is_some_and(|route| route.socket == socket);
        self.drop_socket(socket, now);
        if used && self.route().is_none() && !self.over {
            self.end(why.to_owned());
        }
    }
}
