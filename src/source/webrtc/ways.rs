//! The ways of a call beside UDP from its own sockets: an address on a TURN server, and TCP connections to the camera.
use super::call::Call;
use super::connections::{self, Connections};
use super::relayed::{self, Relayed};
use super::sockets::Sockets;
use super::url::IceServer;
use crate::gather::scope::Scope;
use crate::rtc::digest::Digest;
use crate::rtc::route::{Datagram, Socket};
use std::future::pending;
use std::net::IpAddr;
use std::time::Instant;

pub struct Ways {
    /// For a camera of IPv4; and for one that has nothing but IPv6.
    relayed: Relayed,
    relayed_v6: Option<Relayed>,
    /// What was asked, and where it may be.
    servers: Vec<(Vec<IceServer>, Scope)>,
    digest: Digest,
    connections: Connections,
}

/// What came by one of them.
pub enum Come {
    /// True: for a camera of IPv6.
    Relayed(bool, relayed::Come),
    Connection(connections::Come),
}

impl Ways {
    /// `is_local`: the camera's signalling is on this machine. `doors`: where TCP connections leave from, for IPv4 and
    /// IPv6.
    pub fn new(is_local: bool, doors: [Option<IpAddr>; 2], digest: Digest) -> Self {
        let mut connections = Connections::default();
        (connections.is_local, connections.doors) = (is_local, doors);
        Self { relayed: Relayed::new(false), relayed_v6: None, servers: Vec::new(), digest, connections }
    }

    /// Asks the TURN servers among these.
    pub fn begin(&mut self, servers: &[IceServer], scope: Scope) {
        self.servers.push((servers.to_vec(), scope));
        for relayed in self.relayed_v6.iter_mut().chain([&mut self.relayed]) {
            relayed.begin(servers, scope, &self.digest);
        }
    }

    /// Both or one.
    fn relayed(&self) -> impl Iterator<Item = &Relayed> {
        self.relayed_v6.iter().chain([&self.relayed])
    }

    fn relayed_mut(&mut self, number: u32) -> &mut Relayed {
        match &mut self.relayed_v6 {
            Some(relayed) if Relayed::is_of(number) => relayed,
            _ => &mut self.relayed,
        }
    }

    /// Some TURN server may still give an address.
    pub fn is_looking(&self) -> bool {
        self.relayed().any(Relayed::is_looking)
    }

    /// Waits for the next thing.
    pub async fn next(&mut self) -> Come {
        let v6 = async {
            match &mut self.relayed_v6 {
                Some(relayed) => relayed.next().await,
                None => pending().await,
            }
        };
        tokio::select! {
            come = self.relayed.next() => Come::Relayed(false, come),
            come = v6 => Come::Relayed(true, come),
            come = self.connections.next() => Come::Connection(come),
        }
    }

    pub fn handle(&mut self, come: Come, call: &mut Call, now: Instant) {
        match come {
            Come::Relayed(v6, come) => self.relayed_mut(v6.into()).handle(come, call, now),
            Come::Connection(come) => self.connections.handle(come, call, now),
        }
    }

    /// Does what the state of the call asks for: lets a camera's addresses through, connects, lets go.
    pub fn look(&mut self, call: &mut Call, now: Instant) {
        if self.relayed_v6.is_none() && !self.servers.is_empty() && call.has_only_v6() {
            let mut relayed = Relayed::new(true);
            for (servers, scope) in &self.servers {
                relayed.begin(servers, *scope, &self.digest);
            }
            self.relayed_v6 = Some(relayed);
        }
        for relayed in self.relayed_v6.iter_mut().chain([&mut self.relayed]) {
            relayed.look(call, now);
        }
        self.connections.look(call, now);
    }

    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        self.relayed().filter_map(Relayed::deadline).chain(self.connections.deadline(now)).min()
    }

    pub fn tick(&mut self, call: &mut Call, now: Instant) {
        for relayed in self.relayed_v6.iter_mut().chain([&mut self.relayed]) {
            relayed.tick(call, now);
        }
    }

    /// Sends each datagram by the way that it names.
    pub fn send(&mut self, sockets: &Sockets, datagrams: &mut Vec<Datagram>, now: Instant) {
        for datagram in datagrams.drain(..) {
            match datagram.route.socket {
                Socket::Udp(_) => sockets.send(&datagram),
                Socket::Tcp(number) => self.connections.send(number, &datagram.bytes),
                Socket::Relay(number) => {
                    self.relayed_mut(number).send(number, datagram.route.remote, &datagram.bytes, now);
                }
            }
        }
    }

    /// The relay candidates that are new, once there is somebody to tell.
    pub fn take_candidates(&mut self, ready: bool) -> Vec<String> {
        let relayed = self.relayed_v6.iter_mut().chain([&mut self.relayed]);
        relayed.filter_map(|relayed| relayed.take_candidate(ready)).collect()
    }

    /// Why a call that found no way ended, with what became of these.
    pub fn explain(&self, why: String) -> String {
        let errors: Vec<String> = self.relayed().flat_map(Relayed::errors).chain(self.connections.errors()).collect();
        if errors.is_empty() { why } else { format!("{why} ({})", errors.join("; ")) }
    }

    /// Gives everything back and waits until the servers know it.
    pub async fn give_back(&mut self) {
        let v6 = async {
            if let Some(relayed) = &mut self.relayed_v6 {
                relayed.give_back().await;
            }
        };
        tokio::join!(self.relayed.give_back(), v6);
    }
}
