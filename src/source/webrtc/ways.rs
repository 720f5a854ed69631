//! The ways of a call beside UDP from its own sockets: an address on a TURN server, and TCP connections to the camera.
use super::call::Call;
use super::connections::{self, Connections};
use super::relayed::{self, Relayed};
use super::sockets::Sockets;
use super::url::IceServer;
use crate::net::route::{Datagram, Socket};
use crate::rtc::digest::Digest;
use std::time::Instant;

#[derive(Default)]
pub struct Ways {
    relayed: Relayed,
    connections: Connections,
}

/// What came by one of them.
pub enum Come {
    Relayed(relayed::Come),
    Connection(connections::Come),
}

impl Ways {
    /// `is_local`: the camera's signalling is on this machine.
    pub fn new(is_local: bool) -> Self {
        let mut ways = Self::default();
        ways.connections.is_local = is_local;
        ways
    }

    /// Asks the TURN servers among these.
    pub fn begin(&mut self, servers: &[IceServer], digest: &Digest) {
        self.relayed.begin(servers, digest);
    }

    /// Some TURN server may still give an address.
    pub fn is_looking(&self) -> bool {
        self.relayed.is_looking()
    }

    /// Waits for the next thing.
    pub async fn next(&mut self) -> Come {
        tokio::select! {
            come = self.relayed.next() => Come::Relayed(come),
            come = self.connections.next() => Come::Connection(come),
        }
    }

    pub fn handle(&mut self, come: Come, call: &mut Call, now: Instant) {
        match come {
            Come::Relayed(come) => self.relayed.handle(come, call, now),
            Come::Connection(come) => self.connections.handle(come, call, now),
        }
    }

    /// Does what the state of the call asks for: lets a camera's addresses through, connects, lets go.
    pub fn look(&mut self, call: &mut Call, now: Instant) {
        self.relayed.look(call, now);
        self.connections.look(call, now);
    }

    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        [self.relayed.deadline(), self.connections.deadline(now)].into_iter().flatten().min()
    }

    pub fn tick(&mut self, call: &mut Call, now: Instant) {
        self.relayed.tick(call, now);
    }

    /// Sends each datagram by the way that it names.
    pub fn send(&mut self, sockets: &Sockets, datagrams: &mut Vec<Datagram>, now: Instant) {
        for datagram in datagrams.drain(..) {
            match datagram.route.socket {
                Socket::Udp(_) => sockets.send(&datagram),
                Socket::Tcp(number) => self.connections.send(number, &datagram.bytes),
                Socket::Relay(number) => self.relayed.send(number, datagram.route.remote, &datagram.bytes, now),
            }
        }
    }

    /// The relay candidate, if it is new, once there is somebody to tell.
    pub fn take_candidate(&mut self, ready: bool) -> Option<String> {
        self.relayed.take_candidate(ready)
    }

    /// Why a call that found no way ended, with what became of these.
    pub fn explain(&self, why: String) -> String {
        let errors: Vec<String> = self.relayed.errors().chain(self.connections.errors()).collect();
        if errors.is_empty() { why } else { format!("{why} ({})", errors.join("; ")) }
    }

    /// Gives everything back and waits until the servers know it.
    pub async fn give_back(&mut self) {
        self.relayed.give_back().await;
    }
}
